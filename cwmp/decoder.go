package cwmp

import (
	"github.com/cwmpgate/cwmpgate/cwmp/internal/xmlscan"
)

// Decoder decodes one body after another, in memory that it keeps. It is not
// safe for concurrent use.
type Decoder struct {
	limits  Limits
	scan    *xmlscan.Scanner
	shape   xmlscan.Shape
	coder   coder
	message Message
	version xmlscan.Namespace // of the RPC, or of the fault in the detail

	items, elements int // counted against the limits

	// Memory for the messages that come with every session or are long.
	inform            Inform
	informResponse    InformResponse
	getValues         GetParameterValues
	getValuesResponse GetParameterValuesResponse
	setValues         SetParameterValues
	setValuesResponse SetParameterValuesResponse
	values            []ParameterValue
	events            []Event
	texts             []Text
}

// NewDecoder returns a decoder that keeps to the limits.
func NewDecoder(l Limits) *Decoder {
	return &Decoder{
		limits: l,
		scan:   xmlscan.New(xmlscan.Limits{Depth: l.Depth, Attributes: l.Attributes, Namespaces: l.Namespaces, Name: l.Name}),
		shape:  xmlscan.NewShape("ParameterValueStruct", "Name", "Value"),
	}
}

// Size is about how many bytes the decoder holds on to, which is what the
// largest message so far needed. A pool may let the large ones go.
func (d *Decoder) Size() int {
	const value, event, text = 152, 120, 48
	return d.scan.Size() + cap(d.values)*value + cap(d.events)*event + cap(d.texts)*text
}

// Decode reads one body. charset is that of Content-Type, "" where it names
// none. The message and all in it are valid until the next Decode; body is not
// changed and must not be while the message is in use. An error is always a
// *SyntaxError.
func (d *Decoder) Decode(body []byte, charset string) (*Message, error) {
	d.message = Message{}
	d.inform = Inform{}
	d.version, d.items, d.elements = xmlscan.NoNamespace, 0, 0
	d.coder = coder{mode: decoding, d: d}
	c := &d.coder
	if d.scan.Reset(body, charset) && c.envelope() && d.scan.Finish() {
		d.message.Charset = d.scan.Charset()
		d.message.Version = d.version.CWMPVersion()
		return &d.message, nil
	}
	err := d.scan.Err()
	return nil, &SyntaxError{
		Reason: Reason(err.Reason), Offset: err.Offset, Path: schemaPath(err.Path), Detail: err.Detail,
		Device: d.inform.DeviceID.ID(),
	}
}

// envelope reads the root element: a Header or none, then one Body.
func (c *coder) envelope() bool {
	s := c.d.scan
	if ns, _ := s.Namespace(); ns != xmlscan.SOAP || string(s.Local()) != "Envelope" {
		c.fail(ReasonNotSOAP, "the root element is no Envelope of SOAP 1.1")
		return false
	}
	var header, body bool
	for c.next() {
		ns, _ := s.Namespace()
		switch name := string(c.name); {
		case name != "Header" && name != "Body":
			c.fail(ReasonUnexpectedElement, "an Envelope holds a Header and a Body")
		case ns != xmlscan.SOAP:
			c.fail(ReasonNamespace, "the "+name+" is not SOAP's")
		case name == "Header" && body && !header:
			c.fail(ReasonElementOrder, "the Header stands behind the Body")
		case name == "Header" && header, name == "Body" && body:
			c.duplicate()
		case name == "Header":
			header = true
			c.header()
		default:
			body = true
			c.body()
		}
	}
	if s.Err() == nil && !body {
		c.fail(ReasonNoBody, "the Envelope has no Body")
	}
	return s.Err() == nil
}

// header reads the elements of TR-069 and reads over all others, whatever is in
// them: a header block of another namespace is somebody else's, even under a
// name that TR-069 has too.
func (c *coder) header() {
	c.unread, c.cwmpOnly = true, true
	defer func() { c.cwmpOnly = false }()
	for {
		c.moved = false
		c.d.message.Header.fields(c)
		if !c.child() {
			return
		}
		if !c.moved {
			c.d.scan.Skip()
			c.taken()
		}
	}
}

// body reads the one RPC or fault.
func (c *coder) body() {
	if !c.next() {
		if c.d.scan.Err() == nil {
			c.fail(ReasonEmptyBody, "the Body is empty")
		}
		return
	}
	c.rpc()
	if c.next() {
		c.fail(ReasonSecondRPC, "the Body holds more than one element")
	}
}

func (c *coder) rpc() {
	d, m := c.d, &c.d.message
	ns, uri := d.scan.Namespace()
	m.Method, m.Kind = ParseMethod(c.name)
	switch {
	case m.Kind == KindFault:
		if ns != xmlscan.SOAP {
			c.fail(ReasonNamespace, "a Fault that is not SOAP's")
			return
		}
		m.Name, m.RPC = "Fault", new(Fault)
	case m.Method == MethodVendor:
		rpc := &VendorRPC{Name: Text{Bytes: c.name, Set: true}}
		if d.version = ns; ns.CWMPVersion() == "" {
			rpc.Namespace = uri
		}
		m.Name, m.RPC = string(c.name), rpc
	case ns.CWMPVersion() == "":
		c.fail(ReasonNamespace, "an RPC of CWMP in a namespace that is not CWMP's")
		return
	default:
		d.version = ns
		m.Name, m.RPC = d.known(m.Method, m.Kind)
	}
	c.children(m.RPC)
}

// known returns what to decode an RPC of the schemas into, and its full name.
func (d *Decoder) known(m Method, k Kind) (string, RPC) {
	r := &rpcs[m]
	if k == KindResponse {
		switch m {
		case MethodInform:
			d.informResponse = InformResponse{}
			return r.answer, &d.informResponse
		case MethodGetParameterValues:
			d.getValuesResponse = GetParameterValuesResponse{}
			return r.answer, &d.getValuesResponse
		case MethodSetParameterValues:
			d.setValuesResponse = SetParameterValuesResponse{}
			return r.answer, &d.setValuesResponse
		}
		return r.answer, r.response()
	}
	switch m {
	case MethodInform:
		return r.name, &d.inform
	case MethodGetParameterValues:
		d.getValues = GetParameterValues{}
		return r.name, &d.getValues
	case MethodSetParameterValues:
		d.setValues = SetParameterValues{}
		return r.name, &d.setValues
	}
	return r.name, r.request()
}

// noteVersion takes the version from the current element, where it has one.
func (d *Decoder) noteVersion() {
	if ns, _ := d.scan.Namespace(); ns.CWMPVersion() != "" {
		d.version = ns
	}
}

// reuse gives a list that comes with every session the memory of the last one.
func (d *Decoder) reuse(list any) {
	switch l := list.(type) {
	case *[]Event:
		if d.events != nil {
			*l = d.events[:0]
		}
	case *[]Text:
		if d.texts != nil && l == &d.getValues.ParameterNames {
			*l = d.texts[:0]
		}
	}
}

func (d *Decoder) keep(list any) {
	switch l := list.(type) {
	case *[]Event:
		d.events = *l
	case *[]Text:
		if l == &d.getValues.ParameterNames {
			d.texts = *l
		}
	}
}
