package storetest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/journal"
)

// Log is a log in the making: each call appends one record, as the gateway
// would have written it, and gives its number.
type Log struct {
	ID      string
	Now     time.Time // of the next record; one second passes with each
	Entries []journal.Entry

	next uint64
	id   int // cwmp:ID of the last request
}

// NewLog begins a log. Its id is made from name.
func NewLog(name string) *Log {
	sum := sha256.Sum256([]byte(name))
	return &Log{
		ID:   fmt.Sprintf("%x", sum[:16]),
		Now:  time.Date(2026, 11, 24, 20, 0, 0, 123456000, time.UTC),
		next: 1,
	}
}

// Batch is the cut from first to last.
func (l *Log) Batch(first, last uint64) *audit.Batch {
	b := &audit.Batch{Log: l.ID, First: first, Last: last}
	for _, e := range l.Entries {
		if e.Seq >= first && e.Seq <= last {
			b.Entries = append(b.Entries, e)
		}
	}
	return b
}

// All is the cut of the whole log.
func (l *Log) All() *audit.Batch { return l.Batch(1, l.Last()) }

// Last is the number of the last record.
func (l *Log) Last() uint64 { return l.next - 1 }

// At is the time of a record.
func (l *Log) At(seq uint64) time.Time {
	return l.Now.Add(-time.Duration(l.next-seq) * time.Second)
}

// add appends a record: the common fields, and what the kind has.
func (l *Log) add(kind string, members ...string) uint64 {
	seq := l.next
	l.next++
	all := append([]string{
		`"v":1`, member("log", l.ID), number("seq", int64(seq)), moment("at", l.Now), member("kind", kind), member("node", "gw-1"),
	}, members...)
	e := journal.Entry{Seq: seq, Bytes: []byte(object(all...))}
	copy(e.Salt[:], "salt of a record")
	binary.BigEndian.PutUint64(e.Salt[8:], seq)
	l.Entries = append(l.Entries, e)
	l.Now = l.Now.Add(time.Second)
	return seq
}

// Start is the record that a gateway writes when it starts.
func (l *Log) Start() uint64 { return l.System("start", "started") }

// System is an event of the gateway.
func (l *Log) System(what, why string) uint64 {
	return l.add("system", member("what", what), member("why", why), `"detail":`+object(member("version", "v0.1.0")))
}

// Decision is so many Informs of a tenant that admission refused within a second.
func (l *Log) Decision(reason string, count int) uint64 {
	return l.add("decision", member("tenant", "isp"), member("acs", "acs-a"), member("by", "admission"), member("reason", reason),
		member("limit", "tenants[].informs = 200 in 1s"), member("class", "periodic"), number("status", 503), member("peer", "192.0.2.7:40000"), number("count", int64(count)))
}

// Security is an event that an honest peer would not cause.
func (l *Log) Security(reason string, count int) uint64 {
	return l.add("security", member("tenant", "isp"), member("acs", "acs-a"), member("reason", reason), member("claimed", "00005E-T1"),
		member("verified", "00005E-T9"), member("peer", "192.0.2.7:4711"), number("count", int64(count)))
}

// Refusal is a request that was refused before its device was known.
func (l *Log) Refusal(reason string, count int) uint64 {
	return l.add("refusal", member("tenant", "isp"), member("from", "cpe"), member("reason", reason), number("offset", 812),
		member("path", "Envelope/Body"), number("size", 4096), number("status", 400), member("peer", "192.0.2.7:4711"), number("count", int64(count)))
}

// Session is one CWMP session of a log.
type Session struct {
	log     *Log
	Device  audit.Device
	Tenant  string
	Name    string
	ACS     string
	Subject string // of the CPE's certificate; empty: none
	Expires time.Time
	Peer    string // where it came from; empty: 192.0.2.7:4711
	n       int
	begun   time.Time
	pending uint64 // the request that the next answer is for
	request string // its name
}

// Session begins a session; its first record is the caller's.
func (l *Log) Session(d audit.Device, name string) *Session {
	return &Session{log: l, Device: d, Tenant: "isp", Name: name, ACS: "acs-a", begun: l.Now}
}

func (s *Session) head() []string { return s.facts(false) }

// facts is what a record says of the session; one that stands aside of it, as a
// file does, has no place in it and a connection of its own.
func (s *Session) facts(aside bool) []string {
	var d []string
	for _, m := range [][2]string{{"manufacturer", s.Device.Manufacturer}, {"oui", s.Device.OUI}, {"class", s.Device.Class}, {"serial", s.Device.Serial}} {
		if m[1] != "" {
			d = append(d, member(m[0], m[1]))
		}
	}
	head := []string{member("tenant", s.Tenant), member("session", s.Name)}
	if !aside {
		s.n++
		head = append(head, number("n", int64(s.n)))
	}
	head = append(head, `"device":`+object(d...), member("identity", "http"))
	if aside || s.n == 1 {
		c := []string{member("peer", cmp.Or(s.Peer, "192.0.2.7:4711")), member("listener", ":7547"), member("tls", "1.3"),
			member("cipher", "TLS_AES_128_GCM_SHA256"), member("sni", "acs.example.net")}
		if s.Subject != "" {
			certificate := []string{member("subject", s.Subject), member("serial", "2a")}
			if !s.Expires.IsZero() {
				certificate = append(certificate, moment("not_after", s.Expires))
			}
			c = append(c, `"certificate":`+object(certificate...))
		}
		head = append(head, `"connection":`+object(c...))
	}
	return head
}

