package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// TestRecordedSession plays recorded sessions as CPE against a stub that answers
// as recorded, with the gateway between them: what arrives at either end is what
// the other has sent, and the store holds what a person expects of it.
func TestRecordedSession(t *testing.T) {
	all, err := cwmptest.ReadTranscripts(os.DirFS("../../testdata/sessions"))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d transcripts", len(all))
	}
	for _, tr := range all {
		t.Run(tr.Name, func(t *testing.T) { replay(t, tr, true, nil) })
	}
	if dir := os.Getenv("CWMPGATE_CORPUS"); dir != "" {
		t.Run("corpus", func(t *testing.T) {
			tr, err := readCorpus(dir)
			if err != nil {
				t.Fatal(err)
			}
			// One of its messages is cut short: the ACS had refused it.
			replay(t, tr, false, func(x cwmptest.Exchange) bool { return x.Response.Status == 400 })
		})
	}
}

// readCorpus takes the folder itself or the one named genieacs-session in it.
func readCorpus(dir string) (*cwmptest.Transcript, error) {
	if tr, err := cwmptest.ReadFolder(dir); err == nil {
		return tr, nil
	}
	return cwmptest.ReadFolder(filepath.Join(dir, "genieacs-session"))
}

// replay plays a transcript; malformed, where set, tells the requests that the
// gateway refuses, so that they do not reach the ACS any more.
func replay(t *testing.T, tr *cwmptest.Transcript, expected bool, malformed func(cwmptest.Exchange) bool) {
	t.Parallel()
	if malformed == nil {
		malformed = func(cwmptest.Exchange) bool { return false }
	}
	passed := slices.DeleteFunc(slices.Clone(tr.Exchanges), malformed)
	stub := cwmptest.NewStub(cwmptest.StubConfig{Exchanges: passed})
	if err := stub.Open(); err != nil {
		t.Fatal(err)
	}
	defer stub.Close()
	r := start(t, plan{acs: stub.Addr(), tenant: "    redirects: [acs.example.test]\n"})
	player, err := cwmptest.NewPlayer(cwmptest.PlayerConfig{URL: r.url(), KeepHost: true, AddCookies: true})
	if err != nil {
		t.Fatal(err)
	}
	answers, err := player.Play(context.Background(), tr.Exchanges)
	player.Close()
	if err != nil {
		t.Errorf("after %d answers: %v", len(answers), err)
	}
	checkWire(t, tr, stub.Arrived(), answers, malformed)
	r.close()
	a := openArchive(t, r.dir)
	all := a.records()
	checkLedger(t, all)
	if expected {
		checkExpected(t, tr, a, all)
		if len(tr.Expect.Secrets) > 0 {
			checkNoSecret(t, r, checkViews(t, r.file, a), tr.Expect.Secrets)
		}
	} else {
		checkCorpus(t, tr, all, malformed)
	}
}

// checkWire: bodies to the byte, and the fields that a proxy has no business with.
func checkWire(t *testing.T, tr *cwmptest.Transcript, arrived []cwmptest.Arrived, answers []cwmptest.Response, malformed func(cwmptest.Exchange) bool) {
	t.Helper()
	if len(answers) != len(tr.Exchanges) {
		t.Fatalf("%d answers of %d", len(answers), len(tr.Exchanges))
	}
	for i, x := range tr.Exchanges {
		a := answers[i]
		if malformed(x) {
			if a.Status != 400 {
				t.Errorf("request %d, which the ACS refused, was answered %d", i+1, a.Status)
			}
			continue
		}
		if len(arrived) == 0 {
			t.Fatalf("request %d and those behind it did not arrive", i+1)
		}
		q := arrived[0]
		arrived = arrived[1:]
		if q.Method != x.Request.Method || q.Target != x.Request.Target || !bytes.Equal(q.Body, x.Request.Body) {
			t.Errorf("request %d is another: %s %s with %d bytes", i+1, q.Method, q.Target, len(q.Body))
		}
		if a.Status != x.Response.Status || a.Reason != x.Response.Reason || !bytes.Equal(a.Body, x.Response.Body) {
			t.Errorf("answer %d is another: %d %q with %d bytes", i+1, a.Status, a.Reason, len(a.Body))
		}
		for _, d := range cwmptest.Differences(x.Request.Header, q.Header) {
			t.Errorf("request %d: %s", i+1, d)
		}
		own := func(f cwmptest.Field) bool {
			return strings.EqualFold(f.Name, "Set-Cookie") && strings.HasPrefix(f.Value, "cg=")
		}
		for _, d := range cwmptest.Differences(x.Response.Header, slices.DeleteFunc(slices.Clone(a.Header), own)) {
			t.Errorf("answer %d: %s", i+1, d)
		}
	}
}

