package witness

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/note"

	"github.com/cwmpgate/cwmpgate/audit/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const logID = "5d0f00000000000000000000000000aa"

// gateway makes checkpoints of one tree.
type gateway struct {
	t     testing.TB
	key   ledger.Signer
	epoch uint64
	leaf  string // what its leaves are made from
}

func newGateway(t testing.TB, site string) gateway {
	private, err := ledger.GenerateKey(ledger.KeyName(site))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ledger.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return gateway{t, key, 1, "leaf"}
}

func (g gateway) verifier() note.Verifier {
	v, err := ledger.NewVerifier(g.key.Verifier())
	if err != nil {
		g.t.Fatal(err)
	}
	return v
}

func (g gateway) span(begin, end int64) ledger.Range {
	r := ledger.NewRange(begin)
	for i := begin; i < end; i++ {
		r.Append(ledger.Leaf(nil, fmt.Appendf(nil, "%s %d", g.leaf, i)))
	}
	return r
}

// request asks to go from one size to another.
func (g gateway) request(old, size int64) string {
	g.t.Helper()
	site, _ := ledger.Site(g.key.Name())
	whole := g.span(0, size)
	signed, err := ledger.Sign(ledger.Tree{Origin: ledger.Origin{Site: site, Log: logID, Epoch: g.epoch}, Size: size, Root: whole.Root()}, g.key)
	if err != nil {
		g.t.Fatal(err)
	}
	r := ledger.Request{Old: old, Signed: signed}
	if old < size {
		before, added := g.span(0, old), g.span(old, size)
		if r.Proof, err = ledger.ProveConsistency(&before, &added); err != nil {
			g.t.Fatal(err)
		}
	}
	return r.Text()
}

// stand is a witness with its key and directory, which outlive it.
type stand struct {
	t       testing.TB
	config  Config
	witness *Witness
	server  *httptest.Server
}

func newStand(t testing.TB, logs ...note.Verifier) *stand {
	private, err := ledger.GenerateKey("witness.example.net")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ledger.NewCosigner(private)
	if err != nil {
		t.Fatal(err)
	}
	s := &stand{t: t, config: Config{Directory: t.TempDir(), Cosigner: key, Logs: logs, Metrics: metrics.NewSet()}}
	s.open()
	t.Cleanup(s.close)
	return s
}

func (s *stand) open() {
	s.t.Helper()
	w, err := Open(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	s.witness, s.server = w, httptest.NewServer(w.Handler())
}

func (s *stand) close() {
	if s.server == nil {
		return
	}
	s.server.Close()
	s.server = nil
	http.DefaultClient.CloseIdleConnections()
	if err := s.witness.Close(); err != nil {
		s.t.Error(err)
	}
}

func (s *stand) post(text string) (int, string) {
	s.t.Helper()
	res, err := http.Post(s.server.URL+"/add-checkpoint", "text/plain", strings.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func (s *stand) held() string {
	s.t.Helper()
	res, err := http.Get(s.server.URL + "/checkpoints?log=" + logID)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(body)
}

// TestWitness goes through what a witness grants and refuses, with a restart
// behind each step.
func TestWitness(t *testing.T) {
	g, stranger := newGateway(t, "north"), newGateway(t, "south")
	forger := newGateway(t, "north")
	fork := g
	fork.leaf = "another leaf"
	next := g
	next.epoch = 900
	s := newStand(t, g.verifier())
	for i, step := range []struct {
		what   string
		text   string
		status int
		answer string // of a conflict
	}{
		{"a site that nobody knows", stranger.request(0, 3), 404, ""},
		{"a key that nobody knows", forger.request(0, 3), 403, ""},
		{"nonsense", "old x\n\n", 400, ""},
		{"too long", strings.Repeat("x", ledger.MaxRequest+1), 413, ""},
		{"the first", g.request(0, 3), 200, ""},
		{"the first once more", g.request(0, 3), 409, "3\n"},
		{"the same, known to be held", g.request(3, 3), 200, ""},
		{"the next", g.request(3, 8), 200, ""},
		{"from a size that is not held", g.request(3, 9), 409, "8\n"},
		{"a smaller one", g.request(8, 5), 400, ""},
		{"another history", fork.request(8, 11), 422, ""},
		{"another of the same size", fork.request(8, 8), 409, "8\n"},
		{"a proof that is cut short", cutProof(g.request(8, 11)), 422, ""},
		{"the next epoch", next.request(0, 1), 200, ""},
		{"the first epoch goes on", g.request(8, 11), 200, ""},
	} {
		status, text := s.post(step.text)
		if status != step.status || status == 409 && text != step.answer {
			t.Fatalf("step %d, %s: %d %q, want %d %q", i, step.what, status, text, step.status, step.answer)
		}
		if status == 200 {
			r, err := ledger.ParseRequest(step.text)
			if err != nil {
				t.Fatal(err)
			}
			own := s.witness.own
			both, err := ledger.AddCosignatures(r.Signed, text, own)
			if err != nil {
				t.Fatalf("step %d, %s: %v", i, step.what, err)
			}
			if at, err := ledger.CosignedAt(both, own); err != nil || at.Before(time.Now().Add(-time.Minute)) {
				t.Errorf("cosigned at %v, %v", at, err)
			}
		}
		s.close()
		s.open()
	}
	var sizes []string
	for n := range ledger.Notes(s.held()) {
		tree, by, err := ledger.Open(n, g.verifier(), s.witness.own)
		if err != nil || len(by) != 2 {
			t.Errorf("it holds %q: %v", n, err)
		}
		sizes = append(sizes, fmt.Sprintf("%d:%d", tree.Origin.Epoch, tree.Size))
	}
	if got := strings.Join(sizes, " "); got != "1:11 900:1" {
		t.Errorf("it holds %s", got)
	}
}

func cutProof(request string) string {
	lines := strings.SplitN(request, "\n", 3)
	return lines[0] + "\n" + lines[2]
}

// TestWitnessAtOnce: of many that want to extend the same size one way or
// another, one is granted.
func TestWitnessAtOnce(t *testing.T) {
	g := newGateway(t, "north")
	s := newStand(t, g.verifier())
	var granted, others sync.Map
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			mine := g
			mine.leaf = fmt.Sprint("history ", i)
			if status, _ := s.post(mine.request(0, 5)); status == 200 {
				granted.Store(i, true)
			} else if status != 409 {
				others.Store(i, status)
			}
		})
	}
	all.Wait()
	n := 0
	granted.Range(func(any, any) bool { n++; return true })
	others.Range(func(i, status any) bool { t.Errorf("%v: %v", i, status); return true })
	if n != 1 {
		t.Errorf("%d histories were granted", n)
	}
}

