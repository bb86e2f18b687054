package proxy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp"
	"github.com/cwmpgate/cwmpgate/policy/admission"
	"github.com/cwmpgate/cwmpgate/proxy/h1"
)

// Reasons of the gateway's own refusals; those of package h1 and cwmp keep
// their names. docs/http.md lists all.
const (
	reasonNoTenant          = "no-tenant"
	reasonMisdirected       = "misdirected"
	reasonMethod            = "method-not-allowed"
	reasonEncoding          = "unknown-content-encoding"
	reasonInflate           = "broken-compression"
	reasonInflatedTooLarge  = "inflated-too-large"
	reasonBodyTooLarge      = "body-too-large"
	reasonMemory            = "memory-budget"
	reasonMemoryOfAddress   = "memory-budget-of-address"
	reasonSessions          = "too-many-sessions"
	reasonSessionsOfAddress = "too-many-sessions-of-address"
	reasonBusy              = "session-busy"
	reasonOrphan            = "no-session"
	reasonSequence          = "message-out-of-sequence"
	reasonSessionDisagree   = "session-keys-disagree"
	reasonIdentity          = "identity-mismatch"
	reasonRedirect          = "redirect-elsewhere"
	reasonBodyNotExpected   = "body-not-expected"
	reasonMessageInFile     = "message-in-file"
	reasonMessageInError    = "message-in-error"
	reasonCutOff            = "cut-off"
	reasonEndedMeanwhile    = "session-ended-meanwhile"
	reasonSuperseded        = "session-superseded"
	reasonACSDown           = "acs-unreachable"
	reasonACSClosed         = "acs-closed"
	reasonACSSlow           = "acs-slow"
	reasonACSChallenges     = "acs-challenges"
	reasonLoginFailed       = "login-failed"
	reasonLoginLimited      = "login-limited"
	reasonLoginUnavailable  = "login-unavailable"
	reasonLoginUnverified   = "login-unverified" // of a record, not of a refusal
	reasonJournal           = "journal-not-writable"
	reasonDraining          = "draining"
	reasonInternal          = "internal"
)

// refusal is an answer that the gateway gives in place of the ACS. What the
// peer reads is its status and a fixed text; what the operator reads is the
// rest.
type refusal struct {
	status     int
	reason     string
	from       string // who sent what is refused: "cpe" or "acs"
	detail     string // for the log and the record, never for the peer
	offset     int    // in the body, -1 where it is not about a place
	path       string // in the XML
	device     cwmp.DeviceID
	retryAfter time.Duration   // 0: by timeouts.retry_after
	decision   *audit.Decision // recorded as such, and logged only as a limit begins and stops to bite
	challenges [][]byte        // of a 401; without a reason it is how a login begins, and is not recorded
	security   bool            // recorded as security, with what was claimed and verified
	claimed    string
	verified   string
}

func (r *refusal) Error() string {
	if r.detail == "" {
		return r.reason
	}
	return r.reason + ": " + r.detail
}

func refuse(status int, reason, format string, args ...any) *refusal {
	return &refusal{status: status, reason: reason, from: "cpe", offset: -1, detail: fmt.Sprintf(format, args...)}
}

func refuseACS(status int, reason, format string, args ...any) *refusal {
	r := refuse(status, reason, format, args...)
	r.from = "acs"
	return r
}

// asRefusal makes a refusal of any error of a step. The details that h1 and cwmp
// give are left out: they quote what came, and where a message is broken that
// may be a piece of a secret.
func asRefusal(err error, from string) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	var he *h1.Error
	if errors.As(err, &he) {
		return &refusal{status: he.Status, reason: string(he.Reason), from: from, offset: -1}
	}
	var se *cwmp.SyntaxError
	if errors.As(err, &se) {
		status := 400
		if from == "acs" {
			status = 502
		}
		return &refusal{status: status, reason: string(se.Reason), from: from, offset: se.Offset, path: se.Path, device: se.Device}
	}
	return &refusal{status: 500, reason: reasonInternal, from: from, detail: err.Error(), offset: -1}
}

// limitText names the config key behind a refusal for a limit, and its value; ""
// for other reasons.
func (g *Gateway) limitText(reason string) string {
	l, t := &g.cfg.Limits, &g.cfg.Timeouts
	switch reason {
	case string(h1.ReasonHeadTooLarge):
		return fmt.Sprintf("over limits.head = %s", l.Head)
	case string(h1.ReasonTooManyFields):
		return fmt.Sprintf("over limits.fields = %d", l.Fields)
	case string(h1.ReasonHeadTimeout):
		return fmt.Sprintf("over timeouts.head = %s", t.Head)
	case string(h1.ReasonBodyTimeout):
		return fmt.Sprintf("over timeouts.body = %s", t.Body)
	case string(cwmp.ReasonLimitDepth):
		return fmt.Sprintf("over limits.depth = %d", l.Depth)
	case string(cwmp.ReasonLimitAttributes):
		return fmt.Sprintf("over limits.attributes = %d", l.Attributes)
	case string(cwmp.ReasonLimitParameters):
		return fmt.Sprintf("over limits.parameters = %d", l.Parameters)
	case admission.ReasonAddressRate:
		return "over admission.connections = " + g.cfg.Admission.Connections.String()
	case "not-a-proxy":
		return "listeners[].proxy_protocol = required, and it is none of admission.trusted_proxies"
	case "proxy-header":
		return "listeners[].proxy_protocol: it does not begin with a PROXY header"
	case "proxy-header-late":
		return fmt.Sprintf("listeners[].proxy_protocol: no whole PROXY header in timeouts.handshake = %s", t.Handshake)
	case "too-many-connections":
		return fmt.Sprintf("over limits.connections = %d", l.Connections)
	case "too-many-connections-of-address":
		return fmt.Sprintf("over limits.connections_per_address = %d", l.ConnectionsPerAddress)
	case "too-many-handshakes":
		return fmt.Sprintf("over limits.handshakes = %d or limits.handshakes_per_address = %d for timeouts.handshake = %s", l.Handshakes, l.HandshakesPerAddress, t.Handshake)
	}
	return ""
}

