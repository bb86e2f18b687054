package cwmptest

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Transcript is one or more sessions of a device as they went over the wire, and
// what must be known of them afterwards. The expectations are written by hand, so
// that they are evidence against any decoder.
//
// Its file is text: what it shows, then the exchanges in order, each a part
// "-- cpe --" with a request and a part "-- acs --" with its answer, then the part
// "-- expect --". Requests and answers are a start line, header lines, an empty
// line and the body, which ends before the line feed that precedes the next part.
// No line says how a body is framed: that is for whoever sends it.
type Transcript struct {
	Name      string
	About     string
	Exchanges []Exchange
	Expect    Expect
}

// Expect is what a gateway must have written down. Records, here as everywhere, are
// those of CWMP messages, counted over the whole transcript from 1 in the order in
// which they went over the wire; so are sessions. All that was set, added, deleted
// or given attributes is in Parameters, and of what an Inform reported a part.
type Expect struct {
	Sessions   []ExpectedSession
	Records    []ExpectedRecord
	Parameters []ExpectedParameter
	Transfers  []ExpectedTransfer
	Files      []ExpectedFile
	Secrets    []string // texts that must be in no record, file or log
}

// ExpectedSession is how a session ended: "clean", "superseded", "acs-error", or
// "open" where the transcript stops in the middle of it.
type ExpectedSession struct {
	How  string
	Open []int // records of the requests that nobody answered
}

// ExpectedRecord is one CWMP message.
type ExpectedRecord struct {
	Session int
	From    string // "cpe" or "acs"
	Kind    string // "request", "response" or "fault"
	RPC     string // the element's name: "Inform", "InformResponse", "Fault"
	ID      string // cwmp:ID, trimmed; "" where there is none
	Answers int    // the record of the request that it answers, 0: none
	WrongID bool   // it answers that one although the IDs differ
	Orphan  bool
}

// ExpectedParameter is what became of one parameter or object.
type ExpectedParameter struct {
	Record  int    // of the message that names it
	Action  string // "set", "add", "delete", "attributes", "reported"
	Path    string
	Value   string // as sent; "" for a secret
	Type    string // xsi:type with the prefix xsd
	Secret  bool
	Outcome string // "accepted", "accepted-after-reboot", "refused", "not-applied", "refused-no-detail", "unanswered", "undelivered", "unknown", "reported"
	Code    string // the fault code for it, or else that of the whole fault; "" where nothing was refused
}

// ExpectedTransfer is what became of one transfer, asked for by the ACS or not.
type ExpectedTransfer struct {
	Record   int // of the request; of a completion that belongs to none, its own
	RPC      string
	Key      string // CommandKey
	URL      string // up to its query, without user-info
	FileType string
	Outcome  string // "started", "completed", "failed", "refused", "unattached", "ambiguous", "unanswered", "unknown"
	Code     string // fault code, where it failed or was refused
	Complete int    // record of the TransferComplete, 0: none
}

// ExpectedFile is a file that went through.
type ExpectedFile struct {
	Method string
	URL    string // as requested, up to its query
	Status int
	Bytes  int
	SHA256 string // of a whole file; "" else
}

// ReadTranscript reads a transcript's file.
func ReadTranscript(name string, text []byte) (*Transcript, error) {
	t := &Transcript{Name: strings.TrimSuffix(path.Base(name), path.Ext(name))}
	last := ""
	for _, p := range splitParts(text) {
		err := t.add(last, p)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, p.line, err)
		}
		last = p.name
	}
	if last != "expect" {
		return nil, fmt.Errorf("%s: no part named expect at its end", name)
	}
	return t, nil
}

