package cwmptest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// acsWire is a connection as the ACS knows it.
type acsWire struct {
	number  int
	gone    chan struct{} // closed with the connection
	nonce   string
	session *acsSession
}

// acsSession is one session of a device.
type acsSession struct {
	id       string
	wire     *acsWire
	informed Informed
	version  string
	base     string // of URLs
	script   []Task
	pending  *Delivery
	held     bool // the last message sent holds the CPE's requests back
	emptied  bool // the CPE has said that it has none
	last     time.Time
}

// acsRequest is one POST.
type acsRequest struct {
	r          *http.Request
	wire       *acsWire
	message    *message // nil: empty
	body       []byte
	challenged bool
	nonce      string
}

type acsAnswer struct {
	body       []byte
	cookies    []string
	last       bool // closes the connection
	plainEmpty bool // 200, not 204, where body is nil
}

func (a *ACS) handle(q *acsRequest) (*acsAnswer, *refusal) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if q.message != nil && q.message.method == "Inform" {
		return a.inform(q)
	}
	s, refused := a.find(q)
	if refused != nil {
		q.challenged = refused == &unauthorized
		if q.challenged {
			a.offer(q)
		}
		return nil, refused
	}
	if s == nil {
		return &acsAnswer{last: true}, nil
	}
	s.last = time.Now()
	return a.answer(s, q)
}

func (a *ACS) inform(q *acsRequest) (*acsAnswer, *refusal) {
	m := q.message
	id := m.rpc.child("DeviceId")
	in := Informed{Connection: q.wire.number, Parameters: m.rpc.parameters(), Header: q.r.Header.Clone(), Identity: Identity{
		id.value("Manufacturer"), id.value("OUI"), id.value("ProductClass"), id.value("SerialNumber")}}
	for _, e := range m.rpc.child("Event").items() {
		in.Events = append(in.Events, Event{e.value("EventCode"), e.value("CommandKey")})
	}
	serial := in.Identity.Serial
	if a.cfg.Auth != AuthNone && a.cfg.Character != SerialCookie {
		user, ok := a.login(q)
		if !ok {
			q.challenged = true
			a.offer(q)
			return nil, &unauthorized
		}
		in.User = user
	}
	if refused := a.admit(q, serial); refused != nil {
		return nil, refused
	}
	if named, ok := MessageSerial(m.id); ok && named != serial {
		a.misdelivered(serial, m.id, "Inform")
	}
	s := &acsSession{id: randomHex(8), wire: q.wire, version: m.version, base: a.cfg.FileBase, last: time.Now()}
	if s.base == "" {
		s.base = "http://" + q.r.Host
	}
	in.Session = s.id
	s.informed = in
	if a.cfg.Script != nil {
		s.script = a.cfg.Script(in)
	}
	a.sessions[s.id], a.devices[serial] = s, s
	if a.cfg.Character.nonceOnConnection() {
		q.wire.session = s
	}
	a.truth.informs = appendKept(a.truth.informs, in, keptEntries)
	body := a.envelope(s, m.id, "<cwmp:InformResponse><MaxEnvelopes>1</MaxEnvelopes></cwmp:InformResponse>")
	return &acsAnswer{body: body, cookies: a.cfg.Character.setCookie(s)}, nil
}

func (a *ACS) envelope(s *acsSession, id, rpc string) []byte {
	e := Envelope{Version: s.version, ID: id, RPC: rpc}
	if a.cfg.HoldRequests {
		s.held = len(s.script)+len(a.queues[s.informed.Identity.Serial]) > 0
		flag := "0"
		if s.held {
			flag = "1"
		}
		e.Header = `<cwmp:HoldRequests soapenv:mustUnderstand="1">` + flag + `</cwmp:HoldRequests>`
	}
	return e.Append(nil)
}

// answer takes one message of a session and gives what follows.
func (a *ACS) answer(s *acsSession, q *acsRequest) (*acsAnswer, *refusal) {
	m := q.message
	if m == nil {
		s.emptied = s.emptied || !s.held
		return a.next(s), nil
	}
	serial := s.informed.Identity.Serial
	if named, ok := MessageSerial(m.id); ok && named != serial {
		a.misdelivered(serial, m.id, m.method)
	}
	if m.method != "Fault" && !strings.HasSuffix(m.method, "Response") {
		return a.respond(s, m), nil
	}
	d := s.pending
	if d == nil || m.method != "Fault" && m.method != d.Task.Method+"Response" {
		return nil, &badState
	}
	d.Answered, d.AnswerConnection, d.AnswerID = true, q.wire.number, m.id
	d.Fault, d.Status, d.Values = m.fault(), m.rpc.value("Status"), m.rpc.parameters()
	if a.cfg.KeepBodies {
		d.Answer = q.body
	}
	for _, p := range d.Values {
		if strings.HasSuffix(p.Name, ".DeviceInfo.SerialNumber") && p.Value != serial {
			a.misdelivered(serial, p.Value, m.method)
		}
	}
	s.pending = nil
	return a.next(s), nil
}

