package cwmptest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"
)

// node is an element of a message, read without knowing any schema.
type node struct {
	XMLName xml.Name
	Text    string `xml:",chardata"`
	Nodes   []node `xml:",any"`
}

func (n *node) child(name string) *node {
	if n == nil {
		return nil
	}
	for i := range n.Nodes {
		if n.Nodes[i].XMLName.Local == name {
			return &n.Nodes[i]
		}
	}
	return nil
}

// value is the trimmed text of the element under the path, "" where absent.
func (n *node) value(path ...string) string {
	for _, name := range path {
		n = n.child(name)
	}
	if n == nil {
		return ""
	}
	return strings.TrimSpace(n.Text)
}

func (n *node) items() []node {
	if n == nil {
		return nil
	}
	return n.Nodes
}

func (n *node) parameters() []Parameter {
	var list []Parameter
	for _, item := range n.child("ParameterList").items() {
		list = append(list, Parameter{Name: item.value("Name"), Value: item.value("Value")})
	}
	return list
}

// message is a body as a simulator reads it.
type message struct {
	id      string
	hold    bool
	version string // of the cwmp namespace
	method  string // element name of the RPC; "Fault"
	rpc     *node
}

var errNotEnvelope = errors.New("body is not a SOAP envelope with one RPC")

// readMessage reads an envelope; nil without an error for an empty body.
func readMessage(body []byte, contentType string) (*message, error) {
	body = bytes.TrimLeft(body, " \t\r\n")
	if len(body) == 0 {
		return nil, nil
	}
	d := xml.NewDecoder(bytes.NewReader(body))
	d.CharsetReader = charsetReader
	if _, params, err := mime.ParseMediaType(contentType); err == nil && !bytes.HasPrefix(body, []byte("<?xml")) {
		r, err := charsetReader(params["charset"], bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		d = xml.NewDecoder(r)
	}
	var envelope node
	if err := d.Decode(&envelope); err != nil {
		return nil, fmt.Errorf("read envelope: %w", err)
	}
	rpcs := envelope.child("Body").items()
	if envelope.XMLName.Local != "Envelope" || len(rpcs) != 1 {
		return nil, errNotEnvelope
	}
	header := envelope.child("Header")
	hold := header.value("HoldRequests")
	m := &message{id: header.value("ID"), hold: hold == "1" || hold == "true", method: rpcs[0].XMLName.Local, rpc: &rpcs[0]}
	_, m.version, _ = strings.Cut(rpcs[0].XMLName.Space, "cwmp-")
	return m, nil
}

// fault reads the CWMP detail of a SOAP fault.
func (m *message) fault() *Fault {
	if m.method != "Fault" {
		return nil
	}
	detail := m.rpc.child("detail").child("Fault")
	f := &Fault{Code: detail.value("FaultCode"), Text: detail.value("FaultString")}
	if detail == nil {
		f.Code, f.Text = m.rpc.value("faultcode"), m.rpc.value("faultstring")
	}
	for _, n := range detail.items() {
		if n.XMLName.Local == "SetParameterValuesFault" {
			f.Parameters = append(f.Parameters, ParameterFault{
				Name: n.value("ParameterName"), Code: n.value("FaultCode"), Text: n.value("FaultString")})
		}
	}
	return f
}

// charsetReader knows the encodings that CPEs declare. Windows-1252 is read as
// ISO-8859-1: no simulator here sends one of the bytes in which they differ.
func charsetReader(charset string, r io.Reader) (io.Reader, error) {
	switch strings.ToLower(charset) {
	case "", "utf-8", "us-ascii":
		return r, nil
	case "iso-8859-1", "windows-1252":
		text, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		runes := make([]rune, len(text))
		for i, b := range text {
			runes[i] = rune(b)
		}
		return strings.NewReader(string(runes)), nil
	}
	return nil, fmt.Errorf("charset %q is not known", charset)
}
