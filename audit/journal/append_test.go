package journal_test

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit/journal"
)

var kilobyte = bytes.Repeat([]byte("x"), 1024)

func encodeKilobyte(dst []byte, _ uint64, _ time.Time) []byte { return append(dst, kilobyte...) }

// Appending and waiting for the disk take no memory once the buffers have
// their size.
func TestAppendAllocs(t *testing.T) {
	j := open(t, journal.Config{Directory: t.TempDir(), MaxDelay: -1})
	one := func() {
		ticket, err := j.Append(encodeKilobyte)
		if err == nil {
			err = ticket.Wait(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		one()
	}
	if n := testing.AllocsPerRun(200, one); n > 0.1 {
		t.Errorf("%v allocations per record", n)
	}
}

// BenchmarkAppend appends records of 1 KiB and waits for each, from 1, 16 and
// 64 goroutines, on the file system of the temporary directory.
func BenchmarkAppend(b *testing.B) {
	for _, delay := range []time.Duration{-1, 2 * time.Millisecond} {
		for _, waiters := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("delay=%v/waiters=%d", max(delay, 0), waiters), func(b *testing.B) {
				j := open(b, journal.Config{Directory: b.TempDir(), MaxDelay: delay})
				addAndWait(b, j, "first")
				before := j.Stats()
				var failed atomic.Pointer[error]
				b.SetBytes(int64(len(kilobyte)))
				b.ReportAllocs()
				b.SetParallelism(waiters) // times GOMAXPROCS: enough, turns lets no more than that wait
				turns := make(chan struct{}, waiters)
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						turns <- struct{}{}
						ticket, err := j.Append(encodeKilobyte)
						if err == nil {
							err = ticket.Wait(ctx)
						}
						if err != nil {
							first := err
							failed.CompareAndSwap(nil, &first)
						}
						<-turns
					}
				})
				b.StopTimer()
				if err := failed.Load(); err != nil {
					b.Fatal(*err)
				}
				s := j.Stats()
				b.ReportMetric(float64(s.Syncs-before.Syncs)/float64(s.Records-before.Records), "syncs/record")
				b.ReportMetric(float64(s.LastSync.Microseconds()), "last-sync-µs")
			})
		}
	}
}
