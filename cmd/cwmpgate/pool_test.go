package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// poolNode is one node of an ACS, with an illness to order.
type poolNode struct {
	name string
	acs  *cwmptest.ACS
	addr string
	ill  atomic.Pointer[illness]
}

// illness answers in the ACS's place where it returns true.
type illness func(http.ResponseWriter, *http.Request) bool

func openNode(t *testing.T, name, addr string) *poolNode {
	t.Helper()
	n := &poolNode{name: name}
	n.acs = cwmptest.NewACS(cwmptest.ACSConfig{Address: addr, Intercept: func(w http.ResponseWriter, r *http.Request) bool {
		ill := n.ill.Load()
		return ill != nil && (*ill)(w, r)
	}})
	if err := n.acs.Open(); err != nil {
		t.Fatal(err)
	}
	n.addr = n.acs.Addr()
	t.Cleanup(func() { n.acs.Close() })
	return n
}

const poolConfig = `listeners: [{address: "127.0.0.1:0"}]
tenants:
  - name: home
    upstreams: [%s]
    pool: {balance: %s, errors: 3, out: %s, return: 0s, slow: %s, in: 50}
    redaction: {key: "file:redaction.key"}
journal: {directory: journal, max_size: 1GiB, segment_size: 1MiB}
store: {sqlite: {file: audit.db}}
admin: {metrics: "127.0.0.1:0"}
log: {level: debug, format: json}
timeouts: {drain: 1s, answer: %s, connect: 1s}
`

func poolRig(t *testing.T, balance, out, slow, answer string, nodes ...*poolNode) *rig {
	t.Helper()
	var list []string
	for _, n := range nodes {
		list = append(list, fmt.Sprintf("{name: %s, url: \"http://%s/\"}", n.name, n.addr))
	}
	return runConfig(t, fmt.Sprintf(poolConfig, strings.Join(list, ", "), balance, out, slow, answer))
}

// TestNodeFailures: what CPEs see of a node that is killed, hangs, cuts
// connections, is slow or answers 503: for each CPE's session a line is kept of
// who served it, and all is held against what the nodes saw and the record says.
func TestNodeFailures(t *testing.T) {
	const sessions = 12
	hang := make(chan struct{})
	defer close(hang)
	for _, x := range []struct {
		name   string
		ill    illness // nil: it is killed
		slow   string
		failed int // sessions that fail before the node is out
	}{
		{"killed", nil, "0s", 0},
		{"hangs", func(_ http.ResponseWriter, r *http.Request) bool {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
			return true
		}, "0s", 3},
		{"cuts", func(w http.ResponseWriter, r *http.Request) bool {
			c, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				c.Close()
			}
			return true
		}, "0s", 3},
		{"answers 503", func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(503)
			return true
		}, "0s", 3},
		{"slow", func(_ http.ResponseWriter, r *http.Request) bool {
			late := time.NewTimer(1300 * time.Millisecond)
			defer late.Stop()
			<-late.C
			return false
		}, "1s", 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			nodes := []*poolNode{openNode(t, "a", ""), openNode(t, "b", ""), openNode(t, "c", "")}
			answer := "10s"
			if x.name == "hangs" {
				answer = "2s" // a node that is well has that much, on a busy machine too
			}
			r := poolRig(t, "weighted", "1m", x.slow, answer, nodes...)
			served := map[string]int{} // by name
			serial, begun, failed := 0, 0, 0
			run := func(n int) {
				t.Helper()
				for range n {
					serial++
					begun++
					before := [3]int{}
					for i, node := range nodes {
						before[i] = node.acs.Ended()
					}
					if err := session(t, r.url(), fmt.Sprintf("P-%d", serial)); err != nil {
						if kind := cwmptest.ErrorKind(err); kind != "status-503" {
							t.Errorf("a CPE saw %s: %v", kind, err)
						}
						failed++
						continue
					}
					for i, node := range nodes {
						served[node.name] += node.acs.Ended() - before[i]
					}
				}
			}
			run(sessions)
			if served["a"] != sessions/3 || served["b"] != sessions/3 || failed > 0 {
				t.Fatalf("all are well: %v, %d failed", served, failed)
			}
			b := nodes[1]
			if x.ill == nil {
				b.acs.Close()
			} else {
				b.ill.Store(&x.ill)
			}
			// Until it is out every third session goes there.
			run(sessions)
			if failed != x.failed {
				t.Errorf("%d sessions failed, want %d", failed, x.failed)
			}
			out := `cwmpgate_upstream_changes_total{tenant="home",acs="b",to="out",reason="errors"}`
			if m := r.metrics(); m[out] != 1 {
				t.Errorf("it went out %v times", m[out])
			}
			m := r.metrics()
			if x.ill == nil && m["cwmpgate_sessions_moved_total"] != 3 {
				t.Errorf("%v sessions went on to another node", m["cwmpgate_sessions_moved_total"])
			}
			// Who served a device is who the record says.
			await(t, "the store has all sessions", func() bool {
				return len(openArchive(t, r.dir).rows(audit.Filter{View: audit.ViewSessions, Limit: 1000})) == begun
			})
			who := map[string]string{}
			for _, node := range append(nodes, b) {
				for _, in := range node.acs.Informs() {
					who[in.Identity.Serial] = node.name
				}
			}
			for _, row := range openArchive(t, r.dir).rows(audit.Filter{View: audit.ViewSessions, Limit: 1000}) {
				if want, ok := who[row.text("serial")]; ok && row.text("acs") != want {
					t.Errorf("%s was served by %s, the record says %s", row.text("serial"), want, row.text("acs"))
				}
			}
			for _, s := range r.gate.gateway.Upstreams() {
				if s.Sessions != 0 {
					t.Errorf("%s still has %d sessions", s.Node.Name(), s.Sessions)
				}
			}
		})
	}
}

