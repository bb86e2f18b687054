package cwmp

// AddObject makes an instance of a multi-instance object.
type AddObject struct {
	ObjectName, ParameterKey Text
	Extra
}

// Method is MethodAddObject.
func (*AddObject) Method() Method { return MethodAddObject }

func (m *AddObject) fields(c *coder) {
	c.text("ObjectName", &m.ObjectName)
	c.text("ParameterKey", &m.ParameterKey)
}

// AddObjectResponse names the instance; Status as in SetParameterValuesResponse.
type AddObjectResponse struct {
	InstanceNumber, Status Text
	response
}

// Method is MethodAddObject.
func (*AddObjectResponse) Method() Method { return MethodAddObject }

func (m *AddObjectResponse) fields(c *coder) {
	c.text("InstanceNumber", &m.InstanceNumber)
	c.text("Status", &m.Status)
}

// DeleteObject removes an instance and what is under it.
type DeleteObject struct {
	ObjectName, ParameterKey Text
	Extra
}

// Method is MethodDeleteObject.
func (*DeleteObject) Method() Method { return MethodDeleteObject }

func (m *DeleteObject) fields(c *coder) {
	c.text("ObjectName", &m.ObjectName)
	c.text("ParameterKey", &m.ParameterKey)
}

// DeleteObjectResponse has a Status as SetParameterValuesResponse has.
type DeleteObjectResponse struct {
	Status Text
	response
}

// Method is MethodDeleteObject.
func (*DeleteObjectResponse) Method() Method { return MethodDeleteObject }

func (m *DeleteObjectResponse) fields(c *coder) { c.text("Status", &m.Status) }
