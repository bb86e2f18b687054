package cwmp

// Fault is a SOAP fault, with the CWMP fault that it carries where it does.
type Fault struct {
	FaultCode, FaultString, FaultActor Text // SOAP's
	// Detail: there is a CWMP fault in the detail.
	Detail               bool
	CWMPCode, CWMPString Text
	// Parameters are the refusals of a SetParameterValues, each with its code.
	// None of them was applied, nor any other of that RPC.
	Parameters []ParameterFault
	// DetailElements are elements of the detail that are no CWMP fault,
	// FaultElements those in the CWMP fault that no schema has.
	DetailElements, FaultElements []Element
	detailSent                    bool
	Extra
}

// Method is MethodUnknown: only the session knows what a fault answers.
func (*Fault) Method() Method { return MethodUnknown }

func (f *Fault) fields(c *coder) {
	c.text("faultcode", &f.FaultCode)
	c.text("faultstring", &f.FaultString)
	c.text("faultactor", &f.FaultActor)
	c.structure("detail", (*faultDetail)(f))
}

// faultDetail is the detail of a Fault.
type faultDetail Fault

func (f *faultDetail) extra() *[]Element { return &f.DetailElements }
func (f *faultDetail) flag() *bool       { return &f.detailSent }

func (f *faultDetail) fields(c *coder) {
	c.structure("Fault", (*cwmpFault)(f))
}

// cwmpFault is the Fault in the detail.
type cwmpFault Fault

func (f *cwmpFault) extra() *[]Element { return &f.FaultElements }
func (f *cwmpFault) flag() *bool       { return &f.Detail }

func (f *cwmpFault) fields(c *coder) {
	c.text("FaultCode", &f.CWMPCode)
	c.text("FaultString", &f.CWMPString)
	repeated(c, "SetParameterValuesFault", &f.Parameters)
}

// ParameterFault is a SetParameterValuesFault.
type ParameterFault struct {
	ParameterName, FaultCode, FaultString Text
	Extra
}

func (p *ParameterFault) fields(c *coder) {
	c.text("ParameterName", &p.ParameterName)
	c.text("FaultCode", &p.FaultCode)
	c.text("FaultString", &p.FaultString)
}