// TestShelf: what was not finished is cut off, what is damaged is named, and what
// is out of date makes room.
func TestShelf(t *testing.T) {
	g := newGateway(t, "north")
	s := newStand(t, g.verifier())
	for i := range int64(3) {
		if status, text := s.post(g.request(i, i+1)); status != 200 {
			t.Fatalf("%d %s", status, text)
		}
	}
	s.close()
	name := filepath.Join(s.config.Directory, shelfName)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var ends []int // of the checkpoints
	for n := range ledger.Notes(string(whole)) {
		ends = append(ends, strings.Index(string(whole), n)+len(n)+1)
	}
	held := func() (size int64) {
		t.Helper()
		w, err := Open(s.config)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range w.Held() {
			tree, _ := ledger.ReadTree(n)
			size = tree.Size
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return size
	}
	for cut := range len(whole) {
		if cut%37 > 0 && cut < len(whole)-3 {
			continue
		}
		if err := os.WriteFile(name, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		want := int64(0)
		for want < int64(len(ends)) && ends[want] <= cut {
			want++
		}
		if got := held(); got != want {
			t.Errorf("cut at byte %d of %d: it holds %d leaves, want %d", cut, len(whole), got, want)
		}
	}
	damaged := []byte(strings.Replace(string(whole), "\n2\n", "\n7\n", 1))
	if err := os.WriteFile(name, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s.config); err == nil || !strings.Contains(err.Error(), "at byte") {
		t.Errorf("a damaged file: %v", err)
	}
	if err := os.WriteFile(name, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := Open(s.config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s.config); err == nil {
		t.Error("two witnesses have one directory")
	}
	if err := w.shelf.rewrite(w.Held()); err != nil {
		t.Fatal(err)
	}
	extend := func(from, to int64) {
		t.Helper()
		if _, no := w.add(g.request(from, to)); no != nil {
			t.Fatal(no.err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := held(); got != to {
			t.Errorf("it holds %d leaves, want %d", got, to)
		}
	}
	extend(3, 4)
	// What was not finished is gone before something shorter is written there.
	anew, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(anew) >= len(whole) {
		t.Errorf("written anew it has %d bytes, before %d", len(anew), len(whole))
	}
	if err := os.WriteFile(name, append(anew, strings.Repeat("never finished ", 500)...), 0o600); err != nil {
		t.Fatal(err)
	}
	if w, err = Open(s.config); err != nil {
		t.Fatal(err)
	}
	extend(4, 6)
	if names, _ := os.ReadFile(name); strings.Contains(string(names), "never finished") {
		t.Error("what was not finished is still there")
	}
}

// TestWitnessFull: a witness takes no more trees than it may.
func TestWitnessFull(t *testing.T) {
	g := newGateway(t, "north")
	s := newStand(t, g.verifier())
	s.close()
	s.config.MaxTrees = 1
	s.open()
	if status, _ := s.post(g.request(0, 1)); status != 200 {
		t.Fatal(status)
	}
	g.epoch++
	if status, _ := s.post(g.request(0, 1)); status != 503 {
		t.Errorf("a second tree: %d", status)
	}
	g.epoch--
	if status, _ := s.post(g.request(1, 2)); status != 200 {
		t.Errorf("the first goes on: %d", status)
	}
}
