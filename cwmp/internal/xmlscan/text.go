package xmlscan

import (
	"bytes"
	"unicode/utf8"
)

// Text is the text of an element.
type Text struct {
	Bytes      []byte
	Start, End int // the raw content in the body; of an empty-element tag its "/>"
}

// Text reads the rest of the current element, which may hold no elements, and
// its end tag.
func (s *Scanner) Text() (t Text) {
	if s.err != nil {
		return Text{}
	}
	if top := &s.frames[len(s.frames)-1]; top.empty {
		t = Text{Bytes: s.src[s.pos:s.pos:s.pos], Start: s.Original(s.pos - 2), End: s.Original(s.pos)}
		s.pop()
		return t
	}
	start := s.pos
	n := bytes.IndexByte(s.src[start:], '<')
	if n >= 0 && !s.special(start, start+n) && start+n+1 < len(s.src) && s.src[start+n+1] == '/' {
		s.pos = start + n
		t.Bytes = s.src[start:s.pos:s.pos]
	} else {
		from := len(s.scratch)
		s.run(false)
		if s.err != nil {
			return Text{}
		}
		t.Bytes = s.scratch[from:len(s.scratch):len(s.scratch)]
	}
	t.Start, t.End = s.Original(start), s.Original(s.pos)
	s.endTag()
	return t
}

// special reports whether an ampersand, a carriage return or a "]" stands in
// src[from:to]. The next place of each is remembered, so that a document is
// searched once, not once for each of its texts.
func (s *Scanner) special(from, to int) bool {
	if s.nextAmp < from {
		s.nextAmp = indexFrom(s.src, from, '&')
	}
	if s.nextCR < from {
		s.nextCR = indexFrom(s.src, from, '\r')
	}
	if s.next < from {
		s.next = indexFrom(s.src, from, ']')
	}
	return s.nextAmp < to || s.nextCR < to || s.next < to
}

func indexFrom(b []byte, from int, c byte) int {
	if i := bytes.IndexByte(b[from:], c); i >= 0 {
		return from + i
	}
	return len(b)
}

// run appends text to the scratch memory up to the next tag, freed of
// references, CDATA, comments and processing instructions. A start tag may end
// it only where elements may stand.
func (s *Scanner) run(elements bool) {
	for s.err == nil {
		n := bytes.IndexByte(s.src[s.pos:], '<')
		if n < 0 || s.pos+n+1 == len(s.src) {
			s.characters(s.src[s.pos:])
			s.fail(Truncated, s.pos, "the document ends inside an element")
			return
		}
		s.characters(s.src[s.pos : s.pos+n])
		if s.err != nil {
			return
		}
		s.pos += n
		switch s.src[s.pos+1] {
		case '/':
			return
		case '?':
			s.instruction()
		case '!':
			if content, ok := s.cdata(); ok {
				s.scratch = appendLines(s.scratch, content)
			} else {
				s.comment()
			}
		default:
			if !elements && s.startTag() {
				s.fail(UnexpectedElement, s.tagStart, "an element inside text")
			}
			return
		}
	}
}

// characters appends character data.
func (s *Scanner) characters(raw []byte) {
	at := s.pos
	if i := bytes.Index(raw, []byte("]]>")); i >= 0 {
		s.fail(InvalidMarkup, at+i, "\"]]>\" outside of CDATA")
		return
	}
	for {
		i := bytes.IndexByte(raw, '&')
		if i < 0 {
			s.scratch = appendLines(s.scratch, raw)
			return
		}
		s.scratch = appendLines(s.scratch, raw[:i])
		n := s.reference(at+i, raw[i:])
		if n == 0 {
			return
		}
		raw = raw[i+n:]
		at += i + n
	}
}

// appendLines appends text with its line ends as XML reads them (section 2.11).
func appendLines(dst, raw []byte) []byte {
	for {
		i := bytes.IndexByte(raw, '\r')
		if i < 0 {
			return append(dst, raw...)
		}
		dst = append(append(dst, raw[:i]...), '\n')
		raw = raw[i+1:]
		if len(raw) > 0 && raw[0] == '\n' {
			raw = raw[1:]
		}
	}
}

// reference appends the character of the reference at the beginning of raw to
// the scratch memory and returns the reference's length, 0 where it is none.
func (s *Scanner) reference(at int, raw []byte) int {
	const longest = 64 // leading zeros are allowed, but not without end
	semicolon := bytes.IndexByte(raw[:min(len(raw), longest)], ';')
	if semicolon < 0 {
		if at+len(raw) == len(s.src) && len(raw) < longest {
			s.fail(Truncated, at, "the document ends in a reference")
		} else {
			s.fail(InvalidReference, at, "\"&\" that begins no reference")
		}
		return 0
	}
	switch name := raw[1:semicolon]; string(name) {
	case "lt":
		s.scratch = append(s.scratch, '<')
	case "gt":
		s.scratch = append(s.scratch, '>')
	case "amp":
		s.scratch = append(s.scratch, '&')
	case "quot":
		s.scratch = append(s.scratch, '"')
	case "apos":
		s.scratch = append(s.scratch, '\'')
	default:
		r, isNumber := number(name)
		if !isNumber {
			s.fail(InvalidReference, at, "an entity that is none of XML's five")
			return 0
		}
		if !isCharacter(r) {
			s.fail(InvalidReference, at, "a reference to a character that XML forbids")
			return 0
		}
		s.scratch = utf8.AppendRune(s.scratch, r)
	}
	return semicolon + 1
}

// number reads "#123" or "#x7B"; what is beyond Unicode becomes -1.
func number(name []byte) (r rune, ok bool) {
	digits, ok := bytes.CutPrefix(name, []byte("#"))
	if !ok {
		return 0, false
	}
	base := rune(10)
	if len(digits) > 0 && digits[0] == 'x' {
		base, digits = 16, digits[1:]
	}
	for _, c := range digits {
		var d rune
		switch {
		case c >= '0' && c <= '9':
			d = rune(c - '0')
		case base == 16 && c|0x20 >= 'a' && c|0x20 <= 'f':
			d = rune(c|0x20-'a') + 10
		default:
			return 0, false
		}
		if r = r*base + d; r > utf8.MaxRune {
			r = utf8.MaxRune + 1
		}
	}
	return r, len(digits) > 0
}

// isCharacter follows XML 1.0 section 2.2.
func isCharacter(r rune) bool {
	switch {
	case r < 0x20:
		return r == '\t' || r == '\n' || r == '\r'
	case r >= 0xD800 && r <= 0xDFFF, r == 0xFFFE, r == 0xFFFF:
		return false
	}
	return r <= utf8.MaxRune
}
