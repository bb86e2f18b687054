package sqlite

import (
	"hash/maphash"
	"strings"

	"github.com/cwmpgate/cwmpgate/audit"
)

// cache is a bounded map: the newer half takes what is used, the older half
// is dropped when the newer is full.
type cache[K comparable, V any] struct {
	limit      int // of one half
	young, old map[K]V
}

func newCache[K comparable, V any](limit int) *cache[K, V] {
	return &cache[K, V]{limit: limit, young: make(map[K]V), old: nil}
}

func (c *cache[K, V]) get(k K) (V, bool) {
	if v, ok := c.young[k]; ok {
		return v, true
	}
	v, ok := c.old[k]
	if ok {
		c.put(k, v)
	}
	return v, ok
}

func (c *cache[K, V]) put(k K, v V) {
	if len(c.young) >= c.limit {
		c.young, c.old = make(map[K]V, c.limit/4), c.young
	}
	c.young[k] = v
}

func (c *cache[K, V]) clear() {
	clear(c.young)
	c.old = nil
}

// place is where a parameter row stands in the order of the log.
type place struct {
	at, log, seq int64
	item         int32
}

func (p place) after(q place) bool {
	if p.at != q.at {
		return p.at > q.at
	}
	if p.log != q.log {
		return p.log > q.log
	}
	if p.seq != q.seq {
		return p.seq > q.seq
	}
	return p.item > q.item
}

// value is what must be remembered of a parameter's value to tell whether the
// next one is the same: a keyed hash, and what it means as a boolean.
type value struct {
	hash    uint64
	boolean bool // the type said so
	truth   truth
}

type truth uint8

const (
	neither truth = iota
	isFalse
	isTrue
)

// same compares by meaning where either type says boolean: models spell
// 1/true and 0/false differently, and one model both.
func (v value) same(w value) bool {
	return v.hash == w.hash || (v.boolean || w.boolean) && v.truth != neither && v.truth == w.truth
}

func valueOf(seed maphash.Seed, p *audit.ParameterRow) value {
	var h maphash.Hash
	h.SetSeed(seed)
	v := value{boolean: p.Type == "xsd:boolean"}
	switch {
	case p.Secret != "":
		h.WriteByte('s')
		h.WriteString(p.Secret)
	case p.Cut > 0:
		h.WriteByte('c')
		h.WriteString(p.SHA256)
	case p.Value != nil:
		h.WriteByte('v')
		h.WriteString(*p.Value)
		v.truth = truthOf(*p.Value)
	}
	v.hash = h.Sum64()
	return v
}

func truthOf(s string) truth {
	switch s = strings.Trim(s, " \t\r\n"); {
	case s == "1" || strings.EqualFold(s, "true"):
		return isTrue
	case s == "0" || strings.EqualFold(s, "false"):
		return isFalse
	}
	return neither
}

// parameterKey is one parameter of one device.
type parameterKey struct{ device, name int64 }

// known is the last value known of a parameter, and the row that told it.
type known struct {
	place place
	value value
}

// asked is a value that a SetParameterValues asks for; it is known once the
// CPE has accepted it.
type asked struct {
	key   parameterKey
	known known
}

// recordKey is the place of a record.
type recordKey struct{ log, seq int64 }
