package h1

import (
	"bytes"
	"fmt"
	"math"
)

// Field is one header field: Name as it came, Value without the blanks around
// it. Both alias the connection's buffer.
type Field struct{ Name, Value []byte }

// Fields are a message's header fields in the order they came.
type Fields []Field

// Get returns the value of the first field called name, nil where there is
// none. Names have no case.
func (fs Fields) Get(name string) []byte {
	for i := range fs {
		if isName(fs[i].Name, name) {
			return fs[i].Value
		}
	}
	return nil
}

// Has tells whether there is a field called name.
func (fs Fields) Has(name string) bool {
	for i := range fs {
		if isName(fs[i].Name, name) {
			return true
		}
	}
	return false
}

// Request is the head of a request. Target is in origin-form, or "*" for
// OPTIONS. Host is empty only where the server's configuration allows it, or in
// HTTP/1.0. ContentLength is -1 for a chunked body, 0 where there is none.
type Request struct {
	Method, Target []byte
	Minor          int // of the version: 0 or 1
	Fields         Fields
	Host           []byte
	ContentLength  int64
	KeepAlive      bool // always false in HTTP/1.0
	ExpectContinue bool
}

// Response is the head of a response. ContentLength is -1 for a chunked body
// and -2 for one that ends with the connection; for HEAD and 304 it is what
// the field says of a body that does not follow.
type Response struct {
	Status        int
	Reason        []byte
	Minor         int
	Fields        Fields
	ContentLength int64
	KeepAlive     bool
}

// lengths that stand for "no length": see Request and Response.
const (
	lengthChunked    = -1
	lengthUntilClose = -2
)

// Limits bound a head and the lines of a chunked body. What is zero has its
// default.
type Limits struct {
	Head           int // bytes of start line and fields; 32 KiB
	Fields         int // number of fields; 100
	Line           int // bytes of the start line; 8 KiB
	ChunkExtension int // bytes of extensions in one chunk's line, at most 2 KiB; 256
}

const maxChunkExtension = 2 << 10

func (l Limits) withDefaults() Limits {
	set := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	set(&l.Head, 32<<10)
	set(&l.Fields, 100)
	set(&l.Line, 8<<10)
	set(&l.ChunkExtension, 256)
	l.ChunkExtension = min(l.ChunkExtension, maxChunkExtension)
	return l
}

// problem is an Error without a status, which depends on the side that reads.
type problem struct {
	reason Reason
	detail string
}

func bad(r Reason, format string, args ...any) *problem {
	return &problem{r, fmt.Sprintf(format, args...)}
}

// excerpt bounds what an error quotes.
func excerpt(b []byte) []byte { return b[:min(len(b), 48)] }

// Character classes.
const (
	isToken   = 1 << iota // RFC 9110 section 5.6.2
	isHost                // of a name or an IPv4 address
	isTarget              // what may stand in a request target
	isControl             // in a field value or a reason phrase
	isDigit
	isHex
)

var classes = func() (t [256]uint8) {
	mark := func(class uint8, chars string) {
		for i := range len(chars) {
			t[chars[i]] |= class
		}
	}
	const digits = "0123456789"
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	mark(isToken, digits+letters+"!#$%&'*+-.^_`|~")
	mark(isHost, digits+letters+"-._~")
	mark(isDigit, digits)
	mark(isHex, digits+"abcdefABCDEF")
	for c := range 256 {
		if c > ' ' && c != 0x7f && c != '#' {
			// Bytes over 0x7F are no URI characters, but CPEs send paths that
			// hold them; a fragment has no place in a request at all.
			t[c] |= isTarget
		}
		if c < ' ' && c != '\t' || c == 0x7f {
			t[c] |= isControl
		}
	}
	return t
}()

func all(b []byte, class uint8) bool {
	for _, c := range b {
		if classes[c]&class == 0 {
			return false
		}
	}
	return true
}

