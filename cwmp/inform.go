package cwmp

// DeviceIDStruct is the DeviceId of an Inform as sent.
type DeviceIDStruct struct {
	Manufacturer, OUI, ProductClass, SerialNumber Text
	single
}

func (d *DeviceIDStruct) fields(c *coder) {
	c.text("Manufacturer", &d.Manufacturer)
	c.text("OUI", &d.OUI)
	c.text("ProductClass", &d.ProductClass)
	c.text("SerialNumber", &d.SerialNumber)
}

// ID returns copies of the trimmed parts.
func (d *DeviceIDStruct) ID() DeviceID {
	return DeviceID{
		Manufacturer: string(d.Manufacturer.Trim()),
		OUI:          string(d.OUI.Trim()),
		ProductClass: string(d.ProductClass.Trim()),
		SerialNumber: string(d.SerialNumber.Trim()),
	}
}

// DeviceID names a device, trimmed. The parts are never joined: each may hold
// blanks, hyphens and percent signs.
type DeviceID struct {
	Manufacturer, OUI, ProductClass, SerialNumber string
}

// Event is one of the reasons for a session.
type Event struct {
	EventCode, CommandKey Text
	Extra
}

func (e *Event) fields(c *coder) {
	c.text("EventCode", &e.EventCode)
	c.text("CommandKey", &e.CommandKey)
}

// Inform begins every session.
type Inform struct {
	DeviceID      DeviceIDStruct
	Event         []Event // as sent, in order
	MaxEnvelopes  Text
	CurrentTime   Text // often unusable; kept as sent
	RetryCount    Text
	ParameterList []ParameterValue
	Extra
}

// Method is MethodInform.
func (*Inform) Method() Method { return MethodInform }

func (m *Inform) fields(c *coder) {
	c.structure("DeviceId", &m.DeviceID)
	list(c, "Event", "EventStruct", &m.Event)
	c.text("MaxEnvelopes", &m.MaxEnvelopes)
	c.text("CurrentTime", &m.CurrentTime)
	c.text("RetryCount", &m.RetryCount)
	c.values("ParameterList", &m.ParameterList)
}

// InformResponse lets the session begin.
type InformResponse struct {
	MaxEnvelopes Text
	response
}

// Method is MethodInform.
func (*InformResponse) Method() Method { return MethodInform }

func (m *InformResponse) fields(c *coder) { c.text("MaxEnvelopes", &m.MaxEnvelopes) }