// TestNodeReturns: a node whose time is over is asked again.
func TestNodeReturns(t *testing.T) {
	nodes := []*poolNode{openNode(t, "a", ""), openNode(t, "b", ""), openNode(t, "c", "")}
	r := poolRig(t, "weighted", "1s", "0s", "10s", nodes...)
	b := nodes[1]
	b.acs.Close()
	serial := 0
	run := func() {
		t.Helper()
		serial++
		if err := session(t, r.url(), fmt.Sprintf("R-%d", serial)); err != nil {
			t.Fatal(err)
		}
	}
	changes := func(to, reason string) float64 {
		return r.metrics()[fmt.Sprintf(`cwmpgate_upstream_changes_total{tenant="home",acs="b",to=%q,reason=%q}`, to, reason)]
	}
	for changes("out", "errors") == 0 {
		run()
	}
	again := openNode(t, "b", b.addr)
	await(t, "it comes back", func() bool {
		return changes("in", "time") > 0 && r.metrics()[`cwmpgate_upstream_in{tenant="home",acs="b"}`] == 1
	})
	for range 9 {
		run()
	}
	if again.acs.Ended() == 0 {
		t.Error("none of 9 sessions was at it")
	}
}

// TestSessionStaysOnItsNode: a session whose node falls ill in the middle is not
// taken to another, and the device's next one is.
func TestSessionStaysOnItsNode(t *testing.T) {
	nodes := []*poolNode{openNode(t, "a", ""), openNode(t, "b", "")}
	r := poolRig(t, "device", "1m", "0s", "10s", nodes...)
	if err := session(t, r.url(), "STAYS"); err != nil {
		t.Fatal(err)
	}
	home, other := nodes[0], nodes[1]
	if home.acs.Ended() == 0 {
		home, other = other, home
	}
	for range 3 {
		if err := session(t, r.url(), "STAYS"); err != nil {
			t.Fatal(err)
		}
	}
	if home.acs.Ended() != 4 || other.acs.Ended() != 0 {
		t.Fatalf("the device was at %s %d times, and %d times elsewhere", home.name, home.acs.Ended(), other.acs.Ended())
	}
	informs := 0
	dies := illness(func(w http.ResponseWriter, req *http.Request) bool {
		if informs++; informs == 1 {
			return false // the Inform
		}
		if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
			c.Close()
		}
		return true
	})
	home.ill.Store(&dies)
	if err := session(t, r.url(), "STAYS"); err == nil || cwmptest.ErrorKind(err) != "status-503" {
		t.Errorf("in the middle of a session the CPE saw %v", err)
	}
	if len(other.acs.Informs()) != 0 {
		t.Error("the other node got an Inform")
	}
	home.acs.Close()
	if err := session(t, r.url(), "STAYS"); err != nil {
		t.Errorf("the next session: %v", err)
	}
	if len(other.acs.Informs()) != 1 {
		t.Error("the next session is not at the other node")
	}
}

// TestNoNode: where none of the nodes can be reached the CPE is told so, and the
// Inform is in the record as one that reached nobody.
func TestNoNode(t *testing.T) {
	var nodes []*poolNode
	for i := range 4 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		nodes = append(nodes, &poolNode{name: fmt.Sprint("n", i), addr: l.Addr().String()})
	}
	r := poolRig(t, "least-sessions", "1m", "0s", "10s", nodes...)
	if err := session(t, r.url(), "NOBODY"); err == nil || cwmptest.ErrorKind(err) != "status-503" {
		t.Errorf("the CPE saw %v", err)
	}
	await(t, "the store has the session", func() bool {
		return len(openArchive(t, r.dir).rows(audit.Filter{View: audit.ViewSessions})) == 1
	})
	if m := r.metrics(); m["cwmpgate_sessions_moved_total"] != 2 {
		t.Errorf("%v nodes were tried after the first", m["cwmpgate_sessions_moved_total"])
	}
	row := openArchive(t, r.dir).rows(audit.Filter{View: audit.ViewSessions})[0]
	if row.text("how") != audit.EndACSFailed {
		t.Errorf("the session ended as %s", row.text("how"))
	}
	for _, s := range r.gate.gateway.Upstreams() {
		if s.Sessions != 0 {
			t.Errorf("%s still has %d sessions", s.Node.Name(), s.Sessions)
		}
	}
}
