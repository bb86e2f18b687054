package sqlite

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/cwmpgate/cwmpgate/audit/storetest"
	"github.com/cwmpgate/cwmpgate/audit/storetest/gotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(gotest.T(t), func(t storetest.T) storetest.Store { return open(t, filepath.Join(t.TempDir(), "audit.db")) })
}

func open(t storetest.TB, file string) *Store {
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
	storetest.RunLedger(gotest.T(t), func(t storetest.T) storetest.Ledger { return open(t, filepath.Join(t.TempDir(), "audit.db")) })
}

func TestRemoval(t *testing.T) {
	storetest.RunRemoval(gotest.T(t), func(t storetest.T) storetest.Remover { return open(t, filepath.Join(t.TempDir(), "audit.db")) })
}

// TestSeeds tries records made at random; CWMPGATE_SEEDS says how many times.
func TestSeeds(t *testing.T) {
	storetest.RunSeeds(gotest.T(t), func(t storetest.T) storetest.Store { return open(t, filepath.Join(t.TempDir(), "audit.db")) }, 4, 3+gotest.Seeds(t))
}