// refuse is the only place that answers in the ACS's stead: it writes, counts
// and records.
func (x *exchange) refuse(err error) {
	r := asRefusal(err, "cpe")
	x.conn.gateway.countRefusal(x.conn, x, r)
	if r.status == 401 {
		x.skipBody()
	}
	// What is left unread of a refused request must not be read as the next one.
	if !x.bodyRead || r.status == 400 && r.from == "cpe" {
		x.keepAlive = false
	}
	x.answered = true
	if werr := x.conn.writeRefusal(r, x.keepAlive); werr != nil {
		x.keepAlive = false
	}
}

// writeRefusal answers with a refusal's fixed text.
func (c *conn) writeRefusal(r *refusal, keepAlive bool) error {
	fields := []h1.Field{{Name: []byte("Content-Type"), Value: []byte("text/plain; charset=utf-8")}}
	switch r.status {
	case 401:
		for _, c := range r.challenges {
			fields = append(fields, h1.Field{Name: []byte("WWW-Authenticate"), Value: c})
		}
	case 503:
		fields = append(fields, h1.Field{Name: []byte("Retry-After"), Value: c.gateway.retryAfter(r)})
	case 405:
		fields = append(fields, h1.Field{Name: []byte("Allow"), Value: []byte("POST, GET, HEAD, PUT")})
	}
	return c.h1.WriteResponse(r.status, nil, fields, []byte(peerText(r.status)), keepAlive)
}

// retryAfter spreads those who were turned away over one more of the least wait,
// but for those that admission has given their time.
func (g *Gateway) retryAfter(r *refusal) []byte {
	if r.retryAfter > 0 {
		return strconv.AppendInt(nil, int64(r.retryAfter/time.Second), 10)
	}
	return strconv.AppendInt(nil, int64(g.leastRetryAfter()/time.Second), 10)
}

// leastRetryAfter is timeouts.retry_after, or up to twice as long.
func (g *Gateway) leastRetryAfter() time.Duration {
	least := max(1, int(time.Duration(g.cfg.Timeouts.RetryAfter)/time.Second))
	return time.Duration(least+rand.IntN(least+1)) * time.Second
}

// peerText is what a refused peer reads: nothing that tells it about the inside.
func peerText(status int) string {
	switch status {
	case 400:
		return "bad request\n"
	case 401:
		return "log in\n"
	case 403:
		return "forbidden\n"
	case 404:
		return "not found\n"
	case 405:
		return "method not allowed\n"
	case 408:
		return "request time-out\n"
	case 413:
		return "body too large\n"
	case 414:
		return "request target too long\n"
	case 415:
		return "content coding not supported\n"
	case 417:
		return "expectation not supported\n"
	case 421:
		return "misdirected request\n"
	case 431:
		return "head too large\n"
	case 502:
		return "bad answer from the ACS\n"
	case 503:
		return "try again later\n"
	}
	return "request refused\n"
}

// countRefusal counts, logs and records a refusal. x is nil for what was
// refused before a request was read.
func (g *Gateway) countRefusal(c *conn, x *exchange, r *refusal) {
	if r.reason == "" {
		return
	}
	origin := &audit.Origin{}
	if x != nil {
		origin = x.originForRefusal()
	}
	if d := r.decision; d != nil {
		origin.ACS, origin.Identity = x.acs.node.Name(), x.level
		d.Peer, d.Source, d.Listener = c.peer, c.prefix.String(), c.listener.name
		g.recorder.Decision(origin, *d)
		return
	}
	g.metrics.refusal(r.from, r.reason).Inc()
	if g.refusalLog.Allow() {
		g.logRefusal(c, origin, r)
	}
	device := audit.Device{Manufacturer: r.device.Manufacturer, OUI: r.device.OUI, Class: r.device.ProductClass, Serial: r.device.SerialNumber}
	if r.security {
		g.recorder.Security(origin, audit.Security{
			Reason: r.reason, Claimed: r.claimed, Verified: r.verified,
			Peer: c.peer, Source: c.prefix.String(), Listener: c.listener.name, Device: device,
		})
		return
	}
	g.recorder.Refusal(origin, audit.Refusal{
		From: r.from, Reason: r.reason, Offset: int64(r.offset), Path: r.path, Size: x.refusedSize(r),
		Peer: c.peer, Source: c.prefix.String(), Listener: c.listener.name, Status: r.status,
		Device: device,
	})
}

// Refusals logged a second, and in a burst: a flood of them must not fill the
// log. Each is counted, and recorded with its like.
const (
	refusalsLogged       = 10
	refusalsLoggedAtOnce = 100
)

func (g *Gateway) logRefusal(c *conn, origin *audit.Origin, r *refusal) {
	ev := g.log.Info().Str("reason", r.reason).Str("from", r.from).Int("status", r.status).Str("peer", c.peer).Str("listener", c.listener.name)
	if origin.Session != "" {
		ev = ev.Str("session", origin.Session)
	}
	if r.path != "" {
		ev = ev.Str("path", r.path)
	}
	if limit := g.limitText(r.reason); limit != "" {
		ev = ev.Str("limit", limit)
	}
	if r.detail != "" {
		ev = ev.Str("detail", r.detail)
	}
	ev.Msg("refused")
}
