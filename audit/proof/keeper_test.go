package proof

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/note"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a journal, its recorder and the keys, which outlive keepers.
type site struct {
	t        testing.TB
	dir      string
	config   Config // of every keeper
	journal  *journal.Journal
	recorder *audit.Recorder
	key      ledger.Signer
}

func newSite(t testing.TB, c Config) *site {
	s := &site{t: t, dir: t.TempDir(), config: c, key: newKey(t)}
	s.open()
	t.Cleanup(s.close)
	return s
}

func newKey(t testing.TB) ledger.Signer {
	t.Helper()
	private, err := ledger.GenerateKey(ledger.KeyName("north"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ledger.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (s *site) open() { s.reopen(false) }

func (s *site) reopen(adopt bool) {
	s.t.Helper()
	s.journal = journal.New(journal.Config{Directory: filepath.Join(s.dir, "journal"), SegmentSize: 1 << 10, Now: s.config.Now, Adopt: adopt})
	if err := s.journal.Open(); err != nil {
		s.t.Fatal(err)
	}
	s.recorder = audit.NewRecorder(audit.Config{Node: "gw-1"}, s.journal, metrics.NewSet())
}

func (s *site) close() {
	s.t.Helper()
	s.recorder.Close()
	if err := s.journal.Close(context.Background()); err != nil {
		s.t.Error(err)
	}
}

func (s *site) file() string { return filepath.Join(s.dir, "checkpoints") }

// keeper makes one and opens it.
func (s *site) keeper() *Keeper {
	s.t.Helper()
	k := s.made()
	if err := k.Open(context.Background()); err != nil {
		s.t.Fatal(err)
	}
	return k
}

func (s *site) made() *Keeper {
	c := s.config
	c.Journal, c.Recorder, c.Metrics = s.journal, s.recorder, metrics.NewSet()
	c.State, c.File = filepath.Join(s.dir, "state"), s.file()
	if c.Signer == nil {
		c.Signer = s.key
	}
	if c.Trouble == nil {
		c.Trouble = func(err error) { s.t.Error(err) }
	}
	return New(c)
}

// record appends a record and waits until it is durable.
func (s *site) record(what string) {
	s.t.Helper()
	ticket, err := s.recorder.System(audit.System{What: audit.SystemStore, Why: what})
	if err == nil {
		err = ticket.Wait(context.Background())
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// settle has a keeper take all that is durable.
func (s *site) settle(k *Keeper) {
	s.t.Helper()
	for lag, _ := k.cursor.Lag(); lag > 0; lag, _ = k.cursor.Lag() {
		if err := k.follow(context.Background()); err != nil {
			s.t.Fatal(err)
		}
	}
}

// epoch is one as this test reads it from the journal, with other code than
// that of the keeper.
type epoch struct {
	first    uint64
	previous string // as the record has it
	final    string
	leaves   []ledger.Hash
	last     uint64
}

// epochs reads the journal: all records must be in one.
func (s *site) epochs() (all []epoch) {
	s.t.Helper()
	for e, err := range s.journal.Records(1) {
		if err != nil {
			s.t.Fatal(err)
		}
		var r struct {
			Kind, What string
			Detail     map[string]string
		}
		if err := json.Unmarshal(e.Bytes, &r); err != nil {
			s.t.Fatal(err)
		}
		if r.What == "epoch" {
			all = append(all, epoch{first: e.Seq, previous: r.Detail["previous"], final: r.Detail["checkpoint"]})
		}
		if len(all) == 0 {
			s.t.Fatalf("record %d stands before the first epoch", e.Seq)
		}
		n := &all[len(all)-1]
		n.leaves = append(n.leaves, ledger.Leaf(e.Salt[:], e.Bytes))
		n.last = e.Seq
	}
	return all
}

func (e *epoch) root(size int64) ledger.Hash {
	var r ledger.Range
	for _, l := range e.leaves[:size] {
		r.Append(l)
	}
	return r.Root()
}

// check holds the epoch records and the file to what the journal has, and gives
// the largest size signed of each epoch.
func (s *site) check(keys ...ledger.Signer) map[uint64]int64 {
	s.t.Helper()
	all := s.epochs()
	var verifiers []note.Verifier
	for _, k := range append(keys, s.key) {
		v, err := ledger.NewVerifier(k.Verifier())
		if err != nil {
			s.t.Fatal(err)
		}
		verifiers = append(verifiers, v)
	}
	verify := func(signed string) (ledger.Tree, *epoch) {
		s.t.Helper()
		tree, _, err := ledger.Open(signed, verifiers...)
		if err != nil {
			s.t.Fatalf("checkpoint %q: %v", signed, err)
		}
		i := slices.IndexFunc(all, func(e epoch) bool { return e.first == tree.Origin.Epoch })
		if i < 0 || tree.Origin.Log != s.journal.ID() || tree.Origin.Site != "north" {
			s.t.Fatalf("checkpoint of %v, which is not there", tree.Origin)
		}
		if tree.Size < 1 || tree.Size > int64(len(all[i].leaves)) || tree.Root != all[i].root(tree.Size) {
			s.t.Fatalf("checkpoint of %v, %d leaves: the journal has %d, or the root is another", tree.Origin, tree.Size, len(all[i].leaves))
		}
		return tree, &all[i]
	}
	for i, e := range all {
		if i == 0 {
			if e.previous != "" || e.final != "" || e.first != 1 {
				s.t.Errorf("the first epoch begins with %+v", e)
			}
			continue
		}
		before := all[i-1]
		if e.previous != fmt.Sprint(before.first) {
			s.t.Errorf("epoch %d names %s, before it is %d", e.first, e.previous, before.first)
		}
		if tree, _ := verify(e.final); tree.Size != int64(len(before.leaves)) || tree.Origin.Epoch != before.first || before.last != e.first-1 {
			s.t.Errorf("epoch %d: the final checkpoint of %v has %d leaves, the journal %d", e.first, tree.Origin, tree.Size, len(before.leaves))
		}
	}
	text, err := os.ReadFile(s.file())
	if err != nil {
		s.t.Fatal(err)
	}
	signed := map[uint64]int64{}
	for n := range ledger.Notes(string(text)) {
		tree, _ := verify(n)
		signed[tree.Origin.Epoch] = max(signed[tree.Origin.Epoch], tree.Size)
	}
	for i, e := range all[:len(all)-1] {
		if signed[e.first] != int64(len(e.leaves)) {
			s.t.Errorf("epoch %d (of %d, the %dth): the file has %d leaves signed of %d", e.first, len(all), i+1, signed[e.first], len(e.leaves))
		}
	}
	return signed
}

// shelf is a store of checkpoints.
type shelf struct {
	mu   sync.Mutex
	all  []audit.Checkpoint
	fail error
}

func (s *shelf) AddCheckpoint(_ context.Context, c audit.Checkpoint) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == nil {
		s.all = append(s.all, c)
	}
	return s.fail
}

func (s *shelf) notes() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.all {
		all = append(all, c.Note)
	}
	return all
}

// TestNoRecordBetweenEpochs: epochs of some milliseconds follow each other while
// many record, across restarts; the final checkpoint of each covers exactly the
// records before the next.
func TestNoRecordBetweenEpochs(t *testing.T) {
	s := newSite(t, Config{Epoch: 5 * time.Millisecond, Every: 3 * time.Millisecond, Leaves: 500})
	store := &shelf{}
	for range 3 {
		s.config.Store = store
		k := s.keeper()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- k.Run(ctx) }()
		var recording sync.WaitGroup
		until, enough := context.WithCancel(t.Context())
		for i := range 4 {
			recording.Go(func() {
				for n := 0; until.Err() == nil; n++ {
					ticket, err := s.recorder.System(audit.System{What: audit.SystemStore, Why: "load"})
					if err == nil && n%(10*i+1) == 0 {
						err = ticket.Wait(context.Background())
					}
					if err != nil && !errors.Is(err, journal.ErrBacklog) {
						t.Error(err)
						return
					}
				}
			})
		}
		waitFor(t, func() bool { return k.metrics.epochs.Get() >= 10 })
		enough()
		recording.Wait()
		waitFor(t, func() bool { lag, _ := k.cursor.Lag(); return lag == 0 && s.journal.Stats().Pending == 0 })
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		s.close()
		s.open()
	}
	s.check()
	all := s.epochs()
	t.Logf("%d epochs, %d records", len(all), all[len(all)-1].last)
	if n := len(store.notes()); n < len(all)-3 {
		t.Errorf("the store has %d checkpoints of %d epochs", n, len(all))
	}
}

func waitFor(t testing.TB, holds func() bool) {
	t.Helper()
	until := time.Now().Add(20 * time.Second)
	for !holds() {
		if time.Now().After(until) {
			t.Fatal("waited in vain")
		}
		pause(context.Background(), time.Millisecond)
	}
}

// TestRestart: a keeper goes on with the open epoch, from its state alone, from
// wherever the one before was killed.
func TestRestart(t *testing.T) {
	s := newSite(t, Config{Leaves: 7})
	type files struct{ state, cursor string }
	names := files{filepath.Join(s.dir, "state"), filepath.Join(s.dir, "journal", "cursor-proof")}
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for round := range 12 {
		k := s.keeper()
		s.record("begun")
		s.settle(k)
		before := files{read(names.state), read(names.cursor)}
		for i := range 5 {
			s.record(fmt.Sprint(i))
		}
		s.settle(k)
		if k.pending() >= 7 {
			if err := k.checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
		s.close()
		// The state is on the medium before the cursor moves, so that either both
		// are new, the cursor is old, or both are.
		if round%3 > 0 {
			write(t, names.cursor, before.cursor)
		}
		if round%3 > 1 {
			write(t, names.state, before.state)
		}
		s.open()
	}
	k := s.keeper()
	s.settle(k)
	if err := k.checkpoint(); err != nil {
		t.Fatal(err)
	}
	signed := s.check()
	all := s.epochs()
	if len(all) != 1 || signed[1] != int64(len(all[0].leaves)) {
		t.Errorf("%d epochs; signed %v", len(all), signed)
	}
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDayIsOver: an epoch is cut at a start only where its time is over.
func TestDayIsOver(t *testing.T) {
	now := time.Now()
	s := newSite(t, Config{Now: func() time.Time { return now }})
	s.settle(s.keeper())
	s.record("one")
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{time.Hour, 1}, {22 * time.Hour, 1}, {2 * time.Hour, 2}, {time.Minute, 2}} {
		now = now.Add(step.after)
		k := s.keeper()
		s.settle(k)
		waitFor(t, func() bool { s.settle(k); return s.journal.Stats().Pending == 0 })
		s.settle(k)
		if got := len(s.epochs()); got != step.want {
			t.Errorf("after %s: %d epochs, want %d", step.after, got, step.want)
		}
	}
	s.check()
}

// TestAdopted: where a journal goes on under another log's name, the old log's
// tree is signed as far as it went, and the new log's first record begins one.
func TestAdopted(t *testing.T) {
	s := newSite(t, Config{})
	s.keeper()
	s.record("one")
	old, last := s.journal.ID(), s.journal.Stats().Newest
	s.close()
	s.reopen(true)
	k := s.keeper()
	s.record("two")
	s.settle(k)
	if err := k.checkpoint(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(s.file())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for n := range ledger.Notes(string(text)) {
		tree, err := ledger.ReadTree(n)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s from %d, %d leaves", tree.Origin.Log, tree.Origin.Epoch, tree.Size))
	}
	want := []string{fmt.Sprintf("%s from 1, %d leaves", old, last), fmt.Sprintf("%s from %d, 2 leaves", s.journal.ID(), last+1)}
	if !slices.Equal(got, want) {
		t.Errorf("signed %q, want %q", got, want)
	}
	all := s.epochs()
	if len(all) != 2 || all[1].previous != "" || old == s.journal.ID() {
		t.Errorf("epochs %+v", all)
	}
}

// TestDamageSkipped: damage stops the keeper, which keeps its place; passed over
// by command, the tree goes on with what is left.
func TestDamageSkipped(t *testing.T) {
	s := newSite(t, Config{})
	k := s.keeper()
	for i := range 5 {
		s.record(strings.Repeat("x", 300) + fmt.Sprint(i))
	}
	s.settle(k)
	for i := range 12 { // some segments
		s.record(strings.Repeat("y", 300) + fmt.Sprint(i))
	}
	s.close()
	directory := filepath.Join(s.dir, "journal")
	survey, err := journal.Look(directory)
	if err != nil {
		t.Fatal(err)
	}
	damaged := survey.Segments[len(survey.Segments)-3]
	file := filepath.Join(directory, damaged.File)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text[60] ^= 1
	write(t, file, string(text))
	s.open()
	k = s.keeper()
	if err := k.Run(t.Context()); err == nil || k.metrics.stopped.Get() != 1 {
		t.Fatalf("over damage: %v", err)
	}
	s.close()
	if _, err := journal.Skip(journal.Config{Directory: directory}, damaged.File, 48); err != nil {
		t.Fatal(err)
	}
	s.open()
	k = s.keeper()
	s.record("behind")
	s.settle(k)
	if err := k.checkpoint(); err != nil {
		t.Fatal(err)
	}
	signed := s.check()
	all := s.epochs()
	if len(all) != 1 || signed[1] != int64(len(all[0].leaves)) || all[0].last < uint64(len(all[0].leaves))+1 {
		t.Errorf("%d leaves to record %d, signed %v", len(all[0].leaves), all[0].last, signed)
	}
}

// TestStateDamaged: what the state's file says is not believed where it is
// damaged or older than the journal's cursor.
func TestStateDamaged(t *testing.T) {
	s := newSite(t, Config{})
	k := s.keeper()
	s.record("one")
	s.settle(k)
	name := filepath.Join(s.dir, "state")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for c := range whole {
		torn := slices.Clone(whole)
		torn[c] ^= 1
		if _, err := parseState(torn); err == nil {
			t.Errorf("byte %d is another, and it is believed", c)
		}
	}
	write(t, name, string(whole[:len(whole)-1]))
	if err := s.made().Open(t.Context()); err == nil {
		t.Error("a file that is cut short is believed")
	}
	write(t, name, string(whole))
	for range 3 {
		s.record("more")
	}
	s.settle(k)
	s.record("behind")
	write(t, name, string(whole))
	k = s.made()
	err = k.Open(t.Context())
	if b := (*brokenError)(nil); !errors.As(err, &b) {
		t.Errorf("a state older than the cursor: %v", err)
	}
	// Without it a new epoch begins, and says that it knows of none before.
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	k = s.keeper()
	waitFor(t, func() bool { s.settle(k); return k.state.epoch > 1 })
	if all := s.epochs(); len(all) != 2 || all[1].previous != "" {
		t.Errorf("epochs %+v", all)
	}
}

// TestRotation: a key gives way, wherever the keeper is killed meanwhile.
func TestRotation(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprint(killed), func(t *testing.T) {
			s := newSite(t, Config{})
			k := s.keeper()
			s.record("one")
			s.settle(k)
			next, rotated := newKey(t), 0
			s.config.Next, s.config.Rotated = next, func() error { rotated++; return nil }
			k = s.keeper()
			if killed {
				s.close()
				s.open()
				k = s.keeper() // it finds its own record and writes no second
			}
			s.record("two")
			s.settle(k)
			if err := k.checkpoint(); err != nil || rotated != 1 {
				t.Fatalf("rotated %d times, %v", rotated, err)
			}
			s.record("three")
			s.settle(k)
			if err := k.checkpoint(); err != nil {
				t.Fatal(err)
			}
			s.check(next)
			text, err := os.ReadFile(s.file())
			if err != nil {
				t.Fatal(err)
			}
			var by []string
			for n := range ledger.Notes(string(text)) {
				by = append(by, ledger.SignedBy(n)...)
			}
			old, now := short(t, s.key), short(t, next)
			if want := []string{old, now, now}; !slices.Equal(by, want) {
				t.Errorf("signed by %v, want %v", by, want)
			}
			s.config.Signer, s.config.Next = next, nil // as the file is then
			k = s.keeper()
			s.record("four")
			s.settle(k)
			if err := k.checkpoint(); err != nil {
				t.Fatal(err)
			}
			s.check(next)
		})
	}
}

func short(t testing.TB, s ledger.Signer) string {
	t.Helper()
	v, err := ledger.NewVerifier(s.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	return ledger.KeyID(v)
}

// TestStoreAway: a store that fails holds nothing up, and gets all when it is
// back; a new keeper offers what the one before could not bring.
func TestStoreAway(t *testing.T) {
	store := &shelf{fail: errors.New("away")}
	s := newSite(t, Config{Store: store, Trouble: func(error) {}})
	k := s.keeper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	s.record("one")
	waitFor(t, func() bool { lag, _ := k.cursor.Lag(); return lag == 0 })
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	store.mu.Lock()
	store.fail = nil
	store.mu.Unlock()
	k = s.keeper()
	ctx, stop = context.WithCancel(t.Context())
	go func() { ended <- k.Run(ctx) }()
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := store.notes(); len(got) == 0 {
		t.Error("the store has nothing")
	}
}

func FuzzState(f *testing.F) {
	s := newSite(f, Config{})
	k := s.keeper()
	s.record("one")
	s.settle(k)
	text, _, _ := strings.Cut(string(k.state.text()), "crc32c")
	f.Add([]byte(text))
	f.Add([]byte(`{"version":1,"size":3,"tree":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		state, err := parseState(append(text, checksum(text)...))
		if err != nil {
			return
		}
		again, err := parseState(state.text())
		if err != nil || string(again.text()) != string(state.text()) {
			t.Errorf("%s\nis read as\n%s\nand then as\n%s: %v", text, state.text(), again.text(), err)
		}
	})
}

// BenchmarkKeeper is what the keeper's own goroutine does for a record: reading
// it from the journal and hashing it, with a witness to prove for.
func BenchmarkKeeper(b *testing.B) {
	for _, marks := range []int{0, 2} {
		b.Run(fmt.Sprintf("marks=%d", marks), func(b *testing.B) {
			s := newSite(b, Config{Leaves: 1 << 30})
			k := s.keeper()
			k.state.log, k.state.epoch = s.journal.ID(), 1
			for range marks {
				k.state.marks = append(k.state.marks, &mark{added: ledger.NewRange(0)})
			}
			record := fmt.Appendf(nil, `{"v":1,"log":%q,"seq":1,"at":"2026-11-24T23:59:59.123456Z","kind":"message","node":"gw-1",`, s.journal.ID())
			record = append(record, make([]byte, 700-len(record))...)
			e := journal.Entry{Seq: 1, Bytes: record}
			b.ReportAllocs()
			b.SetBytes(int64(len(record)))
			for b.Loop() {
				if err := k.take(e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
