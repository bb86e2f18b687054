package retention

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"go.uber.org/goleak"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/sqlite"
	"github.com/cwmpgate/cwmpgate/configs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const day = 24 * time.Hour

// site is a journal, a recorder and a store, in a time that the test sets.
type site struct {
	t        *testing.T
	dir      string
	clock    atomic.Int64 // the journal looks at it too
	journal  *journal.Journal
	recorder *audit.Recorder
	store    *sqlite.Store
	cursor   *journal.Cursor
	broken   error // of Remove
	mute     error // of System
	keeper   *Keeper
}

func newSite(t *testing.T, p Policy) *site {
	s := &site{t: t, dir: t.TempDir()}
	s.clock.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	s.journal = journal.New(journal.Config{Directory: filepath.Join(s.dir, "journal"), MaxDelay: -1, Now: s.now})
	if err := s.journal.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.journal.Close(context.Background()) })
	s.recorder = audit.NewRecorder(audit.Config{Node: "gw-1"}, s.journal, metrics.NewSet())
	s.openStore("audit.db", "sink")
	s.restart(p)
	return s
}

func (s *site) now() time.Time { return time.Unix(0, s.clock.Load()).UTC() }

// pass lets time pass.
func (s *site) pass(d time.Duration) { s.clock.Add(int64(d)) }

