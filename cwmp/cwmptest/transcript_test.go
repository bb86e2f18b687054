package cwmptest_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/cwmp"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

func readTranscripts(t *testing.T) []*cwmptest.Transcript {
	t.Helper()
	all, err := cwmptest.ReadTranscripts(os.DirFS("../../testdata/sessions"))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d transcripts", len(all))
	}
	return all
}

// said is one message of a transcript, found without a decoder.
type said struct {
	from       string
	text       string
	challenged bool // answered with 401: it will be sent again
}

func messagesOf(tr *cwmptest.Transcript) []said {
	var all []said
	for _, x := range tr.Exchanges {
		if bytes.Contains(x.Request.Body, []byte(":Envelope ")) {
			all = append(all, said{"cpe", string(x.Request.Body), x.Response.Status == 401})
		}
		if bytes.Contains(x.Response.Body, []byte(":Envelope ")) {
			all = append(all, said{"acs", string(x.Response.Body), false})
		}
	}
	return all
}

// TestTranscriptsHoldTogether: the expectations agree with themselves and with the
// bytes that they speak of, as far as a search for text can tell.
func TestTranscriptsHoldTogether(t *testing.T) {
	for _, tr := range readTranscripts(t) {
		t.Run(tr.Name, func(t *testing.T) {
			messages := messagesOf(tr)
			if tr.About == "" || len(messages) != len(tr.Expect.Records) {
				t.Fatalf("%d messages and %d records, about: %q", len(messages), len(tr.Expect.Records), tr.About)
			}
			answered := map[int]bool{}
			for i, r := range tr.Expect.Records {
				checkRecord(t, tr, i+1, r, messages[i])
				answered[r.Answers] = true
			}
			for i, r := range tr.Expect.Records {
				if r.Kind != "request" || messages[i].challenged {
					continue
				}
				if open := slices.Contains(tr.Expect.Sessions[r.Session-1].Open, i+1); open == answered[i+1] {
					t.Errorf("record %d: answered %v, open %v", i+1, answered[i+1], open)
				}
			}
			checkOutcomes(t, tr, messages)
		})
	}
}

func checkRecord(t *testing.T, tr *cwmptest.Transcript, n int, r cwmptest.ExpectedRecord, m said) {
	t.Helper()
	if r.From != m.from || !regexp.MustCompile(`<[\w-]+:`+r.RPC+`[\s/>]`).MatchString(m.text) {
		t.Errorf("record %d: not %s of %s", n, r.RPC, r.From)
	}
	if r.Session < 1 || r.Session > len(tr.Expect.Sessions) || r.RPC == "Inform" && n > 1 && r.Session == tr.Expect.Records[n-2].Session && !messagesOf(tr)[n-2].challenged {
		t.Errorf("record %d: session %d", n, r.Session)
	}
	if ids := regexp.MustCompile(`:ID[^>]*>\s*([^<]*?)\s*<`).FindStringSubmatch(m.text); r.ID != "" && (ids == nil || r.ID != utf8Of(ids[1])) {
		t.Errorf("record %d: ID %q", n, ids)
	}
	if r.Answers == 0 {
		if r.Kind != "request" && !r.Orphan {
			t.Errorf("record %d answers nothing", n)
		}
		return
	}
	q := tr.Expect.Records[r.Answers-1]
	if r.Answers >= n || q.Kind != "request" || q.From == r.From || q.Session != r.Session || r.WrongID != (q.ID != r.ID) ||
		r.Kind == "response" && r.RPC != q.RPC+"Response" || r.Kind == "fault" && r.RPC != "Fault" || r.Kind == "request" {
		t.Errorf("record %d does not answer %d", n, r.Answers)
	}
}

// wireText is all that went over the wire.
func wireText(x cwmptest.Exchange) string {
	q, r := x.Request, x.Response
	return fmt.Sprintf("%s %s %v %s %d %s %v %s", q.Method, q.Target, q.Header, q.Body, r.Status, r.Reason, r.Header, r.Body)
}

// utf8Of reads the one transcript in ISO-8859-1 like the others.
func utf8Of(text string) string {
	if strings.ToValidUTF8(text, "") == text {
		return text
	}
	var runes []rune
	for i := range len(text) {
		runes = append(runes, rune(text[i]))
	}
	return string(runes)
}

