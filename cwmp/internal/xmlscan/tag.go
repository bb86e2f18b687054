package xmlscan

import "bytes"

// attribute is one of the current start tag.
type attribute struct {
	name, local, nameEnd int // in src; local == name where there is no prefix
	value                []byte
	ns                   Namespace
	uri                  []byte
}

// startTag reads the start tag at s.pos and makes its element the current one.
func (s *Scanner) startTag() bool {
	s.tagStart = s.pos
	start := s.pos + 1
	local, end, ok := s.name(start)
	if !ok {
		return false
	}
	s.pos = end
	s.push(frame{name: start, local: local, nameEnd: end, bindings: len(s.bindings)})
	if len(s.frames) > s.limits.Depth {
		s.fail(LimitDepth, s.tagStart, "elements are nested too deep")
		return false
	}
	s.attrs = s.attrs[:0]
	if s.src[end] == '>' {
		s.pos = end + 1
	} else if !s.attributes() {
		return false
	}
	if local > start {
		prefix := s.src[start : local-1]
		if ns, _, ok := s.lookup(prefix); !ok || ns == XMLNS {
			s.fail(UndeclaredPrefix, s.tagStart, "the prefix "+quote(prefix)+" is not declared")
			return false
		}
	}
	return true
}

// push opens an element and counts it among its parent's.
func (s *Scanner) push(f frame) {
	if len(s.frames) > 0 {
		s.count(f.local, f.nameEnd)
	}
	s.frames = append(s.frames, f)
}

// attributes reads the rest of a start tag behind the name.
func (s *Scanner) attributes() bool {
	src := s.src
	for {
		before := s.pos
		s.blanks()
		if s.pos == len(src) {
			s.fail(Truncated, s.pos, "the document ends in a start tag")
			return false
		}
		switch src[s.pos] {
		case '>':
			s.pos++
			return s.resolve()
		case '/':
			if s.pos+1 == len(src) {
				s.fail(Truncated, s.pos, "the document ends in a start tag")
				return false
			}
			if src[s.pos+1] != '>' {
				s.fail(InvalidMarkup, s.pos, "\"/\" inside a start tag")
				return false
			}
			s.pos += 2
			s.frames[len(s.frames)-1].empty = true
			return s.resolve()
		}
		if s.pos == before {
			s.fail(InvalidMarkup, s.pos, "no blank before an attribute")
			return false
		}
		if !s.attribute() {
			return false
		}
	}
}

// attribute reads one attribute: name, "=", quoted value.
func (s *Scanner) attribute() bool {
	start := s.pos
	local, end, ok := s.name(start)
	if !ok {
		return false
	}
	s.pos = end
	s.blanks()
	if s.pos < len(s.src) && s.src[s.pos] == '=' {
		s.pos++
		s.blanks()
	} else if s.pos < len(s.src) {
		s.fail(InvalidMarkup, start, "an attribute without a value")
		return false
	}
	if s.pos == len(s.src) {
		s.fail(Truncated, s.pos, "the document ends in a start tag")
		return false
	}
	quotes := s.src[s.pos]
	if quotes != '"' && quotes != '\'' {
		s.fail(InvalidMarkup, s.pos, "an attribute's value without quotes")
		return false
	}
	s.pos++
	n := bytes.IndexByte(s.src[s.pos:], quotes)
	raw := s.src[s.pos:]
	if n >= 0 {
		raw = raw[:n:n]
	}
	if lt := bytes.IndexByte(raw, '<'); lt >= 0 {
		s.fail(InvalidMarkup, s.pos+lt, "\"<\" in an attribute's value")
		return false
	}
	if n < 0 {
		s.fail(Truncated, s.pos, "the document ends in an attribute's value")
		return false
	}
	value, ok := s.attributeValue(raw)
	if !ok {
		return false
	}
	s.pos += n + 1
	if len(s.attrs) == s.limits.Attributes {
		s.fail(LimitAttributes, s.tagStart, "the element has too many attributes")
		return false
	}
	s.attrs = append(s.attrs, attribute{name: start, local: local, nameEnd: end, value: value})
	return true
}

// attributeValue normalises a value (XML 1.0 section 3.3.3): blanks of any kind
// become spaces, references their characters.
func (s *Scanner) attributeValue(raw []byte) ([]byte, bool) {
	i := 0
	for i < len(raw) && raw[i] != '&' && raw[i] >= ' ' {
		i++
	}
	if i == len(raw) {
		return raw, true
	}
	from := len(s.scratch)
	s.scratch = append(s.scratch, raw[:i]...)
	for i < len(raw) {
		switch c := raw[i]; {
		case c == '&':
			n := s.reference(s.pos+i, raw[i:])
			if n == 0 {
				return nil, false
			}
			i += n
			continue
		case c == '\r' && i+1 < len(raw) && raw[i+1] == '\n':
		case c < ' ':
			s.scratch = append(s.scratch, ' ')
		default:
			s.scratch = append(s.scratch, c)
		}
		i++
	}
	return s.scratch[from:len(s.scratch):len(s.scratch)], true
}

