package clickhouse

import (
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest"
	"github.com/cwmpgate/cwmpgate/audit/storetest"
)

// BenchmarkWrite writes cuts of 5,000 records of one log after another, as a
// gateway does that catches up. It reports rows (of the ledger and of the projections) a second, the CPU
// time of this process for each, reading the records included, and bytes on the
// server's disk. The server shares the machine.
func BenchmarkWrite(b *testing.B) {
	e := chtest.Start(b)
	for _, protocol := range protocols {
		b.Run(protocol, func(b *testing.B) { benchmarkWrite(b, open(b, newConfig(e, protocol))) })
	}
}

func benchmarkWrite(b *testing.B, s *Store) {
	const cut = 5000
	// As the gateway has it; see its tuneCollector.
	defer debug.SetGCPercent(debug.SetGCPercent(200))
	sample := storetest.Sample(4000)
	var records, first uint64 = 0, 1
	var log *storetest.Log
	var cpu time.Duration
	b.ReportAllocs()
	for b.Loop() {
		if log == nil || first > log.Last() {
			b.StopTimer()
			log, first = sample.Renamed(b.Name()+time.Now().String()), 1
			b.StartTimer()
		}
		batch := log.Batch(first, first+cut-1)
		before := cpuTime(b)
		if err := s.Write(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		cpu += cpuTime(b) - before
		records += uint64(len(batch.Entries))
		first += cut
	}
	b.StopTimer()
	rows := records
	for _, block := range newProjections("").all() {
		var n uint64
		if err := (*s.conn.Load()).QueryRow(b.Context(), "SELECT count() FROM "+block.table).Scan(&n); err != nil {
			b.Fatal(err)
		}
		rows += n
	}
	var size uint64
	if err := (*s.conn.Load()).QueryRow(b.Context(), "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase()").Scan(&size); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(cpu.Microseconds())/float64(rows), "CPU-µs/row")
	b.ReportMetric(float64(cpu.Microseconds())/float64(records), "CPU-µs/record")
	b.ReportMetric(float64(size)/float64(rows), "B/row")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
