package proxy

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp"
	"github.com/cwmpgate/cwmpgate/policy/admission"
	"github.com/cwmpgate/cwmpgate/proxy/certs"
	"github.com/cwmpgate/cwmpgate/proxy/h1"
)

// exchange is one request of a CPE and its answer. It owns both bodies and both
// messages; nothing keeps them after release.
type exchange struct {
	gateway *Gateway
	conn    *conn
	tenant  *tenant
	session *session
	acs     *acs // of its session, or of the one that it asks for

	req     *h1.Request
	path    string // of the request's target, without query
	body    buffer // as it was sent
	plain   buffer // inflated, where it was coded
	decoder *cwmp.Decoder
	message *cwmp.Message // nil: an empty POST
	turn    cwmp.Turn
	seq     uint64 // of its record, 0 where it has none
	creds   credentials
	login   login
	inform  *admission.Inform // while it asks for its session
	// Why no node could be reached for a new session.
	unreachable error
	shown       *certs.Shown // nil: no certificate that the tenant asks for
	level       string       // of an Inform's device, one of audit.Identities

	resp        *h1.Response
	answerBody  buffer
	answerPlain buffer
	answerDec   *cwmp.Decoder
	answer      *cwmp.Message
	answerTurn  cwmp.Turn
	answerSeq   uint64
	fields      []h1.Field // what is sent on, request and answer in turn
	wasInform   bool

	bodyRead  bool // the request was read to its end
	keepAlive bool
	answered  bool
}

// serve carries x through; the connection may carry another request if it
// returns true.
func (x *exchange) serve(ctx context.Context) bool {
	defer x.release()
	switch err := x.run(ctx); err {
	case nil:
	case errGaveUp:
		x.keepAlive = false
	default:
		x.refuse(err)
	}
	return x.keepAlive
}

// run is the way of one request, straight down.
func (x *exchange) run(ctx context.Context) error {
	if err := x.route(); err != nil {
		return err
	}
	file, err := x.isFile()
	if err != nil {
		return err
	}
	if err := x.authenticate(ctx, file); err != nil {
		return err
	}
	if file {
		return x.stream(ctx)
	}
	if err := x.read(); err != nil {
		return err
	}
	if err := x.decode(); err != nil {
		return err
	}
	done, err := x.join(ctx)
	if done || err != nil {
		return err
	}
	defer x.leave()
	switch err := x.inSession(ctx); err {
	case nil, errGaveUp:
		return err
	default:
		x.refuse(err) // here, while the session's facts are this exchange's
		return nil
	}
}

// inSession is the part of the way that has the session's place in flight.
func (x *exchange) inSession(ctx context.Context) error {
	if err := x.take(); err != nil {
		return err
	}
	if err := x.connect(ctx); err != nil {
		return x.failed(err)
	}
	if err := x.record(); err != nil {
		return x.failed(err)
	}
	if err := x.forward(ctx); err != nil {
		return x.failed(err)
	}
	if err := x.recordAnswer(); err != nil {
		return x.failed(err)
	}
	return x.reply()
}

// route finds the tenant by listener, Host and path, and whether the CPE may come
// to it.
func (x *exchange) route() error {
	target := x.req.Target
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		target = target[:i]
	}
	x.path = string(target)
	sni := x.conn.sni()
	var elsewhere *tenant
	for _, t := range x.gateway.tenants {
		if t.matches(x.conn.listener.name, x.req.Host, x.path) {
			if !t.hasName(sni) {
				elsewhere = t
				continue
			}
			x.tenant = t
			t.metrics.requests.Inc()
			var err error
			x.shown, err = x.conn.judge(t)
			return err
		}
	}
	if elsewhere != nil {
		r := refuse(421, reasonMisdirected, "the request is tenant %s's, and the connection's name by SNI, %q, is none of its match.sni", elsewhere.name, sni)
		r.security, r.claimed = sni != "", sni
		return r
	}
	return refuse(404, reasonNoTenant, "no tenant of listener %s matches the request's Host and path", x.conn.listener.name)
}

// hostName is the name in a Host field, in lower case and without port.
func hostName(hostport []byte) string {
	if i := bytes.LastIndexByte(hostport, ':'); i >= 0 && bytes.IndexByte(hostport[i:], ']') < 0 {
		hostport = hostport[:i]
	}
	return strings.ToLower(string(bytes.Trim(hostport, "[]")))
}

// isFile tells a file transfer from a message.
func (x *exchange) isFile() (bool, error) {
	switch string(x.req.Method) {
	case "POST":
		if x.req.Fields.Has("SOAPAction") {
			return false, nil
		}
		return x.tenant.isUploadPath(x.path) || x.tenant.expected.isUpload(fileKey{x.conn.prefix, string(x.req.Target)}), nil
	case "GET", "HEAD", "PUT":
		return true, nil
	}
	return false, refuse(405, reasonMethod, "neither POST nor GET, HEAD or PUT")
}

// read takes the whole body, bounded by limits.body and the budget of memory.
func (x *exchange) read() error {
	coding, err := contentCoding(x.req.Fields)
	if err != nil {
		return err
	}
	if err := x.body.readFrom(x.conn.h1, x.req.ContentLength, int64(x.gateway.cfg.Limits.Body), "limits.body"); err != nil {
		return err
	}
	x.bodyRead = true
	if len(x.body.bytes) > 0 && coding != codingNone {
		return x.plain.inflate(x.body.bytes, coding, int64(x.gateway.cfg.Limits.Inflated))
	}
	return nil
}

// text is the request's XML.
func (x *exchange) text() []byte {
	if len(x.plain.bytes) > 0 {
		return x.plain.bytes
	}
	return x.body.bytes
}

