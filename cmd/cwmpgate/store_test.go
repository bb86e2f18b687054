package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/sqlite"
)

// row is one row of a view by column.
type row map[string]any

func (r row) text(column string) string {
	s, _ := r[column].(string)
	return s
}

func (r row) number(column string) int64 {
	n, _ := r[column].(int64)
	return n
}

// archive is a store opened only to read.
type archive struct {
	t     testing.TB
	store *sqlite.Store
}

// openArchive opens the store under dir until the test ends.
func openArchive(t testing.TB, dir string) *archive {
	t.Helper()
	s := sqlite.New(sqlite.Config{File: filepath.Join(dir, "audit.db"), ReadOnly: true})
	if err := s.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &archive{t, s}
}

func (a *archive) rows(f audit.Filter) (out []row) {
	a.t.Helper()
	for r, err := range a.store.Query(context.Background(), f) {
		if err != nil {
			a.t.Fatal(err)
		}
		m := row{}
		for i, c := range r.Columns {
			m[c] = r.Values[i]
		}
		out = append(out, m)
	}
	return out
}

// record is what the tests read of a record's bytes.
type record struct {
	V                                    int
	Log                                  string
	Seq                                  uint64
	At, Kind, Node, Tenant, Session      string
	N                                    int
	Device                               struct{ Manufacturer, OUI, Class, Serial string }
	Identity                             string
	Connection                           *struct{ Peer, Listener, TLS, Cipher, SNI string }
	From, ACS, RPC, To, CWMP, ID         string
	Answers                              uint64
	WrongID                              bool `json:"wrong_id"`
	Verdict, Charset                     string
	Body                                 json.RawMessage
	How                                  string
	Messages, Empty                      int
	Open, Undelivered                    []uint64
	Method, URL                          string
	Status                               int
	Bytes                                int64
	SHA256                               string
	Complete                             bool
	Error                                string
	Reason, Path, Peer, Source, Listener string
	Offset                               *int64
	Size                                 int64
	Count                                int
	What, Why                            string
	Detail                               map[string]string
	Claimed, Verified                    string
	By, Limit, Class                     string
	line                                 string
}

// records is the whole ledger.
func (a *archive) records() (out []record) {
	a.t.Helper()
	for _, r := range a.rows(audit.Filter{View: audit.ViewRecords}) {
		rec := record{line: r.text("record")}
		if err := json.Unmarshal([]byte(rec.line), &rec); err != nil {
			a.t.Fatalf("record %d: %v\n%s", r.number("seq"), err, rec.line)
		}
		out = append(out, rec)
	}
	slices.SortStableFunc(out, func(a, b record) int { return int(a.Seq) - int(b.Seq) })
	return out
}

// ofKind are the records of one kind.
func ofKind(all []record, kind string) (out []record) {
	for _, r := range all {
		if r.Kind == kind {
			out = append(out, r)
		}
	}
	return out
}

// checkLedger: one log, numbers from 1 without holes or repeats, times that
// never go back, and each record the line that it says it is.
func checkLedger(t testing.TB, all []record) {
	t.Helper()
	for i, r := range all {
		if r.Seq != uint64(i+1) || r.V != 1 || r.Log != all[0].Log || len(r.Log) != 32 {
			t.Fatalf("record at place %d: %s", i+1, r.line)
		}
		if i > 0 && r.At < all[i-1].At {
			t.Errorf("record %d goes back in time", r.Seq)
		}
	}
}
