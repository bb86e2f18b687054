package audit

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// scanner reads the records that this package writes: JSON without spaces,
// numbers without fraction. It is strict about form and skips members that it
// does not know. After the first error it gives nothing but zeros, so that
// its callers look at err once.
type scanner struct {
	b       []byte
	whole   string // of b: texts without escapes are parts of it
	i       int
	text    []byte // scratch of strings with escapes
	escaped bool   // the last string stands there
	open    []byte // scratch of skip
	err     error
}

// maxDepth bounds how deep values may stand in one another. An element of a
// vendor takes two levels, a list and an object, and messages may have 1,000
// levels of elements (limits.depth).
const maxDepth = 4096

func (s *scanner) reset(b []byte) { s.b, s.whole, s.i, s.err = b, string(b), 0, nil }

func (s *scanner) fail(what string) {
	if s.err == nil {
		s.err = fmt.Errorf("%s at byte %d", what, s.i)
	}
	s.i = len(s.b)
}

func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) expect(c byte) {
	if s.peek() != c || s.i >= len(s.b) {
		s.fail("want " + strconv.QuoteRune(rune(c)))
		return
	}
	s.i++
}

// next steps to the next item of a list or member of an object that was
// opened with expect; false at its end.
func (s *scanner) next(end byte, begun *bool) bool {
	if s.err != nil {
		return false
	}
	if s.peek() == end && s.i < len(s.b) {
		s.i++
		return false
	}
	if *begun {
		s.expect(',')
	}
	*begun = true
	return s.err == nil
}

// key reads a member's name and its colon. The bytes are valid until the next
// string is read.
func (s *scanner) key() []byte {
	name := s.bytes()
	s.expect(':')
	return name
}

// str reads a string. Most are a part of one copy of the whole record.
func (s *scanner) str() string {
	b := s.bytes()
	if len(b) == 0 {
		return ""
	}
	if s.escaped {
		return string(b)
	}
	end := s.i - len(`"`)
	return s.whole[end-len(b) : end]
}

// bytes reads a string. The result is valid until the next string is read.
func (s *scanner) bytes() []byte {
	s.expect('"')
	s.escaped = false
	from := s.i
	for s.i < len(s.b) {
		c := s.b[s.i]
		switch {
		case c == '"':
			s.i++
			return s.b[from : s.i-1]
		case c == '\\':
			return s.unescape(from)
		case c < 0x20:
			s.fail("control character")
			return nil
		}
		s.i++
	}
	s.fail("string without an end")
	return nil
}

func (s *scanner) unescape(from int) []byte {
	s.text, s.escaped = append(s.text[:0], s.b[from:s.i]...), true
	for s.i < len(s.b) {
		c := s.b[s.i]
		s.i++
		switch {
		case c == '"':
			return s.text
		case c < 0x20:
			s.fail("control character")
			return nil
		case c != '\\':
			s.text = append(s.text, c)
			continue
		}
		if s.i >= len(s.b) {
			break
		}
		c = s.b[s.i]
		s.i++
		switch c {
		case '"', '\\', '/':
			s.text = append(s.text, c)
		case 'b':
			s.text = append(s.text, '\b')
		case 't':
			s.text = append(s.text, '\t')
		case 'n':
			s.text = append(s.text, '\n')
		case 'f':
			s.text = append(s.text, '\f')
		case 'r':
			s.text = append(s.text, '\r')
		case 'u':
			s.codePoint()
		default:
			s.fail("unknown escape")
			return nil
		}
	}
	s.fail("string without an end")
	return nil
}

// codePoint reads the four digits of \u. Records escape control characters
// alone, so surrogates do not occur.
func (s *scanner) codePoint() {
	if s.i+4 > len(s.b) {
		s.fail("escape without an end")
		return
	}
	n, err := strconv.ParseUint(string(s.b[s.i:s.i+4]), 16, 16)
	if err != nil || n >= 0xD800 && n <= 0xDFFF {
		s.fail("bad escape")
		return
	}
	s.i += 4
	s.text = utf8.AppendRune(s.text, rune(n))
}

