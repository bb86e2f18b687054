package cwmptest

import (
	"reflect"
	"strings"
)

// Quirks are what real CPEs get wrong. The zero value is a CPE that behaves.
type Quirks struct {
	DropCookies         bool // never returns one
	CookieAttributes    bool // returns Set-Cookie as it came, with Path and all
	CookiesByComma      bool // joins several by a comma
	SecondConnection    bool // goes on over a second connection behind the Inform, the first left open
	ReconnectEachPost   bool // a new connection for every POST, the one before closed
	ReconnectAfter401   bool // answers a challenge over a new connection
	InformAgain         bool // informs again at once, in the middle of the session
	InformAgainAnew     bool // the same over a new connection, the first left open
	GiveUpOn4xx         bool // never comes back after any 4xx
	WrongID             bool // answers under a cwmp:ID of its own
	NoID                bool // answers without cwmp:ID
	ExtraEmptyPost      bool // one more empty POST behind the answer that ended the session
	NoHost              bool // HTTP/1.1 without Host
	HTTP10              bool // HTTP/1.0 with Connection: keep-alive
	Latin1              bool // ISO-8859-1, declared in the XML
	SpacesEverywhere    bool // white space around every text and between all tags
	LowercaseHeaders    bool // field names in lower case
	TypedEmptyPost      bool // Content-Type and SOAPAction on empty POSTs
	StopAfterInform     bool // closes behind the InformResponse and is not heard of again
	CloseWithoutReading bool // closes behind an answer to an RPC without reading what follows
}

// String names the quirks that are set, "none" for none.
func (q Quirks) String() string {
	var names []string
	v := reflect.ValueOf(q)
	for i := range v.NumField() {
		if v.Field(i).Bool() {
			names = append(names, v.Type().Field(i).Name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, "+")
}

// EachQuirk is every quirk alone, behind a CPE that has none, by name.
func EachQuirk() map[string]Quirks {
	all := map[string]Quirks{"none": {}}
	for i := range reflect.TypeFor[Quirks]().NumField() {
		var q Quirks
		reflect.ValueOf(&q).Elem().Field(i).SetBool(true)
		all[q.String()] = q
	}
	return all
}

// cookie is one that the ACS set; raw is the whole Set-Cookie value.
type cookie struct{ name, value, raw string }

func setCookie(jar []cookie, raw string) []cookie {
	pair, attributes, _ := strings.Cut(raw, ";")
	name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
	expired := strings.Contains(strings.ToLower(attributes), "max-age=0")
	for i := range jar {
		if jar[i].name == name {
			if expired {
				return append(jar[:i:i], jar[i+1:]...)
			}
			jar[i] = cookie{name, value, raw}
			return jar
		}
	}
	if expired {
		return jar
	}
	return append(jar, cookie{name, value, raw})
}

// cookieHeader is the Cookie field's value, "" for none.
func (q Quirks) cookieHeader(jar []cookie) string {
	if q.DropCookies {
		return ""
	}
	parts := make([]string, len(jar))
	for i, c := range jar {
		parts[i] = c.name + "=" + c.value
		if q.CookieAttributes {
			parts[i] = c.raw
		}
	}
	if q.CookiesByComma {
		return strings.Join(parts, ",")
	}
	return strings.Join(parts, "; ")
}