func checkOutcomes(t *testing.T, tr *cwmptest.Transcript, messages []said) {
	t.Helper()
	for _, p := range tr.Expect.Parameters {
		outcomes := []string{"accepted", "accepted-after-reboot", "refused", "not-applied", "refused-no-detail", "unanswered", "undelivered", "unknown", "reported"}
		text := messages[p.Record-1].text
		if !strings.Contains(text, ">"+p.Path+"<") || !slices.Contains(outcomes, p.Outcome) || p.Secret && p.Value != "" {
			t.Errorf("parameter %+v", p)
		}
		escaped := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(p.Value)
		if p.Type != "" && !p.Secret && !strings.Contains(utf8Of(text), `"`+p.Type+`">`+escaped+`</Value>`) {
			t.Errorf("value of %+v", p)
		}
	}
	for _, x := range tr.Expect.Transfers {
		text := messages[x.Record-1].text
		if !strings.Contains(text, ":"+x.RPC+">") || x.Key != "" && !strings.Contains(text, "<CommandKey>"+x.Key+"<") ||
			x.Complete > 0 && !strings.Contains(messages[x.Complete-1].text, ":TransferComplete>") {
			t.Errorf("transfer %+v", x)
		}
	}
	for _, f := range tr.Expect.Files {
		found := false
		for _, x := range tr.Exchanges {
			url, _, _ := strings.Cut(x.Request.Target, "?")
			whole := slices.Concat(x.Request.Body, x.Response.Body)
			found = found || x.Request.Method == f.Method && url == f.URL && x.Response.Status == f.Status &&
				len(whole) == f.Bytes && fmt.Sprintf("%x", sha256.Sum256(whole)) == f.SHA256
		}
		if !found {
			t.Errorf("file %+v", f)
		}
	}
	for _, secret := range tr.Expect.Secrets {
		if secret == "" || !slices.ContainsFunc(tr.Exchanges, func(x cwmptest.Exchange) bool { return strings.Contains(wireText(x), secret) }) {
			t.Errorf("secret %q went over no wire", secret)
		}
	}
}

// TestTranscriptsThroughSession compares what decoder and state machine make of the
// transcripts with what a person wrote down.
func TestTranscriptsThroughSession(t *testing.T) {
	for _, tr := range readTranscripts(t) {
		t.Run(tr.Name, func(t *testing.T) {
			p := player{t: t, decoder: cwmp.NewDecoder(cwmp.DefaultLimits())}
			for _, x := range tr.Exchanges {
				p.play(x)
			}
			p.close("open")
			if len(p.refused) > 0 {
				t.Errorf("refused: %v", p.refused)
			}
			for i := range max(len(p.records), len(tr.Expect.Records)) {
				if i >= len(p.records) || i >= len(tr.Expect.Records) || p.records[i] != tr.Expect.Records[i] {
					t.Errorf("record %d:\n got %+v\nwant %+v", i+1, at(p.records, i), at(tr.Expect.Records, i))
				}
			}
			if got, want := fmt.Sprint(p.sessions), fmt.Sprint(tr.Expect.Sessions); got != want {
				t.Errorf("sessions: got %v, want %v", got, want)
			}
		})
	}
}

func at[T any](list []T, i int) (v T) {
	if i < len(list) {
		v = list[i]
	}
	return v
}

// player gives a transcript to the state machine, as a gateway would.
type player struct {
	t        *testing.T
	decoder  *cwmp.Decoder
	session  *cwmp.Session
	records  []cwmptest.ExpectedRecord
	sessions []cwmptest.ExpectedSession
	refused  []error
}

func (p *player) play(x cwmptest.Exchange) {
	if x.Request.Method != "POST" {
		return
	}
	m, err := p.decode(x.Request.Body, x.Request.Header)
	if err != nil {
		p.refused = append(p.refused, err)
		p.close("refused")
		return
	}
	if m != nil && m.Method == cwmp.MethodInform && p.session != nil && p.session.Accepted() {
		p.close("superseded")
	}
	if p.session == nil {
		p.session = cwmp.NewSession()
	}
	turn, err := p.session.FromCPE(m)
	if err != nil {
		p.t.Fatal(err)
	}
	p.record(turn)
	m = nil
	if bytes.Contains(x.Response.Body, []byte(":Envelope ")) {
		if m, err = p.decode(x.Response.Body, x.Response.Header); err != nil {
			p.t.Fatal(err)
		}
	}
	turn, err = p.session.FromACS(x.Response.Status, m)
	if err != nil {
		p.t.Fatal(err)
	}
	p.record(turn)
	if turn.Ends {
		how := "clean"
		if x.Response.Status >= 300 {
			how = "acs-error"
		}
		p.close(how)
	}
}

func (p *player) decode(body []byte, header []cwmptest.Field) (*cwmp.Message, error) {
	if len(body) == 0 {
		return nil, nil
	}
	charset := ""
	for _, f := range header {
		if f.Name == "Content-Type" {
			_, charset, _ = strings.Cut(f.Value, "charset=")
		}
	}
	return p.decoder.Decode(body, strings.Trim(charset, `"`))
}

func (p *player) record(turn cwmp.Turn) {
	if turn.Message == nil {
		return
	}
	r := cwmptest.ExpectedRecord{
		Session: len(p.sessions) + 1, From: turn.From.String(), Kind: turn.Message.Kind.String(), RPC: turn.Message.Name,
		ID: string(turn.Message.Header.ID.Trim()), WrongID: turn.WrongID, Orphan: turn.Orphan,
	}
	if turn.Answers != nil {
		r.Answers = int(turn.Answers.Seq)
	}
	p.records = append(p.records, r)
	p.session.Recorded(turn.From, uint64(len(p.records)))
}

