package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"strconv"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp"
	"github.com/cwmpgate/cwmpgate/policy/admission"
	"github.com/cwmpgate/cwmpgate/proxy/upstream"
)

// errGaveUp ends a request whose CPE hung up while it waited for its turn:
// nobody is there to be answered.
var errGaveUp = errors.New("the CPE hung up while it waited")

// admit has an Inform that begins a session wait for its turn at the ACS. Without
// an error the session has a place, which is given back by admission.Done.
func (x *exchange) admit(ctx context.Context, device audit.Device) error {
	g, a := x.gateway, x.acs
	in := x.inform
	in.Class, in.Retries = x.urgency()
	in.Device = g.keyOf(x, device)
	in.Bytes = int64(cap(x.body.bytes)+cap(x.plain.bytes)) + int64(x.decoder.Size()) + waiterBytes
	o := g.admission.Offer(a.lane, in)
	if o.Verdict == admission.Waits {
		var decided bool
		if o, decided = x.wait(ctx); !decided {
			a.informs.gaveUp[in.Class].Inc()
			return errGaveUp
		}
	}
	if o.Verdict == admission.Refused {
		return x.notAdmitted(o, device)
	}
	a.informs.admitted[in.Class].Inc()
	if o.Waited > 0 {
		a.informs.waited[in.Class].Inc()
		a.informs.wait.Update(o.Waited.Seconds())
	}
	if o.Observed != "" {
		a.informs.over(in.Class, o.Observed).Inc()
	}
	return nil
}

// waiterBytes is what a waiting Inform holds beside its message: the connection,
// two goroutines and their stacks.
const waiterBytes = 24 << 10

// wait waits for the outcome; a CPE that hangs up leaves the queue at once.
func (x *exchange) wait(ctx context.Context) (admission.Outcome, bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := x.conn.h1.WatchHangup(cancel)
	defer stop()
	return x.gateway.admission.Wait(ctx, x.acs.lane, x.inform)
}

// urgency reads what an Inform's place in the queue goes by.
func (x *exchange) urgency() (class cwmp.EventClass, retries int) {
	in, ok := x.message.RPC.(*cwmp.Inform)
	if !ok {
		return cwmp.ClassRoutine, 0
	}
	// What is no number counts as none; the queue bounds what is too large.
	retries, _ = strconv.Atoi(string(in.RetryCount.Trim()))
	return in.Events().Class(), retries
}

// notAdmitted refuses an Inform. Its connection is closed: the CPE comes back
// later than an idle one is kept.
func (x *exchange) notAdmitted(o admission.Outcome, device audit.Device) error {
	a, class := x.acs, x.inform.Class
	r := refuse(503, o.Reason, "a session of class %s after %d failures; come back in %s", class, x.inform.Retries, o.RetryAfter)
	r.retryAfter = o.RetryAfter
	r.decision = &audit.Decision{By: audit.ByAdmission, Reason: o.Reason, Limit: x.gateway.decisionLimit(a, o.Reason), Class: class.String(), Status: 503, Device: device}
	a.informs.refused(class, o.Reason).Inc()
	x.keepAlive = false
	return r
}

// decisionLimit is the key that an admission's refusal goes back to, and its
// value.
func (g *Gateway) decisionLimit(t *acs, reason string) string {
	a := &g.cfg.Admission
	switch reason {
	case admission.ReasonUpstreamRate:
		return "tenants[].upstreams[].informs = " + t.limits.Informs.String()
	case admission.ReasonUpstreamSessions:
		return fmt.Sprintf("tenants[].upstreams[].sessions = %d", t.limits.Sessions.Count)
	case admission.ReasonUpstreamAnswers:
		return fmt.Sprintf("tenants[].upstreams[].informs = %s in half of adaptive.latency = %s", t.limits.Informs, t.limits.Adaptive.Latency)
	case admission.ReasonTenantRate:
		return "tenants[].informs = " + t.limits.OfTenant.String()
	case admission.ReasonGatewayRate:
		return "admission.informs = " + a.Informs.String()
	case admission.ReasonDeviceRate:
		return "admission.device = " + a.Device.String()
	case admission.ReasonQueue:
		return fmt.Sprintf("admission.queue = %d", a.Queue)
	case admission.ReasonQueueMemory:
		return "admission.queue_memory = " + a.QueueMemory.String()
	}
	return ""
}

