package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// TestFileRecords: a challenge and an error page are steps of a transfer, but no
// files; a record of a file has no place in a session, and its own connection.
func TestFileRecords(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	image := bytes.Repeat([]byte{0xff, 0, 7}, 5000)
	const page = "<html>not now</html>"
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		answer := func(status int, body []byte) {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			w.WriteHeader(status)
			w.Write(body)
		}
		switch {
		case r.URL.Path == "/busy":
			answer(503, []byte(page))
		case r.Header.Get("Authorization") == "":
			answer(401, []byte(page))
		case r.Method == "PUT":
			answer(201, nil)
		case r.Header.Get("Range") != "":
			answer(206, image[:100])
		default:
			answer(200, image)
		}
	}))
	defer files.Close()
	r := start(t, plan{acs: acs.Addr(), tenant: fmt.Sprintf("    files: {upstream: {url: %q}}\n", files.URL)})
	sum := func(b []byte) string { h := sha256.Sum256(b); return hex.EncodeToString(h[:]) }
	var want []record
	ask := func(method, path, fields string, body []byte, whole record) {
		t.Helper()
		request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n%s", method, path, fields)
		if body != nil {
			request += fmt.Sprintf("Content-Length: %d\r\n", len(body))
		}
		got := raw(t, r.addr, request+"\r\n"+string(body), 1)
		if len(got) != 1 || got[0].status != whole.Status {
			t.Fatalf("%s %s: %+v", method, path, got)
		}
		whole.Method = method
		want = append(want, whole)
		// The record is written once the answer is delivered: the next may not overtake it.
		await(t, "its record is written", func() bool {
			return r.metrics()[`cwmpgate_audit_records_total{kind="transfer"}`] == float64(len(want))
		})
	}
	const allowed = "Authorization: Basic eDp5\r\n"
	ask("GET", "/fw.bin", "", nil, record{Status: 401, Bytes: int64(len(page))})
	ask("GET", "/fw.bin", allowed, nil, record{Status: 200, Bytes: int64(len(image)), SHA256: sum(image), Complete: true})
	ask("GET", "/fw.bin", allowed+"Range: bytes=0-99\r\n", nil, record{Status: 206, Bytes: 100})
	ask("GET", "/busy", allowed, nil, record{Status: 503, Bytes: int64(len(page))})
	ask("PUT", "/log", "", image[:999], record{Status: 401, Bytes: 999})
	ask("PUT", "/log", allowed, image[:999], record{Status: 201, Bytes: 999, SHA256: sum(image[:999]), Complete: true})
	ask("PUT", "/log", allowed, []byte{}, record{Status: 201, Complete: true})
	r.close()
	a := openArchive(t, r.dir)
	got := ofKind(a.records(), audit.KindTransfer)
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	peers := map[string]bool{}
	for i, g := range got {
		w := want[i]
		if g.Method != w.Method || g.Status != w.Status || g.Bytes != w.Bytes || g.SHA256 != w.SHA256 || g.Complete != w.Complete || g.Error != "" {
			t.Errorf("%s\nwant %+v", g.line, w)
		}
		if strings.Contains(g.line, `"n":`) || g.Connection == nil || g.Connection.Peer != g.Peer || peers[g.Peer] {
			t.Errorf("%s", g.line)
		}
		peers[g.Peer] = true
	}
	var sizes []int64
	for _, row := range a.rows(audit.Filter{View: audit.ViewTransfers}) {
		sizes = append(sizes, row.number("bytes"))
	}
	if fmt.Sprint(sizes) != fmt.Sprint([]int{0, len(image), 100, 0, 0, 999, 0}) {
		t.Errorf("bytes of files: %v", sizes)
	}
}
