package sqlite

import (
	"hash/maphash"
	"strings"
	"unsafe"

	"github.com/cwmpgate/cwmpgate/audit"
)

// cache is a map bounded by the bytes that its users say its entries take; what
// was not used for longest gives way.
type cache[K comparable, V any] struct {
	limit, bytes int
	entries      map[K]*entry[K, V]
	ring         entry[K, V] // newer is the oldest entry, older the newest
}

type entry[K comparable, V any] struct {
	key          K
	value        V
	bytes        int
	older, newer *entry[K, V]
}

// entryBytes is what an entry and its place in the map take beside what its
// user counts, about.
const entryBytes = 96

func newCache[K comparable, V any](limit int) *cache[K, V] {
	c := &cache[K, V]{limit: limit}
	c.clear()
	return c
}

func (c *cache[K, V]) get(k K) (v V, ok bool) {
	e, ok := c.entries[k]
	if !ok {
		return v, false
	}
	c.unlink(e)
	c.link(e)
	return e.value, true
}

// put adds an entry, or one that has grown once more. One that is larger than
// the cache is not kept.
func (c *cache[K, V]) put(k K, v V, bytes int) {
	bytes += entryBytes
	e, ok := c.entries[k]
	switch {
	case bytes > c.limit:
		c.remove(k)
		return
	case ok:
		c.unlink(e)
		c.bytes -= e.bytes
		e.value, e.bytes = v, bytes
	default:
		e = &entry[K, V]{key: k, value: v, bytes: bytes}
		c.entries[k] = e
	}
	c.bytes += bytes
	c.link(e)
	for c.bytes > c.limit {
		c.remove(c.ring.newer.key)
	}
}

func (c *cache[K, V]) remove(k K) {
	if e, ok := c.entries[k]; ok {
		c.unlink(e)
		c.bytes -= e.bytes
		delete(c.entries, k)
	}
}

func (c *cache[K, V]) clear() {
	c.entries, c.bytes = make(map[K]*entry[K, V]), 0
	c.ring.older, c.ring.newer = &c.ring, &c.ring
}

// link makes an entry the newest.
func (c *cache[K, V]) link(e *entry[K, V]) {
	e.older, e.newer = c.ring.older, &c.ring
	e.older.newer, e.newer.older = e, e
}

func (c *cache[K, V]) unlink(e *entry[K, V]) {
	e.older.newer, e.newer.older = e.newer, e.older
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

// known is the last value known of a parameter, and where it was told. Its
// fields stand so that it takes 32 bytes.
type known struct {
	name, log uint32
	at, seq   int64
	value     value
}

// before says whether k was told before q, in the order of all logs.
func (k known) before(q known) bool {
	if k.at != q.at {
		return k.at < q.at
	}
	if k.log != q.log {
		return k.log < q.log
	}
	return k.seq < q.seq
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
	if !d.room(1) {
		d.grow(4 + d.used + d.used/4)
	}
	s := d.slot(k.name)
	if s.name == 0 {
		d.used++
	}
	*s = k
}

// reserve makes room for n more values, and not much more: most devices tell
// the same parameters each time.
func (d *values) reserve(n int) {
	if !d.room(n) {
		d.grow((d.used+n)*8/7 + 1)
	}
}

// room says whether n more values leave one slot in eight free.
func (d *values) room(n int) bool { return 8*(d.used+n) <= 7*len(d.slots) }

func (d *values) grow(slots int) {
	old := d.slots
	d.slots = make([]known, slots)
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
