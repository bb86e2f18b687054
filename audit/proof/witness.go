package proof

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/ledger"
)

// Witness is somebody else who keeps checkpoints.
type Witness struct {
	URL string // /add-checkpoint is added
	Key note.Verifier
}

// claim is a checkpoint on its way to a witness, with the proofs that it extends
// what the witness may hold.
type claim struct {
	checkpoint audit.Checkpoint
	tree       ledger.Tree
	proofs     map[int64][]ledger.Hash // by the size that is extended
}

// witness brings checkpoints to one witness: the oldest claim is sent unchanged
// until it is answered, so that what the witness holds stays one of a few sizes,
// and of those behind it only the newest of each epoch is kept.
type witness struct {
	Witness
	k       *Keeper
	client  *http.Client
	metrics witnessMetrics
	wake    chan struct{}

	mu     sync.Mutex
	claims []claim
	held   held
	maybe  []int64 // sizes of the tree of held that it may hold, as a keeper before may have sent them
}

// maxClaims bounds the epochs that a witness may lag behind.
const maxClaims = 400

func newWitness(c Witness, k *Keeper) *witness {
	w := &witness{Witness: c, k: k, wake: make(chan struct{}, 1), client: &http.Client{
		Timeout:       10 * time.Second,
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	w.metrics = newWitnessMetrics(k.cfg.Metrics, w)
	return w
}

// claim makes a checkpoint ready for the witnesses and notes its size, from
// which later ones will be proved.
func (k *Keeper) claim(t ledger.Tree, c audit.Checkpoint) (claim, error) {
	made := claim{c, t, map[int64][]ledger.Hash{}}
	k.prune()
	for _, m := range k.state.marks {
		proof, err := ledger.ProveConsistency(&m.tree, &m.added)
		if err != nil {
			return claim{}, fmt.Errorf("prove that a checkpoint extends the one before: %w", err)
		}
		made.proofs[m.tree.End()] = proof
	}
	k.state.marks = append(k.state.marks, &mark{k.state.tree.Clone(), ledger.NewRange(t.Size)})
	return made, nil
}

// prune drops the marks that no witness can ask for any more.
func (k *Keeper) prune() {
	origin := k.origin(k.state.epoch).String()
	var needed []int64
	for _, w := range k.witnesses {
		needed = append(needed, w.needs(origin)...)
	}
	k.state.marks = slices.DeleteFunc(k.state.marks, func(m *mark) bool { return !slices.Contains(needed, m.tree.End()) })
}

func (w *witness) offer(c claim) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.claims); n > 1 && w.claims[n-1].tree.Origin == c.tree.Origin {
		w.claims = w.claims[:n-1]
	} else if n == maxClaims {
		w.claims = slices.Delete(w.claims, 1, 2)
		w.k.metrics.dropped.Inc()
	}
	w.claims = append(w.claims, c)
	kick(w.wake)
}

// needs are the sizes of a tree that the witness holds or may come to hold.
func (w *witness) needs(origin string) (sizes []int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held.Origin == origin {
		sizes = append(append(sizes, w.held.Size), w.maybe...)
	}
	for _, c := range w.claims {
		if c.tree.Origin.String() == origin {
			sizes = append(sizes, c.tree.Size)
		}
	}
	return sizes
}

func (w *witness) holds() held {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.held
}

// restore takes what the state says: a size that was offered may be held though
// no answer came.
func (w *witness) restore(s *state, origin string) {
	w.held = s.held[w.URL]
	if w.held.Origin != origin {
		w.held = held{Origin: origin}
	}
	for _, m := range s.marks {
		w.maybe = append(w.maybe, m.tree.End())
	}
}

func (w *witness) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.claims)
}

func (w *witness) first() (c claim, old int64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.claims) == 0 {
		return claim{}, 0, false
	}
	c = w.claims[0]
	if w.held.Origin == c.tree.Origin.String() {
		old = w.held.Size
	}
	return c, old, true
}

// settle drops the first claim; held is what the witness has then.
func (w *witness) settle(now held) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.claims, w.held, w.maybe = w.claims[1:], now, nil
}

