package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// rawACS answers each request on a connection with bytes as they stand; what
// ends in hang keeps the connection open, all else closes it behind them.
type rawACS struct {
	net.Listener
	running sync.WaitGroup
	mu      sync.Mutex
	open    []net.Conn
}

const (
	hang   = "\x00hang"
	closes = "\x00closes" // says nothing at all
)

func openRawACS(t *testing.T, answer string) *rawACS {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &rawACS{Listener: ln}
	a.running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			a.mu.Lock()
			a.open = append(a.open, c)
			a.mu.Unlock()
			a.running.Go(func() { a.serve(c, answer) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		a.mu.Lock()
		for _, c := range a.open {
			c.Close()
		}
		a.mu.Unlock()
		a.running.Wait()
	})
	return a
}

func (a *rawACS) serve(c net.Conn, answer string) {
	defer c.Close()
	b := bufio.NewReader(c)
	r, err := http.ReadRequest(b)
	if err != nil {
		return
	}
	io.Copy(io.Discard, r.Body)
	text, hangs := strings.CutSuffix(strings.TrimSuffix(answer, closes), hang)
	io.WriteString(c, text)
	if hangs {
		io.Copy(io.Discard, b) // until the gateway closes
	}
}

// inform is an Inform of a device.
func inform(serial string, header ...string) string {
	body := informBody(serial)
	return post(body, header...)
}

func informBody(serial string) string {
	id := cwmptest.Identity{Manufacturer: "Example Networks", OUI: "00005E", ProductClass: "HG", Serial: serial}
	rpc := cwmptest.InformRPC(id, []cwmptest.Event{{Code: "2 PERIODIC"}}, 0, "2026-11-24T12:00:00Z", nil)
	return string(cwmptest.Envelope{ID: "i-" + serial, RPC: rpc}.Append(nil))
}

// post is a POST with a body and further header lines.
func post(body string, header ...string) string {
	head := "POST /acs HTTP/1.1\r\nHost: acs.example.test\r\nContent-Type: text/xml\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n"
	for _, h := range header {
		head += h + "\r\n"
	}
	return head + "\r\n" + body
}

func informResponse() string {
	return string(cwmptest.Envelope{ID: "1", RPC: "<cwmp:InformResponse><MaxEnvelopes>1</MaxEnvelopes></cwmp:InformResponse>"}.Append(nil))
}

// TestACSThatFails: what the CPE is answered, what is recorded and counted when
// the ACS does not do its part.
func TestACSThatFails(t *testing.T) {
	ok := informResponse()
	whole := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(ok), ok)
	for _, x := range []struct {
		name   string
		answer string // "" : nobody listens
		status int
		reason string // of the refusal, "" where the answer passes
		end    string
	}{
		{"down", "", 503, "acs-unreachable", audit.EndACSFailed},
		{"silent", hang, 503, "acs-slow", audit.EndACSFailed},
		{"closes", closes, 503, "", audit.EndACSFailed},
		{"slow head", "HTTP/1.1 200 OK\r\nContent-" + hang, 503, "acs-slow", audit.EndACSFailed},
		{"slow body", whole[:len(whole)-20] + hang, 503, "acs-slow", audit.EndACSFailed},
		{"cut body", whole[:len(whole)-20], 502, "cut-off", audit.EndACSFailed},
		{"garbage", "SSH-2.0-OpenSSH\r\n\r\n", 502, "", audit.EndACSFailed},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", 502, "repeated-content-length", audit.EndACSFailed},
		{"length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502, "length-and-transfer-encoding", audit.EndACSFailed},
		{"no XML", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 502, "", audit.EndACSFailed},
		{"cut XML", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(ok)-9, ok[:len(ok)-9]), 502, "truncated", audit.EndACSFailed},
		{"doctype", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<!DOCTYPE a><a/>", 502, "doctype", audit.EndACSFailed},
		{"too large", "HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + strings.Repeat(" ", 1<<20), 502, "body-too-large", audit.EndACSFailed},
		{"redirect elsewhere", "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example.net/\r\nContent-Length: 0\r\n\r\n", 503, "redirect-elsewhere", audit.EndACSFailed},
		{"error page", "HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<br>", 500, "", audit.EndACSError},
		{"forbidden", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403, "", audit.EndACSError},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			addr, down := "127.0.0.1:1", x.answer == ""
			if !down {
				addr = openRawACS(t, x.answer).Addr().String()
			}
			r := start(t, plan{acs: addr, sections: "timeouts: {answer: 300ms, connect: 300ms, retry_after: 40s}\nlimits: {body: 1MiB}\n"})
			got := raw(t, r.addr, inform("ACS1"), 1)
			if len(got) != 1 || got[0].status != x.status {
				t.Fatalf("answers %+v, want %d", got, x.status)
			}
			after, _ := strconv.Atoi(got[0].header.Get("Retry-After"))
			if x.status == 503 && (after < 40 || after > 80) {
				t.Errorf("Retry-After is %q", got[0].header.Get("Retry-After"))
			}
			m := r.metrics()
			r.close()
			checkRefused(t, r, m, x.status, x.reason, x.end)
		})
	}
}