func (s *scanner) digits() []byte {
	from := s.i
	if s.peek() == '-' {
		s.i++
	}
	first := s.i
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.i++
	}
	if s.i-first > 1 && s.b[first] == '0' {
		s.fail("number with a leading zero")
		return nil
	}
	return s.b[from:s.i]
}

func (s *scanner) integer() int64 {
	n, err := strconv.ParseInt(string(s.digits()), 10, 64)
	if err != nil && s.err == nil {
		s.fail("want an integer")
	}
	if s.err != nil {
		return 0
	}
	return n
}

func (s *scanner) unsigned() uint64 {
	n, err := strconv.ParseUint(string(s.digits()), 10, 64)
	if err != nil && s.err == nil {
		s.fail("want a number")
	}
	if s.err != nil {
		return 0
	}
	return n
}

func (s *scanner) numbers() []uint64 {
	var list []uint64
	s.expect('[')
	for begun := false; s.next(']', &begun); {
		list = append(list, s.unsigned())
	}
	return list
}

func (s *scanner) boolean() bool {
	for _, word := range [...]string{"true", "false"} {
		if len(s.b)-s.i >= len(word) && string(s.b[s.i:s.i+len(word)]) == word {
			s.i += len(word)
			return word == "true"
		}
	}
	s.fail("want true or false")
	return false
}

// timeLayout is how records write times.
const timeLayout = "2006-01-02T15:04:05.000000Z"

func (s *scanner) moment() time.Time {
	t, err := time.Parse(timeLayout, s.str())
	if err != nil && s.err == nil {
		s.fail("want a time")
	}
	return t
}

// skip reads over one value. It does not call itself: peers choose how deep
// values stand.
func (s *scanner) skip() {
	open := s.open[:0] // how each of the objects and lists that are open ends
	defer func() { s.open = open }()
	for {
		begun := true
		switch c := s.peek(); c {
		case '{', '[':
			if len(open) == maxDepth {
				s.fail("values too deep")
				return
			}
			s.i++
			open = append(open, c+2) // '}' and ']' are two behind
			begun = false
		case '"':
			s.bytes()
		case 't', 'f':
			s.boolean()
		default:
			s.integer()
		}
		for { // to the next value
			if s.err != nil || len(open) == 0 {
				return
			}
			end := open[len(open)-1]
			if s.next(end, &begun) {
				if end == '}' {
					s.key()
				}
				break
			}
			open, begun = open[:len(open)-1], true
		}
	}
}

// raw reads over one value and gives its bytes.
func (s *scanner) raw() string {
	from := s.i
	s.skip()
	if s.err != nil {
		return ""
	}
	return s.whole[from:s.i]
}

// value is a text of a message as a record holds it.
type value struct {
	text   string
	sent   bool // text stands for what was sent, if only its beginning
	secret string
	cut    int64
	sha256 string
}

// field reads a text that is no Value: a string, or an object for a secret or
// a long one.
func (s *scanner) field() value {
	if s.peek() != '{' {
		return value{text: s.str(), sent: true}
	}
	var v value
	s.expect('{')
	for begun := false; s.next('}', &begun); {
		switch name := s.key(); string(name) {
		case "text":
			v.text, v.sent = s.str(), true
		default:
			s.valueMember(name, &v)
		}
	}
	return v
}

// valueMember reads one of the members that tell how a value was changed.
func (s *scanner) valueMember(name []byte, v *value) {
	switch string(name) {
	case "secret":
		v.secret = s.str()
	case "cut":
		v.cut = s.integer()
	case "sha256":
		v.sha256 = s.str()
	default:
		s.skip()
	}
}

// xmlSpace is white space as XML has it.
const xmlSpace = " \t\r\n"

// line reads a field and trims it: names, numbers, keys and codes are compared
// so.
func (s *scanner) line() string {
	return strings.Trim(s.field().text, xmlSpace)
}
