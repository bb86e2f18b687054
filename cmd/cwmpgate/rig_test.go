package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// plan is what a test wants of its gateway.
type plan struct {
	acs          string // host:port of the ACS
	reuse        string // "never" where empty
	tls          bool
	tlsKeys      string // further keys of the listener's TLS, one line
	listenerKeys string // further keys of the listener, one line
	level        string // "debug" where empty
	dir          string // a new one where empty
	tenant       string // further lines of the tenant
	sections     string // further sections; without timeouts a short drain stands there
	journal      string // further keys of the journal
	listen       string // "127.0.0.1:0" where empty
	admin        string // "127.0.0.1:0" where empty
	store        string // "{sqlite: {file: audit.db}}" where empty
}

const testConfig = `node: test-node
listeners:
  - name: cpe
    address: %q
    allow_no_host: true
%stenants:
  - name: home
    upstreams: [{name: acs-a, url: "http://%s/", reuse: %s}]
    redaction: {key: "file:redaction.key"}
%sjournal: {directory: journal, max_size: 1GiB, segment_size: 1MiB%s}
store: %s
admin: {metrics: %q}
log: {level: %s, format: json}
%s`

// write writes the config file and returns its name.
func (p plan) write(t testing.TB) string {
	t.Helper()
	if p.dir == "" {
		p.dir = t.TempDir()
	}
	if !strings.Contains(p.sections, "timeouts:") {
		p.sections += "timeouts: {drain: 1s}\n" // CPEs of tests leave sessions open
	}
	secure := ""
	if p.tls {
		secure = "    tls:\n      self_signed: {directory: .}\n"
		if p.tlsKeys != "" {
			secure += "      " + p.tlsKeys + "\n"
		}
	}
	if p.listenerKeys != "" {
		secure += "    " + p.listenerKeys + "\n"
	}
	text := fmt.Sprintf(testConfig, cmp.Or(p.listen, "127.0.0.1:0"), secure, p.acs, cmp.Or(p.reuse, "never"), p.tenant, p.journal, cmp.Or(p.store, "{sqlite: {file: audit.db}}"),
		cmp.Or(p.admin, "127.0.0.1:0"), cmp.Or(p.level, "debug"), p.sections)
	file := filepath.Join(p.dir, "cwmpgate.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// rig is a gateway that runs in this process.
type rig struct {
	t     testing.TB
	dir   string
	file  string // its config
	log   *logbook
	addr  string // where CPEs connect
	admin string
	gate  *gate

	stop context.CancelFunc
	once sync.Once
	done chan error
}

// start runs a gateway until the test ends or close is called.
func start(t testing.TB, p plan) *rig {
	t.Helper()
	return startFile(t, p.write(t))
}

// startFile does the same with a config file of the test's own.
func startFile(t testing.TB, file string) *rig {
	t.Helper()
	r := &rig{t: t, file: file, log: &logbook{}, done: make(chan error, 1)}
	r.dir = filepath.Dir(r.file)
	c, err := loadConfig(r.file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	opened := make(chan *gate, 1)
	go func() { r.done <- serve(ctx, c, r.log, func(g *gate) { opened <- g }) }()
	select {
	case g := <-opened:
		r.gate, r.addr, r.admin = g, g.gateway.Addr(0), g.admin.net.Addr().String()
	case err := <-r.done:
		cancel()
		t.Fatalf("the gateway did not open: %v", err)
	}
	t.Cleanup(func() { r.close() })
	return r
}

// url is what the CPEs are given.
func (r *rig) url() string { return "http://" + r.addr + "/acs" }

// close ends the gateway as SIGTERM does.
func (r *rig) close() {
	r.once.Do(func() {
		r.stop()
		if err := <-r.done; err != nil {
			r.t.Errorf("the gateway ended with: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
}

// metrics reads /metrics.
func (r *rig) metrics() counters { return readMetrics(r.t, r.admin) }

// counters are the values of /metrics by name and labels as they are printed.
type counters map[string]float64

func readMetrics(t testing.TB, admin string) counters {
	t.Helper()
	status, text := get(t, "http://"+admin+"/metrics")
	if status != 200 {
		t.Fatalf("/metrics: %d %s", status, text)
	}
	out := counters{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			t.Fatalf("/metrics: %q", line)
		}
		out[line[:at]] = v
	}
	return out
}

// sum adds all series of a name, whatever their labels.
func (c counters) sum(name string) (total float64) {
	for k, v := range c {
		if k == name || strings.HasPrefix(k, name+"{") {
			total += v
		}
	}
	return total
}

// get asks over HTTP, on a connection that is closed again.
func get(t testing.TB, url string) (status int, text string) {
	t.Helper()
	status, text, err := ask(url)
	if err != nil {
		t.Fatal(err)
	}
	return status, text
}

func ask(url string) (status int, text string, err error) {
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return 0, "", err
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// await waits until what holds; it fails the test where it never does.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	until := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(until) {
			t.Fatalf("waited in vain: %s", what)
		}
		pause := time.NewTimer(2 * time.Millisecond)
		<-pause.C
	}
}

// logbook is a log that may be read while it is written.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// raw sends bytes over a new connection and returns the answers that come until
// the peer closes, or n of them.
func raw(t testing.TB, addr, text string, n int) []answer {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	go io.WriteString(c, text) // the peer may answer before it has read all
	var out []answer
	b := bufio.NewReader(c)
	for len(out) < n {
		res, err := http.ReadResponse(b, nil)
		if err != nil {
			break
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatalf("answer %d: %v", len(out)+1, err)
		}
		out = append(out, answer{res.StatusCode, res.Header, string(body), res.Close})
	}
	return out
}

type answer struct {
	status int
	header http.Header
	body   string
	last   bool // said that the connection closes
}

// cli runs a command line as main does.
func cli(args ...string) (code int, stdout, stderr string) {
	return cliFor(context.Background(), args...)
}

func cliFor(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, err logbook
	code = execute(ctx, args, &out, &err)
	return code, out.String(), err.String()
}

// mustCLI runs a command line that has to succeed.
func mustCLI(t testing.TB, args ...string) string {
	t.Helper()
	code, stdout, stderr := cli(args...)
	if code != 0 {
		t.Fatalf("cwmpgate %s: exit code %d\n%s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// filesWith are the files under dir in which text stands.
func filesWith(t testing.TB, dir string, text []byte) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var content []byte
			if content, err = os.ReadFile(name); bytes.Contains(content, text) {
				names = append(names, name)
			}
		}
		// A gateway that runs renames and removes files while they are read.
		if name != dir && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// trust takes the gateway's self-signed certificate for what it is.
func trust(t testing.TB, dir string) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(dir, "cwmpgate-selfsigned.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("the self-signed certificate cannot be read")
	}
	return &tls.Config{RootCAs: roots}
}
