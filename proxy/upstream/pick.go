package upstream

import (
	"math"
	"slices"
	"time"
)

// Pick chooses the node of a new session, none of tried. key is the device's,
// see DeviceKey, or that of its source where the device is not known yet. The
// session counts as the node's until Ended.
func (p *Pool) Pick(key uint64, tried []*Node, now time.Time) (*Node, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settle(now)
	m := p.pick(key, tried, now)
	if m == nil {
		return nil, ErrNoNode
	}
	m.sessions++
	return m.node, nil
}

func (p *Pool) pick(key uint64, tried []*Node, now time.Time) *member {
	may := func(m *member) bool {
		return !m.drained && !m.isOut(now) && !slices.Contains(tried, m.node)
	}
	// Where all that are in were tried, one that is out may be well by now. What
	// was drained stays alone, unless there is nothing else.
	for _, last := range []func(m *member) bool{
		may,
		func(m *member) bool { return !m.drained && !slices.Contains(tried, m.node) },
		func(m *member) bool { return len(tried) == 0 },
	} {
		var m *member
		switch p.cfg.Balance {
		case BalanceDevice:
			m = p.pickByDevice(key, last, now)
		case BalanceLeast:
			m = p.pickLeast(last, now)
		default:
			m = p.pickInTurn(last, now)
		}
		if m != nil {
			return m
		}
	}
	return nil
}

// pickInTurn shares sessions out smoothly: each time every node gains its
// weight, the one with the most goes, and pays what all have gained.
func (p *Pool) pickInTurn(may func(*member) bool, now time.Time) (best *member) {
	all := 0.0
	for _, m := range p.members {
		if !may(m) {
			continue
		}
		w := m.weight * p.share(m, now)
		m.current += w
		all += w
		if best == nil || m.current > best.current {
			best = m
		}
	}
	if best != nil {
		best.current -= all
	}
	return best
}

// pickLeast takes the node with the fewest sessions for its weight.
func (p *Pool) pickLeast(may func(*member) bool, now time.Time) (best *member) {
	least := math.Inf(1)
	for _, m := range p.members {
		if !may(m) {
			continue
		}
		if load := float64(m.sessions+1) / (m.weight * p.share(m, now)); load < least {
			best, least = m, load
		}
	}
	return best
}

type scored struct {
	m     *member
	score float64
}

// pickByDevice takes the node that scores highest for the device (rendezvous
// hashing, with weights), or the next one where it has its fill: then only its
// own devices are moved, and only while it has.
func (p *Pool) pickByDevice(key uint64, may func(*member) bool, now time.Time) *member {
	p.order = p.order[:0]
	weight, sessions := 0.0, 1
	for _, m := range p.members {
		if !may(m) {
			continue
		}
		h := unit(mix(key ^ m.hash))
		w := m.weight
		if share := p.share(m, now); share < 1 && unit(mix(key+m.hash)) >= share {
			w = 0 // comes home later
		}
		p.order = append(p.order, scored{m, -w / math.Log(h)})
		weight += m.weight
		sessions += m.sessions
	}
	slices.SortFunc(p.order, func(a, b scored) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return 0
	})
	for _, s := range p.order {
		fair := float64(sessions) * s.m.weight / weight
		if float64(s.m.sessions) < math.Ceil(fair*float64(p.cfg.Excess)/100) {
			return s.m
		}
	}
	if len(p.order) > 0 {
		return p.order[0].m
	}
	return nil
}

// share is how much of its weight a node has that came back lately.
func (p *Pool) share(m *member, now time.Time) float64 {
	if m.back.IsZero() || p.cfg.Return == 0 {
		return 1
	}
	passed := float64(now.Sub(m.back)) / float64(p.cfg.Return)
	return min(1, max(leastShare, passed))
}

// leastShare is what a node begins with when it comes back.
const leastShare = 0.05

// DeviceKey is the key of a device: the same on every gateway, and after every
// start.
func DeviceKey(oui, class, serial string) uint64 {
	h := uint64(offset64)
	for _, s := range [...]string{oui, class, serial} {
		h = fnv(h, s) * prime64 // the end of a part counts as a byte of its own, 0
	}
	return mix(h)
}

func hashOf(name string) uint64 { return mix(fnv(offset64, name)) }

// FNV-1a, and the finaliser of splitmix64: FNV's own bits are not even.
const (
	offset64 = 14695981039346656037
	prime64  = 1099511628211
)

func fnv(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * prime64
	}
	return h
}

func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// unit is a hash between 0 and 1, neither of them.
func unit(h uint64) float64 { return (float64(h>>11) + 0.5) / (1 << 53) }
