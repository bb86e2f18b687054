package cwmp

// Element is an element of no schema, kept whole but for its attributes.
type Element struct {
	Name     Text      // without prefix
	Value    Text      // not set where there are elements inside
	Elements []Element // nil where there is only text
}

// Extra holds the elements of no schema that stand in a structure, in order.
// Those of a list stand in the structure around the list.
type Extra struct {
	Elements []Element
}

func (e *Extra) extra() *[]Element { return &e.Elements }

// fields is that of the many structures without a field of their own.
func (*Extra) fields(*coder) {}

// response is Extra in the response types; it tells them from requests.
type response struct{ Extra }

func (*response) answers() {}

func kindOf(r RPC) Kind {
	switch r := r.(type) {
	case *Fault:
		return KindFault
	case *VendorRPC:
		if _, kind := ParseMethod(r.Name.Bytes); kind == KindResponse {
			return KindResponse
		}
	case interface{ answers() }:
		return KindResponse
	}
	return KindRequest
}

// VendorRPC is an RPC of no schema, or its response.
type VendorRPC struct {
	Name      Text   // without prefix
	Namespace []byte // empty where it is the CWMP namespace of Message.Version, or none
	Extra
}

// Method is MethodVendor.
func (*VendorRPC) Method() Method { return MethodVendor }

// vendorElement reads the child at hand, which is in no schema.
func (c *coder) vendorElement(into *[]Element) {
	if c.misplaced() {
		c.fail(ReasonUnexpectedElement, "a structure of the schemas in a place where they have none")
		return
	}
	if c.d.elements++; c.d.elements > c.d.limits.Elements {
		c.fail(ReasonLimitElements, "there are too many elements of no schema")
		return
	}
	e := Element{Name: Text{Bytes: c.name, Set: true}}
	if c.d.scan.HasChildren() {
		for c.next() {
			c.vendorElement(&e.Elements)
		}
	} else {
		c.read(&e.Value)
	}
	*into = append(*into, e)
}

// misplaced reports whether the child at hand is one of the structures that say
// what is read or changed, outside of its list. There are readers that find
// them anywhere. A vendor's own RPC may use them as it likes.
func (c *coder) misplaced() bool {
	if m := &c.d.message; m.Kind == KindFault || m.Method == MethodVendor {
		return false
	}
	switch string(c.name) {
	case "ParameterList", "ParameterValueStruct", "ParameterNames", "SetParameterAttributesStruct", "ParameterAttributesStruct", "Operations":
		return true
	}
	return false
}

func (c *coder) appendElements(elements []Element) {
	for i := range elements {
		e := &elements[i]
		if len(e.Elements) == 0 {
			c.leaf(string(e.Name.Bytes), e.Value.Bytes)
			continue
		}
		c.open("", string(e.Name.Bytes))
		c.appendElements(e.Elements)
		c.close("", string(e.Name.Bytes))
	}
}

func (c *coder) walkElements(elements []Element) {
	if len(elements) == 0 {
		return
	}
	c.visitor.List("Elements")
	for i := range elements {
		e := &elements[i]
		c.visitor.Struct("Element")
		c.visitor.Text("Name", e.Name)
		if len(e.Elements) > 0 {
			c.walkElements(e.Elements)
		} else {
			c.visitor.Text("Value", e.Value)
		}
		c.visitor.End()
	}
	c.visitor.End()
}
