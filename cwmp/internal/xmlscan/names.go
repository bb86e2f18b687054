package xmlscan

import (
	"sort"
	"unicode/utf8"
)

// The classes of a byte in a name; a colon separates, and is no part.
const (
	nameStart = 1 << iota
	nameChar
)

var nameClass = func() (t [256]uint8) {
	for c := range 256 {
		switch b := byte(c); {
		case b|0x20 >= 'a' && b|0x20 <= 'z' && b < 0x80, b == '_', b == ':':
			t[c] = nameStart | nameChar
		case b >= '0' && b <= '9', b == '-', b == '.':
			t[c] = nameChar
		}
	}
	return t
}()

// letters are the characters from U+0080 that may begin a name in every edition
// of XML 1.0: readers before and after the fifth disagree on the others, which
// are refused. (Pairs of first and last.)
var letters = [...]rune{
	0xC0, 0xD6, 0xD8, 0xF6, 0xF8, 0x131, 0x134, 0x13E, 0x141, 0x148, 0x14A, 0x17E, 0x180, 0x1C3, 0x1CD, 0x1F0,
	0x1F4, 0x1F5, 0x1FA, 0x217, 0x250, 0x2A8, 0x388, 0x38A, 0x38E, 0x3A1, 0x3A3, 0x3CE, 0x401, 0x40C,
	0x40E, 0x44F, 0x451, 0x45C, 0x45E, 0x481, 0x490, 0x4C4, 0x5D0, 0x5EA, 0x621, 0x63A, 0x641, 0x64A,
	0x905, 0x939, 0x1E00, 0x1E9B, 0x1EA0, 0x1EF9, 0x3041, 0x3094, 0x30A1, 0x30FA, 0x4E00, 0x9FA5, 0xAC00, 0xD7A3,
}

func isLetter(r rune) bool {
	i := sort.Search(len(letters)/2, func(i int) bool { return letters[2*i+1] >= r })
	return i < len(letters)/2 && letters[2*i] <= r
}

// name reads a qualified name from start on and returns where its local part
// begins, which is start where there is no prefix, and where it ends.
func (s *Scanner) name(start int) (local, end int, ok bool) {
	src := s.src
	local = start
	i := start
	for i < len(src) {
		class := nameClass[src[i]]
		if class&nameChar == 0 {
			if src[i] < 0x80 {
				break
			}
			n := s.wideLetter(i)
			if n == 0 {
				return 0, 0, false
			}
			i += n
			continue
		}
		if i == local && class&nameStart == 0 || src[i] == ':' && (local != start || i == start) {
			s.fail(InvalidName, start, "not a name, or colons that make no prefix")
			return 0, 0, false
		}
		i++
		if src[i-1] == ':' {
			local = i
		}
	}
	switch {
	case i == len(src):
		s.fail(Truncated, i, "the document ends in markup")
	case i == local:
		s.fail(InvalidName, start, "no name where one must stand")
	case i-start > s.limits.Name:
		s.fail(LimitName, start, "the name is too long")
	default:
		return local, i, true
	}
	return 0, 0, false
}

// wideLetter returns the length of a character from U+0080 in a name, 0 where it
// must not stand there.
func (s *Scanner) wideLetter(i int) int {
	r, n := utf8.DecodeRune(s.src[i:])
	if !isLetter(r) {
		s.fail(InvalidName, i, "a character that not every reader of XML takes in a name")
		return 0
	}
	return n
}

// Namespace is what a prefix stands for.
type Namespace uint8

// The namespaces that are known by name. CWMP is that of cwmp-1-0, CWMP+4 of
// cwmp-1-4.
const (
	NoNamespace Namespace = iota
	OtherNamespace
	SOAP
	SOAPEncoding
	XSD
	XSI
	XML
	XMLNS
	CWMP
	cwmpLast = CWMP + 4
)

// The names of the namespaces; CWMPName is followed by the minor version.
const (
	SOAPName         = "http://schemas.xmlsoap.org/soap/envelope/"
	SOAPEncodingName = "http://schemas.xmlsoap.org/soap/encoding/"
	XSDName          = "http://www.w3.org/2001/XMLSchema"
	XSIName          = "http://www.w3.org/2001/XMLSchema-instance"
	CWMPName         = "urn:dslforum-org:cwmp-1-"

	xmlName   = "http://www.w3.org/XML/1998/namespace"
	xmlnsName = "http://www.w3.org/2000/xmlns/"
)

func lookupNamespace(uri []byte) Namespace {
	switch string(uri) {
	case "":
		return NoNamespace
	case SOAPName:
		return SOAP
	case SOAPEncodingName:
		return SOAPEncoding
	case XSDName:
		return XSD
	case XSIName:
		return XSI
	case xmlName:
		return XML
	case xmlnsName:
		return XMLNS
	}
	if n := len(CWMPName); len(uri) == n+1 && string(uri[:n]) == CWMPName && uri[n] >= '0' && uri[n] <= '4' {
		return CWMP + Namespace(uri[n]-'0')
	}
	return OtherNamespace
}

// CWMPVersion is "1-0" to "1-4" for a namespace of CWMP, "" for any other.
func (n Namespace) CWMPVersion() string {
	if n < CWMP || n > cwmpLast {
		return ""
	}
	return [...]string{"1-0", "1-1", "1-2", "1-3", "1-4"}[n-CWMP]
}

// binding is one declaration of a namespace in scope.
type binding struct {
	prefix []byte // empty: the default namespace
	uri    []byte
	ns     Namespace
}

// lookup finds what a prefix means here. The default namespace is none where
// nothing declares it.
func (s *Scanner) lookup(prefix []byte) (ns Namespace, uri []byte, ok bool) {
	for i := len(s.bindings) - 1; i >= 0; i-- {
		if b := &s.bindings[i]; string(b.prefix) == string(prefix) {
			return b.ns, b.uri, true
		}
	}
	if string(prefix) == "xml" {
		return XML, nil, true
	}
	return NoNamespace, nil, len(prefix) == 0
}

// IsForeign reports whether uri is a namespace that no constant of this package
// stands for.
func IsForeign(uri []byte) bool { return lookupNamespace(uri) == OtherNamespace }