// message appends a message. verdict is "pass" but for what was denied.
func (s *Session) message(from, rpc, verdict string, answers uint64, body ...string) uint64 {
	m := append(s.head(), member("from", from), member("acs", s.ACS), member("rpc", rpc))
	if answers != 0 {
		m = append(m, member("to", s.request))
	}
	if !strings.HasSuffix(rpc, "Response") && rpc != "Fault" {
		s.log.id++
	}
	m = append(m, member("cwmp", "1-0"), member("id", strconv.Itoa(s.log.id)))
	if answers != 0 {
		m = append(m, number("answers", int64(answers)))
	}
	m = append(m, member("verdict", verdict), `"body":`+object(body...))
	seq := s.log.add("message", m...)
	if answers == 0 {
		s.pending, s.request = seq, rpc
	}
	return seq
}

// Ask is a request of the ACS, Tell one of the CPE.
func (s *Session) Ask(rpc string, body ...string) uint64 {
	return s.message("acs", rpc, "pass", 0, body...)
}
func (s *Session) Tell(rpc string, body ...string) uint64 {
	return s.message("cpe", rpc, "pass", 0, body...)
}

// Denied is a request of the ACS that was not passed on, with the fault that
// it was answered.
func (s *Session) Denied(rpc string, body ...string) uint64 {
	seq := s.message("acs", rpc, "deny", 0, body...)
	s.message("gateway", "Fault", "pass", seq, faultBody("9003", "denied")...)
	return seq
}

// Accept is the CPE's answer to the last request of the ACS, Confirm the
// ACS's to the last of the CPE.
func (s *Session) Accept(body ...string) uint64 {
	return s.message("cpe", s.request+"Response", "pass", s.pending, body...)
}
func (s *Session) Confirm(body ...string) uint64 {
	return s.message("acs", s.request+"Response", "pass", s.pending, body...)
}

// Fault is the CPE's refusal of the last request; details are pairs of a
// parameter and its code.
func (s *Session) Fault(code, text string, details ...[2]string) uint64 {
	return s.message("cpe", "Fault", "pass", s.pending, faultBody(code, text, details...)...)
}

func faultBody(code, text string, details ...[2]string) []string {
	inner := []string{member("FaultCode", code), member("FaultString", text)}
	var list []string
	for _, d := range details {
		list = append(list, object(member("ParameterName", d[0]), member("FaultCode", d[1]), member("FaultString", "no "+d[1])))
	}
	if len(list) > 0 {
		inner = append(inner, `"SetParameterValuesFault":[`+strings.Join(list, ",")+`]`)
	}
	return []string{member("faultcode", "Client"), member("faultstring", "CWMP fault"), `"detail":` + object(`"Fault":`+object(inner...))}
}

// Reject is the ACS's refusal of the last request of the CPE.
func (s *Session) Reject(code, text string) uint64 {
	return s.message("acs", "Fault", "pass", s.pending, faultBody(code, text)...)
}

// SOAPFault is a fault without a CWMP fault in it.
func (s *Session) SOAPFault(text string) uint64 {
	return s.message("cpe", "Fault", "pass", s.pending, member("faultcode", "Client"), member("faultstring", text))
}

// Inform is an Inform and its answer; events are its event codes.
func (s *Session) Inform(events []string, parameters ...string) uint64 {
	seq := s.BareInform(events, parameters...)
	s.Confirm(member("MaxEnvelopes", "1"))
	return seq
}

// BareInform is an Inform that is not answered.
func (s *Session) BareInform(events []string, parameters ...string) uint64 {
	var list []string
	for _, e := range events {
		list = append(list, object(member("EventCode", e), member("CommandKey", "")))
	}
	return s.Tell("Inform", `"DeviceId":`+object(member("Manufacturer", s.Device.Manufacturer), member("OUI", s.Device.OUI),
		member("ProductClass", s.Device.Class), member("SerialNumber", s.Device.Serial)),
		`"Event":[`+strings.Join(list, ",")+`]`, member("MaxEnvelopes", "1"), member("CurrentTime", "0001-01-01T00:00:00Z"),
		member("RetryCount", "0"), parameterList(parameters))
}

