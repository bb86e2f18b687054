package audit

import (
	"strconv"
	"time"

	"github.com/cwmpgate/cwmpgate/cwmp"
)

// parties is how many kinds of party a message may come from.
const parties = 4

// encoder makes the bytes of one record. What depends on seq and at is
// written last, by join, under the journal's lock.
type encoder struct {
	log     string
	rest    []byte // from kind on
	body    body
	keyless *Redactor
	at      time.Time // of the record that was joined last
	join    func(dst []byte, seq uint64, at time.Time) []byte
}

// newEncoder makes an encoder. keyless redacts where an Origin cannot.
func newEncoder(bound int, keyless *Redactor) *encoder {
	e := &encoder{keyless: keyless}
	e.body.bound = bound
	e.join = e.appendJoined // bound once: a closure for every record would be garbage
	return e
}

// appendJoined appends the whole record.
func (e *encoder) appendJoined(dst []byte, seq uint64, at time.Time) []byte {
	e.at = at
	dst = append(dst, `{"v":1,"log":"`...)
	dst = append(dst, e.log...)
	dst = append(dst, `","seq":`...)
	dst = strconv.AppendUint(dst, seq, 10)
	dst = append(dst, `,"at":`...)
	dst = appendTime(dst, at)
	return append(dst, e.rest...)
}

// head writes the fields that all kinds share.
func (e *encoder) head(kind, node string, o *Origin) {
	dst := append(e.rest[:0], `,"kind":"`...)
	dst = append(append(dst, kind...), '"')
	dst = appendMember(dst, "node", node)
	if o != nil {
		dst = appendMember(dst, "tenant", o.Tenant)
		dst = appendMember(dst, "session", o.Session)
		if kind != KindTransfer { // which is no step of the session's, and may outlive it
			dst = appendCount(dst, "n", int64(o.N))
		}
		dst = appendDevice(dst, o.Device)
		dst = appendMember(dst, "identity", o.Identity)
		dst = appendConnection(dst, o.Connection)
	}
	e.rest = dst
}

// trim gives the memory of a large record back. Few encoders are used at once,
// since nothing waits while it has one, and growing into the room for a whole
// data model anew would cost more than encoding it.
func (e *encoder) trim() {
	const keep = 4 << 20
	if cap(e.rest) > keep {
		e.rest = nil
	}
	if cap(e.body.text) > keep {
		e.body.text = nil
	}
	if n := &e.body.names; cap(n.leaf)+cap(n.folded)+cap(n.canonical) > keep {
		*n = nameScratch{}
	}
}

func (e *encoder) end() { e.rest = append(e.rest, '}') }

func appendDevice(dst []byte, d Device) []byte {
	if d == (Device{}) {
		return dst
	}
	dst = append(appendName(dst, "device"), '{')
	at := len(dst)
	dst = appendMember(dst, "manufacturer", clip(d.Manufacturer, longestName))
	dst = appendMember(dst, "oui", clip(d.OUI, longestName))
	dst = appendMember(dst, "class", clip(d.Class, longestName))
	dst = appendMember(dst, "serial", clip(d.Serial, longestName))
	return closeObject(dst, at)
}

// closeObject takes away the first member's comma.
func closeObject(dst []byte, at int) []byte {
	if len(dst) > at {
		dst = append(dst[:at], dst[at+1:]...)
	}
	return append(dst, '}')
}

func appendConnection(dst []byte, c *Connection) []byte {
	if c == nil {
		return dst
	}
	dst = append(appendName(dst, "connection"), '{')
	at := len(dst)
	dst = appendMember(dst, "peer", c.Peer)
	dst = appendMember(dst, "listener", c.Listener)
	dst = appendMember(dst, "tls", c.TLS)
	dst = appendMember(dst, "cipher", c.Cipher)
	dst = appendMember(dst, "sni", clip(c.SNI, longestName))
	if k := c.Certificate; k != nil {
		dst = append(appendName(dst, "certificate"), '{')
		at := len(dst)
		dst = appendMember(dst, "subject", clip(k.Subject, longestFact))
		dst = appendMember(dst, "serial", k.Serial)
		dst = appendMember(dst, "sha256", k.SHA256)
		dst = appendMoment(dst, "not_after", k.NotAfter)
		dst = closeObject(dst, at)
	}
	return closeObject(dst, at)
}

