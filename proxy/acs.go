package proxy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/policy/admission"
	"github.com/cwmpgate/cwmpgate/proxy/upstream"
)

// acs is one node of a tenant's ACS, with its place in admission.
type acs struct {
	node    *upstream.Node
	limits  admission.LaneConfig
	lane    *admission.Lane
	informs *informMetrics
}

// newACSes makes the nodes of a tenant's ACS.
func (g *Gateway) newACSes(t *tenant, c *Tenant, set *metrics.Set) (err error) {
	t.pool, err = upstream.NewPool(c.Pool, c.Upstreams, g.upstreamOptions(), func(change upstream.Change) { g.nodeChanged(t, set, change) })
	if err != nil {
		return err
	}
	for i, n := range t.pool.Nodes() {
		u := &c.Upstreams[i]
		a := &acs{node: n, limits: admission.LaneConfig{
			Tenant: c.Name, ACS: n.Name(), OfTenant: c.Informs, Informs: u.Informs, Sessions: u.Sessions, Adaptive: u.Adaptive,
		}}
		a.lane = g.admission.Lane(a.limits)
		a.informs = newInformMetrics(set, a.lane, c.Name, n.Name())
		labels := fmt.Sprintf("tenant=%q,acs=%q", c.Name, n.Name())
		set.NewGauge(fmt.Sprintf("cwmpgate_upstream_in{%s}", labels), func() float64 {
			if s := t.pool.Status(g.now())[i]; s.State == "in" || s.State == "returning" {
				return 1
			}
			return 0
		})
		set.NewGauge(fmt.Sprintf("cwmpgate_upstream_sessions{%s}", labels), func() float64 {
			return float64(t.pool.Status(g.now())[i].Sessions)
		})
		t.acses = append(t.acses, a)
	}
	return nil
}

// nodeChanged says that a node is out, or in again.
func (g *Gateway) nodeChanged(t *tenant, set *metrics.Set, c upstream.Change) {
	ev, text, to := g.log.Warn(), "ACS is out: new sessions go to others", "out"
	if c.In {
		ev, text, to = g.log.Info(), "ACS is in again", "in"
	}
	ev.Str("tenant", t.name).Str("acs", c.Node.Name()).Str("reason", c.Reason).Msg(text)
	set.GetOrCreateCounter(fmt.Sprintf("cwmpgate_upstream_changes_total{tenant=%q,acs=%q,to=%q,reason=%q}", t.name, c.Node.Name(), to, c.Reason)).Inc()
}

// acsOf is the ACS whose node n is.
func (t *tenant) acsOf(n *upstream.Node) *acs {
	for _, a := range t.acses {
		if a.node == n {
			return a
		}
	}
	return nil
}

// isOwn tells whether a URL's host and port are those of the tenant's ACS, or of
// where its files are.
func (t *tenant) isOwn(hostport string) bool {
	for _, a := range t.acses {
		if a.node.IsAuthority(hostport) {
			return true
		}
	}
	return t.fileUpstream != nil && t.fileUpstream.IsAuthority(hostport)
}

// nodes are all that the tenant's requests may go to.
func (t *tenant) nodes() []*upstream.Node {
	list := t.pool.Nodes()
	if t.fileUpstream != nil {
		list = append(list, t.fileUpstream)
	}
	return list
}

// choose picks the ACS of a new session, which counts as its own until released.
func (x *exchange) choose(device audit.Device) {
	n, err := x.tenant.pool.Pick(x.poolKey(device), nil, x.gateway.now())
	if err != nil {
		panic("BUG: a pool without nodes") // New makes none
	}
	x.acs = x.tenant.acsOf(n)
}

// poolKey is what a session's node goes by where that is by device. Of one that
// does not name its device yet the source stands for it.
func (x *exchange) poolKey(d audit.Device) uint64 {
	if d.Serial == "" {
		return upstream.DeviceKey("", "", x.conn.prefix.String())
	}
	return upstream.DeviceKey(d.OUI, d.Class, d.Serial)
}

// mostTried bounds the nodes that one session tries to reach: each may take
// timeouts.connect, and a CPE does not wait for ever.
const mostTried = 3

// connect finds a node that can be reached for a session of which no ACS has
// seen a byte. Where none can, the last one tried stays: forward says so.
func (x *exchange) connect(ctx context.Context) error {
	s, pool := x.session, x.tenant.pool
	if len(x.tenant.acses) == 1 || s.sent {
		return nil
	}
	var tried []*upstream.Node
	for {
		err := s.lease.Connect(ctx)
		if !errors.Is(err, upstream.ErrUnreachable) {
			return nil
		}
		x.unreachable = err
		pool.Answered(x.acs.node, upstream.Ill, 0, x.gateway.now())
		if tried = append(tried, x.acs.node); len(tried) == mostTried {
			return nil
		}
		next, err := pool.Pick(x.poolKey(s.origin.Device), tried, x.gateway.now())
		if err != nil {
			return nil
		}
		x.unreachable = nil
		if err := x.moveTo(ctx, x.tenant.acsOf(next)); err != nil {
			return err
		}
	}
}

// moveTo takes the session to another ACS, which has limits of its own.
func (x *exchange) moveTo(ctx context.Context, to *acs) error {
	s, g := x.session, x.gateway
	x.tenant.pool.Ended(x.acs.node)
	g.metrics.movedOn.Inc()
	s.acs.Store(to)
	x.acs = to
	s.lease.Move(to.node)
	s.origin.ACS = to.node.Name()
	p := g.sessions.givePlaceBack(s)
	if p == nil {
		return nil // it began with an empty POST
	}
	g.admission.Done(p.acs.lane, p.answered)
	if err := x.admit(ctx, s.origin.Device); err != nil {
		return err
	}
	if !g.sessions.admit(s, &place{acs: to}) {
		g.admission.Done(to.lane, false)
	}
	return nil
}

// noteHealth tells the pool how a request did at the session's ACS.
func (x *exchange) noteHealth(began time.Time, err error) {
	how := upstream.Well
	switch {
	case errors.Is(err, upstream.ErrClosed), x.unreachable != nil:
		how = upstream.Unknown // connect has told it
	case err != nil, x.resp != nil && x.resp.Status >= 502 && x.resp.Status <= 504:
		how = upstream.Ill
	}
	x.tenant.pool.Answered(x.acs.node, how, time.Since(began), x.gateway.now())
}

// Upstreams tells how each node of each tenant's ACS stands.
func (g *Gateway) Upstreams() (list []upstream.Status) {
	for _, t := range g.tenants {
		list = append(list, t.pool.Status(g.now())...)
	}
	return list
}
