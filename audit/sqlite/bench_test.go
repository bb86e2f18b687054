package sqlite

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit/storetest"
)

// BenchmarkWrite writes cuts of 2,000 records, as a shipper does. It reports
// rows (of the ledger and of the projections) a second, the CPU time of the
// whole process for each, reading the records included, and bytes on disk.
func BenchmarkWrite(b *testing.B) {
	l := storetest.Sample(800)
	s := open(b, filepath.Join(b.TempDir(), "audit.db"))
	const cut = 2000
	var records, first uint64 = 0, 1
	var log *storetest.Log
	var cpu time.Duration
	b.ReportAllocs()
	for b.Loop() {
		if log == nil || first > log.Last() {
			b.StopTimer()
			log, first = l.Renamed(b.Name()+time.Now().String()), 1
			b.StartTimer()
		}
		batch := log.Batch(first, first+cut-1)
		before := cpuTime()
		if err := s.Write(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		cpu += cpuTime() - before
		records += uint64(len(batch.Entries))
		first += cut
	}
	b.StopTimer()
	rows := records
	for _, table := range projections {
		var n uint64
		if err := s.writer.conn.QueryRowContext(b.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
			b.Fatal(err)
		}
		rows += n
	}
	var pages, size float64
	if err := s.writer.conn.QueryRowContext(b.Context(), "SELECT page_count, page_size FROM pragma_page_count, pragma_page_size").Scan(&pages, &size); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(cpu.Microseconds())/float64(rows), "CPU-µs/row")
	b.ReportMetric(float64(cpu.Microseconds())/float64(records), "CPU-µs/record")
	b.ReportMetric(pages*size/float64(rows), "B/row")
}

// BenchmarkRebuild makes the projections anew.
func BenchmarkRebuild(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "audit.db"))
	l := storetest.Sample(200)
	if err := s.Write(b.Context(), l.All()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := s.Rebuild(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(l.Last())*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