// message encodes one message of either side.
func (e *encoder) message(node string, o *Origin, t *cwmp.Turn, v Verdict) {
	e.head(KindMessage, node, o)
	m := t.Message
	dst := appendMember(e.rest, "from", t.From.String())
	dst = appendMember(dst, "acs", o.ACS)
	dst = appendMember(dst, "rpc", clip(messageName(m), longestName))
	if t.Answers != nil {
		dst = appendMember(dst, "to", t.Answers.Name)
	}
	dst = appendMember(dst, "cwmp", m.Version)
	dst = appendMember(dst, "id", clip(trimSpace(m.Header.ID.Bytes), longestName))
	dst = appendHeader(dst, &m.Header)
	if t.Answers != nil {
		dst = appendCount(dst, "answers", int64(t.Answers.Seq))
		dst = appendTrue(dst, "wrong_id", t.WrongID)
	}
	dst = appendMember(dst, "verdict", string(v))
	if m.Charset != "utf-8" {
		dst = appendMember(dst, "charset", m.Charset)
	}
	e.rest = e.appendBody(appendName(dst, "body"), o, t)
	e.end()
}

// messageName is the element's name, of messages made here too.
func messageName(m *cwmp.Message) string {
	switch {
	case m.Name != "":
		return m.Name
	case m.Kind == cwmp.KindFault:
		return "Fault"
	case m.Kind == cwmp.KindResponse:
		return m.Method.String() + "Response"
	}
	return m.Method.String()
}

// appendHeader appends the elements of the SOAP header but ID, those sent.
func appendHeader(dst []byte, h *cwmp.Header) []byte {
	if !h.HoldRequests.Set && !h.NoMoreRequests.Set && !h.SessionTimeout.Set &&
		!h.SupportedCWMPVersions.Set && !h.UseCWMPVersion.Set {
		return dst
	}
	dst = append(appendName(dst, "header"), '{')
	at := len(dst)
	dst = appendSent(dst, "HoldRequests", h.HoldRequests)
	dst = appendSent(dst, "NoMoreRequests", h.NoMoreRequests)
	dst = appendSent(dst, "SessionTimeout", h.SessionTimeout)
	dst = appendSent(dst, "SupportedCWMPVersions", h.SupportedCWMPVersions)
	dst = appendSent(dst, "UseCWMPVersion", h.UseCWMPVersion)
	return closeObject(dst, at)
}

func appendSent(dst []byte, name string, t cwmp.Text) []byte {
	if !t.Set {
		return dst
	}
	return appendString(appendName(dst, name), clip(trimSpace(t.Bytes), longestName))
}

// appendBody appends the body. The secrets in it take the place of those of
// the same party's message before; an answer is searched for both sides'.
func (e *encoder) appendBody(dst []byte, o *Origin, t *cwmp.Turn) []byte {
	b := &e.body
	mine := int(t.From) % parties
	b.red, b.mem = o.Redactor, &o.secrets[mine]
	if b.red == nil {
		b.red = e.keyless
	}
	b.fault = t.Message.Kind == cwmp.KindFault
	for i := range b.known {
		b.known[i] = nil
		if i != mine {
			b.known[i] = &o.secrets[i]
		}
	}
	b.mem.reset()
	dst = b.walk(dst, t.Message)
	b.red, b.mem, b.known, b.out = nil, nil, [parties]*memory{}, nil
	return dst
}

func (e *encoder) session(node string, o *Origin, s *SessionEnd) {
	e.head(KindSession, node, o)
	dst := appendMember(e.rest, "acs", o.ACS)
	acsNode := s.Node
	if acsNode == "" {
		acsNode = o.ACSNode
	}
	dst = appendMember(dst, "acs_node", acsNode)
	dst = appendMoment(dst, "begin", s.Begin)
	dst = appendMoment(dst, "end", s.End)
	dst = appendMember(dst, "how", s.How)
	dst = appendInt(dst, "messages", int64(s.Messages))
	dst = appendInt(dst, "empty", int64(s.Empty))
	dst = appendInt(dst, "bytes_in", s.BytesIn)
	dst = appendInt(dst, "bytes_out", s.BytesOut)
	dst = appendNumbers(dst, "open", s.Open)
	e.rest = appendNumbers(dst, "undelivered", s.Undelivered)
	e.end()
}

