package proxy

import (
	"bytes"

	"github.com/cwmpgate/cwmpgate/cwmp"
	"github.com/cwmpgate/cwmpgate/proxy/h1"
)

// charsetOf is the charset that Content-Type names, "" where it names none. Two
// that differ are refused where it matters: each reader would pick its own.
func charsetOf(fields []h1.Field, body []byte) (string, error) {
	var found []byte
	differ := false
	for i := range fields {
		if !isName(fields[i].Name, "content-type") {
			continue
		}
		eachTypeParameter(fields[i].Value, func(name, value []byte) {
			switch {
			case !isName(name, "charset"):
			case found == nil:
				found = value
			case !bytes.EqualFold(found, value):
				differ = true
			}
		})
	}
	if differ && bytes.ContainsFunc(body, func(r rune) bool { return r >= 0x80 }) {
		return "", refuse(400, string(cwmp.ReasonCharsetMismatch), "Content-Type names more than one charset")
	}
	return string(found), nil
}

// eachTypeParameter walks the parameters of a media type (RFC 9110 section
// 8.3.1); a semicolon inside quotes ends none. Values come without quotes.
func eachTypeParameter(b []byte, f func(name, value []byte)) {
	first := true
	for len(b) > 0 {
		end := endOfParameter(b)
		p := b[:end]
		b = b[min(end+1, len(b)):]
		if first { // the type itself
			first = false
			continue
		}
		if name, value, ok := bytes.Cut(p, []byte("=")); ok {
			f(bytes.TrimSpace(name), bytes.Trim(bytes.TrimSpace(value), `"'`))
		}
	}
}

func endOfParameter(b []byte) int {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ';' && !quoted:
			return i
		}
	}
	return len(b)
}
