package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// heldACS is an ACS that holds its answer to the n-th POST back until it may go on.
type heldACS struct {
	*cwmptest.ACS
	held    chan struct{} // closed when the POST has come
	release func()
}

func holdACS(t *testing.T, nth int) *heldACS {
	h := &heldACS{held: make(chan struct{})}
	goOn := make(chan struct{})
	h.release = sync.OnceFunc(func() { close(goOn) })
	t.Cleanup(h.release)
	var mu sync.Mutex
	count := 0
	h.ACS = openACS(t, cwmptest.ACSConfig{Script: chores, Intercept: func(http.ResponseWriter, *http.Request) bool {
		mu.Lock()
		count++
		now := count == nth
		mu.Unlock()
		if now {
			close(h.held)
			<-goOn
		}
		return false
	}})
	return h
}

// inSession has a device begin a session; its end comes over the channel.
func inSession(t *testing.T, url, serial string) <-chan error {
	t.Helper()
	d, err := cwmptest.NewDevice(device(url, serial))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := d.Session(context.Background())
		d.Close()
		ended <- err
	}()
	return ended
}

func soon[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("waited in vain: %s", what)
	}
	return v
}

// TestTermDrains: SIGTERM lets an open session come to its end and takes no new
// connection; SIGHUP does nothing.
func TestTermDrains(t *testing.T) {
	acs := holdACS(t, 3)
	listen, admin := ports(t)
	file := plan{acs: acs.Addr(), listen: listen, admin: admin, sections: "timeouts: {session: 2s}\n"}.write(t)
	c := spawn(t, file, admin)
	ended := inSession(t, "http://"+listen+"/acs", "DRAIN1")
	soon(t, "the session's third POST", acs.held)
	c.signal(syscall.SIGHUP)
	if status, text := get(t, "http://"+admin+"/readyz"); status != 200 {
		t.Errorf("readyz behind SIGHUP: %d %s", status, text)
	}
	c.signal(syscall.SIGTERM)
	await(t, "it drains", func() bool { return c.logged("draining") })
	await(t, "no new session is taken", func() bool { return !accepted(listen, "LATE1") })
	acs.release()
	if err := soon(t, "the session's end", ended); err != nil {
		t.Errorf("the session was cut short: %v", err)
	}
	if code := c.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, c.log)
	}
	all := openArchive(t, c.dir).records()
	checkLedger(t, all)
	for _, end := range ofKind(all, audit.KindSession) {
		if end.Device.Serial == "DRAIN1" && (end.How != audit.EndClean || end.Messages != 6) {
			t.Errorf("%s", end.line)
		}
	}
	if system := ofKind(all, audit.KindSystem); len(system) != 3 || system[0].What != audit.SystemEpoch || system[1].What != audit.SystemStart || system[2].What != audit.SystemStop {
		t.Errorf("system records: %+v", system)
	}
}

// accepted tells whether an Inform over a new connection begins a session.
func accepted(addr, serial string) bool {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, inform(serial))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == 200
}

// TestDrainIsBounded: a session that does not end is cut off after
// timeouts.drain, and its record says so.
func TestDrainIsBounded(t *testing.T) {
	acs := holdACS(t, 3)
	listen, admin := ports(t)
	file := plan{acs: acs.Addr(), listen: listen, admin: admin, sections: "timeouts: {drain: 300ms}\n"}.write(t)
	c := spawn(t, file, admin)
	ended := inSession(t, "http://"+listen+"/acs", "DRAIN2")
	soon(t, "the session's third POST", acs.held)
	if code := c.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, c.log)
	}
	acs.release()
	if err := soon(t, "the session's end", ended); err == nil {
		t.Error("the session came to its regular end")
	}
	ends := ofKind(openArchive(t, c.dir).records(), audit.KindSession)
	if len(ends) != 1 || ends[0].How != audit.EndShutdown {
		t.Errorf("session ends: %+v", ends)
	}
}

// TestExitCodes: 0 for an asked-for end, 1 for what did not work, 2 for a config
// with mistakes.
func TestExitCodes(t *testing.T) {
	listen, admin := ports(t)
	file := plan{acs: "127.0.0.1:1", listen: listen, admin: admin}.write(t)
	c := spawn(t, file, admin)
	// A second gateway may not have the first one's journal.
	code, _, stderr := cli("run", "--config", file)
	if code != exitFailed || !strings.Contains(stderr, "in use") {
		t.Errorf("a second gateway: exit code %d, %s", code, stderr)
	}
	other := plan{acs: "127.0.0.1:1", listen: listen}.write(t)
	if code, _, stderr := cli("run", "--config", other); code != exitFailed || !strings.Contains(stderr, "address already in use") || !strings.Contains(stderr, "hint: ") {
		t.Errorf("a gateway at the same address: exit code %d, %s", code, stderr)
	}
	if code := c.stop(); code != 0 {
		t.Errorf("behind SIGTERM: exit code %d\n%s", code, c.log)
	}
	if code, _, stderr := cli("run", "--config", filepath.Join(c.dir, "absent.yaml")); code != exitFailed || !strings.Contains(stderr, "absent.yaml") {
		t.Errorf("no config file: exit code %d, %s", code, stderr)
	}
	wrong := filepath.Join(c.dir, "wrong.yaml")
	if err := os.WriteFile(wrong, []byte("listner: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := cli("run", "--config", wrong); code != exitUsage {
		t.Errorf("a config with mistakes: exit code %d, %s", code, stderr)
	}
}
