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

// Forget is to be called where a list of pairs begins: the same start tag means
// the same only while the same namespaces are in scope around it.
func (s *Scanner) Forget() { s.memo = s.memo[:0] }

// Leaf reads the next child of the current element into t where it is nothing
// but <name>plain text</name> or <name/>. Where it returns false nothing was
// read, and Child will read the same thing with all that XML allows.
func (s *Scanner) Leaf(name string, t *Text) bool {
	src, n := s.src, len(name)
	if !s.fast(1) {
		return false
	}
	i := skip(src, s.pos)
	if len(src)-i < n+3 || src[i] != '<' || string(src[i+1:i+1+n]) != name {
		return false
	}
	start := i + n + 2
	end := start
	switch {
	case src[i+n+1] == '>':
		end = s.plainText(start)
		if end < 0 || len(src)-end < n+3 || src[end+1] != '/' || src[end+n+2] != '>' || string(src[end+2:end+2+n]) != name {
			return false
		}
		s.pos = end + n + 3
		t.Bytes = src[start:end:end]
	case src[i+n+1] == '/' && src[i+n+2] == '>':
		start, end = i+n+1, i+n+3
		s.pos = end
		t.Bytes = src[end:end:end]
	default:
		return false
	}
	s.count(i+1, i+1+n)
	t.Start, t.End = s.Original(start), s.Original(end)
	return true
}

// fast reports whether the next child, with so many elements in each other, may
// be read without being opened.
func (s *Scanner) fast(depth int) bool {
	return s.err == nil && !s.frames[len(s.frames)-1].empty && len(s.frames)+depth <= s.limits.Depth
}

// Pair reads the next child of the current element where it has exactly the
// form of sh, with plain texts. That is nearly all of a long list. Where it
// returns false nothing was read, as with Leaf, or there is an error.
func (s *Scanner) Pair(sh *Shape, p *Pair) bool {
	src := s.src
	if !s.fast(2) {
		return false
	}
	item := skip(src, s.pos)
	if !at(src, item, sh.open) {
		return false
	}
	i := skip(src, item+len(sh.open))
	if !at(src, i, sh.firstOpen) {
		return false
	}
	first := i + len(sh.firstOpen)
	firstEnd := s.plainText(first)
	if !at(src, firstEnd, sh.firstClose) {
		return false
	}
	i = skip(src, firstEnd+len(sh.firstClose))
	if !at(src, i, sh.secondOpen) {
		return false
	}
	tag := s.knownTag(i + len(sh.secondOpen))
	if tag == nil {
		if tag = s.learnTag(sh, item, i); tag == nil {
			return false
		}
	}
	i += len(sh.secondOpen) + len(tag.raw)
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
	p.First.Start, p.First.End = s.Original(first), s.Original(firstEnd)
	p.Second.Start, p.Second.End = s.Original(second), s.Original(secondEnd)
	s.count(item+1, item+len(sh.open)-1)
	return true
}

// learnTag reads the second element's start tag at from, inside of the item, and
// remembers it; nil where it cannot be remembered. The position does not change.
func (s *Scanner) learnTag(sh *Shape, item, from int) *known {
	if len(s.memo) == cap(s.memo) && cap(s.memo) > 0 {
		return nil
	}
	pos, parent := s.pos, len(s.frames)-1
	before, declared := s.frames[parent], len(s.bindings)
	s.push(frame{name: item + 1, local: item + 1, nameEnd: item + len(sh.open) - 1, bindings: declared})
	s.pos = from
	if !s.startTag() {
		return nil
	}
	top := &s.frames[len(s.frames)-1]
	end := s.pos - 1
	if top.empty {
		end--
	}
	raw := s.src[top.nameEnd:end:end]
	same := top.nameEnd-top.name == len(sh.secondOpen)-1
	xsiType := s.XSIType()
	s.bindings = s.bindings[:declared]
	s.frames = s.frames[:parent+1]
	s.frames[parent] = before
	s.pos = pos
	if !same {
		return nil
	}
	if s.memo == nil {
		s.memo = make([]known, 0, knownTags)
	}
	s.memo = append(s.memo, known{raw, xsiType})
	return &s.memo[len(s.memo)-1]
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
