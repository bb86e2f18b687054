package xmlscan

import "bytes"

// Shape is an element with two text elements in it, the second with attributes:
// <item><first>…</first><second a="…">…</second></item>.
type Shape struct {
	open, firstOpen, firstClose, secondOpen, secondClose, close string
}

// NewShape names the three elements.
func NewShape(item, first, second string) Shape {
	return Shape{"<" + item + ">", "<" + first + ">", "</" + first + ">", "<" + second, "</" + second + ">", "</" + item + ">"}
}

// Pair is what stands in a Shape.
type Pair struct {
	First, Second Text
	Type          []byte // the second's xsi:type, as XSIType has it
}

// known is the attributes of a start tag as written, and the xsi:type in them.
type known struct{ raw, xsiType []byte }

// knownTags bounds the memory of start tags; a document has four or five types.
const knownTags = 8

// Forget is to be called where a list of pairs begins: tags mean what they
// meant only while the same namespaces are in scope.
func (s *Scanner) Forget() { s.memo = s.memo[:0] }

// Declared is how many namespaces are in scope.
func (s *Scanner) Declared() int { return len(s.bindings) }

// Remember keeps the meaning of the start tag that was read last.
func (s *Scanner) Remember(xsiType []byte) {
	top := &s.frames[len(s.frames)-1]
	end := s.pos - 1
	if top.empty {
		end--
	}
	if len(s.memo) < knownTags {
		s.memo = append(s.memo, known{s.src[top.nameEnd:end:end], xsiType})
	}
}

// Pair reads the next child of the current element where it has exactly the
// form of sh, plain text, and a start tag that was seen before. That is nearly
// all of a long list. Where it returns false nothing was read, and Child will
// read the same thing with all that XML allows.
func (s *Scanner) Pair(sh *Shape, p *Pair) bool {
	src := s.src
	if s.err != nil || len(s.frames)+2 > s.limits.Depth {
		return false
	}
	i := skip(src, s.pos)
	start := i
	if !at(src, i, sh.open) {
		return false
	}
	i = skip(src, i+len(sh.open))
	if !at(src, i, sh.firstOpen) {
		return false
	}
	i += len(sh.firstOpen)
	end := s.plainText(i)
	if !at(src, end, sh.firstClose) {
		return false
	}
	first, firstEnd := i, end
	i = skip(src, end+len(sh.firstClose))
	if !at(src, i, sh.secondOpen) {
		return false
	}
	i += len(sh.secondOpen)
	tag := s.knownTag(i)
	if tag == nil {
		return false
	}
	i += len(tag.raw)
	second, secondEnd := i, i+2
	if src[i] == '>' {
		second = i + 1
		secondEnd = s.plainText(second)
		if !at(src, secondEnd, sh.secondClose) {
			return false
		}
		i = secondEnd + len(sh.secondClose)
		p.Second.Bytes = src[second:secondEnd:secondEnd]
	} else {
		i += 2
		p.Second.Bytes = src[i:i:i]
	}
	i = skip(src, i)
	if !at(src, i, sh.close) {
		return false
	}
	s.pos = i + len(sh.close)
	p.Type = tag.xsiType
	p.First.Bytes = src[first:firstEnd:firstEnd]
	if s.transcoded {
		first, firstEnd = s.Original(first), s.Original(firstEnd)
		second, secondEnd = s.Original(second), s.Original(secondEnd)
	} else {
		first, firstEnd, second, secondEnd = first+s.base, firstEnd+s.base, second+s.base, secondEnd+s.base
	}
	p.First.Start, p.First.End = first, firstEnd
	p.Second.Start, p.Second.End = second, secondEnd
	s.count(start+1, start+len(sh.open)-1)
	return true
}

// count notes a child of the current element by its name, for the path of an
// error.
func (s *Scanner) count(name, nameEnd int) {
	p := &s.frames[len(s.frames)-1]
	if bytes.Equal(s.src[p.child:p.childEnd], s.src[name:nameEnd]) {
		p.run++
	} else {
		p.run = 1
	}
	p.child, p.childEnd = name, nameEnd
}

// knownTag finds the rest of a start tag among those remembered.
func (s *Scanner) knownTag(i int) *known {
	for k := range s.memo {
		m := &s.memo[k]
		rest := s.src[i:]
		if n := len(m.raw); len(rest) > n+1 && bytes.Equal(rest[:n], m.raw) && (rest[n] == '>' || rest[n] == '/' && rest[n+1] == '>') {
			return m
		}
	}
	return nil
}

// plainText returns where the text from i on ends, or -1 where it is not plain.
func (s *Scanner) plainText(i int) int {
	n := bytes.IndexByte(s.src[i:], '<')
	if n < 0 || s.special(i, i+n) {
		return -1
	}
	return i + n
}

func skip(src []byte, i int) int {
	for i < len(src) && isBlank(src[i]) {
		i++
	}
	return i
}

func at(src []byte, i int, text string) bool {
	return i >= 0 && len(src)-i >= len(text) && string(src[i:i+len(text)]) == text
}