// keyOf is the key of a device's limit: of its names alone where a certificate
// or a user that logged in here names it, else of the source prefix too, so that
// nobody uses up another's. An
// Inform that names no device has none.
func (g *Gateway) keyOf(x *exchange, d audit.Device) uint64 {
	if d == (audit.Device{}) {
		return 0
	}
	var h maphash.Hash
	h.SetSeed(g.seed)
	for _, part := range [...]string{x.tenant.name, d.OUI, d.Class, d.Serial} {
		h.WriteString(part)
		h.WriteByte(0)
	}
	if x.level != audit.IdentityCertificate && x.level != audit.IdentityHTTP {
		writePrefix(&h, x.conn.prefix)
	}
	return h.Sum64() | 1
}

func (g *Gateway) sourceKey(p netip.Prefix) uint64 {
	var h maphash.Hash
	h.SetSeed(g.seed)
	writePrefix(&h, p)
	return h.Sum64()
}

func writePrefix(h *maphash.Hash, p netip.Prefix) {
	address := p.Addr().As16()
	h.Write(address[:])
	var bits [2]byte
	binary.LittleEndian.PutUint16(bits[:], uint16(p.Bits()))
	h.Write(bits[:])
}

// isTrusted tells whether an address is that of a load balancer of ours, whose address says
// nothing of who is behind it.
func (g *Gateway) isTrusted(a netip.Addr) bool {
	for _, p := range g.cfg.Admission.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// enter lets a connection in, or says why not, before anything is paid for it.
func (g *Gateway) enter(l *listener, p *peer) bool {
	source := p.prefix
	trusted := g.isTrusted(p.address.Addr())
	if l.cfg.ProxyProtocol == ProxyProtocolRequired && !trusted && !p.introduced {
		g.refuseConnection(l, p, "not-a-proxy")
		return false
	}
	reason := g.gate.enter(source, trusted)
	if reason == "" && !trusted {
		refused, over := g.admission.Connect(g.sourceKey(source))
		if over {
			g.metrics.connectionsOver.Inc()
		}
		if !refused {
			return true
		}
		g.gate.leave(source)
		reason = admission.ReasonAddressRate
	}
	if reason == "" {
		return true
	}
	g.refuseConnection(l, p, reason)
	return false
}

// exempt takes a connection out of what its source may have: its peer has shown
// who it is. The function returned is called at its end.
func (g *Gateway) exempt(p *peer) (end func()) {
	source := p.prefix
	if !g.isTrusted(p.address.Addr()) {
		g.admission.Verified(g.sourceKey(source))
	}
	g.gate.verified(source, 1)
	return func() { g.gate.verified(source, -1) }
}

// limitChanged logs that a limit has begun or stopped to hold Informs back.
func (g *Gateway) limitChanged(c admission.Change) {
	ev, text := g.log.Warn(), "limit begins to bite"
	if !c.Begins {
		ev, text = g.log.Info().Int("held_back", c.Count), "limit bites no more"
	}
	if c.Tenant != "" {
		ev = ev.Str("tenant", c.Tenant)
	}
	if c.ACS != "" {
		ev = ev.Str("acs", c.ACS)
	}
	ev.Str("limit", c.Limit).Msg(text)
}

// fared tells admission how an Inform did at the ACS.
func (x *exchange) fared(began time.Time, err error) {
	how := admission.Well
	switch {
	case errors.Is(err, upstream.ErrClosed):
		how = admission.Unknown
	case err != nil, x.resp != nil && isOverload(x.resp.Status):
		how = admission.Ill
	}
	x.gateway.admission.Answered(x.acs.lane, x.gateway.sessions.answered(x.session), time.Since(began), how)
}

// isOverload tells the statuses by which a server, or what stands before it, says
// that it cannot keep up.
func isOverload(status int) bool { return status == 429 || status >= 502 && status <= 504 }
