package xmlscan

import "bytes"

// Limits bound what one document may hold.
type Limits struct {
	Depth      int // elements inside each other
	Attributes int // of one element, declarations of namespaces among them
	Namespaces int // declarations in scope at one place
	Name       int // bytes of one name
}

// Scanner reads one document after another. What it returns aliases the body
// or its own memory and is valid until the next Reset.
type Scanner struct {
	limits Limits
	src    []byte // UTF-8, every character allowed
	pos    int
	err    *Error

	charset               string
	badReason             Reason // why src ends where it does, "" at the body's end
	badDetail             string
	base                  int // bytes before src in the body
	transcoded            bool
	seen, seenOriginal    int // what Original counted last
	wide                  []byte
	scratch               []byte // texts that are not in the document as they read
	nextAmp, nextCR, next int    // the next '&', CR and ']' from some place on

	frames   []frame
	bindings []binding
	attrs    []attribute
	tagStart int // of the element that was read last
	memo     []known
}

// frame is an open element.
type frame struct {
	name, local, nameEnd int // its qualified name in src, the local part of it
	bindings             int // how many were in scope outside
	empty                bool
	// Of the child that was read last: its local name, and how many of that
	// name stood in a row.
	child, childEnd, run int
}

// New returns a scanner that keeps to the limits.
func New(l Limits) *Scanner { return &Scanner{limits: l} }

// Size is how many bytes of memory the scanner holds on to.
func (s *Scanner) Size() int { return cap(s.wide) + cap(s.scratch) }

// Reset begins a document and reads up to and with the start tag of its root
// element. charset is what came with it from outside, or "".
func (s *Scanner) Reset(body []byte, charset string) bool {
	*s = Scanner{
		limits: s.limits, wide: s.wide, scratch: s.scratch[:0],
		frames: s.frames[:0], bindings: s.bindings[:0], attrs: s.attrs[:0], memo: s.memo[:0],
	}
	s.nextAmp, s.nextCR, s.next = -1, -1, -1
	s.open(body, charset)
	if s.err != nil {
		return false
	}
	for s.misc() {
	}
	if s.err != nil {
		return false
	}
	if s.pos == len(s.src) {
		s.fail(Truncated, s.pos, "there is no element")
		return false
	}
	if s.src[s.pos] != '<' {
		s.fail(NotXML, s.pos, "text before the first element")
		return false
	}
	return s.startTag()
}

// misc reads one comment, processing instruction or run of blanks outside of
// elements; false where there is none.
func (s *Scanner) misc() bool {
	if s.err != nil || s.pos == len(s.src) {
		return false
	}
	if isBlank(s.src[s.pos]) {
		s.blanks()
		return true
	}
	rest := s.src[s.pos:]
	if len(rest) < 2 || rest[0] != '<' {
		return false
	}
	switch rest[1] {
	case '?':
		return s.instruction()
	case '!':
		if s.isDoctype() {
			return false
		}
		return s.comment()
	}
	return false
}

func (s *Scanner) isDoctype() bool {
	if bytes.HasPrefix(s.src[s.pos:], []byte("<!DOCTYPE")) {
		s.fail(Doctype, s.pos, "SOAP allows no document type declaration")
		return true
	}
	return false
}

// Finish reads what follows the root element: nothing but comments, processing
// instructions and blanks.
func (s *Scanner) Finish() bool {
	for s.misc() {
	}
	if s.err == nil && s.pos < len(s.src) {
		s.fail(TrailingContent, s.pos, "content after the root element")
	}
	if s.err == nil && s.badReason != "" {
		s.fail(Truncated, s.pos, "")
	}
	return s.err == nil
}

// Charset is what the body is read as.
func (s *Scanner) Charset() string { return s.charset }

// Child goes on to the next element inside the current one and returns true, or
// reads the current one's end tag and returns false. Text between the elements
// is refused.
func (s *Scanner) Child() bool {
	if s.err != nil {
		return false
	}
	if top := &s.frames[len(s.frames)-1]; top.empty {
		s.pop()
		return false
	}
	for {
		s.blanks()
		if s.pos+1 >= len(s.src) {
			s.fail(Truncated, s.pos, "the document ends inside an element")
			return false
		}
		if s.src[s.pos] != '<' {
			s.fail(UnexpectedText, s.pos, "text where only elements may stand")
			return false
		}
		switch s.src[s.pos+1] {
		case '/':
			s.endTag()
			return false
		case '?':
			if !s.instruction() {
				return false
			}
		case '!':
			if !s.betweenElements() {
				return false
			}
		default:
			return s.startTag()
		}
	}
}

// betweenElements reads a comment, or a CDATA section that holds only blanks.
func (s *Scanner) betweenElements() bool {
	content, isCDATA := s.cdata()
	if !isCDATA {
		return s.comment()
	}
	for _, c := range content {
		if !isBlank(c) {
			s.fail(UnexpectedText, s.pos, "text where only elements may stand")
			break
		}
	}
	return s.err == nil
}