// ReadTranscripts reads every *.txtar in the root of fsys, in the order of names.
func ReadTranscripts(fsys fs.FS) ([]*Transcript, error) {
	names, err := fs.Glob(fsys, "*.txtar")
	if err != nil {
		return nil, err
	}
	var all []*Transcript
	for _, name := range names {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		t, err := ReadTranscript(name, text)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// ReadFolder reads a session recorded as files NNN-cpe.http and NNN-acs.http, a
// whole request or answer each. What follows the head is the body, whatever the
// header says of framing, for recorders take chunks apart and leave the header as
// it was. Nothing is expected of it.
func ReadFolder(dir string) (*Transcript, error) {
	requests, err := filepath.Glob(filepath.Join(dir, "*-cpe.http"))
	if err != nil {
		return nil, err
	}
	if len(requests) == 0 {
		return nil, fmt.Errorf("%s: no file named NNN-cpe.http", dir)
	}
	slices.Sort(requests)
	t := &Transcript{Name: filepath.Base(dir)}
	for _, name := range requests {
		var x Exchange
		if err := readHTTPFile(name, x.setRequest); err != nil {
			return nil, err
		}
		if err := readHTTPFile(strings.TrimSuffix(name, "cpe.http")+"acs.http", x.setResponse); err != nil {
			return nil, err
		}
		t.Exchanges = append(t.Exchanges, x)
	}
	return t, nil
}

func readHTTPFile(name string, set func(text []byte) error) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if err := set(text); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// part is a named piece of a transcript; the first has no name.
type part struct {
	name string
	line int // of its first line
	text []byte
}

func splitParts(text []byte) []part {
	parts := []part{{line: 1}}
	line := 0
	for l := range bytes.Lines(text) {
		line++
		switch name := string(bytes.TrimRight(l, "\r\n")); name {
		case "-- cpe --", "-- acs --", "-- expect --":
			parts = append(parts, part{name: strings.Trim(name, "- "), line: line + 1})
		default:
			p := &parts[len(parts)-1]
			p.text = append(p.text, l...)
		}
	}
	for i := range parts {
		parts[i].text = bytes.TrimSuffix(parts[i].text, []byte("\n"))
	}
	return parts
}

func (t *Transcript) add(last string, p part) error {
	follows := map[string]string{"": "cpe", "cpe": "acs", "acs": "cpe expect"}
	switch {
	case p.name == "":
		t.About = strings.TrimSpace(string(p.text))
		return nil
	case !slices.Contains(strings.Fields(follows[last]), p.name):
		return fmt.Errorf("part %s after part %q", p.name, last)
	case p.name == "cpe":
		t.Exchanges = append(t.Exchanges, Exchange{})
		return t.Exchanges[len(t.Exchanges)-1].setRequest(p.text)
	case p.name == "acs":
		return t.Exchanges[len(t.Exchanges)-1].setResponse(p.text)
	}
	return t.Expect.read(string(p.text))
}

func (x *Exchange) setRequest(text []byte) error {
	start, header, body, err := splitHTTP(text)
	if err != nil {
		return err
	}
	words := strings.Split(start, " ")
	if len(words) != 3 || !strings.HasPrefix(words[2], "HTTP/1.") {
		return fmt.Errorf("request line %.80q", start)
	}
	x.Request = Request{Method: words[0], Target: words[1], Header: header, Body: body}
	return nil
}

func (x *Exchange) setResponse(text []byte) error {
	start, header, body, err := splitHTTP(text)
	if err != nil {
		return err
	}
	version, rest, _ := strings.Cut(start, " ")
	code, reason, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if err != nil || !strings.HasPrefix(version, "HTTP/1.") || status < 100 || status > 599 {
		return fmt.Errorf("status line %.80q", start)
	}
	x.Response = Response{Status: status, Reason: reason, Header: header, Body: body}
	return nil
}

// splitHTTP cuts start line, header fields and body apart; lines may end in CRLF or
// LF. Without an empty line there is no body.
func splitHTTP(text []byte) (start string, header []Field, body []byte, err error) {
	for first := true; len(text) > 0; first = false {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		text = rest
		l := strings.TrimSuffix(string(line), "\r")
		if first {
			start = l
			continue
		}
		if l == "" {
			return start, header, text, nil
		}
		name, value, ok := strings.Cut(l, ":")
		if !ok {
			return "", nil, nil, fmt.Errorf("header line %.80q", l)
		}
		header = append(header, Field{Name: name, Value: strings.Trim(value, " \t")})
	}
	return start, header, nil, nil
}

// read reads the lines of expectations: a kind, then words, key=value and
// key="quoted value". Empty lines and those that begin with # say nothing.
func (e *Expect) read(text string) error {
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		l, err := readExpectLine(line)
		if err == nil {
			err = e.add(l)
		}
		if err == nil {
			err = l.rest()
		}
		if err != nil {
			return fmt.Errorf("expectation %d, %.80q: %w", i+1, line, err)
		}
	}
	return nil
}

func (e *Expect) add(l *expectLine) error {
	switch kind := l.word(); kind {
	case "session":
		if want := strconv.Itoa(len(e.Sessions) + 1); l.word() != want {
			return fmt.Errorf("not session %s", want)
		}
		s := ExpectedSession{How: l.text("how")}
		for open := range strings.FieldsSeq(l.text("open")) {
			n, err := strconv.Atoi(open)
			if err != nil {
				return err
			}
			s.Open = append(s.Open, n)
		}
		e.Sessions = append(e.Sessions, s)
	case "record":
		if want := strconv.Itoa(len(e.Records) + 1); l.word() != want {
			return fmt.Errorf("not record %s", want)
		}
		e.Records = append(e.Records, ExpectedRecord{
			From: l.word(), Kind: l.word(), RPC: l.word(), Session: l.number("session"), ID: l.text("id"),
			Answers: l.number("answers"), WrongID: l.flag("wrong-id"), Orphan: l.flag("orphan"),
		})
	case "parameter":
		e.Parameters = append(e.Parameters, ExpectedParameter{
			Action: l.word(), Path: l.word(), Record: l.number("record"), Value: l.text("value"), Type: l.text("type"),
			Secret: l.flag("secret"), Outcome: l.text("outcome"), Code: l.text("code"),
		})
	case "transfer":
		e.Transfers = append(e.Transfers, ExpectedTransfer{
			RPC: l.word(), Record: l.number("record"), Key: l.text("key"), URL: l.text("url"), FileType: l.text("file-type"),
			Outcome: l.text("outcome"), Code: l.text("code"), Complete: l.number("complete"),
		})
	case "file":
		e.Files = append(e.Files, ExpectedFile{
			Method: l.word(), URL: l.text("url"), Status: l.number("status"), Bytes: l.number("bytes"), SHA256: l.text("sha256"),
		})
	case "secret":
		e.Secrets = append(e.Secrets, l.text("text"))
	default:
		return fmt.Errorf("unknown kind %q", kind)
	}
	return nil
}

// expectLine is one line of expectations, taken apart; each word and key can be
// taken once.
type expectLine struct {
	words []string
	keys  map[string]string
	err   error
}

func readExpectLine(line string) (*expectLine, error) {
	l := &expectLine{keys: map[string]string{}}
	for line != "" {
		end := strings.IndexAny(line, " =")
		if end < 0 || line[end] == ' ' {
			word, rest, _ := strings.Cut(line, " ")
			l.words, line = append(l.words, word), strings.TrimLeft(rest, " ")
			continue
		}
		key, rest := line[:end], line[end+1:]
		quoted, err := strconv.QuotedPrefix(rest)
		value, after := "", ""
		if err == nil {
			value, _ = strconv.Unquote(quoted)
			after = rest[len(quoted):]
		} else {
			value, after, _ = strings.Cut(rest, " ")
		}
		if _, twice := l.keys[key]; twice {
			return nil, fmt.Errorf("%s twice", key)
		}
		l.keys[key], line = value, strings.TrimLeft(after, " ")
	}
	return l, nil
}

func (l *expectLine) word() string {
	if len(l.words) == 0 {
		l.err = fmt.Errorf("a word is missing")
		return ""
	}
	w := l.words[0]
	l.words = l.words[1:]
	return w
}

func (l *expectLine) flag(name string) bool {
	i := slices.Index(l.words, name)
	if i >= 0 {
		l.words = slices.Delete(l.words, i, i+1)
	}
	return i >= 0
}

func (l *expectLine) text(key string) string {
	v := l.keys[key]
	delete(l.keys, key)
	return v
}

func (l *expectLine) number(key string) int {
	v, ok := l.keys[key]
	if !ok {
		return 0
	}
	delete(l.keys, key)
	n, err := strconv.Atoi(v)
	if err != nil {
		l.err = err
	}
	return n
}

func (l *expectLine) rest() error {
	if l.err == nil && len(l.words)+len(l.keys) > 0 {
		return fmt.Errorf("not understood: %q %q", l.words, l.keys)
	}
	return l.err
}
