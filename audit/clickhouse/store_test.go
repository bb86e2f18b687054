package clickhouse

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit/storetest"
	"github.com/cwmpgate/cwmpgate/configs"
)

var databases atomic.Int64

func testConfig(protocol string) Config {
	var c Config
	c.SetDefaults()
	c.Protocol = protocol
	c.Servers = []configs.Address{configs.Address(os.Getenv("CH_" + protocol))}
	c.Database = fmt.Sprintf("t%d_%d", os.Getpid(), databases.Add(1))
	return c
}

func open(t testing.TB, c Config) *Store {
	t.Helper()
	s, err := New(c, false)
	if err != nil {
		t.Fatal(err)
	}
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

func TestStore(t *testing.T) {
	for _, protocol := range []string{"native", "http"} {
		t.Run(protocol, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) storetest.Store { return open(t, testConfig(protocol)) })
		})
	}
}
