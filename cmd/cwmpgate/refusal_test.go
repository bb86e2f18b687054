package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
)

const refusals = "cwmpgate_refusals_total"

// refusedAs is the reason for which exactly one refusal more was counted.
func refusedAs(t *testing.T, before, after counters, from string) string {
	t.Helper()
	reason := ""
	for name, n := range after {
		grown := n - before[name]
		if grown == 0 || !strings.HasPrefix(name, refusals+"{") {
			continue
		}
		rest, ok := strings.CutPrefix(name, fmt.Sprintf("%s{from=%q,reason=\"", refusals, from))
		if !ok || grown != 1 || reason != "" {
			t.Errorf("%s grew by %v", name, grown)
		}
		reason = strings.TrimSuffix(rest, `"}`)
	}
	return reason
}

// checkRefusalRecords: what was counted is recorded, alike ones together.
func checkRefusalRecords(t *testing.T, all []record, m counters) {
	t.Helper()
	recorded := counters{}
	for _, r := range ofKind(all, audit.KindRefusal) {
		recorded[fmt.Sprintf("%s{from=%q,reason=%q}", refusals, r.From, r.Reason)] += float64(r.Count)
		if r.Peer == "" || r.Source == "" || r.Listener != "cpe" || r.Status < 400 || len(r.Body) > 0 {
			t.Errorf("%s", r.line)
		}
	}
	for name, n := range m {
		if strings.HasPrefix(name, refusals+"{") && recorded[name] != n {
			t.Errorf("%s: %v counted, %v recorded", name, n, recorded[name])
		}
		delete(recorded, name)
	}
	if len(recorded) > 0 {
		t.Errorf("recorded, not counted: %v", recorded)
	}
}

// bodies are the bodies that package cwmp refuses, by name; its beginning is the
// reason.
func bodies(t testing.TB) (all []malformed) {
	t.Helper()
	names, err := filepath.Glob("../../cwmp/testdata/refuse/*.xml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		charset, _ := os.ReadFile(name + ".charset") // most have none
		m := malformed{name: strings.TrimSuffix(filepath.Base(name), ".xml"), body: string(body), contentType: "text/xml"}
		if len(charset) > 0 {
			m.contentType += "; charset=" + strings.TrimSpace(string(charset))
		}
		if len(body) > 0 && !strings.HasPrefix(m.name, "limit-") { // none: an empty POST; limits are the config's
			all = append(all, m)
		}
	}
	if len(all) < 100 {
		t.Fatalf("only %d bodies", len(all))
	}
	return all
}

type malformed struct{ name, body, contentType string }

func (m malformed) post() string {
	return fmt.Sprintf("POST /acs HTTP/1.1\r\nHost: acs.example.test\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", m.contentType, len(m.body), m.body)
}

// TestMalformedMessage: from a CPE 400, from an ACS 502; the reason is counted
// and recorded, and nothing goes on.
func TestMalformedMessage(t *testing.T) {
	all := bodies(t)
	byName := map[string]malformed{}
	for _, m := range all {
		byName[m.name] = m
	}
	reached := ""
	acs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m, ok := byName[r.Header.Get("X-Vector")]
		if !ok {
			reached = r.Header.Get("X-Vector") + " of " + r.RemoteAddr
		}
		w.Header().Set("Content-Type", m.contentType)
		w.Write([]byte(m.body))
	}))
	defer acs.Close()
	r := start(t, plan{acs: acs.Listener.Addr().String(), level: "info"})
	before := r.metrics()
	for _, m := range all {
		for _, from := range []string{"cpe", "acs"} {
			text, status := m.post(), 400
			if from == "acs" {
				text, status = inform("MAL1", "X-Vector: "+m.name), 502
			}
			got := raw(t, r.addr, text, 1)
			after := r.metrics()
			if reason := refusedAs(t, before, after, from); reason == "" || !strings.HasPrefix(m.name, reason) {
				t.Errorf("%s from %s: refused as %q", m.name, from, reason)
			}
			before = after
			if len(got) != 1 || got[0].status != status || strings.Contains(got[0].body, "byte") {
				t.Errorf("%s from %s: answers %+v", m.name, from, got)
			}
		}
	}
	if reached != "" {
		t.Errorf("a malformed message reached the ACS: %s", reached)
	}
	r.close()
	records := openArchive(t, r.dir).records()
	checkLedger(t, records)
	checkRefusalRecords(t, records, before)
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(text))
	w.Close()
	return b.String()
}

