package cwmp

// Operation is one of the three operations of ChangeDUState. Which one its
// xsi:type alone says.
type Operation struct {
	// Type is resolved as ParameterValue.Type is: "cwmp:InstallOpStruct",
	// "cwmp:UpdateOpStruct" or "cwmp:UninstallOpStruct" of the schemas.
	Type []byte

	URL, UUID, Version, Username, Password, ExecutionEnvRef Text
	Extra
}

// The three operations order their elements differently, so an operation is
// encoded in the order of its own type.
func (o *Operation) fields(c *coder) {
	c.itemType(&o.Type)
	switch string(o.Type) {
	case "cwmp:UpdateOpStruct":
		c.text("UUID", &o.UUID)
		c.text("Version", &o.Version)
		c.text("URL", &o.URL)
		c.text("Username", &o.Username)
		c.text("Password", &o.Password)
		c.text("ExecutionEnvRef", &o.ExecutionEnvRef)
	case "cwmp:UninstallOpStruct":
		c.text("UUID", &o.UUID)
		c.text("Version", &o.Version)
		c.text("ExecutionEnvRef", &o.ExecutionEnvRef)
		c.text("URL", &o.URL)
		c.text("Username", &o.Username)
		c.text("Password", &o.Password)
	default:
		c.text("URL", &o.URL)
		c.text("UUID", &o.UUID)
		c.text("Username", &o.Username)
		c.text("Password", &o.Password)
		c.text("ExecutionEnvRef", &o.ExecutionEnvRef)
		c.text("Version", &o.Version)
	}
}

// ChangeDUState installs, updates and removes deployment units.
type ChangeDUState struct {
	Operations []Operation
	CommandKey Text
	Extra
}

// Method is MethodChangeDUState.
func (*ChangeDUState) Method() Method { return MethodChangeDUState }

func (m *ChangeDUState) fields(c *coder) {
	repeated(c, "Operations", &m.Operations)
	c.text("CommandKey", &m.CommandKey)
}

// ChangeDUStateResponse is empty.
type ChangeDUStateResponse struct{ response }

// Method is MethodChangeDUState.
func (*ChangeDUStateResponse) Method() Method { return MethodChangeDUState }

// DeploymentFault is a DeploymentUnitFaultStruct; FaultCode 0 is success.
type DeploymentFault struct {
	FaultCode, FaultString Text
	single
}

func (f *DeploymentFault) fields(c *coder) {
	c.text("FaultCode", &f.FaultCode)
	c.text("FaultString", &f.FaultString)
}

// OperationResult is an OpResultStruct.
type OperationResult struct {
	UUID, DeploymentUnitRef, Version, CurrentState, Resolved Text
	ExecutionUnitRefList                                     Text
	StartTime, CompleteTime                                  Text
	Fault                                                    DeploymentFault
	Extra
}

func (r *OperationResult) fields(c *coder) {
	c.text("UUID", &r.UUID)
	c.text("DeploymentUnitRef", &r.DeploymentUnitRef)
	c.text("Version", &r.Version)
	c.text("CurrentState", &r.CurrentState)
	c.text("Resolved", &r.Resolved)
	c.text("ExecutionUnitRefList", &r.ExecutionUnitRefList)
	c.text("StartTime", &r.StartTime)
	c.text("CompleteTime", &r.CompleteTime)
	c.structure("Fault", &r.Fault)
}

// DUStateChangeComplete ends a ChangeDUState.
type DUStateChangeComplete struct {
	Results    []OperationResult
	CommandKey Text
	Extra
}

// Method is MethodDUStateChangeComplete.
func (*DUStateChangeComplete) Method() Method { return MethodDUStateChangeComplete }

func (m *DUStateChangeComplete) fields(c *coder) {
	repeated(c, "Results", &m.Results)
	c.text("CommandKey", &m.CommandKey)
}

// DUStateChangeCompleteResponse is empty.
type DUStateChangeCompleteResponse struct{ response }

// Method is MethodDUStateChangeComplete.
func (*DUStateChangeCompleteResponse) Method() Method { return MethodDUStateChangeComplete }

// AutonomousResult is an AutonOpResultStruct.
type AutonomousResult struct {
	UUID, DeploymentUnitRef, Version, CurrentState, Resolved Text
	ExecutionUnitRefList                                     Text
	StartTime, CompleteTime                                  Text
	Fault                                                    DeploymentFault
	OperationPerformed                                       Text
	Extra
}

func (r *AutonomousResult) fields(c *coder) {
	c.text("UUID", &r.UUID)
	c.text("DeploymentUnitRef", &r.DeploymentUnitRef)
	c.text("Version", &r.Version)
	c.text("CurrentState", &r.CurrentState)
	c.text("Resolved", &r.Resolved)
	c.text("ExecutionUnitRefList", &r.ExecutionUnitRefList)
	c.text("StartTime", &r.StartTime)
	c.text("CompleteTime", &r.CompleteTime)
	c.structure("Fault", &r.Fault)
	c.text("OperationPerformed", &r.OperationPerformed)
}

// AutonomousDUStateChangeComplete reports changes that no ACS asked for.
type AutonomousDUStateChangeComplete struct {
	Results []AutonomousResult
	Extra
}

// Method is MethodAutonomousDUStateChangeComplete.
func (*AutonomousDUStateChangeComplete) Method() Method { return MethodAutonomousDUStateChangeComplete }

func (m *AutonomousDUStateChangeComplete) fields(c *coder) { repeated(c, "Results", &m.Results) }

// AutonomousDUStateChangeCompleteResponse is empty.
type AutonomousDUStateChangeCompleteResponse struct{ response }

// Method is MethodAutonomousDUStateChangeComplete.
func (*AutonomousDUStateChangeCompleteResponse) Method() Method {
	return MethodAutonomousDUStateChangeComplete
}
