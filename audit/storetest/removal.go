package storetest

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

// Remover is a store whose records can be removed.
type Remover interface {
	Store
	audit.LedgerReader
	Leaves(ctx context.Context, log, kind string, from uint64, before time.Time) iter.Seq2[audit.Leaf, error]
	Removed(ctx context.Context, log string, seq uint64) (bool, error)
	Remove(ctx context.Context, all []audit.Removal) (int, error)
}

// RunRemoval runs the part of the suite that retention and erasure rest on. open
// gives a new, empty, opened store.
func RunRemoval(t T, open func(t T) Remover) {
	for _, test := range []struct {
		name string
		run  func(t T, s Remover)
	}{
		{"leaves", removalLeaves}, {"erasure", removalErasure}, {"retention", removalRetention},
	} {
		t.Run(test.name, func(t T) { test.run(t, open(t)) })
	}
}

// Erasable is a log of several devices, and the spans of the records of one,
// all of whose own texts hold the mark.
func Erasable(mark string) (l *Log, spans []audit.Span) {
	l = NewLog("erasable")
	l.Start()
	for i := range 12 {
		d, text := audit.Device{Manufacturer: "Example", OUI: "00005E", Class: "HG", Serial: fmt.Sprint("T", i%4)}, "kept"
		if i%4 == 1 {
			d, text = audit.Device{Manufacturer: "Example", OUI: "00005E", Class: "HG", Serial: mark}, mark
		}
		s := l.Session(d, fmt.Sprintf("s-%d-%s", i, text))
		first := l.Last() + 1
		s.Inform([]string{"4 VALUE CHANGE"}, Param("Device.Hosts.Host.["+text+"].Name", fmt.Sprint(text, i), "string"))
		s.Set("job-"+text, Param("Device.A", strings.Repeat(text, 1+i*40), "string"), Param("Device.B", "shared", "string"))
		s.Accept(member("Status", "0"))
		s.Download("key-"+text, "http://files.example.com/"+text)
		s.Started()
		s.Bytes("GET", "http://files.example.com/"+text, 200, 1000, "ab")
		s.End("clean", nil, nil)
		if text == mark {
			spans = append(spans, audit.Span{First: first, Last: l.Last()})
		}
	}
	return l, spans
}

// removalLeaves: of a kind, in order, with whom they are about.
func removalLeaves(t T, s Remover) {
	l, _ := Erasable("marked")
	write(t, s, l.All())
	var all []uint64
	for f, err := range s.Leaves(t.Context(), l.ID, audit.KindSession, 10, l.At(60)) {
		if err != nil {
			t.Fatal(err)
		}
		if f.Removed || len(f.Hash) != 32 || f.Tenant != "isp" || f.Device.OUI != "00005E" || f.Device.Serial == "" || !f.At.Equal(l.At(f.Seq)) {
			t.Errorf("%+v", f)
		}
		all = append(all, f.Seq)
	}
	if want := []uint64{17, 25, 33, 41, 49, 57}; !slices.Equal(all, want) {
		t.Errorf("records %v, want %v", all, want)
	}
}

// removalErasure: everything of one device goes, nothing of another, and neither
// a rebuild nor the same cut brings it back.
func removalErasure(t T, s Remover) {
	l, spans := Erasable("marked")
	write(t, s, l.All())
	kept := dump(t, s)
	kept = slices.DeleteFunc(kept, func(line string) bool { return strings.Contains(line, "marked") })
	order := audit.Removal{Log: l.ID, Seq: 1, Of: l.ID, Spans: spans}
	if done, err := s.Removed(t.Context(), l.ID, 1); err != nil || done {
		t.Fatalf("before: %v %v", done, err)
	}
	for i, want := range []int{24, 0} {
		if n, err := s.Remove(t.Context(), []audit.Removal{order}); err != nil || n != want {
			t.Fatalf("time %d: %d records, %v", i+1, n, err)
		}
	}
	if done, err := s.Removed(t.Context(), l.ID, 1); err != nil || !done {
		t.Errorf("behind: %v %v", done, err)
	}
	if done, err := s.Removed(t.Context(), l.ID, 2); err != nil || done {
		t.Errorf("another removal: %v %v", done, err)
	}
	same(t, "behind the erasure", dump(t, s), kept)
	checkEmptied(t, s, l, spans)
	write(t, s, l.All())
	same(t, "behind the same cut", dump(t, s), kept)
	if err := s.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, "behind a rebuild", dump(t, s), kept)
	write(t, s, l.Batch(7, 20))
	same(t, "behind another cut", dump(t, s), kept)
	checkEmptied(t, s, l, spans)
	// The device may come again, and nothing is known of it.
	cpe := l.Session(audit.Device{Manufacturer: "Example", OUI: "00005E", Class: "HG", Serial: "marked"}, "again")
	cpe.Read(Param("Device.B", "shared", "string"))
	cpe.Set("job", Param("Device.B", "other", "string"))
	write(t, s, l.Batch(l.Last()-2, l.Last()))
	expect(t, ask(t, s, audit.Filter{View: audit.ViewChanges, Device: "marked"}), want{"parameter": "Device.B", "old": "shared", "new": "other"})
}

// checkEmptied: of each record its number, time, kind, tenant and leaf are there.
func checkEmptied(t T, s Remover, l *Log, spans []audit.Span) {
	t.Helper()
	n := 0
	for r, err := range s.Ledger(t.Context(), l.ID, 0) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		gone := slices.ContainsFunc(spans, func(p audit.Span) bool { return p.First <= r.Seq && r.Seq <= p.Last })
		if (len(r.Salt)+len(r.Bytes) == 0) != gone || len(r.Leaf) != 32 || !r.At.Equal(l.At(r.Seq)) || r.Kind == "" || r.Seq > 1 && r.Tenant != "isp" {
			t.Errorf("record %d: %+v", r.Seq, r)
		}
	}
	if n < 85 {
		t.Errorf("%d records in the ledger", n)
	}
}

// removalRetention: only the kind, the tenant and the span that are named, and
// never a system record.
func removalRetention(t T, s Remover) {
	l, _ := Erasable("marked")
	write(t, s, l.All())
	for _, x := range []struct {
		order audit.Removal
		want  int
	}{
		{audit.Removal{Kind: audit.KindSession, Tenant: "other"}, 0},
		{audit.Removal{Kind: audit.KindSystem}, 0},
		{audit.Removal{Kind: audit.KindSession, Tenant: "isp"}, 5},
		{audit.Removal{Kind: audit.KindMessage}, 30},
	} {
		x.order.Log, x.order.Seq, x.order.Of, x.order.Spans = l.ID, 1, l.ID, []audit.Span{{First: 1, Last: 41}}
		if n, err := s.Remove(t.Context(), []audit.Removal{x.order}); err != nil || n != x.want {
			t.Errorf("%+v: %d records, %v", x.order, n, err)
		}
	}
	for view, want := range map[audit.View]int{audit.ViewRecords: 1 + 5 + 7*8, audit.ViewSessions: 7, audit.ViewRPCs: 7 * 6} {
		if n := len(ask(t, s, audit.Filter{View: view})); n != want {
			t.Errorf("%s: %d rows, want %d", view, n, want)
		}
	}
	for f, err := range s.Leaves(t.Context(), l.ID, audit.KindSession, 0, l.Now) {
		if err != nil || f.Removed != (f.Seq <= 41) || f.Removed && f.Device != (audit.Device{}) {
			t.Errorf("%+v %v", f, err)
		}
	}
}
