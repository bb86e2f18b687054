package clickhouse

import (
	"math"
	"strings"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

// deviceKey is a device as its values are known: OUIs are compared without
// case, and what it says of its manufacturer does not count.
type deviceKey struct{ tenant, serial, oui, class string }

// device is one device of a cut and what is known of its parameters, by name.
type device struct {
	key   deviceKey
	known map[string]*told
}

// told is a value that is known of a parameter, and where it was told.
type told struct {
	at     time.Time
	log    string
	seq    uint64
	item   uint32
	sent   bool
	value  string
	secret string
	kind   string // its type
	cut    uint64
	sha256 string
	fresh  bool // told by this cut
	none   bool // nothing is known: what was told was taken back
}

// Nothing known stands in last_values as a value of this type, which no message
// can have; a value that is known again since a later one was taken back has this
// number in the place of that one, and so stands behind it.
const (
	noneKind     = "\x00"
	restoredItem = math.MaxUint32
)

func toldBy(p *audit.ParameterRow) told {
	k := told{at: bounded(p.At), log: p.Log, seq: p.Seq, item: uint32(p.Item), secret: p.Secret, kind: p.Type, cut: uint64(max(p.Cut, 0)), sha256: p.SHA256}
	if p.Value != nil {
		k.sent, k.value = true, *p.Value
	}
	return k
}

// before says whether k was told before q, in the order of all logs.
func (k *told) before(q *told) bool {
	if c := k.at.Compare(q.at); c != 0 {
		return c < 0
	}
	if k.log != q.log {
		return k.log < q.log
	}
	if k.seq != q.seq {
		return k.seq < q.seq
	}
	return k.item < q.item
}

// same compares by meaning where either type says boolean: models spell
// 1/true and 0/false differently, and one model both.
func (k *told) same(q *told) bool {
	kind, text := k.content()
	kindQ, textQ := q.content()
	if kind == kindQ && text == textQ {
		return true
	}
	if k.kind != "xsd:boolean" && q.kind != "xsd:boolean" || kind != 'v' || kindQ != 'v' {
		return false
	}
	truth := truthOf(text)
	return truth != 0 && truth == truthOf(textQ)
}

// content is what makes a value the same as another: that of a secret is its
// hash, that of one that was cut the hash of the whole.
func (k *told) content() (kind byte, text string) {
	switch {
	case k.secret != "":
		return 's', k.secret
	case k.cut > 0:
		return 'c', k.sha256
	case k.sent:
		return 'v', k.value
	}
	return 0, ""
}

// truthOf is 1 for true, 2 for false, 0 for what is neither.
func truthOf(s string) int {
	switch s = strings.Trim(s, " \t\r\n"); {
	case s == "1" || strings.EqualFold(s, "true"):
		return 1
	case s == "0" || strings.EqualFold(s, "false"):
		return 2
	}
	return 0
}

// tell says of a value that the CPE told, whether it makes a row and whether
// that row tells of a change. What was merely read or informed makes none if
// it is what was known; the first sight of a value is a row but no change,
// unless the CPE itself says that it is one. d is nil for nobody's.
func (d *device) tell(p *audit.ParameterRow, reported bool) (write, changed bool) {
	if d == nil {
		return true, reported
	}
	now := toldBy(p)
	now.fresh = true
	last, ok := d.known[p.Name]
	ok = ok && !last.none
	if ok && last.same(&now) {
		if reported {
			d.known[p.Name] = &now
		}
		return reported, false
	}
	d.known[p.Name] = &now
	return true, ok || reported
}

// accept makes known what a SetParameterValues asked for. A value that the
// CPE has told since then stays: it stands behind the request in the log.
func (d *device) accept(name string, k told) {
	if now, ok := d.known[name]; ok && !now.none && k.before(now) {
		return
	}
	k.fresh = true
	d.known[name] = &k
}

func tells(p *audit.ParameterRow) bool {
	return p.Action == audit.ActionRead || p.Action == audit.ActionInformed || p.Action == audit.ActionReported
}

// refuses says whether a message is the fault by which an ACS answers an Inform:
// what that told is then not known.
func refuses(r *audit.RPCRow) bool {
	return r.To == "Inform" && r.Message == "fault" && r.Answers != 0
}

// accepts says whether a message is the answer by which a CPE takes what was
// set. Whoever answers with no valid Status did nobody knows what.
func accepts(r *audit.RPCRow) bool {
	return r.To == "SetParameterValues" && r.Message == "response" && r.Answers != 0 && (r.Status == "0" || r.Status == "1")
}
