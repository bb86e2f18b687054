package cwmp

import (
	"bytes"
	"strconv"
)

// Kind tells the three sorts of messages apart.
type Kind uint8

// The kinds of a message.
const (
	KindRequest Kind = iota
	KindResponse
	KindFault
)

func (k Kind) String() string {
	switch k {
	case KindResponse:
		return "response"
	case KindFault:
		return "fault"
	}
	return "request"
}

// Text is the text of one element: UTF-8, entities and CDATA resolved, line
// ends normalised to line feeds (XML 1.0 section 2.11), blanks kept.
type Text struct {
	// Bytes alias the body or the decoder's scratch memory: read only, valid
	// until the next Decode.
	Bytes []byte
	// Start and End bound the raw content in the body that was given to
	// Decode, in its own encoding: from behind the start tag to before the end
	// tag. Of an empty-element tag they bound its last two bytes, "/>". Both
	// are 0 in a message made by hand.
	Start, End int
	// Set: the element was sent. Absent and empty differ.
	Set bool
}

// T is the text of an element in a message made by hand.
func T(s string) Text { return Text{Bytes: []byte(s), Set: true} }

// String returns a copy, not trimmed.
func (t Text) String() string { return string(t.Bytes) }

// Trim returns the text without the XML white space around it. It is what
// names, numbers and keys are compared by; the bytes are shared.
func (t Text) Trim() []byte { return trim(t.Bytes) }

// Bool reads an xsd:boolean in any of its four spellings; ok is false for
// everything else, the empty text included.
func (t Text) Bool() (value, ok bool) {
	switch string(t.Trim()) {
	case "1", "true":
		return true, true
	case "0", "false":
		return false, true
	}
	return false, false
}

// Uint reads an xsd:unsignedInt.
func (t Text) Uint() (value uint32, ok bool) {
	b := t.Trim()
	if len(b) == 0 || len(b) > 32 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(bytes.TrimPrefix(b, []byte("+"))), 10, 32)
	return uint32(n), err == nil
}

func trim(b []byte) []byte {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isBlank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isBlank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// Message is one SOAP envelope. What Decode returns is valid until the next
// Decode of the same decoder.
type Message struct {
	Kind   Kind
	Method Method // of a response the RPC that it answers, of a fault MethodUnknown
	// Name is the element's name as sent, without prefix: "Inform",
	// "InformResponse", "X_00005E_Do"; "Fault" for every fault. Append makes it
	// from RPC where it is empty.
	Name string
	// Version is that of the CWMP namespace, "1-0" to "1-4"; "" where the RPC
	// stands in another one. For a fault it is that of the detail, or else of
	// the header. Append writes "" as 1-0.
	Version string
	Header  Header
	RPC     RPC // never nil
	// Charset is what the body was read as: "utf-8", "iso-8859-1",
	// "windows-1252" or "us-ascii".
	Charset string
}

// RPC is the body of a message: a pointer to one of this package's types that
// are named after the schemas' elements, such as *Inform, *InformResponse,
// *Fault or *VendorRPC.
type RPC interface {
	// Method is the RPC; for a response the one that it answers.
	Method() Method
	element
}

// Header holds the elements of the SOAP header that TR-069 defines (section
// 3.4.2 and annex A). Others are read over.
type Header struct {
	ID             Text
	HoldRequests   Text
	NoMoreRequests Text // of 2004; in no schema, still sent
	SessionTimeout Text // seconds, since 1.3

	SupportedCWMPVersions Text // since 1.4
	UseCWMPVersion        Text // since 1.4
}

// Hold reports whether the ACS holds the CPE's requests back.
func (h Header) Hold() bool {
	hold, _ := h.HoldRequests.Bool()
	return hold
}

// Timeout returns what SessionTimeout says, in seconds.
func (h Header) Timeout() (seconds int, ok bool) {
	n, ok := h.SessionTimeout.Uint()
	return int(n), ok
}

func (h *Header) fields(c *coder) {
	c.text("ID", &h.ID)
	c.text("HoldRequests", &h.HoldRequests)
	c.text("NoMoreRequests", &h.NoMoreRequests)
	c.text("SessionTimeout", &h.SessionTimeout)
	c.text("SupportedCWMPVersions", &h.SupportedCWMPVersions)
	c.text("UseCWMPVersion", &h.UseCWMPVersion)
}

// Visitor is told a body in schema order, under the schema's element names.
// What was not sent is not told.
type Visitor interface {
	// Struct begins a structure, which End ends. In a list it is an item.
	Struct(name string)
	// List begins a list, which End ends.
	List(name string)
	// Text is a text element; in a list of strings an item.
	Text(name string, t Text)
	// Value is the Value of a ParameterValueStruct, whose Name was told just
	// before. The type is as ParameterValue.Type has it, empty where there is
	// none.
	Value(t Text, xsiType []byte)
	// End ends the innermost structure or list.
	End()
}

// Walk tells v the body of m. Elements of no schema come last in the structure
// that they stand in: List("Elements"), for each Struct("Element") with
// Text("Name") and either Text("Value") or again List("Elements").
func (m *Message) Walk(v Visitor) {
	c := coder{mode: walking, visitor: v}
	c.contents(m.RPC)
}