// places turns a record's number into the place of its message in the transcript.
type places map[uint64]int

func (p places) of(seqs []uint64) (out []int) {
	for _, s := range seqs {
		out = append(out, p[s])
	}
	return out
}

func checkExpected(t *testing.T, tr *cwmptest.Transcript, a *archive, all []record) {
	t.Helper()
	messages, ends := ofKind(all, audit.KindMessage), ofKind(all, audit.KindSession)
	at := places{}
	for i, m := range messages {
		at[m.Seq] = i + 1
	}
	sessions := map[string]int{} // by the order in which they began
	var got []cwmptest.ExpectedRecord
	for _, m := range messages {
		if m.Session != "" && sessions[m.Session] == 0 {
			sessions[m.Session] = len(sessions) + 1
		}
		got = append(got, cwmptest.ExpectedRecord{
			Session: sessions[m.Session], From: m.From, Kind: kindOf(m), RPC: m.RPC, ID: m.ID,
			Answers: at[m.Answers], WrongID: m.WrongID, Orphan: m.Verdict == "orphan",
		})
	}
	same(t, "record", got, tr.Expect.Records)
	ended := make([]cwmptest.ExpectedSession, len(sessions))
	for _, e := range ends {
		if n := sessions[e.Session]; n > 0 {
			ended[n-1] = cwmptest.ExpectedSession{How: e.How, Open: at.of(e.Open)}
		}
	}
	want := slices.Clone(tr.Expect.Sessions)
	for i := range want {
		if want[i].How == "open" {
			want[i].How = audit.EndShutdown
		}
	}
	same(t, "session", ended, want)
	checkChanges(t, tr, a, at)
	checkTransfers(t, tr, a, at, all)
	if n := len(a.rows(audit.Filter{View: audit.ViewRPCs})); n != len(messages) {
		t.Errorf("%d RPCs of %d messages", n, len(messages))
	}
}

func kindOf(m record) string {
	switch {
	case m.RPC == "Fault":
		return "fault"
	case m.To != "":
		return "response"
	}
	return "request"
}

func same[T any](t *testing.T, what string, got, want []T) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		var g, w any = "none", "none"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if !reflect.DeepEqual(g, w) {
			t.Errorf("%s %d:\n got %+v\nwant %+v", what, i+1, g, w)
		}
	}
}

func checkChanges(t *testing.T, tr *cwmptest.Transcript, a *archive, at places) {
	t.Helper()
	byPath := func(a, b cwmptest.ExpectedParameter) int {
		return cmp.Or(cmp.Compare(a.Record, b.Record), cmp.Compare(a.Path, b.Path))
	}
	want := slices.Clone(tr.Expect.Parameters)
	slices.SortStableFunc(want, byPath)
	named := func(p cwmptest.ExpectedParameter) bool {
		return slices.ContainsFunc(want, func(w cwmptest.ExpectedParameter) bool { return w.Path == p.Path && w.Record == p.Record })
	}
	var got []cwmptest.ExpectedParameter
	for _, c := range a.rows(audit.Filter{View: audit.ViewChanges}) {
		p := cwmptest.ExpectedParameter{
			Record: at[uint64(c.number("seq"))], Action: c.text("action"), Path: c.text("parameter"), Value: c.text("new"),
			Type: c.text("type"), Secret: c.text("new_secret") != "", Outcome: c.text("outcome"), Code: c.text("fault_code"),
		}
		switch {
		case p.Action == "add" || p.Action == "attributes":
			p.Value = "" // the instance and what was set of the attributes: no value was sent
		case p.Action == "reported" && !named(p):
			continue // an Inform brings along what has not changed
		}
		got = append(got, p)
	}
	slices.SortStableFunc(got, byPath)
	same(t, "parameter", got, want)
}