// isName tells whether b is name, which is given in lower case or any other.
func isName(b []byte, name string) bool {
	if len(b) != len(name) {
		return false
	}
	for i := range len(name) {
		if lower(b[i]) != lower(name[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func trimOWS(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// headScan looks for the end of a head as its bytes arrive, so that nothing is
// looked at twice and a broken line is refused before its end is waited for.
type headScan struct {
	line  int // where the line begins
	from  int // where to go on
	lines int
}

// next returns the length of the head once its final empty line is in b, else 0.
func (s *headScan) next(b []byte, lim *Limits) (int, *problem) {
	for {
		i := bytes.IndexByte(b[s.from:], '\r')
		if i < 0 {
			i = len(b)
		} else {
			i += s.from
		}
		if lf := bytes.IndexByte(b[s.from:i], '\n'); lf >= 0 {
			return 0, bad(ReasonBareLF, "LF without CR at byte %d of the head", s.from+lf)
		}
		if s.lines == 0 && i-s.line > lim.Line {
			return 0, bad(ReasonLineTooLong, "start line is over %d bytes", lim.Line)
		}
		if i+1 >= len(b) {
			s.from = i
			if len(b) > lim.Head {
				return 0, bad(ReasonHeadTooLarge, "head is over %d bytes", lim.Head)
			}
			return 0, nil
		}
		if b[i+1] != '\n' {
			return 0, bad(ReasonBareCR, "CR without LF at byte %d of the head", i)
		}
		empty := i == s.line
		s.line, s.from = i+2, i+2
		switch {
		case i+2 > lim.Head:
			return 0, bad(ReasonHeadTooLarge, "head is over %d bytes", lim.Head)
		case empty && s.lines == 0:
			return 0, bad(ReasonEmptyLine, "empty line in place of a start line")
		case empty:
			return i + 2, nil
		}
		if s.lines++; s.lines-1 > lim.Fields {
			return 0, bad(ReasonTooManyFields, "more than %d fields", lim.Fields)
		}
	}
}

// cutLine returns the first line of b without its CRLF, and the rest. headScan
// has seen that there is one.
func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexByte(b, '\r')
	return b[:i], b[i+2:]
}

// message is what a head's fields say of the message as a whole.
type message struct {
	fields     Fields
	lenient    bool // a response: what is odd but has one meaning passes
	length     int64
	hasLength  bool
	encodings  int // Transfer-Encoding fields
	notChunked bool
	hosts      int
	host       []byte
	close      bool
	keepAlive  bool
	expect     int
	unexpected []byte // an expectation that is not 100-continue
	upgrade    bool
}

// parse reads the lines behind the start line up to the empty one.
func (m *message) parse(b []byte) *problem {
	for {
		line, rest := cutLine(b)
		if len(line) == 0 {
			return nil
		}
		f, p := parseField(line)
		if p == nil {
			p = m.note(f)
		}
		if p != nil {
			return p
		}
		m.fields = append(m.fields, f)
		b = rest
	}
}

func parseField(line []byte) (f Field, p *problem) {
	if line[0] == ' ' || line[0] == '\t' {
		return f, bad(ReasonFold, "field line begins with a blank: %q", excerpt(line))
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return f, bad(ReasonNoColon, "field line without a colon: %q", excerpt(line))
	}
	name := line[:colon]
	if len(name) == 0 || !all(name, isToken) {
		if n := len(name); n > 0 && (name[n-1] == ' ' || name[n-1] == '\t') {
			return f, bad(ReasonSpaceBeforeColon, "blank before the colon: %q", excerpt(line))
		}
		return f, bad(ReasonFieldName, "illegal field name %q", excerpt(name))
	}
	value := line[colon+1:]
	for i, c := range value {
		if classes[c]&isControl == 0 {
			continue
		}
		if c == 0 {
			return f, bad(ReasonNUL, "NUL at byte %d of the value of %q", i, excerpt(name))
		}
		return f, bad(ReasonControl, "control character 0x%02x in the value of %q", c, excerpt(name))
	}
	return Field{name, trimOWS(value)}, nil
}

// note takes what concerns the message itself from a field. The length of the
// name sorts out nearly all others.
func (m *message) note(f Field) *problem {
	switch len(f.Name) {
	case len("Host"):
		if isName(f.Name, "host") {
			m.hosts++
			m.host = f.Value
		}
	case len("Expect"):
		if isName(f.Name, "expect") {
			m.expect++
			if !isName(f.Value, "100-continue") {
				m.unexpected = f.Value
			}
		}
	case len("Upgrade"):
		m.upgrade = m.upgrade || isName(f.Name, "upgrade")
	case len("Connection"):
		if isName(f.Name, "connection") {
			return m.connection(f.Value)
		}
	case len("Content-Length"):
		if isName(f.Name, "content-length") {
			return m.contentLength(f.Value)
		}
	case len("Transfer-Encoding"):
		if isName(f.Name, "transfer-encoding") {
			m.encodings++
			m.notChunked = m.notChunked || !isChunked(f.Value, m.lenient)
		}
	}
	return nil
}

// endToEnd are fields that carry the message: whoever has them dropped as
// hop-by-hop fields makes the next reader see another one.
var endToEnd = [...]string{
	"host", "content-length", "transfer-encoding", "content-type", "content-encoding", "content-range", "range",
	"authorization", "www-authenticate", "cookie", "set-cookie", "location", "soapaction", "expect",
}

func (m *message) connection(v []byte) *problem {
	for option := range list(v) {
		switch {
		case isName(option, "close"):
			m.close = true
		case isName(option, "keep-alive"):
			m.keepAlive = true
		}
		for _, name := range endToEnd {
			if isName(option, name) {
				return bad(ReasonConnection, "Connection names %q", option)
			}
		}
	}
	return nil
}

func (m *message) contentLength(v []byte) *problem {
	if !m.lenient {
		if m.hasLength {
			return bad(ReasonRepeatedLength, "more than one Content-Length")
		}
		n, p := parseLength(v)
		m.length, m.hasLength = n, true
		return p
	}
	// RFC 9110 section 8.6: the same length several times has one meaning.
	before := m.hasLength
	for {
		first, rest, more := bytes.Cut(v, []byte{','})
		n, p := parseLength(trimOWS(first))
		if p != nil {
			return p
		}
		if before && n != m.length {
			return bad(ReasonRepeatedLength, "Content-Length is %d and %d", m.length, n)
		}
		m.length, m.hasLength, before = n, true, true
		if !more {
			return nil
		}
		v = rest
	}
}

// parseLength reads digits and nothing else; zeros may lead.
func parseLength(v []byte) (n int64, p *problem) {
	if len(v) == 0 || !all(v, isDigit) {
		return 0, bad(ReasonContentLength, "Content-Length is %q", excerpt(v))
	}
	for _, c := range v {
		d := int64(c - '0')
		if n > (math.MaxInt64-d)/10 {
			return 0, bad(ReasonContentLength, "Content-Length %q is over 2^63", excerpt(v))
		}
		n = 10*n + d
	}
	return n, nil
}

// isChunked tells whether chunked is the one coding that v names; lenient lets
// it be named several times.
func isChunked(v []byte, lenient bool) bool {
	if !lenient {
		return isName(v, "chunked")
	}
	found := false
	for coding := range list(v) {
		if !isName(coding, "chunked") {
			return false
		}
		found = true
	}
	return found
}

// list yields the elements of a comma-separated list, empty ones left out.
func list(v []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(v) > 0 {
			element, rest, _ := bytes.Cut(v, []byte{','})
			if element = trimOWS(element); len(element) > 0 && !yield(element) {
				return
			}
			v = rest
		}
	}
}

// framing returns the length of the body, or one of the two that stand for none.
func (m *message) framing(minor int, none int64) (int64, *problem) {
	switch {
	case m.encodings > 0 && m.hasLength:
		return 0, bad(ReasonLengthAndEncoding, "both Content-Length and Transfer-Encoding")
	case m.encodings > 0 && minor == 0:
		return 0, bad(ReasonEncodingVersion, "Transfer-Encoding in HTTP/1.0")
	case m.notChunked || m.encodings > 1 && !m.lenient:
		return 0, bad(ReasonTransferEncoding, "Transfer-Encoding is not one chunked")
	case m.encodings > 0:
		return lengthChunked, nil
	case m.hasLength:
		return m.length, nil
	}
	return none, nil
}