// Set is a SetParameterValues, Read a GetParameterValues with its answer;
// parameters are made by Param and Secret.
func (s *Session) Set(key string, parameters ...string) uint64 {
	return s.Ask("SetParameterValues", parameterList(parameters), member("ParameterKey", key))
}
func (s *Session) Read(parameters ...string) uint64 {
	s.Ask("GetParameterValues", `"ParameterNames":["Device."]`)
	return s.Accept(parameterList(parameters))
}

// End is the record of the session's end.
func (s *Session) End(how string, open, undelivered []uint64) uint64 {
	m := append(s.head(), member("acs", s.ACS), member("acs_node", "acs-a-1"), moment("begin", s.begun), moment("end", s.log.Now),
		member("how", how), number("messages", int64(s.n-1)), number("empty", 2), number("bytes_in", 9000), number("bytes_out", 4000))
	return s.log.add("session", append(m, numbers("open", open), numbers("undelivered", undelivered))...)
}

// Bytes is a file that went through the gateway in this session.
func (s *Session) Bytes(method, url string, status int, size int64, sha256 string) uint64 {
	m := append(s.facts(true), member("acs", s.ACS), member("peer", "192.0.2.7:4712"), member("method", method), member("url", url),
		number("status", int64(status)), number("bytes", size))
	if sha256 != "" {
		m = append(m, member("sha256", sha256))
	}
	m = append(m, moment("began", s.log.Now), number("duration_us", 1500))
	if sha256 != "" {
		m = append(m, `"complete":true`)
	}
	return s.log.add("transfer", m...)
}

// Broken is a file that did not go through, or not to its end; status is 0
// where none was answered.
func (s *Session) Broken(method, url string, status int, size int64, why string) uint64 {
	m := append(s.facts(true), member("acs", s.ACS), member("peer", "192.0.2.7:4712"), member("method", method), member("url", url))
	if status != 0 {
		m = append(m, number("status", int64(status)))
	}
	return s.log.add("transfer", append(m, number("bytes", size), moment("began", s.log.Now), number("duration_us", 1500), member("error", why))...)
}

// Download asks for one, of the file under url.
func (s *Session) Download(key, url string) uint64 {
	return s.Ask("Download", member("CommandKey", key), member("FileType", "1 Firmware Upgrade Image"), member("URL", url),
		`"Username":{"secret":"set"}`, member("FileSize", "1000"), member("TargetFileName", "fw.bin"), member("DelaySeconds", "0"))
}

// Started and Done are the answers to a Download.
func (s *Session) Started() uint64 {
	return s.Accept(member("Status", "1"), member("StartTime", unknownTime), member("CompleteTime", unknownTime))
}
func (s *Session) Done() uint64 {
	return s.Accept(member("Status", "0"), member("StartTime", "2026-11-24T20:00:00Z"), member("CompleteTime", "2026-11-24T20:01:00Z"))
}

const unknownTime = "0001-01-01T00:00:00Z"

// Complete is a TransferComplete that nobody has confirmed yet.
func (s *Session) Complete(key, code, start, finish string) uint64 {
	text := ""
	if code != "0" {
		text = "download failure"
	}
	return s.Tell("TransferComplete", member("CommandKey", key),
		`"FaultStruct":`+object(member("FaultCode", code), member("FaultString", text)), member("StartTime", start), member("CompleteTime", finish))
}

// Param is an item of a ParameterList.
func Param(name, value, kind string) string {
	return object(member("Name", name), member("Value", value), member("Type", "xsd:"+kind))
}

// Secret is one whose value is a secret.
func Secret(name, hash string) string {
	return object(member("Name", name), member("secret", hash), member("Type", "xsd:string"))
}

func parameterList(items []string) string {
	return `"ParameterList":[` + strings.Join(items, ",") + `]`
}

func object(members ...string) string { return "{" + strings.Join(members, ",") + "}" }

func member(name, value string) string { return quote(name) + ":" + quote(value) }

func number(name string, n int64) string { return quote(name) + ":" + strconv.FormatInt(n, 10) }

func numbers(name string, list []uint64) string {
	var texts []string
	for _, n := range list {
		texts = append(texts, strconv.FormatUint(n, 10))
	}
	return quote(name) + ":[" + strings.Join(texts, ",") + "]"
}

func moment(name string, t time.Time) string {
	return member(name, t.UTC().Format("2006-01-02T15:04:05.000000Z"))
}

// quote writes a JSON string as RFC 8785 does.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 0x20:
			if i := strings.IndexByte("\b\t\n\f\r", c); i >= 0 {
				b.WriteByte('\\')
				b.WriteByte("btnfr"[i])
			} else {
				fmt.Fprintf(&b, `\u%04x`, c)
			}
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Renamed is the same log under another id.
func (l *Log) Renamed(name string) *Log {
	other := NewLog(name)
	for _, e := range l.Entries {
		e.Bytes = bytes.Replace(e.Bytes, []byte(l.ID), []byte(other.ID), 1)
		other.Entries = append(other.Entries, e)
	}
	other.Now, other.next = l.Now, l.next
	return other
}