func checkTransfers(t *testing.T, tr *cwmptest.Transcript, a *archive, at places, all []record) {
	t.Helper()
	var got []cwmptest.ExpectedTransfer
	for _, c := range a.rows(audit.Filter{View: audit.ViewTransfers}) {
		u, _, _ := strings.Cut(c.text("url"), "?")
		code := c.text("fault_code")
		if code == "0" {
			code = ""
		}
		got = append(got, cwmptest.ExpectedTransfer{
			Record: at[uint64(c.number("seq"))], RPC: c.text("rpc"), Key: c.text("command_key"), URL: u, FileType: c.text("file_type"),
			Outcome: c.text("outcome"), Code: code, Complete: at[uint64(c.number("completed"))],
		})
	}
	same(t, "transfer", got, tr.Expect.Transfers)
	var files []cwmptest.ExpectedFile
	for _, f := range ofKind(all, audit.KindTransfer) {
		u, err := url.Parse(f.URL)
		if err != nil {
			t.Fatal(err)
		}
		if !f.Complete {
			t.Errorf("a transfer is not complete: %s", f.line)
		}
		files = append(files, cwmptest.ExpectedFile{Method: f.Method, URL: u.Path, Status: f.Status, Bytes: int(f.Bytes), SHA256: f.SHA256})
	}
	same(t, "file", files, tr.Expect.Files)
}

// checkViews: the command line tells as much as the store, as valid JSON. It
// returns all that was printed.
func checkViews(t *testing.T, file string, a *archive) (said string) {
	t.Helper()
	for name, view := range auditCommands {
		out := mustCLI(t, "audit", name, "--config", file, "--json", "--limit", "0")
		if lines, want := strings.Count(out, "\n"), len(a.rows(audit.Filter{View: view})); lines != want {
			t.Errorf("audit %s --json: %d lines, the store has %d rows", name, lines, want)
		}
		for line := range strings.Lines(out) {
			if !json.Valid([]byte(line)) {
				t.Errorf("audit %s --json: %s", name, line)
			}
		}
		said += out + mustCLI(t, "audit", name, "--config", file, "--limit", "0")
	}
	return said
}

var auditCommands = map[string]audit.View{
	"tail": audit.ViewRecords, "changes": audit.ViewChanges, "transfers": audit.ViewTransfers,
	"sessions": audit.ViewSessions, "rpcs": audit.ViewRPCs,
}

// checkNoSecret: in no file of the gateway's, nor in its log, nor in what the
// command line prints, at the level debug.
func checkNoSecret(t *testing.T, r *rig, said string, secrets []string) {
	t.Helper()
	said += r.log.String()
	for _, s := range secrets {
		forms := []string{s, url.QueryEscape(s), strings.ReplaceAll(fmt.Sprintf("%q", s), `"`, "")}
		for _, form := range forms {
			if names := filesWith(t, r.dir, []byte(form)); len(names) > 0 {
				t.Errorf("secret %q stands in %v", s, names)
			}
			if strings.Contains(said, form) {
				t.Errorf("secret %q stands in the log or in what the command line says", s)
			}
		}
	}
}

// checkCorpus: of a recording of which nobody has written down what to expect,
// what any session must fulfil.
func checkCorpus(t *testing.T, tr *cwmptest.Transcript, all []record, malformed func(cwmptest.Exchange) bool) {
	t.Helper()
	bodies, refused := 0, 0
	for _, x := range tr.Exchanges {
		if malformed(x) {
			refused++
			continue
		}
		for _, b := range [][]byte{x.Request.Body, x.Response.Body} {
			if bytes.Contains(b, []byte("Envelope")) {
				bodies++
			}
		}
	}
	messages := ofKind(all, audit.KindMessage)
	if len(messages) != bodies || len(ofKind(all, audit.KindRefusal)) != refused {
		t.Errorf("%d messages of %d bodies, refused: %+v", len(messages), bodies, ofKind(all, audit.KindRefusal))
	}
	for _, m := range messages {
		if m.Verdict != "pass" || m.WrongID || kindOf(m) != "request" && m.Answers == 0 {
			t.Errorf("%s", m.line)
		}
	}
	for _, e := range ofKind(all, audit.KindSession) {
		if e.How != audit.EndClean && e.How != audit.EndSuperseded && e.How != audit.EndRefused {
			t.Errorf("%s", e.line)
		}
	}
}