func (a *ACS) misdelivered(serial, by, method string) {
	a.truth.misdelivered = appendKept(a.truth.misdelivered, Misdelivery{"acs", serial, by, method}, keptEntries)
}

// respond answers a request of the CPE.
func (a *ACS) respond(s *acsSession, m *message) *acsAnswer {
	rpc := response(m.method, "")
	switch m.method {
	case "TransferComplete":
		a.truth.completions = appendKept(a.truth.completions, Completion{s.informed.Identity.Serial, m.rpc.value("CommandKey"),
			m.rpc.value("FaultStruct", "FaultCode"), m.rpc.value("FaultStruct", "FaultString")}, keptEntries)
		if a.cfg.Character == SerialCookie {
			return &acsAnswer{plainEmpty: true}
		}
	case "GetRPCMethods":
		rpc = methodList([]string{"Inform", "GetRPCMethods", "TransferComplete"})
	case "AutonomousTransferComplete", "DUStateChangeComplete", "AutonomousDUStateChangeComplete", "RequestDownload", "Kicked":
	default:
		rpc = FaultRPC(Fault{Code: "8000", Text: "Method not supported"})
	}
	return &acsAnswer{body: a.envelope(s, m.id, rpc)}
}

// next sends the next RPC, or ends the session.
func (a *ACS) next(s *acsSession) *acsAnswer {
	serial := s.informed.Identity.Serial
	s.pending = nil // an empty POST where an answer was due: the RPC is lost
	var t Task
	switch queue := a.queues[serial]; {
	case len(s.script) > 0:
		t, s.script = s.script[0], s.script[1:]
	case len(queue) > 0:
		t, a.queues[serial] = queue[0], queue[1:]
	case !s.emptied: // the CPE was held back and may have something to ask
		s.held = false
		return &acsAnswer{}
	default:
		a.end(s)
		a.truth.ended++
		return &acsAnswer{last: a.cfg.Character == ConnectionBound || a.cfg.Character == SerialCookie}
	}
	a.number++
	id := MessageID(serial, a.number)
	t = t.completed(id, s.base)
	d := &Delivery{ID: id, Serial: serial, Session: s.id, Connection: s.wire.number, Task: t}
	body := a.envelope(s, id, t.rpc())
	if a.cfg.KeepBodies {
		d.Sent = body
	}
	s.pending = d
	a.truth.deliveries = appendKept(a.truth.deliveries, d, keptEntries)
	return &acsAnswer{body: body}
}

func (a *ACS) expired(s *acsSession) bool { return time.Since(s.last) > a.cfg.SessionTimeout }

func (a *ACS) end(s *acsSession) {
	delete(a.sessions, s.id)
	if serial := s.informed.Identity.Serial; a.devices[serial] == s {
		delete(a.devices, serial)
	}
	if s.wire.session == s {
		s.wire.session = nil
	}
}

// login checks the request's credentials, and that their nonce is one of ours
// and, where it matters, of this connection.
func (a *ACS) login(q *acsRequest) (user string, ok bool) {
	user, nonce, ok := checkAuthorization(q.r.Header.Get("Authorization"), q.r.Method, a.cfg.Password)
	switch {
	case !ok:
		return "", false
	case a.cfg.Auth == AuthBasic:
		return user, nonce == ""
	case a.cfg.Character.nonceOnConnection():
		return user, nonce != "" && nonce == q.wire.nonce
	}
	return user, a.nonces[nonce]
}

// offer makes a nonce for a challenge. a.mu is held.
func (a *ACS) offer(q *acsRequest) {
	q.nonce = randomHex(16)
	q.wire.nonce = q.nonce
	if !a.cfg.Character.nonceOnConnection() {
		if len(a.nonces) >= keptEntries {
			clear(a.nonces) // those who hold one are challenged again
		}
		a.nonces[q.nonce] = true
	}
}

func (q *acsRequest) challenge(a *ACS, h http.Header) {
	if !q.challenged {
		return
	}
	value := `Basic realm="cwmptest"`
	if a.cfg.Auth == AuthDigest {
		value = fmt.Sprintf(`Digest realm="cwmptest", qop="auth", nonce="%s", opaque="%s"`, q.nonce, q.nonce[:8])
	}
	h["WWW-Authenticate"] = slices.Concat(h["WWW-Authenticate"], []string{value})
}
