package sqlite

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/cwmpgate/cwmpgate/audit/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store { return open(t, filepath.Join(t.TempDir(), "audit.db")) })
}

func open(t testing.TB, file string) *Store {
	t.Helper()
	s := New(Config{File: file})
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestLedger(t *testing.T) {
	storetest.RunLedger(t, func(t *testing.T) storetest.Ledger { return open(t, filepath.Join(t.TempDir(), "audit.db")) })
}

func TestRemoval(t *testing.T) {
	storetest.RunRemoval(t, func(t *testing.T) storetest.Remover { return open(t, filepath.Join(t.TempDir(), "audit.db")) })
}
