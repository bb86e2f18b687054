package upstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cwmpgate/cwmpgate/configs"
)

// How a pool chooses the node of a new session.
const (
	BalanceWeighted = "weighted"
	BalanceLeast    = "least-sessions"
	BalanceDevice   = "device"
)

// PoolConfig is how sessions are shared out among the nodes of an ACS, and how
// it is known which of them are well.
type PoolConfig struct {
	Balance string           `yaml:"balance" enum:"weighted|least-sessions|device" doc:"How a new session's node is chosen: weighted (in turn, by weight), least-sessions (the fewest open sessions for its weight) or device (by a hash of the DeviceId: a device stays on its node, and a node that is added takes no more than its share from each of the others)."`
	Excess  int              `yaml:"excess" min:"100" max:"1000" doc:"With balance device: per cent of its fair share of open sessions that a node may have before others take its next ones."`
	Check   Check            `yaml:"check" doc:"Asks nodes whether they are well, from time to time."`
	Errors  int              `yaml:"errors" min:"0" max:"1000" doc:"So many requests in a row that a node did not answer as it should (refused or cut connections, no answer in time, 502, 503, 504) put it out. 0: never."`
	Slow    configs.Duration `yaml:"slow" doc:"An answer that takes longer counts as one that did not come. 0: none does."`
	Out     configs.Duration `yaml:"out" min:"1s" doc:"How long a node stays out at first; each time that it fails again at once it is twice as long, ten times at most. Where check is on it also has to pass that."`
	Return  configs.Duration `yaml:"return" doc:"A node that comes back gets its share little by little over this time. 0: at once."`
	In      int              `yaml:"in" min:"1" max:"100" doc:"Per cent of the nodes' weight that stays in whatever they answer: a fault that all share must not put all out."`
}

// SetDefaults gives the section its defaults before it is read.
func (c *PoolConfig) SetDefaults() {
	c.Balance, c.Excess, c.Errors, c.In = BalanceWeighted, 125, 5, 50
	c.Out, c.Return = configs.Duration(10*time.Second), configs.Duration(30*time.Second)
}

// Pool is the nodes of one ACS.
type Pool struct {
	cfg     PoolConfig
	changed func(Change)

	mu      sync.Mutex
	members []*member
	order   []scored // scratch of pickByDevice
}

// member is a node as its pool sees it. The pool's lock guards it.
type member struct {
	node     *Node
	weight   float64
	hash     uint64
	sessions int
	current  float64 // of the weighted turn

	drained  bool
	unwell   bool // says the check
	failures int  // in a row: of sessions
	checks   int  // in a row: failed where positive, passed where negative
	outs     int  // times it went out without having been well in between
	out      time.Time
	back     time.Time // since when its share grows, zero: it has all of it
}

// Change is a node that went out of a pool or came back.
type Change struct {
	Node   *Node
	In     bool
	Reason string // "errors", "check" or "drain"; "time" or "check" or "undrain" where it is in
}

// ErrNoNode is returned where every node of a pool has been tried.
var ErrNoNode = errors.New("no other node is left")

// NewPool makes the nodes of cfgs; it connects to nothing. changed is told when a
// node goes out or comes back, under the pool's lock: it must not call back.
func NewPool(cfg PoolConfig, cfgs []Config, opt Options, changed func(Change)) (*Pool, error) {
	p := &Pool{cfg: cfg, changed: changed}
	for _, c := range cfgs {
		n, err := New(c, opt)
		if err != nil {
			return nil, fmt.Errorf("upstream %s: %w", c.URL.String(), err)
		}
		p.members = append(p.members, &member{node: n, weight: float64(max(c.Weight, 1)), hash: hashOf(n.name)})
	}
	if len(p.members) == 0 {
		return nil, errors.New("no upstream")
	}
	return p, nil
}

// Nodes are the pool's nodes, in the order of the config.
func (p *Pool) Nodes() []*Node {
	list := make([]*Node, len(p.members))
	for i, m := range p.members {
		list[i] = m.node
	}
	return list
}

// Close closes the connections that nodes keep for later sessions.
func (p *Pool) Close() {
	for _, m := range p.members {
		m.node.Close()
	}
}

// Drain takes a node out for new sessions, or back in; those that it has go on.
// It is false where the pool has no such node.
func (p *Pool) Drain(name string, drain bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.members {
		if m.node.name != name {
			continue
		}
		if m.drained != drain {
			m.drained = drain
			reason := "drain"
			if !drain {
				reason, m.back = "undrain", time.Time{}
			}
			p.tell(m, !drain, reason)
		}
		return true
	}
	return false
}

// Status is a node as it stands.
type Status struct {
	Node     *Node
	Sessions int
	State    string // "in", "returning", "out", "drained"
}

// Status tells of every node.
func (p *Pool) Status(now time.Time) []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settle(now)
	list := make([]Status, len(p.members))
	for i, m := range p.members {
		s := Status{Node: m.node, Sessions: m.sessions, State: "in"}
		switch {
		case m.drained:
			s.State = "drained"
		case m.isOut(now):
			s.State = "out"
		case p.share(m, now) < 1:
			s.State = "returning"
		}
		list[i] = s
	}
	return list
}

// Any chooses a node for what is no session.
func (p *Pool) Any(key uint64, now time.Time) *Node {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settle(now)
	return p.pick(key, nil, now).node
}

// Take has one more session count as a node's, until Ended.
func (p *Pool) Take(n *Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.member(n); m != nil {
		m.sessions++
	}
}

// Ended takes note that a session of a node has ended.
func (p *Pool) Ended(n *Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.member(n); m != nil {
		m.sessions--
	}
}

func (p *Pool) member(n *Node) *member {
	for _, m := range p.members {
		if m.node == n {
			return m
		}
	}
	return nil
}

func (p *Pool) tell(m *member, in bool, reason string) {
	if p.changed != nil {
		p.changed(Change{Node: m.node, In: in, Reason: reason})
	}
}

// Run asks the nodes whether they are well, until ctx ends.
func (p *Pool) Run(ctx context.Context) {
	if p.cfg.Check.Kind == CheckOff {
		return
	}
	var checks sync.WaitGroup
	for _, m := range p.members {
		checks.Go(func() { p.watch(ctx, m) })
	}
	checks.Wait()
}