// resolve declares the namespaces of the current tag, then finds those of its
// attributes, and refuses what must not be twice or not be at all.
func (s *Scanner) resolve() bool {
	for i := range s.attrs {
		if !s.declare(&s.attrs[i]) {
			return false
		}
	}
	for i := range s.attrs {
		a := &s.attrs[i]
		switch {
		case a.ns == XMLNS:
		case a.local > a.name:
			prefix := s.src[a.name : a.local-1]
			var ok bool
			if a.ns, a.uri, ok = s.lookup(prefix); !ok {
				s.fail(UndeclaredPrefix, a.name, "the prefix "+quote(prefix)+" is not declared")
				return false
			}
		default:
			if local := s.src[a.local:a.nameEnd]; string(local) == "href" || string(local) == "id" {
				s.fail(MultiReference, a.name, "a reference to another element (SOAP 1.1 section 5.4.1)")
				return false
			}
		}
		if !s.unique(a, s.attrs[:i]) {
			return false
		}
	}
	return true
}

// declare makes a binding of a where it is xmlns or xmlns:prefix.
func (s *Scanner) declare(a *attribute) bool {
	var prefix []byte
	if a.local == a.name {
		if string(s.src[a.name:a.nameEnd]) != "xmlns" {
			return true
		}
	} else {
		if string(s.src[a.name:a.local-1]) != "xmlns" {
			return true
		}
		prefix = s.src[a.local:a.nameEnd]
	}
	a.ns = XMLNS
	ns := lookupNamespace(a.value)
	switch {
	case string(prefix) == "xmlns", ns == XMLNS, (string(prefix) == "xml") != (ns == XML):
		s.fail(ReservedPrefix, a.name, "the prefixes xml and xmlns and their namespaces are reserved")
		return false
	case len(prefix) > 0 && ns == NoNamespace:
		s.fail(UndeclaredPrefix, a.name, "a prefix cannot be undeclared (Namespaces in XML 1.0 section 2.2)")
		return false
	case len(s.bindings) == s.limits.Namespaces:
		s.fail(LimitNamespaces, a.name, "too many namespaces are declared")
		return false
	}
	s.bindings = append(s.bindings, binding{prefix: prefix, uri: a.value, ns: ns})
	return true
}

// unique refuses an attribute that stands in before, by its name as written or
// by namespace and local name.
func (s *Scanner) unique(a *attribute, before []attribute) bool {
	local := s.src[a.local:a.nameEnd]
	for i := range before {
		b := &before[i]
		if !bytes.Equal(local, s.src[b.local:b.nameEnd]) || a.ns != b.ns || (a.local == a.name) != (b.local == b.name) {
			continue
		}
		if a.ns == OtherNamespace && !bytes.Equal(a.uri, b.uri) {
			continue
		}
		s.fail(DuplicateAttribute, a.name, "the attribute "+quote(local)+" stands twice")
		return false
	}
	return true
}

// Local is the current element's name without prefix, right after its start tag.
func (s *Scanner) Local() []byte {
	top := &s.frames[len(s.frames)-1]
	return s.src[top.local:top.nameEnd:top.nameEnd]
}

// Namespace is that of the current element, with its name.
func (s *Scanner) Namespace() (Namespace, []byte) {
	top := &s.frames[len(s.frames)-1]
	var prefix []byte
	if top.local > top.name {
		prefix = s.src[top.name : top.local-1]
	}
	ns, uri, _ := s.lookup(prefix)
	return ns, uri
}

// XSIType returns the xsi:type of the current element, right after its start
// tag, without blanks around it; its prefix is resolved as far as it is one.
func (s *Scanner) XSIType() []byte {
	for i := range s.attrs {
		if a := &s.attrs[i]; a.ns == XSI && string(s.src[a.local:a.nameEnd]) == "type" {
			return s.qualify(bytes.Trim(a.value, " "))
		}
	}
	return nil
}

// longestURI bounds the namespaces that are written out: a long one would be
// copied for each value that has a type in it.
const longestURI = 256

// qualify writes a qualified name with the prefix that is usual for its
// namespace, or as "{namespace}name". It leaves what it cannot resolve.
func (s *Scanner) qualify(q []byte) []byte {
	prefix, local, found := bytes.Cut(q, []byte(":"))
	if !found {
		prefix, local = nil, q
	}
	ns, uri, ok := s.lookup(prefix)
	if !ok || ns == NoNamespace || len(uri) > longestURI || !IsNCName(local) || found && !IsNCName(prefix) {
		return q
	}
	usual := ""
	switch {
	case ns == XSD:
		usual = "xsd:"
	case ns == XSI:
		usual = "xsi:"
	case ns == SOAP:
		usual = "soap-env:"
	case ns == SOAPEncoding:
		usual = "soap-enc:"
	case ns == XML:
		usual = "xml:"
	case ns >= CWMP:
		usual = "cwmp:"
	}
	if found && usual != "" && len(prefix)+1 == len(usual) && string(prefix) == usual[:len(prefix)] {
		return q
	}
	from := len(s.scratch)
	if usual != "" {
		s.scratch = append(s.scratch, usual...)
	} else {
		s.scratch = append(append(append(s.scratch, '{'), uri...), '}')
	}
	s.scratch = append(s.scratch, local...)
	return s.scratch[from:len(s.scratch):len(s.scratch)]
}

// IsNCName reports whether b is a name without a colon.
func IsNCName(b []byte) bool {
	if len(b) == 0 || nameClass[b[0]]&nameStart == 0 {
		return false
	}
	for _, c := range b {
		if c == ':' || nameClass[c]&nameChar == 0 {
			return false
		}
	}
	return true
}
