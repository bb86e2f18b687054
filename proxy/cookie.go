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

// ownCookieLength is that of every value of it.
const ownCookieLength = 22

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
// by commas as well as by semicolons; both stand for themselves inside a value
// in quotes. A quote that is never closed is an ordinary character.
func eachPair(value []byte, f func(pair)) {
	start := 0
	flush := func(end int) {
		if text := bytes.Trim(value[start:end], " \t"); len(text) > 0 {
			f(pair{text: text, start: start, end: end})
		}
		start = end + 1
	}
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '=':
			if n := quotedLength(value[i+1:]); n > 0 {
				i += n
			}
		case ';', ',':
			flush(i)
		}
	}
	if start <= len(value) {
		flush(len(value))
	}
}

// quotedLength is the length of the quoted string that b begins with, 0 where
// it begins with none or with one that is not closed.
func quotedLength(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return 0
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// isOwn tells the gateway's cookie from one of that name that an ACS has set.
func isOwn(pair []byte) (value []byte, ok bool) {
	value, ok = bytes.CutPrefix(pair, []byte(cookieName+"="))
	value = bytes.Trim(value, `"`)
	if !ok || len(value) != ownCookieLength {
		return nil, false
	}
	for _, c := range value {
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return nil, false
		}
	}
	return value, true
}

// eachOwnCookie calls f with each value of the gateway's cookie in a request.
func eachOwnCookie(fields []h1.Field, f func(value string)) {
	for i := range fields {
		if !isName(fields[i].Name, "cookie") {
			continue
		}
		eachPair(fields[i].Value, func(p pair) {
			if v, ok := isOwn(p.text); ok {
				f(string(v))
			}
		})
	}
}

// withoutOwnCookie returns the Cookie field's value without the gateway's own
// pair; all other bytes stay as the CPE sent them. The bool is false when
// nothing is left to send.
func withoutOwnCookie(value []byte) ([]byte, bool) {
	if !bytes.Contains(value, []byte(cookieName+"=")) {
		return value, true
	}
	var out []byte
	cut, found := 0, false
	eachPair(value, func(p pair) {
		if _, ok := isOwn(p.text); !ok {
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
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '=':
			if n := quotedLength(value[i+1:]); n > 0 {
				i += n
			}
		case ';':
			return bytes.Trim(value[:i], " \t")
		}
	}
	return bytes.Trim(value, " \t")
}
