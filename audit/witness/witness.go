// Package witness keeps the checkpoints of other gateways and cosigns them. It
// takes a checkpoint only where it extends the last one that it has of the same
// tree, so that whoever holds a gateway cannot show two histories. It speaks
// C2SP tlog-witness.
package witness

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"golang.org/x/mod/sumdb/note"

	"github.com/cwmpgate/cwmpgate/audit/ledger"
)

// Config is what a Witness works on.
type Config struct {
	Directory string // made where it is absent; one witness at a time
	Cosigner  *ledger.Cosigner
	Logs      []note.Verifier // keys of the gateways; after a rotation both
	MaxTrees  int             // at most so many are kept; 0: 100,000
	Now       func() time.Time
	Metrics   *metrics.Set
}

// Witness is an open witness. Its methods may be called from any goroutine.
type Witness struct {
	cfg     Config
	own     note.Verifier
	metrics witnessMetrics

	mu    sync.Mutex
	held  map[ledger.Origin]kept
	shelf *shelf
}

// kept is the last checkpoint of a tree.
type kept struct {
	tree ledger.Tree
	note string // with our cosignature
}

// Open reads what the directory holds.
func Open(cfg Config) (*Witness, error) {
	if cfg.MaxTrees <= 0 {
		cfg.MaxTrees = 100_000
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	own, err := ledger.NewVerifier(cfg.Cosigner.Verifier())
	if err != nil {
		return nil, fmt.Errorf("open the witness: %w", err)
	}
	w := &Witness{cfg: cfg, own: own, held: map[ledger.Origin]kept{}}
	w.metrics = newWitnessMetrics(cfg.Metrics, w)
	if w.shelf, err = openShelf(cfg.Directory, w.load); err != nil {
		return nil, fmt.Errorf("open the witness: %w", err)
	}
	return w, nil
}

// Close gives the directory free.
func (w *Witness) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.shelf.close()
}

// load takes a checkpoint from the shelf. Nothing stands there that this witness
// has not cosigned.
func (w *Witness) load(signed string) error {
	tree, _, err := ledger.Open(signed, w.own)
	if err != nil {
		return err
	}
	if before, ok := w.held[tree.Origin]; ok && before.tree.Size > tree.Size {
		return fmt.Errorf("%s goes from %d leaves back to %d", tree.Origin, before.tree.Size, tree.Size)
	}
	w.held[tree.Origin] = kept{tree, signed}
	return nil
}

// refusal is why a request is not granted.
type refusal struct {
	status int
	reason string // of the counter
	err    error
	size   int64 // of a conflict: what is held
}

// add is add-checkpoint of C2SP tlog-witness: it gives the cosignature.
func (w *Witness) add(text string) (string, *refusal) {
	r, err := ledger.ParseRequest(text)
	if err != nil {
		return "", &refusal{status: 400, reason: "malformed", err: err}
	}
	claimed, err := ledger.ReadTree(r.Signed)
	if err != nil {
		return "", &refusal{status: 400, reason: "malformed", err: err}
	}
	var keys []note.Verifier
	for _, k := range w.cfg.Logs {
		if k.Name() == ledger.KeyName(claimed.Origin.Site) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return "", &refusal{status: 404, reason: "unknown-log", err: fmt.Errorf("site %s is not known here", claimed.Origin.Site)}
	}
	tree, _, err := ledger.Open(r.Signed, keys...)
	if err != nil {
		return "", &refusal{status: 403, reason: "signature", err: err}
	}
	if r.Old > tree.Size {
		return "", &refusal{status: 400, reason: "malformed", err: fmt.Errorf("%d leaves do not extend %d", tree.Size, r.Old)}
	}
	if r.Signed, err = ledger.Only(r.Signed, keys...); err != nil {
		return "", &refusal{status: 403, reason: "signature", err: err}
	}
	return w.extend(r, tree)
}

func (w *Witness) extend(r ledger.Request, tree ledger.Tree) (string, *refusal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before, known := w.held[tree.Origin]
	switch {
	case !known && len(w.held) >= w.cfg.MaxTrees:
		return "", &refusal{status: 503, reason: "full", err: errors.New("the witness holds as many trees as it may")}
	case r.Old != before.tree.Size:
		return "", &refusal{status: 409, reason: "other-size", size: before.tree.Size, err: errors.New("another size is held")}
	case known && tree.Size == before.tree.Size && tree.Root != before.tree.Root:
		return "", &refusal{status: 409, reason: "fork", size: before.tree.Size, err: fmt.Errorf("%s: two trees of %d leaves", tree.Origin, tree.Size)}
	}
	if err := ledger.CheckConsistency(r.Proof, r.Old, before.tree.Root, tree.Size, tree.Root); err != nil && known {
		return "", &refusal{status: 422, reason: "fork", err: fmt.Errorf("%s: %d leaves do not extend %d: %w", tree.Origin, tree.Size, r.Old, err)}
	} else if !known && len(r.Proof) > 0 {
		return "", &refusal{status: 422, reason: "malformed", err: errors.New("there is nothing to prove")}
	}
	line := w.cfg.Cosigner.Cosign(tree.Text(), w.cfg.Now())
	signed := r.Signed + line
	if !known || tree.Size > before.tree.Size {
		if err := w.shelf.add(signed, w.notes); err != nil {
			return "", &refusal{status: 500, reason: "disk", err: err}
		}
		w.held[tree.Origin] = kept{tree, signed}
	}
	return line, nil
}

// notes are all checkpoints that are held, by origin.
func (w *Witness) notes() []string {
	all := slices.SortedFunc(maps.Values(w.held), func(a, b kept) int {
		x, y := a.tree.Origin, b.tree.Origin
		return cmp.Or(cmp.Compare(x.Site, y.Site), cmp.Compare(x.Log, y.Log), cmp.Compare(x.Epoch, y.Epoch))
	})
	notes := make([]string, len(all))
	for i, k := range all {
		notes[i] = k.note
	}
	return notes
}

// Held gives the last checkpoint of each tree.
func (w *Witness) Held() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.notes()
}

func (w *Witness) trees() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.held)
}
