package cwmptest

import (
	"errors"
	"io"
	"math/bits"
	"net"
	"time"
)

// Latencies counts durations in 32 steps per power of two, so that a percentile
// is at most 3 % over the truth. The zero value is empty.
type Latencies struct {
	counts [64 * 32]uint32
	n      int
	most   time.Duration
	sum    time.Duration
}

// Add counts one duration.
func (l *Latencies) Add(d time.Duration) {
	d = max(d, 0)
	l.counts[bucket(d)]++
	l.n++
	l.sum += d
	l.most = max(l.most, d)
}

// Merge adds another's counts.
func (l *Latencies) Merge(o *Latencies) {
	for i, c := range o.counts {
		l.counts[i] += c
	}
	l.n += o.n
	l.sum += o.sum
	l.most = max(l.most, o.most)
}

// N is how many were added.
func (l *Latencies) N() int { return l.n }

// Max is the longest.
func (l *Latencies) Max() time.Duration { return l.most }

// Mean is their mean, 0 where there is none.
func (l *Latencies) Mean() time.Duration { return l.sum / time.Duration(max(l.n, 1)) }

// Percentile is the duration that the share p (0 to 1) of them does not exceed.
func (l *Latencies) Percentile(p float64) time.Duration {
	rank := int(p * float64(l.n))
	for i, c := range l.counts {
		if rank -= int(c); rank < 0 {
			return min(upper(i), l.most)
		}
	}
	return l.most
}

func bucket(d time.Duration) int {
	if d < 32 {
		return int(d)
	}
	shift := bits.Len64(uint64(d)) - 6
	return (shift+1)*32 + int(uint64(d)>>shift) - 32
}

func upper(bucket int) time.Duration {
	if bucket < 32 {
		return time.Duration(bucket)
	}
	shift := bucket/32 - 1
	return time.Duration(bucket%32+33)<<shift - 1
}

// isBroken says that an error is the network's or the peer's closing.
func isBroken(err error) bool {
	var network net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network)
}