// openStore has a store of that name filled from the journal's beginning.
func (s *site) openStore(file, cursor string) {
	s.t.Helper()
	s.store = sqlite.New(sqlite.Config{File: filepath.Join(s.dir, file)})
	if err := s.store.Open(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	store := s.store
	s.t.Cleanup(func() { store.Close() })
	var err error
	if s.cursor, err = s.journal.Cursor(cursor); err != nil {
		s.t.Fatal(err)
	}
}

// restart makes another keeper.
func (s *site) restart(p Policy) {
	s.keeper = New(Config{Policy: p, Store: breakable{s.store, s}, Recorder: muted{s.recorder, s}, Settle: s.settle, Roll: s.journal.Roll,
		Now: s.now, Metrics: metrics.NewSet()})
}

type breakable struct {
	*sqlite.Store
	site *site
}

func (b breakable) Remove(ctx context.Context, all []audit.Removal) (int, error) {
	if b.site.broken != nil {
		return 0, b.site.broken
	}
	return b.Store.Remove(ctx, all)
}

type muted struct {
	*audit.Recorder
	site *site
}

func (m muted) System(s audit.System) (audit.Ticket, error) {
	if m.site.mute != nil {
		return audit.Ticket{}, m.site.mute
	}
	return m.Recorder.System(s)
}

// settle ships everything.
func (s *site) settle(ctx context.Context, upTo uint64) error {
	for {
		lag, _ := s.cursor.Lag()
		if lag == 0 {
			return nil
		}
		cut, err := s.cursor.Cut(ctx, 100, 1<<20)
		if err != nil {
			return err
		}
		b := audit.Batch{Log: cut.Log, First: cut.First, Last: cut.Last}
		for e, err := range s.cursor.Read(cut) {
			if err != nil {
				return err
			}
			b.Entries = append(b.Entries, e)
		}
		if err := errors.Join(s.store.Write(ctx, &b), s.cursor.Commit(cut)); err != nil {
			return err
		}
	}
}

func device(serial string) audit.Device {
	return audit.Device{Manufacturer: "Example", OUI: "00005E", Class: "HG", Serial: serial}
}

// seen records a session and a transfer of a device, durably.
func (s *site) seen(tenant, serial string) {
	s.t.Helper()
	if err := s.record(tenant, serial).Wait(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) record(tenant, serial string) audit.Ticket {
	s.t.Helper()
	o := &audit.Origin{Tenant: tenant, Session: "s-" + serial, Device: device(serial), Identity: "http", ACS: "acs-a"}
	_, err1 := s.recorder.Transfer(o, audit.Transfer{Peer: "192.0.2.7:1", Method: "GET", URL: "http://files.example.com/" + serial, Status: 200, Complete: true})
	t, err2 := s.recorder.SessionEnd(o, audit.SessionEnd{Begin: s.now(), End: s.now(), How: audit.EndClean})
	if err := errors.Join(err1, err2); err != nil {
		s.t.Fatal(err)
	}
	return t
}

func (s *site) epoch() {
	s.t.Helper()
	if _, err := s.recorder.System(audit.Epoch{}.System("a day is over")); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) tidy() int {
	s.t.Helper()
	n, err := s.keeper.Tidy(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.explained()
	return n
}

func (s *site) do(do, tenant, serial string) Result {
	s.t.Helper()
	d := device(serial)
	return s.keeper.Do(s.t.Context(), Request{Do: do, Tenant: tenant, OUI: d.OUI, Class: d.Class, Serial: serial, Reason: "as asked"})
}

func (s *site) must(do, tenant, serial string) {
	s.t.Helper()
	if r := s.do(do, tenant, serial); r.Error != "" {
		s.t.Fatal(r.Error)
	}
	s.explained()
}

// left is how many records there are of a kind and a device with their bytes.
func (s *site) left(kind, serial string) (n int) {
	s.t.Helper()
	for _, err := range s.store.Query(s.t.Context(), audit.Filter{View: audit.ViewRecords, Kind: kind, Device: serial}) {
		if err != nil {
			s.t.Fatal(err)
		}
		n++
	}
	return n
}

// explained checks what docs/record.md says: each record that is empty is named
// by a retention or an erasure, which say what is so.
func (s *site) explained() {
	s.t.Helper()
	log := s.journal.ID()
	var all []audit.LedgerRecord
	var said []audit.Facts
	for r, err := range s.store.Ledger(s.t.Context(), log, 0) {
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, r)
		var rows audit.Rows
		if r.Kind == audit.KindSystem {
			if err := audit.Project(log, r.Seq, r.Bytes, &rows); err != nil {
				s.t.Fatal(err)
			}
			f, err := audit.ReadFacts(&rows.System[0])
			if err != nil {
				s.t.Fatal(err)
			}
			said = append(said, f)
		}
	}
	empty, why := map[uint64]bool{}, map[uint64]bool{}
	for _, r := range all {
		empty[r.Seq] = len(r.Bytes) == 0
	}
	for _, f := range said {
		if e := f.Erasure; e != nil {
			for _, span := range e.Leaves {
				for seq := span.First; seq <= span.Last; seq++ {
					if !empty[seq] && s.broken == nil {
						s.t.Errorf("record %d is erased and has its bytes", seq)
					}
					why[seq] = true
				}
			}
		}
	}
	for _, f := range said {
		r := f.Retention
		if r == nil {
			continue
		}
		var d audit.LeafDigest
		for _, l := range all {
			if l.Seq < r.First || l.Seq > r.Last || l.Kind != r.Kind || r.Tenant != "" && l.Tenant != r.Tenant {
				continue
			}
			d.Add(l.Seq, l.Leaf)
			if len(l.Bytes) > 0 && s.broken == nil || !l.At.Before(r.Before) {
				s.t.Errorf("%+v: record %d of %v has its bytes, or is too young", r, l.Seq, l.At)
			}
			why[l.Seq] = true
		}
		if d.Count() != r.Count || d.String() != r.Digest || r.Count == 0 {
			s.t.Errorf("%+v: %d records, digest %s", r, d.Count(), d.String())
		}
	}
	for seq, is := range empty {
		if is && !why[seq] {
			s.t.Errorf("record %d is empty, and nothing says why", seq)
		}
	}
}

// TestRetention: by kind and tenant, epoch by epoch, and never a system record.
func TestRetention(t *testing.T) {
	s := newSite(t, Policy{
		Default: Kinds{Session: 10, Transfer: configs.Forever},
		Tenants: map[string]Kinds{"short": {Session: 3, Transfer: 5}, "ever": {Session: configs.Forever}},
	})
	// 20 days, an epoch at 06:00 and three sessions at noon of each.
	for range 20 {
		s.pass(6 * time.Hour)
		s.epoch()
		s.pass(6 * time.Hour)
		for _, tenant := range []string{"isp", "short", "ever"} {
			s.seen(tenant, tenant)
		}
		s.pass(12 * time.Hour)
	}
	// It is the midnight behind the 20th day: what is older than 10 days was seen
	// on the first 10, the epoch of which ends at 06:00 of the next.
	if n := s.tidy(); n != 9+16+14 {
		t.Errorf("%d records removed", n)
	}
	for _, x := range []struct {
		kind, serial string
		want         int
	}{
		{audit.KindSession, "isp", 11}, {audit.KindTransfer, "isp", 20},
		{audit.KindSession, "short", 4}, {audit.KindTransfer, "short", 6},
		{audit.KindSession, "ever", 20}, {audit.KindTransfer, "ever", 20},
	} {
		if n := s.left(x.kind, x.serial); n != x.want {
			t.Errorf("%s of %s: %d left, want %d", x.kind, x.serial, n, x.want)
		}
	}
	if n := s.tidy(); n != 0 {
		t.Errorf("%d records removed by a second time", n)
	}
	s.pass(8 * time.Hour) // behind 06:00
	s.epoch()
	if n := s.tidy(); n != 3 {
		t.Errorf("%d records removed on the next day", n)
	}
	s.restart(s.keeper.cfg.Policy)
	if n := s.tidy(); n != 0 {
		t.Errorf("%d records removed behind a restart", n)
	}
}

// TestRetentionOfAll: where all tenants' records are too old, one retention names
// them, and a day that no proof was kept on expires all the same.
func TestRetentionOfAll(t *testing.T) {
	s := newSite(t, Policy{Default: Kinds{Session: 2}})
	for range 4 {
		s.seen("isp", "T1")
		s.seen("other", "T1")
		s.pass(day)
	}
	if n := s.tidy(); n != 4 {
		t.Errorf("%d records removed", n)
	}
	f := s.facts()
	for range 5 {
		s.seen("isp", "T1")
		s.seen("other", "T1")
		s.pass(day)
		if n := s.tidy(); n != 2 {
			t.Errorf("%d records removed a day later", n)
		}
	}
	if len(f.removals) != 1 || f.removals[0].Tenant != "" || f.removals[0].Kind != audit.KindSession {
		t.Errorf("%+v", f.removals)
	}
}

func (s *site) facts() *facts {
	s.t.Helper()
	f, err := readFacts(s.t.Context(), s.store)
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

// TestHold: retention and erasure leave a held device alone, and no other.
func TestHold(t *testing.T) {
	s := newSite(t, Policy{Default: Kinds{Session: 2}})
	for range 3 {
		for _, serial := range []string{"T1", "T2"} {
			s.seen("isp", serial)
			s.seen("other", serial)
		}
	}
	s.must(Hold, "isp", "T1")
	s.pass(5 * day)
	if n := s.tidy(); n != 9 {
		t.Errorf("%d records removed", n)
	}
	if s.left(audit.KindSession, "T1") != 3 || s.left(audit.KindSession, "T2") != 0 {
		t.Errorf("left of T1 %d, of T2 %d", s.left(audit.KindSession, "T1"), s.left(audit.KindSession, "T2"))
	}
	if r := s.do(Erase, "isp", "T1"); !strings.Contains(r.Error, "legal hold (as asked)") || r.First != 0 {
		t.Errorf("%+v", r)
	}
	s.must(Erase, "other", "T1")
	if s.left(audit.KindTransfer, "T1") != 3 {
		t.Errorf("transfers left of T1: %d", s.left(audit.KindTransfer, "T1"))
	}
	s.must(Release, "isp", "T1")
	if n := s.tidy(); n != 3 {
		t.Errorf("%d records removed behind the release", n)
	}
	// One that ends by itself.
	s.seen("isp", "T3")
	d := device("T3")
	hold := Request{Do: Hold, Tenant: "isp", OUI: "00005e", Class: d.Class, Serial: "T3", Reason: "until tomorrow", Until: s.now().Add(4 * day)}
	if r := s.keeper.Do(t.Context(), hold); r.Error != "" {
		t.Fatal(r.Error)
	}
	s.pass(3 * day)
	if n := s.tidy(); n != 0 {
		t.Errorf("%d records removed under a hold", n)
	}
	s.pass(2 * day)
	if n := s.tidy(); n != 1 {
		t.Errorf("%d records removed behind the hold", n)
	}
}

// TestErase: everything of one device, also what is not shipped yet, and it does
// not come back: not by a store that is filled anew from the journal either.
func TestErase(t *testing.T) {
	s := newSite(t, Policy{})
	for range 3 {
		s.seen("isp", "T1")
		s.seen("isp", "T2")
	}
	// Of a refused message no more was read than that.
	s.recorder.Refusal(nil, audit.Refusal{From: "cpe", Reason: "syntax", Peer: "192.0.2.7:1", Device: audit.Device{OUI: "00005E", Serial: "T1"}})
	s.recorder.Close()
	r := s.do(Erase, "isp", "T1")
	if r.Error != "" || r.Records != 7 || r.First == 0 || r.Last != r.First {
		t.Fatalf("%+v", r)
	}
	s.explained()
	if s.left("", "T1") != 0 || s.left("", "T2") != 6 {
		t.Errorf("left of T1 %d, of T2 %d", s.left("", "T1"), s.left("", "T2"))
	}
	if r := s.do(Erase, "isp", "T1"); !strings.Contains(r.Error, "no record of this device") {
		t.Errorf("once more: %+v", r)
	}
	for _, wrong := range []Request{{Do: Erase, Serial: "T2"}, {Do: Erase, Reason: "r"}, {Do: "forget", Serial: "T2", Reason: "r"}} {
		if r := s.keeper.Do(t.Context(), wrong); r.Error == "" || r.First != 0 {
			t.Errorf("%+v: %+v", wrong, r)
		}
	}
	s.openStore("another.db", "another")
	s.restart(Policy{})
	if err := s.settle(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if s.left("", "T1") != 7 {
		t.Fatalf("a store that was filled anew has %d records of T1", s.left("", "T1"))
	}
	if n := s.tidy(); n != 7 || s.left("", "T1") != 0 {
		t.Errorf("%d records removed, %d left", n, s.left("", "T1"))
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "another.db"))
	if err != nil || bytes.Contains(text, []byte("files.example.com/T1")) || !bytes.Contains(text, []byte("files.example.com/T2")) {
		t.Errorf("the file of the new store: %v", err)
	}
}

// TestNotRecorded: what cannot be recorded is not removed, and is tried again.
func TestNotRecorded(t *testing.T) {
	s := newSite(t, Policy{Default: Kinds{Session: 2}})
	s.seen("isp", "T1")
	s.pass(5 * day)
	s.mute = errors.New("the journal is full")
	if n, err := s.keeper.Tidy(t.Context()); !errors.Is(err, s.mute) || n != 0 {
		t.Errorf("%d, %v", n, err)
	}
	if r := s.do(Erase, "isp", "T1"); !strings.Contains(r.Error, "journal is full") || r.First != 0 {
		t.Errorf("%+v", r)
	}
	if s.left("", "T1") != 2 {
		t.Errorf("%d left", s.left("", "T1"))
	}
	s.mute = nil
	if n := s.tidy(); n != 1 {
		t.Errorf("%d records removed", n)
	}
}

// TestManySpans: an erasure of more spans than a record names has several.
func TestManySpans(t *testing.T) {
	var seqs []uint64
	for i := range uint64(2500) {
		seqs = append(seqs, 3*i+1, 3*i+2)
	}
	spans := spansOf(append(seqs, 1, 2))
	if len(spans) != 2500 || spans[0] != (audit.Span{First: 1, Last: 2}) || spans[2499] != (audit.Span{First: 7498, Last: 7499}) {
		t.Errorf("%d spans", len(spans))
	}
	s := newSite(t, Policy{})
	for range audit.MaxSpans + 1 {
		for _, serial := range []string{"T1", "T2"} {
			o := &audit.Origin{Tenant: "isp", Session: "s-" + serial, Device: device(serial)}
			if _, err := s.recorder.Transfer(o, audit.Transfer{Method: "GET", URL: "/"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.seen("isp", "T2")
	if r := s.do(Erase, "isp", "T1"); r.Error != "" || r.Records != audit.MaxSpans+1 || r.Last != r.First+1 {
		t.Errorf("%+v", r)
	}
	s.explained()
}

// TestCrashBetween: what is recorded and not done is done by the next start, and
// not recorded again.
func TestCrashBetween(t *testing.T) {
	s := newSite(t, Policy{Default: Kinds{Session: 2}})
	for range 3 {
		s.seen("isp", "T1")
		s.seen("isp", "T2")
	}
	s.pass(5 * day)
	s.broken = errors.New("pulled the plug")
	if r := s.do(Erase, "isp", "T1"); !strings.Contains(r.Error, "recorded, but not carried out") || r.First == 0 {
		t.Errorf("%+v", r)
	}
	if _, err := s.keeper.Tidy(t.Context()); !errors.Is(err, s.broken) {
		t.Errorf("%v", err)
	}
	s.explained()
	if s.left("", "T1") != 6 {
		t.Errorf("%d left of T1", s.left("", "T1"))
	}
	s.broken = nil
	s.restart(s.keeper.cfg.Policy)
	if n := s.tidy(); n != 9 {
		t.Errorf("%d records removed", n)
	}
	s.broken = errors.New("pulled the plug again")
	s.seen("isp", "T3")
	s.pass(5 * day)
	if _, err := s.keeper.Tidy(t.Context()); !errors.Is(err, s.broken) {
		t.Errorf("%v", err)
	}
	s.explained()
	s.broken = nil
	if n := s.tidy(); n != 1 || len(s.facts().removals) != 3 {
		t.Errorf("%d records removed, %+v", n, s.facts().removals)
	}
}

// TestAnyOrder: whatever is asked in whatever order, all that is empty is
// explained, nothing held is, and nothing too old is left.
func TestAnyOrder(t *testing.T) {
	for seed := range uint64(2) {
		r := rand.New(rand.NewPCG(seed, 7))
		ages := []configs.Age{0, configs.Forever, 1, 2, 5, 9}
		kinds := func() Kinds { return Kinds{Session: ages[r.IntN(len(ages))], Transfer: ages[r.IntN(len(ages))]} }
		p := Policy{Default: kinds(), Tenants: map[string]Kinds{"a": kinds(), "b": kinds()}}
		s := newSite(t, p)
		tenants, serials := []string{"a", "b", "c"}, []string{"T1", "T2", "T3"}
		held := map[string]bool{}
		for range 60 {
			tenant, serial := tenants[r.IntN(3)], serials[r.IntN(3)]
			switch r.IntN(12) {
			case 0:
				s.must(Hold, tenant, serial)
				held[tenant+serial] = true
			case 1:
				s.must(Release, tenant, serial)
				delete(held, tenant+serial)
			case 2:
				if got := s.do(Erase, tenant, serial); strings.Contains(got.Error, "legal hold") != held[tenant+serial] {
					t.Errorf("seed %d: held %v: %+v", seed, held[tenant+serial], got)
				}
				s.explained()
			case 3:
				s.tidy()
			case 4:
				s.restart(p)
			case 5:
				s.epoch()
			default:
				s.seen(tenant, serial)
			}
			s.pass(time.Duration(r.IntN(10)) * time.Hour)
		}
		s.tidy()
		s.tidy()
		epochs := s.facts().epochs[s.journal.ID()]
		for _, kind := range []string{audit.KindSession, audit.KindTransfer} {
			for l, err := range s.store.Leaves(t.Context(), s.journal.ID(), kind, 0, s.now()) {
				if err != nil {
					t.Fatal(err)
				}
				age := p.age(kind, l.Tenant)
				if !l.Removed && !held[l.Tenant+l.Device.Serial] && l.At.Before(before(age, s.now(), epochs)) {
					t.Errorf("seed %d: %s %d of %s, of %v, is kept for %v and still there at %v", seed, kind, l.Seq, l.Tenant, l.At, age, s.now())
				}
			}
		}
	}
}

// TestAges: the longest holds for records of no tenant, and what is not said is
// kept.
func TestAges(t *testing.T) {
	p := Policy{Default: Kinds{Session: 10, Refusal: 5, Message: 7}, Tenants: map[string]Kinds{
		"a": {Session: 3, Refusal: 9}, "b": {Message: configs.Forever}}}
	for _, x := range []struct {
		kind, tenant string
		want         configs.Age
	}{
		{audit.KindSession, "", 10}, {audit.KindSession, "a", 3}, {audit.KindSession, "b", 10}, {audit.KindSession, "c", 10},
		{audit.KindRefusal, "", 9}, {audit.KindRefusal, "a", 9}, {audit.KindRefusal, "c", 5},
		{audit.KindMessage, "", configs.Forever}, {audit.KindMessage, "b", configs.Forever}, {audit.KindMessage, "c", 7},
		{audit.KindTransfer, "", configs.Forever}, {audit.KindSystem, "a", configs.Forever},
	} {
		if got := p.age(x.kind, x.tenant); got != x.want {
			t.Errorf("%s of %q: %v, want %v", x.kind, x.tenant, got, x.want)
		}
	}
	if !p.Tidies() || (&Policy{}).Tidies() || (&Policy{Default: Kinds{Message: configs.Forever}}).Tidies() {
		t.Error("whether anything is to go")
	}
	kinds := []string{}
	for _, kind := range audit.Kinds() {
		if (Kinds{1, 1, 1, 1, 1, 1}).of(kind) == 1 {
			kinds = append(kinds, kind)
		}
	}
	if want := slices.DeleteFunc(audit.Kinds(), func(k string) bool { return k == audit.KindSystem }); !slices.Equal(kinds, want) {
		t.Errorf("kinds with an age %v, want %v", kinds, want)
	}
	now := time.Date(2026, 1, 20, 8, 0, 0, 0, time.UTC)
	at := func(d, h int) epoch { return epoch{1, time.Date(2026, 1, d, h, 0, 0, 0, time.UTC)} }
	for _, x := range []struct {
		epochs []epoch
		want   time.Time
	}{
		{nil, at(15, 0).at},
		{[]epoch{at(13, 6), at(14, 9), at(15, 9)}, at(14, 9).at},
		{[]epoch{at(3, 6)}, at(15, 0).at},
		{[]epoch{at(16, 6)}, at(15, 0).at},
	} {
		if got := before(5, now, x.epochs); !got.Equal(x.want) {
			t.Errorf("epochs %v: %v, want %v", x.epochs, got, x.want)
		}
	}
	if got := before(configs.Forever, now, nil); !got.IsZero() {
		t.Errorf("for ever: before %v", got)
	}
}
