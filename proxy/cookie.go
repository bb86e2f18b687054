package proxy

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"

	"github.com/cwmpgate/cwmpgate/proxy/h1"
)

// cookieName is the gateway's own cookie. CPEs need store no more than 512
// bytes of cookies (TR-069 section 3.4.1), so the name and value stay short.
const cookieName = "cg"

// newCookie returns 128 random bits as a cookie value of 22 characters.
func newCookie() string {
	var b [16]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// pair is one name=value of a Cookie field with its place in the field.
type pair struct {
	text       []byte // name=value without the white space around
	start, end int    // range in the field, separator not included
}

// eachPair calls f for each pair of a Cookie field's value. CPEs separate pairs
// by commas as well as by semicolons; both stand for themselves inside quotes.
func eachPair(value []byte, f func(pair)) {
	start, quoted := 0, false
	flush := func(end int) {
		if text := bytes.Trim(value[start:end], " \t"); len(text) > 0 {
			f(pair{text: text, start: start, end: end})
		}
		start = end + 1
	}
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case (c == ';' || c == ',') && !quoted:
			flush(i)
		}
	}
	if start <= len(value) {
		flush(len(value))
	}
}

// ownCookie returns the value of the gateway's cookie in the request, or "".
func ownCookie(fields []h1.Field) (own string) {
	for i := range fields {
		if !isName(fields[i].Name, "cookie") {
			continue
		}
		eachPair(fields[i].Value, func(p pair) {
			if v, ok := bytes.CutPrefix(p.text, []byte(cookieName+"=")); ok && own == "" {
				own = string(bytes.Trim(v, `"`))
			}
		})
	}
	return own
}

// withoutOwnCookie returns the Cookie field's value without the gateway's own
// pair; all other bytes stay as the CPE sent them. The bool is false when
// nothing is left to send.
func withoutOwnCookie(value []byte) ([]byte, bool) {
	mine := []byte(cookieName + "=")
	if !bytes.Contains(value, mine) {
		return value, true
	}
	var out []byte
	cut, found := 0, false
	eachPair(value, func(p pair) {
		if !bytes.HasPrefix(p.text, mine) {
			return
		}
		found = true
		start, end := p.start, min(p.end+1, len(value)) // with the separator behind
		if p.end == len(value) && start > 0 {
			start-- // the last pair takes the separator before it along
		}
		out = append(out, value[cut:max(cut, start)]...)
		cut = end
	})
	if !found {
		return value, true
	}
	out = bytes.Trim(append(out, value[cut:]...), " \t")
	out = bytes.TrimRight(out, ";, \t")
	return out, len(out) > 0
}

// setCookiePair returns the name=value of a Set-Cookie field.
func setCookiePair(value []byte) []byte {
	quoted := false
	for i, c := range value {
		if c == '"' {
			quoted = !quoted
		}
		if c == ';' && !quoted {
			return bytes.Trim(value[:i], " \t")
		}
	}
	return bytes.Trim(value, " \t")
}