// decode reads the message. Only a body of no bytes at all is an empty POST.
func (x *exchange) decode() error {
	if len(x.body.bytes) == 0 {
		return nil
	}
	charset, err := charsetOf(x.req.Fields, x.text())
	if err != nil {
		return err
	}
	if err := errors.Join(x.body.decoding(), x.plain.decoding()); err != nil {
		return err
	}
	m, err := x.decoder.Decode(x.text(), charset)
	if err != nil {
		return err
	}
	x.message = m
	x.wasInform = m.Method == cwmp.MethodInform && m.Kind == cwmp.KindRequest
	x.gateway.metrics.rpc("cpe", m).Inc()
	return nil
}

// take turns the session's state by the CPE's message.
func (x *exchange) take() error {
	if !x.wasInform {
		if err := x.userNames(x.session.origin.Device); err != nil {
			return err
		}
	}
	turn, err := x.session.state.FromCPE(x.message)
	if err != nil {
		return refuse(400, reasonSequence, "%v", err)
	}
	x.turn = turn
	s := x.session
	s.stats.bytesIn += int64(len(x.body.bytes))
	if x.message == nil {
		s.stats.empty++
		return nil
	}
	s.stats.messages++
	if d, ok := x.message.Header.Timeout(); ok {
		s.timeout = time.Duration(min(d, maxTimeoutHeader)) * time.Second
	}
	if x.wasInform {
		s.origin.Device = deviceOf(x.message)
		s.reaches(x.level)
		x.gateway.sessions.named(s, deviceKey(x.tenant.name, s.origin.Device))
		if x.provesDevice(s.origin.Device) {
			x.namedByUser()
		}
	}
	return nil
}

// maxTimeoutHeader is the most seconds that a SessionTimeout header is read as;
// timeouts.session_most says what of them is given.
const maxTimeoutHeader = 24 * 60 * 60

// record makes the CPE's message durable before a byte of it goes on.
func (x *exchange) record() error {
	if x.message == nil {
		return nil
	}
	verdict := audit.Pass
	ticket, err := x.gateway.recorder.Message(&x.session.origin, x.turn, verdict)
	if err != nil {
		return refuse(503, reasonJournal, "%v", err)
	}
	x.seq = ticket.Seq()
	x.session.state.Recorded(cwmp.PartyCPE, x.seq)
	x.completedFile()
	if !audit.Waits(x.message) {
		return nil
	}
	return x.gateway.durable(ticket)
}

// durable waits for a record on a context of its own: a peer that hangs up
// cannot skip its record.
func (g *Gateway) durable(t audit.Ticket) error {
	if err := t.Wait(g.patience.context(g.now())); err != nil {
		return refuse(503, reasonJournal, "record %d: %v", t.Seq(), err)
	}
	return nil
}

// journalPatience bounds the wait for a disk that hangs; it is below the time
// after which CPEs give up.
const journalPatience = 10 * time.Second

// patience hands out contexts that end after journalPatience, or up to a second
// later: one is shared by all waits that begin within a second, since each
// message waits and hardly any wait is long.
type patience struct {
	mu     sync.Mutex
	ctx    context.Context
	cancel context.CancelFunc
	made   time.Time
}

func (p *patience) context(now time.Time) context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx == nil || now.Sub(p.made) > time.Second || now.Before(p.made) {
		// The one before ends by itself; a wait may still be on it.
		p.ctx, p.cancel = context.WithTimeout(context.Background(), journalPatience+time.Second)
		p.made = now
	}
	return p.ctx
}

// close ends the context that was handed out last.
func (p *patience) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel != nil {
		p.cancel()
	}
}

// failed ends the session after a step in it broke: the CPE gets an error and
// begins again.
func (x *exchange) failed(err error) error {
	if how := x.session.outside.Load(); how != nil {
		reason := reasonEndedMeanwhile
		switch *how {
		case audit.EndSuperseded:
			reason = reasonSuperseded
		case audit.EndShutdown:
			reason = reasonDraining
		}
		return refuse(503, reason, "session %s ended: %s", x.session.id, *how)
	}
	end := audit.EndRefused
	if asRefusal(err, "cpe").from == "acs" {
		end = audit.EndACSFailed
	}
	x.gateway.endSession(x.session, end)
	return err
}

// originForRefusal is what is known of whom a refusal is about.
func (x *exchange) originForRefusal() *audit.Origin {
	if x.session != nil {
		return &x.session.origin
	}
	o := &audit.Origin{}
	if x.tenant != nil {
		o.Tenant, o.Redactor = x.tenant.name, x.tenant.redactor
	}
	return o
}

// refusedSize is the size of what was refused, 0 where it was not read.
func (x *exchange) refusedSize(r *refusal) int64 {
	switch {
	case x == nil:
		return 0
	case r.from == "acs":
		return int64(len(x.answerBody.bytes))
	}
	return int64(len(x.body.bytes))
}

// deviceOf is the DeviceId of an Inform, trimmed.
func deviceOf(m *cwmp.Message) audit.Device {
	in, ok := m.RPC.(*cwmp.Inform)
	if !ok {
		return audit.Device{}
	}
	id := &in.DeviceID
	return audit.Device{
		Manufacturer: kept(id.Manufacturer), OUI: kept(id.OUI), Class: kept(id.ProductClass), Serial: kept(id.SerialNumber),
	}
}

// maxKept is how many bytes of a peer's text outlive its message: a session is
// not counted against the memory that bodies may take. The schemas allow 64.
const maxKept = 256

func kept(t cwmp.Text) string {
	b := t.Trim()
	return string(b[:min(len(b), maxKept)])
}