func (p *player) close(how string) {
	if p.session == nil {
		return
	}
	s := cwmptest.ExpectedSession{How: how}
	for _, r := range p.session.Open() {
		s.Open = append(s.Open, int(r.Seq))
	}
	p.sessions, p.session = append(p.sessions, s), nil
}

// TestTranscriptsAreInvented: no device, address or name of the real world.
func TestTranscriptsAreInvented(t *testing.T) {
	address := regexp.MustCompile(`\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b`)
	host := regexp.MustCompile(`\b(?:[a-z0-9-]+\.)+(?:com|net|org|test)\b`)
	known := regexp.MustCompile(`(^|\.)example\.(com|net|test)$|^schemas\.xmlsoap\.org$|^www\.w3\.org$`)
	for _, tr := range readTranscripts(t) {
		for _, x := range tr.Exchanges {
			text := wireText(x)
			for _, a := range address.FindAllString(text, -1) {
				if !strings.HasPrefix(a, "192.0.2.") {
					t.Errorf("%s: address %s", tr.Name, a)
				}
			}
			for _, h := range host.FindAllString(text, -1) {
				if !known.MatchString(h) {
					t.Errorf("%s: host %s", tr.Name, h)
				}
			}
			if strings.Contains(text, ":Inform>") && !strings.Contains(text, "<OUI>00005E</OUI>") {
				t.Errorf("%s: an OUI of somebody", tr.Name)
			}
		}
	}
}

func TestReadTranscriptMistakes(t *testing.T) {
	const cpe, acs = "-- cpe --\nPOST / HTTP/1.1\nHost: a\n\n", "-- acs --\nHTTP/1.1 204 No Content\n\n"
	f := func(text, want string) {
		t.Helper()
		if _, err := cwmptest.ReadTranscript("x.txtar", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, not %q", text, err, want)
		}
	}
	f("", "no part named expect")
	f(cpe+acs, "no part named expect")
	f(acs, "x.txtar:2: part acs after")
	f(cpe+cpe, "x.txtar:6: part cpe after")
	f(cpe+"-- expect --\n", "part expect after")
	f("-- cpe --\nPOST /\n", "request line")
	f("-- cpe --\nPOST / HTTP/1.1\nno colon\n\n", "header line")
	f(cpe+"-- acs --\nHTTP/1.1 abc\n\n", "status line")
	expect := func(line, want string) { t.Helper(); f(cpe+acs+"-- expect --\n"+line, want) }
	expect("nonsense", "unknown kind")
	expect("record 2 cpe request Inform", "not record 1")
	expect("session 2 how=clean", "not session 1")
	expect("record 1 cpe request", "a word is missing")
	expect("record 1 cpe request Inform sesion=1", "not understood")
	expect("record 1 cpe request Inform session=one", "invalid syntax")
	expect("session 1 how=a how=b", "how twice")
}

func TestReadFolder(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"001-cpe.http": "POST /a?b HTTP/1.1\r\nContent-Length: 5\r\nX-Y:  z \r\n\r\n<a>\r\n",
		"001-acs.http": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot\r\nin chunks\n",
		"002-cpe.http": "POST / HTTP/1.0\n\n",
		"002-acs.http": "HTTP/1.1 204\r\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tr, err := cwmptest.ReadFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"POST /a?b [{Content-Length 5} {X-Y z}] <a>\r\n 200 OK [{Transfer-Encoding chunked}] not\r\nin chunks\n", "POST / []  204  [] "}
	for i, x := range tr.Exchanges {
		if got := wireText(x); i >= len(want) || got != want[i] {
			t.Errorf("exchange %d: %q", i+1, got)
		}
	}
	if _, err := cwmptest.ReadFolder(t.TempDir()); err == nil {
		t.Error("an empty folder is read")
	}
	if err := os.Remove(filepath.Join(dir, "002-acs.http")); err != nil {
		t.Fatal(err)
	}
	if _, err := cwmptest.ReadFolder(dir); err == nil {
		t.Error("a request without its answer is read")
	}
}

// TestRecordedFolder reads the sessions that CWMPGATE_CORPUS has.
func TestRecordedFolder(t *testing.T) {
	dir := os.Getenv("CWMPGATE_CORPUS")
	if dir == "" {
		t.Skip("CWMPGATE_CORPUS is not set")
	}
	tr, err := cwmptest.ReadFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := player{t: t, decoder: cwmp.NewDecoder(cwmp.DefaultLimits())}
	for _, x := range tr.Exchanges {
		p.play(x)
	}
	p.close("open")
	for i, r := range p.records {
		if r.Orphan || r.WrongID || r.Kind != "request" && r.Answers == 0 {
			t.Errorf("record %d: %+v", i+1, r)
		}
	}
	t.Logf("%d exchanges, %d messages, sessions %v, refused %v", len(tr.Exchanges), len(p.records), p.sessions, p.refused)
}