// checkRefused: one refusal from the ACS recorded and counted, or none; and how
// the session ended.
func checkRefused(t *testing.T, r *rig, m counters, status int, reason, end string) {
	t.Helper()
	all := openArchive(t, r.dir).records()
	checkLedger(t, all)
	refused := append(ofKind(all, audit.KindRefusal), ofKind(all, audit.KindSecurity)...)
	if ends := ofKind(all, audit.KindSession); len(ends) != 1 || ends[0].How != end || ends[0].Device.Serial != "ACS1" {
		t.Errorf("session ends: %+v", ends)
	}
	if status < 502 {
		if len(refused) > 0 || m.sum("cwmpgate_refusals_total") > 0 {
			t.Errorf("refused: %+v", refused)
		}
		return
	}
	if len(refused) != 1 {
		t.Fatalf("%d refusals recorded", len(refused))
	}
	got := refused[0]
	if reason != "" && got.Reason != reason || got.Session == "" || got.Device.Serial != "ACS1" {
		t.Errorf("%s", got.line)
	}
	if got.Kind == audit.KindRefusal && (got.From != "acs" || got.Status != status) {
		t.Errorf("%s", got.line)
	}
	if n := m[fmt.Sprintf("cwmpgate_refusals_total{from=%q,reason=%q}", "acs", got.Reason)]; n != 1 {
		t.Errorf("%v counted of reason %s", n, got.Reason)
	}
}

// TestACSThatComesBack: a session that failed for an ACS that was away leaves
// nothing behind that the next one stumbles over.
func TestACSThatComesBack(t *testing.T) {
	listen, _ := ports(t)
	r := start(t, plan{acs: listen, sections: "timeouts: {connect: 500ms}\n"})
	d, err := cwmptest.NewDevice(device(r.url(), "BACK1"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Session(t.Context()); err == nil || cwmptest.ErrorKind(err) != "status-503" {
		t.Errorf("with the ACS down: %v", err)
	}
	acs := openACS(t, cwmptest.ACSConfig{Address: listen, Script: chores})
	report, err := d.Session(t.Context())
	if err != nil || report.RPCs != 2 {
		t.Errorf("with the ACS back: %+v, %v", report, err)
	}
	if n := len(acs.Informs()); n != 1 {
		t.Errorf("%d Informs", n)
	}
}

// TestSilentCPE: a CPE that is not heard of again ends its session by time-out,
// soon where nobody waits for it, later where it owes an answer.
func TestSilentCPE(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{Character: cwmptest.ConnectionOnly, Script: chores})
	r := start(t, plan{acs: acs.Addr(), sections: "timeouts: {session: 150ms, session_reply: 1s}\n"})
	begin := time.Now()
	for i, q := range []string{"", post("")} {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, inform(fmt.Sprintf("MUTE%d", i)))
		b := bufio.NewReader(c)
		res, err := http.ReadResponse(b, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		if q == "" {
			continue
		}
		io.WriteString(c, q)
		if res, err = http.ReadResponse(b, nil); err != nil || res.StatusCode != 200 {
			t.Fatal(res, err)
		}
	}
	ended := func() float64 { return r.metrics()[`cwmpgate_sessions_ended_total{how="timeout"}`] }
	await(t, "both sessions time out", func() bool { return ended() == 2 })
	if took := time.Since(begin); took < time.Second {
		t.Errorf("a session whose CPE owed an answer timed out after %v", took)
	}
	r.close()
	ends := ofKind(openArchive(t, r.dir).records(), audit.KindSession)
	if len(ends) != 2 || ends[0].Device.Serial != "MUTE0" || ends[1].Device.Serial != "MUTE1" || len(ends[1].Open) != 1 || ends[1].How != audit.EndTimeout {
		t.Errorf("session ends: %+v", ends)
	}
}
