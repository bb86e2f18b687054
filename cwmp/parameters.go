package cwmp

// ParameterValue is a ParameterValueStruct.
type ParameterValue struct {
	Name, Value Text
	// Type is the xsi:type of the Value with its prefix resolved: "xsd:string",
	// "soap-enc:base64", "cwmp:…", "{namespace}name" for another namespace;
	// as sent where the prefix is not declared or its namespace is longer than
	// 256 bytes, empty where there is no type.
	Type []byte
	Extra
}

func (p *ParameterValue) fields(c *coder) {
	c.text("Name", &p.Name)
	c.value("Value", &p.Value, &p.Type)
}

// SetParameterValues asks for all of its changes or none. The same name may
// occur twice.
type SetParameterValues struct {
	ParameterList []ParameterValue
	ParameterKey  Text
	Extra
}

// Method is MethodSetParameterValues.
func (*SetParameterValues) Method() Method { return MethodSetParameterValues }

func (m *SetParameterValues) fields(c *coder) {
	c.values("ParameterList", &m.ParameterList)
	c.text("ParameterKey", &m.ParameterKey)
}

// SetParameterValuesResponse has Status 0 where all is applied, 1 where a
// reboot is needed first.
type SetParameterValuesResponse struct {
	Status Text
	response
}

// Method is MethodSetParameterValues.
func (*SetParameterValuesResponse) Method() Method { return MethodSetParameterValues }

func (m *SetParameterValuesResponse) fields(c *coder) { c.text("Status", &m.Status) }

// GetParameterValues asks for parameters, or for all under partial paths.
type GetParameterValues struct {
	ParameterNames []Text
	Extra
}

// Method is MethodGetParameterValues.
func (*GetParameterValues) Method() Method { return MethodGetParameterValues }

func (m *GetParameterValues) fields(c *coder) { c.texts("ParameterNames", "string", &m.ParameterNames) }

// GetParameterValuesResponse may list a parameter twice; the last one counts.
type GetParameterValuesResponse struct {
	ParameterList []ParameterValue
	response
}

// Method is MethodGetParameterValues.
func (*GetParameterValuesResponse) Method() Method { return MethodGetParameterValues }

func (m *GetParameterValuesResponse) fields(c *coder) { c.values("ParameterList", &m.ParameterList) }

// GetParameterNames asks what there is under a path; "" is the root.
type GetParameterNames struct {
	ParameterPath, NextLevel Text
	Extra
}

// Method is MethodGetParameterNames.
func (*GetParameterNames) Method() Method { return MethodGetParameterNames }

func (m *GetParameterNames) fields(c *coder) {
	c.text("ParameterPath", &m.ParameterPath)
	c.text("NextLevel", &m.NextLevel)
}

// ParameterInfo is a ParameterInfoStruct.
type ParameterInfo struct {
	Name, Writable Text
	Extra
}

func (p *ParameterInfo) fields(c *coder) {
	c.text("Name", &p.Name)
	c.text("Writable", &p.Writable)
}

// GetParameterNamesResponse lists objects and parameters.
type GetParameterNamesResponse struct {
	ParameterList []ParameterInfo
	response
}

// Method is MethodGetParameterNames.
func (*GetParameterNamesResponse) Method() Method { return MethodGetParameterNames }

func (m *GetParameterNamesResponse) fields(c *coder) {
	list(c, "ParameterList", "ParameterInfoStruct", &m.ParameterList)
}

// SetParameterAttribute is a SetParameterAttributesStruct.
type SetParameterAttribute struct {
	Name, NotificationChange, Notification, AccessListChange Text
	AccessList                                               []Text
	Extra
}

func (p *SetParameterAttribute) fields(c *coder) {
	c.text("Name", &p.Name)
	c.text("NotificationChange", &p.NotificationChange)
	c.text("Notification", &p.Notification)
	c.text("AccessListChange", &p.AccessListChange)
	c.texts("AccessList", "string", &p.AccessList)
}

// SetParameterAttributes changes who is told of a parameter's changes. Some
// ACSes name its items ParameterAttributesStruct, and CPEs obey: both are read.
type SetParameterAttributes struct {
	ParameterList []SetParameterAttribute
	Extra
}

// Method is MethodSetParameterAttributes.
func (*SetParameterAttributes) Method() Method { return MethodSetParameterAttributes }

func (m *SetParameterAttributes) fields(c *coder) {
	list(c, "ParameterList", "SetParameterAttributesStruct", &m.ParameterList, "ParameterAttributesStruct")
}

// SetParameterAttributesResponse is empty.
type SetParameterAttributesResponse struct{ response }

// Method is MethodSetParameterAttributes.
func (*SetParameterAttributesResponse) Method() Method { return MethodSetParameterAttributes }

// GetParameterAttributes asks for attributes, or for all under partial paths.
type GetParameterAttributes struct {
	ParameterNames []Text
	Extra
}

// Method is MethodGetParameterAttributes.
func (*GetParameterAttributes) Method() Method { return MethodGetParameterAttributes }

func (m *GetParameterAttributes) fields(c *coder) {
	c.texts("ParameterNames", "string", &m.ParameterNames)
}

// ParameterAttribute is a ParameterAttributeStruct.
type ParameterAttribute struct {
	Name, Notification Text
	AccessList         []Text
	Extra
}

func (p *ParameterAttribute) fields(c *coder) {
	c.text("Name", &p.Name)
	c.text("Notification", &p.Notification)
	c.texts("AccessList", "string", &p.AccessList)
}

// GetParameterAttributesResponse lists the attributes.
type GetParameterAttributesResponse struct {
	ParameterList []ParameterAttribute
	response
}

// Method is MethodGetParameterAttributes.
func (*GetParameterAttributesResponse) Method() Method { return MethodGetParameterAttributes }

func (m *GetParameterAttributesResponse) fields(c *coder) {
	list(c, "ParameterList", "ParameterAttributeStruct", &m.ParameterList)
}