func (e *encoder) transfer(node string, o *Origin, t *Transfer) {
	e.head(KindTransfer, node, o)
	dst := e.rest
	if o != nil {
		dst = appendMember(dst, "acs", o.ACS)
	}
	dst = appendMember(dst, "peer", t.Peer)
	dst = appendMember(dst, "method", clip(t.Method, longestName))
	e.body.text = appendMasked(e.body.text[:0], []byte(t.URL), true, nil)
	dst = appendMember(dst, "url", clip(e.body.text, longestFact))
	dst = appendCount(dst, "status", int64(t.Status))
	dst = appendInt(dst, "bytes", t.Bytes)
	dst = appendMember(dst, "sha256", t.SHA256)
	dst = appendMoment(dst, "began", t.Began)
	dst = appendInt(dst, "duration_us", t.Duration.Microseconds())
	dst = appendTrue(dst, "range", t.Range)
	dst = appendTrue(dst, "complete", t.Complete)
	e.rest = appendMember(dst, "error", e.clean(t.Error))
	e.end()
}

func (e *encoder) refusal(node string, o *Origin, f *Refusal, count int) {
	e.head(KindRefusal, node, o)
	dst := appendMember(e.rest, "from", f.From)
	if o != nil {
		dst = appendMember(dst, "acs", o.ACS)
	}
	dst = appendMember(dst, "reason", f.Reason)
	if f.Offset >= 0 {
		dst = appendInt(dst, "offset", f.Offset)
	}
	dst = appendMember(dst, "path", e.clean(f.Path))
	if f.Size >= 0 {
		dst = appendInt(dst, "size", f.Size)
	}
	dst = appendCount(dst, "status", int64(f.Status))
	dst = appendMember(dst, "peer", f.Peer)
	dst = appendMember(dst, "source", f.Source)
	dst = appendMember(dst, "listener", f.Listener)
	e.rest = appendInt(dst, "count", int64(count))
	e.end()
}

func (e *encoder) security(node string, o *Origin, s *Security, count int) {
	e.head(KindSecurity, node, o)
	dst := e.rest
	if o != nil {
		dst = appendMember(dst, "acs", o.ACS)
	}
	dst = appendMember(dst, "reason", s.Reason)
	dst = appendMember(dst, "claimed", e.clean(s.Claimed))
	dst = appendMember(dst, "verified", e.clean(s.Verified))
	dst = appendMember(dst, "peer", s.Peer)
	dst = appendMember(dst, "source", s.Source)
	dst = appendMember(dst, "listener", s.Listener)
	e.rest = appendInt(dst, "count", int64(count))
	e.end()
}

func (e *encoder) decision(node string, o *Origin, d *Decision, count int) {
	e.head(KindDecision, node, o)
	dst := e.rest
	if o != nil {
		dst = appendMember(dst, "acs", o.ACS)
	}
	dst = appendMember(dst, "by", d.By)
	dst = appendMember(dst, "reason", d.Reason)
	dst = appendMember(dst, "limit", d.Limit)
	dst = appendMember(dst, "class", d.Class)
	dst = appendCount(dst, "status", int64(d.Status))
	dst = appendMember(dst, "peer", d.Peer)
	dst = appendMember(dst, "source", d.Source)
	dst = appendMember(dst, "listener", d.Listener)
	e.rest = appendInt(dst, "count", int64(count))
	e.end()
}

func (e *encoder) system(node string, s *System) {
	e.head(KindSystem, node, nil)
	dst := appendMember(e.rest, "what", s.What)
	dst = appendMember(dst, "why", e.clean(s.Why))
	if len(s.Detail) > 0 {
		dst = append(appendName(dst, "detail"), '{')
		at := len(dst)
		for _, p := range s.Detail {
			dst = append(appendString(append(dst, ','), p.Name), ':')
			if s.exact {
				dst = appendString(dst, p.Value)
			} else {
				dst = appendString(dst, e.clean(p.Value))
			}
		}
		dst = closeObject(dst, at)
	}
	e.rest = dst
	e.end()
}

const (
	// longestName bounds names and numbers that peers send: the schemas allow
	// 64 characters and less.
	longestName = 256
	// longestFact bounds what is told in words.
	longestFact = 4 << 10
)

// clean gives a text of ours, or one that a peer sent outside a message,
// bounded and without the credentials of URLs in it. Valid until the next.
func (e *encoder) clean(s string) []byte {
	e.body.text = appendMasked(e.body.text[:0], []byte(s), false, nil)
	return clip(e.body.text, longestFact)
}
