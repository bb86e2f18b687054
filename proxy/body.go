package proxy

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/cwmpgate/cwmpgate/proxy/h1"
)

// budget bounds the bytes of all bodies in memory. Large bodies of one source
// have a share of it, and leave an eighth to small ones, so that nobody can keep
// others from being served.
type budget struct {
	max, share int64
	used       atomic.Int64

	mu sync.Mutex
	of map[netip.Prefix]int64 // what large bodies hold, by source
}

func newBudget(max, share int64) *budget {
	return &budget{max: max, share: share, of: make(map[netip.Prefix]int64)}
}

// take takes n bytes, large ones for a source; the error says which limit is
// used up.
func (b *budget) take(n int64, source netip.Prefix, large bool) error {
	max := b.max
	if large {
		max -= b.max / 8
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.of[source]+n > b.share {
			return refuse(503, reasonMemoryOfAddress, "limits.memory_per_address = %d is used up by bodies from %s", b.share, source)
		}
	}
	if b.used.Add(n) > max {
		b.used.Add(-n)
		return refuse(503, reasonMemory, "limits.memory = %d is used up by bodies", b.max)
	}
	if large {
		b.of[source] += n
	}
	return nil
}

func (b *budget) give(n int64, source netip.Prefix, large bool) {
	b.used.Add(-n)
	if !large {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.of[source] -= n; b.of[source] == 0 {
		delete(b.of, source)
	}
}

// Buffers are of two sizes and used again; a larger one goes back to the
// collector, so that one large body does not stay in memory for ever.
const (
	smallBuffer = 16 << 10
	maxPooled   = 64 << 10
)

// buffers hands out body buffers.
type buffers struct {
	budget       *budget
	small, large sync.Pool // of pointers to arrays: those to slices would be garbage
}

// take returns an empty buffer with room for n bytes, at most maxPooled.
func (bs *buffers) take(n int) []byte {
	if n > smallBuffer {
		if p, ok := bs.large.Get().(*[maxPooled]byte); ok {
			return p[:0]
		}
		return make([]byte, 0, maxPooled)
	}
	if p, ok := bs.small.Get().(*[smallBuffer]byte); ok {
		return p[:0]
	}
	return make([]byte, 0, smallBuffer)
}

func (bs *buffers) recycle(b []byte) {
	switch cap(b) {
	case smallBuffer:
		bs.small.Put((*[smallBuffer]byte)(b[:smallBuffer]))
	case maxPooled:
		bs.large.Put((*[maxPooled]byte)(b[:maxPooled]))
	}
}

// buffer holds one body. What it holds counts against the budget until free.
type buffer struct {
	bytes  []byte
	from   *buffers
	source netip.Prefix
	taken  int64 // of the budget
	large  int64 // of these, as a large body
}

// source is a connection that a body is read from.
type source interface {
	ReadBody(dst []byte, max int64) ([]byte, error)
	Body() io.Reader
}

// readFrom reads a whole body. length is what the head declares, negative where
// it does not; a large body's memory is taken as its bytes come, so that a peer
// cannot hold memory by announcing alone.
func (b *buffer) readFrom(src source, length, max int64, key string) error {
	if length == 0 {
		return nil
	}
	if length > max {
		return refuse(413, reasonBodyTooLarge, "body is %d bytes, over %s = %d", length, key, max)
	}
	if length > 0 && length <= smallBuffer {
		if err := b.grow(int(length)); err != nil {
			return err
		}
		var err error
		b.bytes, err = src.ReadBody(b.bytes[:0], max)
		return err
	}
	return b.readAll(src.Body(), max, func() error {
		return refuse(413, reasonBodyTooLarge, "body is over %s = %d", key, max)
	})
}

// readAll reads r to its end, at most limit bytes.
func (b *buffer) readAll(r io.Reader, limit int64, over func() error) error {
	if err := b.grow(smallBuffer); err != nil {
		return err
	}
	for {
		if len(b.bytes) == cap(b.bytes) {
			if err := b.grow(int(min(2*int64(cap(b.bytes)), max(limit+1, smallBuffer)))); err != nil {
				return err
			}
		}
		n, err := r.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		if int64(len(b.bytes)) > limit {
			return over()
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// grow makes room for n bytes in all and counts them, beside the room that is
// there: both are in memory while one is copied to the other.
func (b *buffer) grow(n int) error {
	switch {
	case n <= cap(b.bytes):
		return nil
	case n <= smallBuffer:
		n = smallBuffer
	case n <= maxPooled:
		n = maxPooled
	}
	taken, large := b.taken, b.large
	if err := b.take(int64(n), n > maxPooled); err != nil {
		return err
	}
	var grown []byte
	if n <= maxPooled {
		grown = b.from.take(n)
	} else {
		grown = make([]byte, 0, n)
	}
	grown = append(grown, b.bytes...)
	b.from.recycle(b.bytes)
	b.bytes = grown
	b.give(taken, large)
	return nil
}

// take counts more bytes for b.
func (b *buffer) take(n int64, large bool) error {
	if n <= 0 {
		return nil
	}
	if err := b.from.budget.take(n, b.source, large); err != nil {
		return err
	}
	if b.taken += n; large {
		b.large += n
	}
	return nil
}

// decoding counts what reading a large message takes beside its bytes: values,
// text in another charset, and its record.
func (b *buffer) decoding() error {
	if len(b.bytes) <= maxPooled {
		return nil
	}
	return b.take(decodingCost*int64(len(b.bytes)), true)
}

const decodingCost = 2

// free gives the memory back; the bytes are no longer anybody's.
func (b *buffer) free() {
	b.from.recycle(b.bytes)
	b.give(b.taken, b.large)
	b.bytes = nil
}

// give takes bytes off what b is counted with, of which large are of a large
// body.
func (b *buffer) give(n, large int64) {
	b.from.budget.give(n-large, b.source, false)
	b.from.budget.give(large, b.source, true)
	b.taken -= n
	b.large -= large
}

// coding is a Content-Encoding that can be read.
type coding uint8

const (
	codingNone coding = iota
	codingGzip
	codingDeflate
)

// contentCoding reads Content-Encoding. A client that compresses goes back to
// plain only on 415 (RFC 9110 section 15.5.16).
func contentCoding(fields []h1.Field) (coding, error) {
	found, seen := codingNone, false
	for i := range fields {
		if !isName(fields[i].Name, "content-encoding") {
			continue
		}
		v := fields[i].Value
		if seen {
			return 0, refuse(415, reasonEncoding, "Content-Encoding twice")
		}
		seen = true
		switch {
		case isName(v, "gzip"), isName(v, "x-gzip"):
			found = codingGzip
		case isName(v, "deflate"):
			found = codingDeflate
		case len(v) == 0, isName(v, "identity"):
		default:
			return 0, refuse(415, reasonEncoding, "Content-Encoding is neither gzip nor deflate")
		}
	}
	return found, nil
}

// inflate reads one compressed stream with nothing behind it.
func (b *buffer) inflate(packed []byte, c coding, max int64) error {
	in := bytes.NewReader(packed)
	r, err := inflater(in, packed, c)
	if err != nil {
		return refuse(400, reasonInflate, "%v", err)
	}
	err = b.readAll(r, max, func() error {
		return refuse(413, reasonInflatedTooLarge, "body is over limits.inflated = %d once inflated", max)
	})
	var r2 *refusal
	switch {
	case errors.As(err, &r2):
		return err
	case err != nil:
		return refuse(400, reasonInflate, "%v", err)
	case in.Len() > 0:
		return refuse(400, reasonInflate, "%d bytes behind the compressed stream", in.Len())
	case len(b.bytes) == 0:
		return refuse(400, reasonInflate, "compressed body is empty")
	}
	return nil
}

// inflater reads deflate both as zlib (RFC 9110 section 8.4.1.2) and raw, which
// is what some senders mean by it.
func inflater(in *bytes.Reader, packed []byte, c coding) (io.Reader, error) {
	if c == codingGzip {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		z.Multistream(false)
		return z, nil
	}
	if len(packed) >= 2 && packed[0]&0x0f == 8 && (int(packed[0])<<8|int(packed[1]))%31 == 0 {
		return zlib.NewReader(in)
	}
	return flate.NewReader(in), nil
}