func (w *witness) run(ctx context.Context, closing <-chan struct{}) {
	failures := 0
	for {
		c, old, ok := w.first()
		last := false
		select {
		case <-closing:
			last = true
		case <-ctx.Done():
			return
		default:
		}
		switch {
		case !ok && last:
			return
		case !ok:
			await(ctx, w.wake, closing, idle)
			continue
		}
		err := w.send(ctx, c, old)
		var conflict *conflictError
		switch {
		case err == nil:
			failures = 0
			continue
		case errors.As(err, &conflict):
			w.metrics.conflicts.Inc()
			w.settle(conflict.held)
			w.k.cfg.Trouble(fmt.Errorf("witness %s: %w", w.Key.Name(), err))
			continue
		case last:
			return
		}
		failures++
		w.metrics.errors.Inc()
		w.k.cfg.Trouble(fmt.Errorf("witness %s: %w", w.Key.Name(), err))
		await(ctx, nil, closing, backoff(failures))
	}
}

// backoff doubles from a second on; half of it is left to chance.
func backoff(failures int) time.Duration {
	d := min(time.Second<<min(failures-1, 20), maxBackoff)
	return d/2 + rand.N(d/2+1)
}

// conflictError says that a witness holds what no checkpoint of ours extends.
type conflictError struct {
	held   held
	origin ledger.Origin
	why    string
}

func (e *conflictError) Error() string {
	return fmt.Sprintf("it does not take a checkpoint of %s: %s: another gateway may go on with this log, or its files were put back from an older copy", e.origin, e.why)
}

// send brings one claim to the witness. It may hold another size than we know
// of, where an answer was lost: it says which.
func (w *witness) send(ctx context.Context, c claim, old int64) error {
	for range 3 {
		proof, known := c.proofs[old]
		if !known && old != 0 && old != c.tree.Size {
			return &conflictError{held{c.tree.Origin.String(), old}, c.tree.Origin, fmt.Sprintf("it holds one of %d leaves", old)}
		}
		status, text, err := w.post(ctx, ledger.Request{Old: old, Proof: proof, Signed: c.checkpoint.Note})
		if err != nil {
			return err
		}
		switch status {
		case http.StatusOK:
			return w.cosigned(c, text)
		case http.StatusConflict:
			size, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			if err == nil && size == old && old == c.tree.Size {
				return &conflictError{held{c.tree.Origin.String(), old}, c.tree.Origin, "it holds another one of the same size"}
			}
			if err != nil || size < 0 || size == old {
				return fmt.Errorf("it answers a conflict with %q", clip(text))
			}
			old = size
		case http.StatusUnprocessableEntity:
			return &conflictError{held{c.tree.Origin.String(), old}, c.tree.Origin, clip(text)}
		default:
			return fmt.Errorf("it answers %d: %s", status, clip(text))
		}
	}
	return errors.New("it holds another size each time it is asked")
}

func clip(text string) string {
	text = strings.ToValidUTF8(strings.TrimSpace(text), "?")
	return text[:min(len(text), 200)]
}

func (w *witness) post(ctx context.Context, r ledger.Request) (status int, text string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(w.URL, "/")+"/add-checkpoint", strings.NewReader(r.Text()))
	if err != nil {
		return 0, "", err
	}
	res, err := w.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, ledger.MaxCosignatures))
	return res.StatusCode, string(body), err
}

// cosigned keeps the witness's signature beside ours.
func (w *witness) cosigned(c claim, answer string) error {
	both, err := ledger.AddCosignatures(c.checkpoint.Note, answer, w.Key)
	if err != nil {
		return err
	}
	c.checkpoint.Note = both
	if err := w.k.book.add(both); err != nil {
		return fmt.Errorf("keep its signature: %w", err)
	}
	if w.k.store != nil {
		w.k.store.put(c.checkpoint)
	}
	w.metrics.cosigned.Inc()
	w.settle(held{c.tree.Origin.String(), c.tree.Size})
	return nil
}
