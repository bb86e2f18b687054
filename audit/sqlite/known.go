package sqlite

import (
	"hash/maphash"
	"strings"
	"unsafe"

	"github.com/cwmpgate/cwmpgate/audit"
)

// cache is a map bounded by the bytes that its users say its entries take: the
// newer half takes what is used, the older half is dropped when the newer is
// full.
type cache[K comparable, V any] struct {
	limit      int // of one half
	bytes      int // of young
	young, old map[K]sized[V]
}

type sized[V any] struct {
	value V
	bytes int32
}

// entryBytes is what the map itself needs for an entry of a cache, about.
const entryBytes = 64

func newCache[K comparable, V any](limit int) *cache[K, V] {
	return &cache[K, V]{limit: limit / 2, young: make(map[K]sized[V])}
}

func (c *cache[K, V]) get(k K) (v V, ok bool) {
	if s, ok := c.young[k]; ok {
		return s.value, true
	}
	s, ok := c.old[k]
	if ok {
		delete(c.old, k)
		c.keep(k, s)
	}
	return s.value, ok
}

// put adds an entry, or one that has grown once more. One that is too large
// for its half is not kept.
func (c *cache[K, V]) put(k K, v V, bytes int) {
	c.remove(k)
	if bytes += entryBytes; bytes <= c.limit {
		c.keep(k, sized[V]{v, int32(bytes)})
	}
}

func (c *cache[K, V]) keep(k K, s sized[V]) {
	if c.bytes+int(s.bytes) > c.limit {
		c.young, c.old = make(map[K]sized[V]), c.young
		c.bytes = 0
	}
	c.young[k] = s
	c.bytes += int(s.bytes)
}

func (c *cache[K, V]) remove(k K) {
	if s, ok := c.young[k]; ok {
		c.bytes -= int(s.bytes)
		delete(c.young, k)
	}
	delete(c.old, k)
}

func (c *cache[K, V]) clear() {
	c.young, c.old, c.bytes = make(map[K]sized[V]), nil, 0
}

// place is where a record stands in the order of all logs.
type place struct {
	at, seq int64
	log     uint32
}

func (p place) before(q place) bool {
	if p.at != q.at {
		return p.at < q.at
	}
	if p.log != q.log {
		return p.log < q.log
	}
	return p.seq < q.seq
}

// value is what must be remembered of a parameter's value to tell whether the
// next one is the same: a keyed hash, and in the lowest bits what it means as
// a boolean. With 61 bits of hash, a change stays unseen once in 10^18.
type value uint64

const (
	isFalse   value = 1
	isTrue    value = 2
	truth           = isFalse | isTrue
	isBoolean value = 4 // the type said so
	flags           = truth | isBoolean
)

// same compares by meaning where either type says boolean: models spell
// 1/true and 0/false differently, and one model both.
func (v value) same(w value) bool {
	return v&^flags == w&^flags || (v|w)&isBoolean != 0 && v&truth != 0 && v&truth == w&truth
}

func valueOf(seed maphash.Seed, p *audit.ParameterRow) value {
	var h maphash.Hash
	h.SetSeed(seed)
	var v value
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
		v = truthOf(*p.Value)
	}
	if p.Type == "xsd:boolean" {
		v |= isBoolean
	}
	return value(h.Sum64())&^flags | v
}

func truthOf(s string) value {
	switch s = strings.Trim(s, " \t\r\n"); {
	case s == "1" || strings.EqualFold(s, "true"):
		return isTrue
	case s == "0" || strings.EqualFold(s, "false"):
		return isFalse
	}
	return 0
}

// known is the last value known of a parameter, and where it was told.
type known struct {
	name uint32
	place
	value value
}

// values are those known of one device: an open hash table by the number of
// the name. Where it is whole, what is not in it is not known at all; else the
// store may know it.
type values struct {
	whole bool
	used  int
	slots []known // name 0: free
}

func (d *values) bytes() int {
	return int(unsafe.Sizeof(*d)) + cap(d.slots)*int(unsafe.Sizeof(known{}))
}

// slot is where a name stands, or is to stand. There is room.
func (d *values) slot(name uint32) *known {
	// Numbers of names come in runs: the multiplication spreads them.
	i := int(uint64(name*0x9E3779B1) * uint64(len(d.slots)) >> 32)
	for d.slots[i].name != name && d.slots[i].name != 0 {
		if i++; i == len(d.slots) {
			i = 0
		}
	}
	return &d.slots[i]
}

func (d *values) get(name uint32) (known, bool) {
	if d.used == 0 {
		return known{}, false
	}
	k := *d.slot(name)
	return k, k.name != 0
}

func (d *values) put(k known) {
	if 8*(d.used+1) > 7*len(d.slots) {
		d.grow(d.used + 1)
	}
	s := d.slot(k.name)
	if s.name == 0 {
		d.used++
	}
	*s = k
}

// grow makes room for so many values and some more.
func (d *values) grow(n int) {
	old := d.slots
	d.slots = make([]known, max(8, n+n/2))
	for _, k := range old {
		if k.name != 0 {
			*d.slot(k.name) = k
		}
	}
}

// asked is a value that a SetParameterValues asks for; it is known once the
// CPE has accepted it.
type asked struct {
	device int64
	known  known
}

// recordKey is the place of a record.
type recordKey struct{ log, seq int64 }