// Skip reads over the current element, whatever is in it.
func (s *Scanner) Skip() bool {
	depth := len(s.frames)
	for s.err == nil && len(s.frames) >= depth {
		if s.frames[len(s.frames)-1].empty {
			s.pop()
			continue
		}
		mark := len(s.scratch)
		s.run(true)
		s.scratch = s.scratch[:mark]
		if s.err != nil {
			return false
		}
		if s.src[s.pos+1] == '/' {
			s.endTag()
		} else {
			s.startTag()
		}
	}
	return s.err == nil
}

func (s *Scanner) blanks() {
	i := s.pos
	for i < len(s.src) && isBlank(s.src[i]) {
		i++
	}
	s.pos = i
}

func (s *Scanner) pop() {
	top := len(s.frames) - 1
	s.bindings = s.bindings[:s.frames[top].bindings]
	s.frames = s.frames[:top]
}

// endTag reads the end tag of the current element.
func (s *Scanner) endTag() {
	top := &s.frames[len(s.frames)-1]
	name := s.src[top.name:top.nameEnd]
	at := s.pos + 2
	if len(s.src)-at <= len(name) {
		s.shortEndTag(at, name)
		return
	}
	if !bytes.Equal(s.src[at:at+len(name)], name) {
		s.fail(MismatchedTag, s.pos, "the end tag is not that of "+quote(name))
		return
	}
	at += len(name)
	if s.src[at] != '>' {
		for at < len(s.src) && isBlank(s.src[at]) {
			at++
		}
		switch {
		case at == len(s.src):
			s.fail(Truncated, at, "the document ends in an end tag")
			return
		case s.src[at] != '>':
			s.fail(MismatchedTag, s.pos, "the end tag is not that of "+quote(name))
			return
		}
	}
	s.pos = at + 1
	s.pop()
}

// shortEndTag tells a wrong end tag from one that is cut off.
func (s *Scanner) shortEndTag(at int, name []byte) {
	if bytes.HasPrefix(name, s.src[at:min(at+len(name), len(s.src))]) {
		s.fail(Truncated, at, "the document ends in an end tag")
		return
	}
	s.fail(MismatchedTag, s.pos, "the end tag is not that of "+quote(name))
}

// comment reads "<!--" to "-->"; no "--" may stand inside (XML 1.0 section 2.5).
func (s *Scanner) comment() bool {
	rest := s.src[s.pos:]
	if !bytes.HasPrefix(rest, []byte("<!--")) {
		switch {
		case s.isDoctype():
		case bytes.HasPrefix([]byte("<!--"), rest) || bytes.HasPrefix([]byte("<!DOCTYPE"), rest) || bytes.HasPrefix([]byte("<![CDATA["), rest):
			s.fail(Truncated, s.pos, "the document ends in markup")
		default:
			s.fail(InvalidMarkup, s.pos, "\"<!\" begins neither a comment nor CDATA here")
		}
		return false
	}
	end := bytes.Index(rest[4:], []byte("--"))
	if end < 0 || 4+end+2 >= len(rest) {
		s.fail(Truncated, s.pos, "the document ends in a comment")
		return false
	}
	if rest[4+end+2] != '>' {
		s.fail(InvalidMarkup, s.pos+4+end, "\"--\" inside a comment")
		return false
	}
	s.pos += 4 + end + 3
	return true
}

// cdata reads a CDATA section; false where there is none.
func (s *Scanner) cdata() (content []byte, ok bool) {
	rest, found := bytes.CutPrefix(s.src[s.pos:], []byte("<![CDATA["))
	if !found {
		return nil, false
	}
	end := bytes.Index(rest, []byte("]]>"))
	if end < 0 {
		s.fail(Truncated, s.pos, "the document ends in CDATA")
		return nil, true
	}
	s.pos += 9 + end + 3
	return rest[:end:end], true
}

// instruction reads "<?target …?>" (XML 1.0 section 2.6). SOAP 1.1 has no use
// for them, but they carry no meaning either.
func (s *Scanner) instruction() bool {
	start := s.pos
	local, end, ok := s.name(s.pos + 2)
	if !ok {
		return false
	}
	target := s.src[start+2 : end]
	if bytes.EqualFold(target, []byte("xml")) {
		s.fail(InvalidDeclaration, start, "an XML declaration not at the beginning")
		return false
	}
	if local > start+2 {
		s.fail(InvalidName, start, "a colon in the target of a processing instruction")
		return false
	}
	stop := bytes.Index(s.src[end:], []byte("?>"))
	if stop < 0 {
		s.fail(Truncated, start, "the document ends in a processing instruction")
		return false
	}
	if stop > 0 && !isBlank(s.src[end]) {
		s.fail(InvalidName, start, "the target of a processing instruction is no name")
		return false
	}
	s.pos = end + stop + 2
	return true
}

// HasChildren reports whether the current element, whose start tag was just
// read, holds elements rather than text.
func (s *Scanner) HasChildren() bool {
	if s.err != nil || s.frames[len(s.frames)-1].empty {
		return false
	}
	start := s.pos
	defer func() { s.pos = start }()
	for s.err == nil {
		s.blanks()
		if s.pos+1 >= len(s.src) || s.src[s.pos] != '<' {
			return false
		}
		switch s.src[s.pos+1] {
		case '/':
			return false
		case '?':
			s.instruction()
		case '!':
			if bytes.HasPrefix(s.src[s.pos:], []byte("<![")) {
				return false
			}
			s.comment()
		default:
			return true
		}
	}
	return false
}
