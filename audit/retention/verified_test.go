package retention

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/ledger"
	"github.com/cwmpgate/cwmpgate/audit/proof"
	"github.com/cwmpgate/cwmpgate/audit/verify"
)

// proved is a site whose journal is proved.
type proved struct {
	*site
	keeper   *proof.Keeper
	verifier ledger.Verifier
}

func newProved(t *testing.T, p Policy) *proved {
	s := &proved{site: newSite(t, p)}
	private, err := ledger.GenerateKey(ledger.KeyName("north"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ledger.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	if s.verifier, err = ledger.NewVerifier(key.Verifier()); err != nil {
		t.Fatal(err)
	}
	s.keeper = proof.New(proof.Config{
		Journal: s.journal, Recorder: s.recorder, State: filepath.Join(s.dir, "state"), File: s.checkpoints(), Signer: key,
		Now: s.now, Metrics: metrics.NewSet(), Trouble: func(err error) { t.Error(err) },
	})
	if err := s.keeper.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *proved) checkpoints() string { return filepath.Join(s.dir, "checkpoints") }

// verify gives how many records are expired and how many erased, and fails the
// test for whatever else is found. A record that the proof itself wrote as it
// ended is proved by its next run.
func (s *proved) verify() (expired, erased uint64) {
	s.t.Helper()
	for range 10 {
		s.prove()
		r, err := verify.Run(s.t.Context(), verify.Config{Store: s.store, Keys: []ledger.Verifier{s.verifier}})
		if err != nil {
			s.t.Fatal(err)
		}
		if len(r.Logs) != 1 || r.Logs[0].Proved != r.Logs[0].Records {
			continue
		}
		for _, f := range r.Findings {
			s.t.Errorf("%+v", f)
		}
		return r.Logs[0].Expired, r.Logs[0].Erased
	}
	s.t.Fatal("there is always a record that is not proved")
	return 0, 0
}

// prove has the proof take everything, and puts its checkpoints into the store.
func (s *proved) prove() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.keeper.Run(ctx) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(20 * time.Second); s.lag() > 0; <-tick.C {
		if time.Now().After(until) {
			s.t.Fatal("the proof does not come to the end of the journal")
		}
	}
	cancel() // it makes a last checkpoint
	if err := <-done; err != nil {
		s.t.Fatal(err)
	}
	text, err := os.ReadFile(s.checkpoints())
	if err != nil {
		s.t.Fatal(err)
	}
	for note := range ledger.Notes(string(text)) {
		tree, err := ledger.ReadTree(note)
		if err == nil {
			err = s.store.AddCheckpoint(s.t.Context(), audit.Checkpoint{Log: tree.Origin.Log, Epoch: tree.Origin.Epoch, Size: tree.Size, Note: note})
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	if err := s.settle(s.t.Context(), 0); err != nil {
		s.t.Fatal(err)
	}
}

func (s *proved) lag() uint64 {
	for _, c := range s.journal.Stats().Cursors {
		if c.Name == proof.CursorName {
			return c.Records
		}
	}
	return 0
}

// TestVerified: what retention, erasure and holds leave verifies, and is told
// apart by what took it.
func TestVerified(t *testing.T) {
	s := newProved(t, Policy{Default: Kinds{Session: 2}, Tenants: map[string]Kinds{"a": {Transfer: 1}}})
	for range 5 {
		for _, tenant := range []string{"a", "b"} {
			for _, serial := range []string{"T1", "T2"} {
				s.seen(tenant, serial)
			}
		}
		s.pass(25 * time.Hour)
		s.verify()
		s.tidy()
	}
	s.must(Hold, "a", "T1")
	s.must(Erase, "b", "T2")
	s.pass(25 * time.Hour)
	s.verify()
	s.pass(5 * day)
	s.tidy()
	s.must(Release, "a", "T1")
	s.tidy()
	// Of each device five sessions and five transfers: all sessions are too old,
	// of transfers those of tenant a. Of the erased device an earlier retention
	// may have had the sessions; they are counted as erased only where not.
	expired, erased := s.verify()
	if left := s.left(audit.KindTransfer, "T1") + s.left(audit.KindTransfer, "T2"); left != 5 {
		t.Errorf("%d transfers left, of T1 of tenant b there are 5", left)
	}
	if s.left(audit.KindSession, "T1")+s.left(audit.KindSession, "T2") != 0 || expired+erased != 35 || erased < 5 || erased > 10 {
		t.Errorf("%d expired and %d erased of 40 records, of which 5 stay", expired, erased)
	}
	if err := s.store.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, more := s.verify(); again != expired || more != erased {
		t.Errorf("behind a rebuild %d expired and %d erased, before %d and %d", again, more, expired, erased)
	}
}
