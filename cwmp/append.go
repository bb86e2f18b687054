package cwmp

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/cwmpgate/cwmpgate/cwmp/internal/xmlscan"
)

// Append appends m as a whole document in UTF-8: elements in schema order, with
// xsi:type on values and arrayType on arrays, as CPEs and ACSes expect them.
// The namespace is that of m.Version. Characters that XML forbids become
// U+FFFD.
func Append(dst []byte, m *Message) []byte {
	version := m.Version
	if version == "" {
		version = "1-0"
	}
	dst = append(dst, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+
		`<soap-env:Envelope xmlns:soap-env="`+xmlscan.SOAPName+`" xmlns:soap-enc="`+xmlscan.SOAPEncodingName+
		`" xmlns:xsd="`+xmlscan.XSDName+`" xmlns:xsi="`+xmlscan.XSIName+`" xmlns:cwmp="`+xmlscan.CWMPName...)
	dst = appendEscaped(dst, []byte(version[len("1-"):]), true)
	dst = append(dst, `">`...)
	c := coder{mode: appending, dst: dst}
	c.appendHeader(&m.Header)
	c.open("soap-env:", "Body")
	c.appendBody(m)
	c.close("soap-env:", "Body")
	c.close("soap-env:", "Envelope")
	return append(c.dst, '\n')
}

// appendHeader gives each element the mustUnderstand that TR-069 asks for.
func (c *coder) appendHeader(h *Header) {
	elements := [...]struct {
		name           string
		text           *Text
		mustUnderstand byte
	}{
		{"ID", &h.ID, '1'},
		{"HoldRequests", &h.HoldRequests, '1'},
		{"NoMoreRequests", &h.NoMoreRequests, '0'},
		{"SessionTimeout", &h.SessionTimeout, '0'},
		{"SupportedCWMPVersions", &h.SupportedCWMPVersions, '0'},
		{"UseCWMPVersion", &h.UseCWMPVersion, '1'},
	}
	any := false
	for _, e := range elements {
		if !e.text.Set {
			continue
		}
		if !any {
			c.open("soap-env:", "Header")
			any = true
		}
		c.dst = append(c.dst, "<cwmp:"...)
		c.dst = append(c.dst, e.name...)
		c.dst = append(c.dst, ` soap-env:mustUnderstand="`...)
		c.dst = append(c.dst, e.mustUnderstand, '"', '>')
		c.dst = appendEscaped(c.dst, e.text.Bytes, false)
		c.close("cwmp:", e.name)
	}
	if any {
		c.close("soap-env:", "Header")
	}
}

func (c *coder) appendBody(m *Message) {
	switch rpc := m.RPC.(type) {
	case *Fault:
		c.open("soap-env:", "Fault")
		c.contents(rpc)
		c.close("soap-env:", "Fault")
	case *VendorRPC:
		c.appendVendor(m, rpc)
	default:
		name := rpcs[rpc.Method()].name
		if kindOf(rpc) == KindResponse {
			name = rpcs[rpc.Method()].answer
		}
		c.open("cwmp:", name)
		c.contents(rpc)
		c.close("cwmp:", name)
	}
}

func (c *coder) appendVendor(m *Message, rpc *VendorRPC) {
	name, prefix := string(rpc.Name.Bytes), ""
	if name == "" {
		name = m.Name
	}
	switch {
	case len(rpc.Namespace) > 0:
		prefix = "v:"
		c.dst = append(append(append(c.dst, "<v:"...), name...), ` xmlns:v="`...)
		c.dst = appendEscaped(c.dst, rpc.Namespace, true)
		c.dst = append(c.dst, '"', '>')
	case m.Version != "":
		prefix = "cwmp:"
		c.open(prefix, name)
	default:
		c.open(prefix, name)
	}
	c.contents(rpc)
	c.close(prefix, name)
}

func (c *coder) open(prefix, name string) {
	c.dst = append(c.dst, '<')
	c.dst = append(c.dst, prefix...)
	c.dst = append(c.dst, name...)
	c.dst = append(c.dst, '>')
}

func (c *coder) close(prefix, name string) {
	c.dst = append(c.dst, '<', '/')
	c.dst = append(c.dst, prefix...)
	c.dst = append(c.dst, name...)
	c.dst = append(c.dst, '>')
}

func (c *coder) leaf(name string, text []byte) {
	c.open("", name)
	c.dst = appendEscaped(c.dst, text, false)
	c.close("", name)
}

func (c *coder) typedLeaf(name string, xsiType, text []byte) {
	c.openTyped(name, xsiType)
	c.dst = appendEscaped(c.dst, text, false)
	c.close("", name)
}

func (c *coder) openList(name, itemType string, n int) {
	c.dst = append(append(c.dst, '<'), name...)
	c.dst = append(append(c.dst, ` soap-enc:arrayType="`...), itemType...)
	c.dst = strconv.AppendInt(append(c.dst, '['), int64(n), 10)
	c.dst = append(c.dst, `]">`...)
}

// openTyped writes a start tag with an xsi:type, which may be of a namespace
// that has no prefix yet: "{namespace}name".
func (c *coder) openTyped(name string, xsiType []byte) {
	c.dst = append(append(c.dst, '<'), name...)
	if len(xsiType) > 0 {
		if uri, local, ok := foreignType(xsiType); ok {
			c.dst = append(c.dst, ` xmlns:t="`...)
			c.dst = appendEscaped(c.dst, uri, true)
			c.dst = append(append(c.dst, `" xsi:type="t:`...), local...)
		} else {
			c.dst = append(c.dst, ` xsi:type="`...)
			c.dst = appendEscaped(c.dst, xsiType, true)
		}
		c.dst = append(c.dst, '"')
	}
	c.dst = append(c.dst, '>')
}

func foreignType(t []byte) (uri, local []byte, ok bool) {
	end := bytes.LastIndexByte(t, '}')
	if end < 2 || t[0] != '{' {
		return nil, nil, false
	}
	uri, local = t[1:end], t[end+1:]
	return uri, local, xmlscan.IsNCName(local) && xmlscan.IsForeign(uri)
}

// appendEscaped appends text so that every reader of XML gets it back: line
// ends as references, for XML would change them (section 2.11).
func appendEscaped(dst, text []byte, attribute bool) []byte {
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '<':
			dst = append(dst, "&lt;"...)
		case c == '>':
			dst = append(dst, "&gt;"...)
		case c == '&':
			dst = append(dst, "&amp;"...)
		case c == '\r':
			dst = append(dst, "&#xD;"...)
		case c == '"' && attribute:
			dst = append(dst, "&quot;"...)
		case c == '\n' && attribute:
			dst = append(dst, "&#xA;"...)
		case c == '\t' && attribute:
			dst = append(dst, "&#x9;"...)
		case c < ' ' && c != '\n' && c != '\t':
			dst = utf8.AppendRune(dst, utf8.RuneError)
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(text[i:])
			if r == 0xFFFE || r == 0xFFFF {
				r = utf8.RuneError
			}
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		default:
			dst = append(dst, c)
		}
		i++
	}
	return dst
}
