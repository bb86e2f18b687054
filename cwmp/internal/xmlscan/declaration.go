package xmlscan

import "bytes"

// declaration reads the XML declaration where there is one and returns the
// encoding that it names. Blanks before it are let pass, as real peers send
// them.
func (s *Scanner) declaration() (encoding []byte) {
	s.blanks()
	rest := s.src[s.pos:]
	if !bytes.HasPrefix(rest, []byte("<?xml")) || len(rest) > 5 && !isBlank(rest[5]) && rest[5] != '?' {
		return nil
	}
	end := bytes.Index(rest, []byte("?>"))
	if end < 0 {
		s.fail(Truncated, s.pos, "the document ends in the XML declaration")
		return nil
	}
	at, inside := s.pos, rest[5:end]
	s.pos += end + 2
	version, inside, ok := pseudoAttribute(inside, "version")
	if !ok || string(version) != "1.0" {
		s.fail(InvalidDeclaration, at, "the XML declaration does not begin with version=\"1.0\"")
		return nil
	}
	encoding, inside, ok = pseudoAttribute(inside, "encoding")
	if ok && !isEncodingName(encoding) {
		s.fail(InvalidDeclaration, at, "the encoding has no valid name")
		return nil
	}
	standalone, inside, ok := pseudoAttribute(inside, "standalone")
	if ok && string(standalone) != "yes" && string(standalone) != "no" {
		s.fail(InvalidDeclaration, at, "standalone is neither yes nor no")
		return nil
	}
	if len(bytes.Trim(inside, " \t\r\n")) > 0 {
		s.fail(InvalidDeclaration, at, "the XML declaration holds more than version, encoding and standalone")
		return nil
	}
	return encoding
}

// pseudoAttribute reads ` name="value"`; where it is not there, rest is b.
func pseudoAttribute(b []byte, name string) (value, rest []byte, ok bool) {
	blank := func(b []byte) []byte { return bytes.TrimLeft(b, " \t\r\n") }
	r := blank(b)
	if len(r) == len(b) {
		return nil, b, false
	}
	r, ok = bytes.CutPrefix(r, []byte(name))
	if !ok {
		return nil, b, false
	}
	r, ok = bytes.CutPrefix(blank(r), []byte("="))
	r = blank(r)
	if !ok || len(r) == 0 || r[0] != '"' && r[0] != '\'' {
		return nil, b, false
	}
	end := bytes.IndexByte(r[1:], r[0])
	if end < 0 {
		return nil, b, false
	}
	return r[1 : 1+end], r[end+2:], true
}

// isEncodingName follows XML 1.0 section 4.3.3.
func isEncodingName(b []byte) bool {
	for i, c := range b {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || !(c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-')) {
			return false
		}
	}
	return len(b) > 0
}
