package cwmp

// GetRPCMethods asks the other side, whichever it is, what it can do.
type GetRPCMethods struct{ Extra }

// Method is MethodGetRPCMethods.
func (*GetRPCMethods) Method() Method { return MethodGetRPCMethods }

// GetRPCMethodsResponse lists RPCs, vendor RPCs included.
type GetRPCMethodsResponse struct {
	MethodList []Text
	response
}

// Method is MethodGetRPCMethods.
func (*GetRPCMethodsResponse) Method() Method { return MethodGetRPCMethods }

func (m *GetRPCMethodsResponse) fields(c *coder) { c.texts("MethodList", "string", &m.MethodList) }

// Reboot restarts the CPE; the key comes back in the event "M Reboot".
type Reboot struct {
	CommandKey Text
	Extra
}

// Method is MethodReboot.
func (*Reboot) Method() Method { return MethodReboot }

func (m *Reboot) fields(c *coder) { c.text("CommandKey", &m.CommandKey) }

// RebootResponse is empty.
type RebootResponse struct{ response }

// Method is MethodReboot.
func (*RebootResponse) Method() Method { return MethodReboot }

// FactoryReset restores the factory defaults.
type FactoryReset struct{ Extra }

// Method is MethodFactoryReset.
func (*FactoryReset) Method() Method { return MethodFactoryReset }

// FactoryResetResponse is empty.
type FactoryResetResponse struct{ response }

// Method is MethodFactoryReset.
func (*FactoryResetResponse) Method() Method { return MethodFactoryReset }

// ScheduleInform asks for an Inform after DelaySeconds.
type ScheduleInform struct {
	DelaySeconds, CommandKey Text
	Extra
}

// Method is MethodScheduleInform.
func (*ScheduleInform) Method() Method { return MethodScheduleInform }

func (m *ScheduleInform) fields(c *coder) {
	c.text("DelaySeconds", &m.DelaySeconds)
	c.text("CommandKey", &m.CommandKey)
}

// ScheduleInformResponse is empty.
type ScheduleInformResponse struct{ response }

// Method is MethodScheduleInform.
func (*ScheduleInformResponse) Method() Method { return MethodScheduleInform }

// Kicked tells the ACS of a local browser's redirection (deprecated).
type Kicked struct {
	Command, Referer, Arg, Next Text
	Extra
}

// Method is MethodKicked.
func (*Kicked) Method() Method { return MethodKicked }

func (m *Kicked) fields(c *coder) {
	c.text("Command", &m.Command)
	c.text("Referer", &m.Referer)
	c.text("Arg", &m.Arg)
	c.text("Next", &m.Next)
}

// KickedResponse says where the browser is to go.
type KickedResponse struct {
	NextURL Text
	response
}

// Method is MethodKicked.
func (*KickedResponse) Method() Method { return MethodKicked }

func (m *KickedResponse) fields(c *coder) { c.text("NextURL", &m.NextURL) }
