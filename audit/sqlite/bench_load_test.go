package sqlite

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/storetest"
)

// BenchmarkLoad writes what cwmpload makes: sessions of seven records, in cuts
// as they come at 300 sessions a second. The devices are new; or the same
// 1,000 come again and again with nothing changed; or they come again after
// the writer has lost its memory.
func BenchmarkLoad(b *testing.B) {
	for _, c := range []struct {
		name    string
		devices int // 0: each session has a new one
		forget  bool
	}{{"new", 0, false}, {"steady", 1000, false}, {"forgotten", 1000, true}} {
		b.Run(c.name, func(b *testing.B) { benchmarkLoad(b, c.devices, c.forget) })
	}
}

func benchmarkLoad(b *testing.B, devices int, forget bool) {
	s := open(b, filepath.Join(b.TempDir(), "audit.db"))
	l := storetest.NewLog(b.Name())
	session := 0
	sessions := func(n int) *audit.Batch {
		first := l.Last() + 1
		for range n {
			serial := session
			if devices > 0 {
				serial %= devices
			}
			loadSession(l, fmt.Sprintf("CWL%07d", serial), session)
			session++
		}
		batch := &audit.Batch{Log: l.ID, First: first, Last: l.Last(), Entries: l.Entries}
		l.Entries = nil
		return batch
	}
	if err := s.Write(b.Context(), sessions(devices)); err != nil {
		b.Fatal(err)
	}
	before := countRows(b, s)
	var cpu time.Duration
	var records int
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		batch := sessions(30)
		if forget {
			s.writer.forget()
		}
		b.StartTimer()
		began := cpuTime()
		if err := s.Write(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		cpu += cpuTime() - began
		records += len(batch.Entries)
	}
	b.StopTimer()
	rows := countRows(b, s) - before
	b.ReportMetric(float64(cpu.Microseconds())/float64(b.N*30), "CPU-µs/session")
	b.ReportMetric(float64(cpu.Microseconds())/float64(rows), "CPU-µs/row")
	b.ReportMetric(float64(rows)/float64(b.N*30), "rows/session")
}

func countRows(b *testing.B, s *Store) (rows int) {
	b.Helper()
	for _, table := range append(projections[:], "ledger") {
		var n int
		if err := s.writer.conn.QueryRowContext(b.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
			b.Fatal(err)
		}
		rows += n
	}
	return rows
}

// loadSession appends a session of a device: an Inform of 4 KiB, an answer to
// GetParameterValues of 8 KiB that repeats its values, a SetParameterValues.
func loadSession(l *storetest.Log, serial string, n int) {
	cpe := l.Session(audit.Device{Manufacturer: "Example Networks", OUI: "00005E", Class: "Load", Serial: serial}, fmt.Sprintf("s-%d", n))
	list := []string{storetest.Param("InternetGatewayDevice.DeviceInfo.SerialNumber", serial, "string")}
	for i := range 45 {
		list = append(list, storetest.Param(fmt.Sprintf("InternetGatewayDevice.LANDevice.1.Hosts.Host.%04d.HostName", i),
			fmt.Sprintf("host-%06d.example.net", i), "string"))
	}
	cpe.Inform([]string{"2 PERIODIC"}, list[:22]...)
	cpe.Read(list...)
	cpe.Set("job", storetest.Param("InternetGatewayDevice.ManagementServer.PeriodicInformInterval", "300", "unsignedInt"))
	cpe.Accept(`"Status":"0"`)
	cpe.End("clean", nil, nil)
}
