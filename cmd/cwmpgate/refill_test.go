package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// A store that was lost is filled again from the journal, as docs/journal.md
// says: the file of its place is removed while the gateway is stopped.
func TestLostStoreIsFilledAgain(t *testing.T) {
	acs := cwmptest.NewACS(cwmptest.ACSConfig{})
	if err := acs.Open(); err != nil {
		t.Fatal(err)
	}
	defer acs.Close()
	p := plan{acs: acs.Addr(), dir: t.TempDir()}
	r := start(t, p)
	for _, serial := range []string{"A", "B", "C"} {
		if err := session(t, r.url(), serial); err != nil {
			t.Fatal(err)
		}
	}
	r.close()
	count := func() (n int) {
		store, err := openStore(context.Background(), r.file, true)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		for _, err := range store.Query(context.Background(), audit.Filter{View: audit.ViewRecords, Kind: audit.KindMessage}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	before := count()
	for _, pattern := range []string{"audit.db*", "journal/cursor-sqlite"} {
		files, err := filepath.Glob(filepath.Join(r.dir, pattern))
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, files, err)
		}
		for _, f := range files {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	start(t, p).close()
	if after := count(); before == 0 || after != before {
		t.Errorf("%d messages before the loss, %d after", before, after)
	}
}
