package main

import (
	"bytes"
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
		t.Run(tr.Name, func(t *testing.T) { replay(t, tr, true) })
	}
	if dir := os.Getenv("CWMPGATE_CORPUS"); dir != "" {
		t.Run("corpus", func(t *testing.T) {
			tr, err := readCorpus(dir)
			if err != nil {
				t.Fatal(err)
			}
			replay(t, tr, false)
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

func replay(t *testing.T, tr *cwmptest.Transcript, expected bool) {
	t.Parallel()
	stub := cwmptest.NewStub(cwmptest.StubConfig{Exchanges: tr.Exchanges})
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
	checkWire(t, tr, stub.Arrived(), answers)
	r.close()
	all := records(t, r.dir)
	checkLedger(t, all)
	if expected {
		checkExpected(t, tr, r, all)
		checkNoSecret(t, r, tr.Expect.Secrets)
	} else {
		checkCorpus(t, tr, r, all)
	}
}

// checkWire: bodies to the byte, and the fields that a proxy has no business with.
func checkWire(t *testing.T, tr *cwmptest.Transcript, arrived []cwmptest.Arrived, answers []cwmptest.Response) {
	t.Helper()
	if len(arrived) != len(tr.Exchanges) || len(answers) != len(tr.Exchanges) {
		t.Fatalf("%d requests arrived and %d answers of %d", len(arrived), len(answers), len(tr.Exchanges))
	}
	for i, x := range tr.Exchanges {
		q, a := arrived[i], answers[i]
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

func checkExpected(t *testing.T, tr *cwmptest.Transcript, r *rig, all []record) {
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
	checkChanges(t, tr, r, at)
	checkTransfers(t, tr, r, at, all)
	checkViews(t, r, len(messages), len(ends))
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

func checkChanges(t *testing.T, tr *cwmptest.Transcript, r *rig, at places) {
	t.Helper()
	var got []cwmptest.ExpectedParameter
	for _, c := range rows(t, r.dir, audit.Filter{View: audit.ViewChanges}) {
		p := cwmptest.ExpectedParameter{
			Record: at[uint64(c.number("seq"))], Action: c.text("action"), Path: c.text("parameter"), Value: c.text("new"),
			Type: c.text("type"), Secret: c.text("new_secret") != "", Outcome: c.text("outcome"), Code: c.text("fault_code"),
		}
		got = append(got, p)
	}
	same(t, "parameter", got, tr.Expect.Parameters)
}

func checkTransfers(t *testing.T, tr *cwmptest.Transcript, r *rig, at places, all []record) {
	t.Helper()
	var got []cwmptest.ExpectedTransfer
	for _, c := range rows(t, r.dir, audit.Filter{View: audit.ViewTransfers}) {
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

// checkViews: the command line tells as much as the store.
func checkViews(t *testing.T, r *rig, messages, ends int) {
	t.Helper()
	for _, v := range []struct {
		name string
		view audit.View
		rows int
	}{
		{"rpcs", audit.ViewRPCs, messages}, {"sessions", audit.ViewSessions, ends},
		{"changes", audit.ViewChanges, -1}, {"transfers", audit.ViewTransfers, -1}, {"tail", audit.ViewRecords, -1},
	} {
		out := mustCLI(t, "audit", v.name, "--config", r.file, "--json", "--limit", "0")
		want := rows(t, r.dir, audit.Filter{View: v.view})
		if lines := strings.Count(out, "\n"); lines != len(want) || v.rows >= 0 && lines != v.rows {
			t.Errorf("audit %s --json: %d lines, the store has %d rows, %d were due", v.name, lines, len(want), v.rows)
		}
		for line := range strings.Lines(out) {
			if !json.Valid([]byte(line)) {
				t.Errorf("audit %s --json: %s", v.name, line)
			}
		}
	}
}

// checkNoSecret: in no file of the gateway's, nor in its log, nor in what the
// command line prints, at the level debug.
func checkNoSecret(t *testing.T, r *rig, secrets []string) {
	t.Helper()
	said := r.log.String()
	for _, name := range []string{"rpcs", "sessions", "changes", "transfers", "tail"} {
		said += mustCLI(t, "audit", name, "--config", r.file, "--json", "--limit", "0")
		said += mustCLI(t, "audit", name, "--config", r.file, "--limit", "0")
	}
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
func checkCorpus(t *testing.T, tr *cwmptest.Transcript, r *rig, all []record) {
	t.Helper()
	bodies := 0
	for _, x := range tr.Exchanges {
		for _, b := range [][]byte{x.Request.Body, x.Response.Body} {
			if bytes.Contains(b, []byte("Envelope")) {
				bodies++
			}
		}
	}
	messages := ofKind(all, audit.KindMessage)
	if len(messages) != bodies || len(ofKind(all, audit.KindRefusal)) > 0 {
		t.Errorf("%d messages of %d bodies, refused: %+v", len(messages), bodies, ofKind(all, audit.KindRefusal))
	}
	for _, m := range messages {
		if m.Verdict != "pass" || m.WrongID || kindOf(m) != "request" && m.Answers == 0 {
			t.Errorf("%s", m.line)
		}
	}
	for _, e := range ofKind(all, audit.KindSession) {
		if e.How != audit.EndClean && e.How != audit.EndSuperseded {
			t.Errorf("%s", e.line)
		}
	}
	checkViews(t, r, len(messages), len(ofKind(all, audit.KindSession)))
}