// TestMalformedRequest: docs/http.md line by line, over the wire.
func TestMalformedRequest(t *testing.T) {
	const head = "POST /acs HTTP/1.1\r\nHost: a.example\r\n"
	body := informBody("MAL2")
	zipped := gzipped(body)
	acs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }))
	defer acs.Close()
	r := start(t, plan{acs: acs.Listener.Addr().String(), level: "info", sections: `limits: {body: 64KiB, inflated: 256KiB, head: 8KiB, fields: 40}
timeouts: {head: 400ms, body: 400ms}
`})
	before := r.metrics()
	for _, x := range []struct {
		reason string
		status int
		text   string
	}{
		{"length-and-transfer-encoding", 400, head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"transfer-encoding", 400, head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
		{"transfer-encoding-in-1.0", 400, "POST /acs HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"repeated-content-length", 400, head + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n"},
		{"content-length", 400, head + "Content-Length: +5\r\n\r\nhello"},
		{"content-length", 400, head + "Content-Length: 99999999999999999999\r\n\r\n"},
		{"bare-lf", 400, "POST /acs HTTP/1.1\nHost: a\n\n"},
		{"bare-cr", 400, head + "X: a\rb\r\nContent-Length: 0\r\n\r\n"},
		{"obs-fold", 400, head + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n"},
		{"space-before-colon", 400, head + "X : a\r\nContent-Length: 0\r\n\r\n"},
		{"no-colon", 400, head + "X\r\nContent-Length: 0\r\n\r\n"},
		{"field-name", 400, head + "X(: a\r\nContent-Length: 0\r\n\r\n"},
		{"nul", 400, head + "X: a\x00b\r\nContent-Length: 0\r\n\r\n"},
		{"control-character", 400, head + "X: a\x01b\r\nContent-Length: 0\r\n\r\n"},
		{"repeated-host", 400, head + "Host: b\r\nContent-Length: 0\r\n\r\n"},
		{"host", 400, "POST /acs HTTP/1.1\r\nHost: a b\r\nContent-Length: 0\r\n\r\n"},
		{"absolute-form", 400, "POST http://b.example/acs HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n"},
		{"connection-option", 400, head + "Connection: content-length\r\nContent-Length: 0\r\n\r\n"},
		{"connect", 400, "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"},
		{"upgrade", 400, head + "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n"},
		{"trailer", 400, head + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: a\r\n\r\n"},
		{"chunk-size", 400, head + "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"},
		{"chunk-end", 400, head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n"},
		{"empty-line-before-request", 400, "\r\n" + head + "Content-Length: 0\r\n\r\n"},
		{"request-line", 400, "POST /acs now HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"version", 505, "POST /acs HTTP/2.0\r\nHost: a\r\n\r\n"},
		{"head-too-large", 431, head + "X: " + strings.Repeat("a", 10000) + "\r\n\r\n"},
		{"too-many-fields", 431, head + strings.Repeat("X: a\r\n", 60) + "\r\n"},
		{"body-too-large", 413, head + "Content-Length: 70000\r\n\r\n"},
		{"body-too-large", 413, head + "Transfer-Encoding: chunked\r\n\r\n11170\r\n" + strings.Repeat("a", 70000) + "\r\n0\r\n\r\n"},
		{"inflated-too-large", 413, post(gzipped(strings.Repeat(" ", 300<<10)), "Content-Encoding: gzip")},
		{"expect", 417, head + "Expect: 200-maybe\r\nContent-Length: 0\r\n\r\n"},
		{"unknown-content-encoding", 415, post(zipped, "Content-Encoding: br")},
		{"unknown-content-encoding", 415, post(zipped, "Content-Encoding: gzip, gzip")},
		{"broken-compression", 400, post(zipped[:len(zipped)-9], "Content-Encoding: gzip")},
		{"broken-compression", 400, post(zipped+"more", "Content-Encoding: gzip")},
		{"broken-compression", 400, post(body, "Content-Encoding: gzip")},
		{"invalid-character", 400, post(zipped)}, // gzip that nobody declared
		{"head-timeout", 408, "POST /acs HTTP/1.1\r\nHost: a"},
		{"body-timeout", 408, head + "Content-Length: 9\r\n\r\nabc"},
		{"body-not-expected", 400, "GET /fw.bin HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"},
		{"body-not-expected", 400, "GET /fw.bin HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		{"method-not-allowed", 405, "DELETE /acs HTTP/1.1\r\nHost: a\r\n\r\n"},
	} {
		got := raw(t, r.addr, x.text, 1)
		after := r.metrics()
		if reason := refusedAs(t, before, after, "cpe"); reason != x.reason {
			t.Errorf("%.80q: refused as %q, not %q", x.text, reason, x.reason)
		}
		before = after
		if len(got) != 1 || got[0].status != x.status {
			t.Errorf("%s %.80q: answers %+v, want %d", x.reason, x.text, got, x.status)
		}
	}
	r.close()
	records := openArchive(t, r.dir).records()
	checkLedger(t, records)
	checkRefusalRecords(t, records, before)
	for _, e := range ofKind(records, audit.KindMessage) {
		t.Errorf("a message: %s", e.line)
	}
}

// TestMemoryStaysFlat: thousands of malformed requests leave nothing behind.
func TestMemoryStaysFlat(t *testing.T) {
	acs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }))
	defer acs.Close()
	listen, admin := ports(t)
	c := spawn(t, plan{acs: acs.Listener.Addr().String(), listen: listen, admin: admin, level: "error"}.write(t), admin)
	all := bodies(t)
	big := strings.Repeat("<a>", 20000)
	sent := 0
	flood := func(rounds int) {
		for range rounds {
			for _, m := range all {
				raw(t, listen, m.post(), 1)
			}
			raw(t, listen, post(big), 1)
			raw(t, listen, "POST /acs HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\nX : y\r\n\r\n", 1)
			sent += len(all) + 2
		}
	}
	flood(6)
	before := c.memory()
	rounds := 12
	if long {
		rounds = 200
	}
	flood(rounds)
	grown := c.memory() - before
	t.Logf("%d MiB, grown by %d KiB over %d requests", before>>20, grown>>10, rounds*(len(all)+2))
	if grown > 24<<20 {
		t.Errorf("memory has grown by %d MiB", grown>>20)
	}
	m := readMetrics(t, admin)
	if n := m.sum(refusals); n != float64(sent) {
		t.Errorf("%v refusals counted of %d", n, sent)
	}
	await(t, "no connection, session or body is left", func() bool {
		m := readMetrics(t, admin)
		return m.sum("cwmpgate_connections_open") == 0 && m["cwmpgate_sessions_open"] == 0 && m["cwmpgate_body_bytes"] == 0
	})
}
