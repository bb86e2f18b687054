package proof

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"golang.org/x/mod/sumdb/note"

	"github.com/cwmpgate/cwmpgate/audit/ledger"
	real "github.com/cwmpgate/cwmpgate/audit/witness"
)

// watcher is a real witness behind a server that can lose requests and answers.
type watcher struct {
	*real.Witness
	server *httptest.Server
	mode   atomic.Int32
	seen   atomic.Int32 // requests
}

const (
	well       = iota
	away       // requests are refused
	answerLost // requests are granted, and the answer is lost
)

func newWatcher(t testing.TB, log ledger.Signer) (*watcher, Witness) {
	private, err := ledger.GenerateKey("witness.example.net")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ledger.NewCosigner(private)
	if err != nil {
		t.Fatal(err)
	}
	logKey, err := ledger.NewVerifier(log.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{}
	if w.Witness, err = real.Open(real.Config{Directory: t.TempDir(), Cosigner: key, Logs: []note.Verifier{logKey}, Metrics: metrics.NewSet()}); err != nil {
		t.Fatal(err)
	}
	handler := w.Handler()
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		w.seen.Add(1)
		switch w.mode.Load() {
		case away:
			io.Copy(io.Discard, req.Body)
			http.Error(rw, "away", http.StatusBadGateway)
		case answerLost:
			handler.ServeHTTP(httptest.NewRecorder(), req)
			panic(http.ErrAbortHandler)
		default:
			handler.ServeHTTP(rw, req)
		}
	}))
	t.Cleanup(func() {
		w.server.Close()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	v, err := ledger.NewVerifier(key.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	return w, Witness{URL: w.server.URL, Key: v}
}

func (w *watcher) sizes(t testing.TB) map[uint64]int64 {
	all := map[uint64]int64{}
	for _, n := range w.Held() {
		tree, err := ledger.ReadTree(n)
		if err != nil {
			t.Fatal(err)
		}
		all[tree.Origin.Epoch] = tree.Size
	}
	return all
}

// deliver has a witness's sender do one claim.
func deliver(t testing.TB, k *Keeper) error {
	t.Helper()
	w := k.witnesses[0]
	c, old, ok := w.first()
	if !ok {
		t.Fatal("nothing is to be sent")
	}
	return w.send(t.Context(), c, old)
}

// TestWitnessFollows: a witness gets what extends the last it has, whatever got
// lost on the way, across restarts of the keeper.
func TestWitnessFollows(t *testing.T) {
	s := newSite(t, Config{Trouble: func(error) {}})
	w, c := newWatcher(t, s.key)
	s.config.Witnesses = []Witness{c}
	k := s.keeper()
	grow := func(n int) {
		t.Helper()
		for i := range n {
			s.record(fmt.Sprint(i))
		}
		s.settle(k)
		if err := k.checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(what string, want int64) {
		t.Helper()
		if got := w.sizes(t)[1]; got != want {
			t.Fatalf("%s: the witness holds %d leaves, want %d", what, got, want)
		}
	}
	grow(3)
	if err := deliver(t, k); err != nil {
		t.Fatal(err)
	}
	expect("the first", 4)
	w.mode.Store(away)
	grow(2)
	if err := deliver(t, k); err == nil {
		t.Fatal("a witness that is away has answered")
	}
	grow(2)
	grow(4)
	if n := k.witnesses[0].waiting(); n != 2 {
		t.Errorf("%d claims wait, want the oldest and the newest", n)
	}
	w.mode.Store(answerLost)
	if err := deliver(t, k); err == nil {
		t.Fatal("an answer that was lost has come")
	}
	expect("an answer was lost", 6)
	w.mode.Store(well)
	for range 2 {
		if err := deliver(t, k); err != nil {
			t.Fatal(err)
		}
	}
	expect("all have come", 12)

	// The answer is lost, and the keeper is killed before it knows.
	grow(3)
	w.mode.Store(answerLost)
	if deliver(t, k) == nil {
		t.Fatal("an answer that was lost has come")
	}
	expect("before the restart", 15)
	w.mode.Store(well)
	s.close()
	s.open()
	k = s.keeper()
	grow(2)
	if err := deliver(t, k); err != nil {
		t.Fatal(err)
	}
	expect("after the restart", 17)
	if n := len(k.state.marks); n > 3 { // held, sent before the restart, and now
		t.Errorf("%d sizes are remembered", n)
	}

	// The next epoch begins with nothing, and the end of this one comes first.
	w.mode.Store(away)
	grow(1)
	if err := k.begin("test"); err != nil {
		t.Fatal(err)
	}
	grow(5)
	if n := k.witnesses[0].waiting(); n != 3 {
		t.Errorf("%d claims wait", n)
	}
	w.mode.Store(well)
	for range 3 {
		if err := deliver(t, k); err != nil {
			t.Fatal(err)
		}
	}
	all := s.epochs()
	if len(all) != 2 || w.sizes(t)[all[0].first] != int64(len(all[0].leaves)) || w.sizes(t)[all[1].first] != int64(len(all[1].leaves)) {
		t.Errorf("the witness holds %v of %d epochs", w.sizes(t), len(all))
	}
	s.check()
}

// TestWitnessSeesAnotherHistory: where a journal was put back from a copy and
// goes another way, the witness does not take it, and the keeper says so.
func TestWitnessSeesAnotherHistory(t *testing.T) {
	var troubles []error
	s := newSite(t, Config{Trouble: func(err error) { troubles = append(troubles, err) }})
	w, c := newWatcher(t, s.key)
	s.config.Witnesses = []Witness{c}
	k := s.keeper()
	s.record("one")
	s.settle(k)
	if err := k.checkpoint(); err != nil {
		t.Fatal(err)
	}
	if err := deliver(t, k); err != nil {
		t.Fatal(err)
	}
	// Another tree of the same name.
	k.state.tree = ledger.Range{}
	for range 3 {
		k.state.tree.Append(ledger.Leaf(nil, []byte("another past")))
	}
	if err := k.checkpoint(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { k.witnesses[0].run(ctx, nil); close(ended) }()
	waitFor(t, func() bool { return k.witnesses[0].metrics.conflicts.Get() == 1 })
	stop()
	<-ended
	if len(troubles) != 1 || w.sizes(t)[1] != 2 {
		t.Errorf("%v, the witness holds %v", troubles, w.sizes(t))
	}
}

// TestWitnessAway: the whole keeper goes on while a witness is away, and brings
// it what it lacks.
func TestWitnessAway(t *testing.T) {
	store := &shelf{}
	s := newSite(t, Config{Leaves: 5, Store: store, Trouble: func(error) {}})
	w, c := newWatcher(t, s.key)
	s.config.Witnesses = []Witness{c, {URL: "http://127.0.0.1:1", Key: c.Key}}
	w.mode.Store(away)
	k := s.keeper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	for i := range 30 {
		s.record(fmt.Sprint(i))
	}
	waitFor(t, func() bool { return k.metrics.checkpoints.Get() >= 5 && w.seen.Load() > 0 })
	w.mode.Store(well)
	waitFor(t, func() bool { return w.sizes(t)[1] >= 30 })
	began := time.Now()
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the end took %s", took)
	}
	if i := slices.IndexFunc(store.notes(), func(n string) bool { return len(ledger.SignedBy(n)) == 2 }); i < 0 {
		t.Error("the store has no cosigned checkpoint")
	}
	if _, err := readState(filepath.Join(s.dir, "state")); err != nil {
		t.Error(err)
	}
	s.check()
}
