// Package identity says which device is meant by a name that a CPE shows: the
// user of its HTTP credentials, or what its certificate says. A DeviceId by
// itself is a claim.
package identity

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/cwmpgate/cwmpgate/audit"
)

// Template is a name with the parts of a DeviceId left open: "{oui}-{serial}".
type Template struct {
	steps []step
	form  *regexp.Regexp // of the name of any device; nil where nothing tells one from other texts
}

// step is a literal text, or the name of a part.
type step struct{ literal, part string }

// The parts. A MAC address is a serial number in any of the usual notations.
const (
	partOUI    = "oui"
	partClass  = "productclass"
	partSerial = "serial"
	partMAC    = "mac"
)

var partForm = regexp.MustCompile(`\{[^{}]*\}`)

// ParseTemplate reads a template, which holds {serial} or {mac}.
func ParseTemplate(text string) (*Template, error) {
	t := &Template{}
	given, at, form := map[string]bool{}, 0, strings.Builder{}
	for _, m := range append(partForm.FindAllStringIndex(text, -1), []int{len(text), len(text)}) {
		literal := text[at:m[0]]
		if strings.ContainsAny(literal, "{}") {
			return nil, fmt.Errorf("template %q has a brace that is not closed or opened", text)
		}
		if literal != "" {
			t.steps = append(t.steps, step{literal: literal})
			form.WriteString(regexp.QuoteMeta(literal))
		}
		if at = m[1]; m[0] == m[1] {
			break
		}
		part := text[m[0]+1 : m[1]-1]
		switch part {
		case partOUI:
			form.WriteString("[0-9A-Fa-f]{6}")
		case partClass, partSerial, partMAC:
			form.WriteString(".+")
		default:
			return nil, fmt.Errorf("template %q: {%s} is none of {oui}, {productclass}, {serial} and {mac}", text, part)
		}
		given[part] = true
		t.steps = append(t.steps, step{part: part})
	}
	if !given[partSerial] && !given[partMAC] {
		return nil, fmt.Errorf("template %q names no device: it needs {serial} or {mac}", text)
	}
	if given[partOUI] {
		t.form = regexp.MustCompile(`(?s)^` + form.String() + `$`)
	}
	return t, nil
}

// Names tells whether name is d's. TR-069 section 3.4.4 percent-encodes what is
// not unreserved in the parts of a name; CPEs exist that do not.
func (t *Template) Names(name string, d audit.Device) bool { return t.names(name, d, false) }

func (t *Template) names(name string, d audit.Device, fold bool) bool {
	if name == "" || d.Serial == "" {
		return false
	}
	return t.match(name, d, percentEncode, fold) || t.match(name, d, func(s string) string { return s }, fold)
}

func (t *Template) match(name string, d audit.Device, escape func(string) string, fold bool) bool {
	rest := name
	for _, s := range t.steps {
		ok, alike := false, fold
		want := s.literal
		switch s.part {
		case partMAC:
			if rest, ok = cutMAC(rest, d.Serial); !ok {
				return false
			}
			continue
		case partOUI: // a hexadecimal number, which CPEs write either way
			want, alike = escape(d.OUI), true
		case partClass:
			want = escape(d.Class)
		case partSerial:
			want = escape(d.Serial)
		}
		if rest, ok = cutPrefix(rest, want, alike); !ok {
			return false
		}
	}
	return rest == ""
}

// standard are the names that TR-069 section 3.4.4 gives devices.
var standard = []*Template{mustParse("{oui}-{serial}"), mustParse("{oui}-{productclass}-{serial}")}

func mustParse(text string) *Template {
	t, err := ParseTemplate(text)
	if err != nil {
		panic(err)
	}
	return t
}

// NamesAnother tells whether name has the form of a device's name and is not
// d's. Only a template with {oui} has a form: other texts may be anybody's.
func (t *Template) NamesAnother(name string, d audit.Device) bool {
	if t.form == nil || !t.form.MatchString(name) || t.Names(name, d) {
		return false
	}
	for _, s := range standard {
		if s.Names(name, d) {
			return false
		}
	}
	return true
}

func cutPrefix(text, prefix string, fold bool) (rest string, ok bool) {
	if len(text) < len(prefix) {
		return text, false
	}
	start := text[:len(prefix)]
	if start != prefix && !(fold && strings.EqualFold(start, prefix)) {
		return text, false
	}
	return text[len(prefix):], true
}

var macForm = regexp.MustCompile(`^(?:[0-9A-Fa-f]{2}[:-]?){5}[0-9A-Fa-f]{2}|^(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}`)

// cutMAC takes a MAC address off text, if serial is the same one.
func cutMAC(text, serial string) (rest string, ok bool) {
	a, b := macForm.FindString(text), macForm.FindString(serial)
	if a == "" || b != serial || !strings.EqualFold(digits(a), digits(b)) {
		return text, false
	}
	return text[len(a):], true
}

func digits(mac string) string { return strings.NewReplacer(":", "", "-", "", ".", "").Replace(mac) }

func percentEncode(s string) string {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(unreserved, s[i]) >= 0 {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}
