package clickhouse

import (
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest"
	"github.com/cwmpgate/cwmpgate/audit/storetest"
	"github.com/cwmpgate/cwmpgate/audit/storetest/gotest"
)

// TestProof is the part of the suite that a proof rests on.
func TestProof(t *testing.T) {
	e := chtest.Start(t)
	storetest.RunLedger(gotest.T(t), func(t storetest.T) storetest.Ledger { return open(t, newConfig(e, "native")) })
}

// TestRemoval is the part that retention and erasure rest on.
func TestRemoval(t *testing.T) {
	e := chtest.Start(t)
	storetest.RunRemoval(gotest.T(t), func(t storetest.T) storetest.Remover { return open(t, newConfig(e, "native")) })
}

// TestVerify tampers with the tables.
func TestVerify(t *testing.T) {
	if raceDetector {
		t.Skip("it is the engine that works here; without the race detector this is run")
	}
	e := chtest.Start(t)
	storetest.RunVerify(gotest.T(t), func(t storetest.T) (storetest.Ledger, storetest.Hand) {
		s := open(t, newConfig(e, "native"))
		return s, hand{s}
	})
}

// hand is somebody with a client of ClickHouse.
type hand struct{ s *Store }

// run runs a statement about rows of which there must be some.
func (h hand) run(t storetest.TB, table, where, statement string) {
	t.Helper()
	n, err := h.s.count(t.Context(), table, where)
	if err == nil && n == 0 {
		t.Fatalf("%s: no row", statement)
	}
	if err == nil {
		err = h.s.exec(t.Context(), statement)
	}
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func (h hand) mutate(t storetest.TB, table, what, where string) {
	t.Helper()
	h.run(t, table, where, "ALTER TABLE "+table+" "+what+" WHERE "+where+" SETTINGS mutations_sync = 2")
}

func recordAt(log string, seq uint64) string {
	return fmt.Sprintf("log = %s AND seq = %d", literal(log), seq)
}

func (h hand) Take(t storetest.TB, log string, first, last uint64) {
	t.Helper()
	where := fmt.Sprintf("log = %s AND seq BETWEEN %d AND %d", literal(log), first, last)
	h.mutate(t, "ledger", "DELETE", where)
	for _, b := range newProjections("").all() {
		if err := h.s.delete(t.Context(), b.table, where); err != nil {
			t.Fatal(err)
		}
	}
}

func bytesOf(b []byte) string { return "unhex('" + hex.EncodeToString(b) + "')" }

func (h hand) Forge(t storetest.TB, log string, seq uint64, leaf, salt, record []byte) {
	t.Helper()
	h.mutate(t, "ledger", fmt.Sprintf("UPDATE leaf = toFixedString(%s, 32), salt = %s, bytes = %s", bytesOf(leaf), bytesOf(salt), bytesOf(record)), recordAt(log, seq))
}

func (h hand) Double(t storetest.TB, log string, seq uint64) {
	t.Helper()
	h.run(t, "ledger", recordAt(log, seq), "INSERT INTO ledger SELECT * FROM ledger WHERE "+recordAt(log, seq))
}

func (h hand) Alter(t storetest.TB, log string, seq uint64) {
	t.Helper()
	h.mutate(t, "parameters", "UPDATE value = 'innocent'", recordAt(log, seq))
}

func (h hand) TakeRow(t storetest.TB, log string, seq uint64) {
	t.Helper()
	h.mutate(t, "rpcs", "DELETE", recordAt(log, seq))
}

func (h hand) AddRow(t storetest.TB, log string, seq uint64) {
	t.Helper()
	h.run(t, "ledger", recordAt(log, seq), "INSERT INTO system (log, seq, at, what) SELECT log, seq, at, 'start' FROM ledger WHERE "+recordAt(log, seq))
}

func (h hand) TakeCheckpoints(t storetest.TB, log string, epoch uint64, size int64) {
	t.Helper()
	h.mutate(t, "checkpoints", "DELETE", fmt.Sprintf("log = %s AND epoch = %d AND size > %d", literal(log), epoch, size))
}
