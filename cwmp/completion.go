package cwmp

// TransferFault is a TransferCompleteFaultStruct; FaultCode 0 is success.
type TransferFault struct {
	FaultCode, FaultString Text
	single
}

func (f *TransferFault) fields(c *coder) {
	c.text("FaultCode", &f.FaultCode)
	c.text("FaultString", &f.FaultString)
}

// TransferComplete ends a Download, ScheduleDownload or Upload. Unknown times
// are of the year 1; keys that nobody issued occur.
type TransferComplete struct {
	CommandKey              Text
	FaultStruct             TransferFault
	StartTime, CompleteTime Text
	Extra
}

// Method is MethodTransferComplete.
func (*TransferComplete) Method() Method { return MethodTransferComplete }

func (m *TransferComplete) fields(c *coder) {
	c.text("CommandKey", &m.CommandKey)
	c.structure("FaultStruct", &m.FaultStruct)
	c.text("StartTime", &m.StartTime)
	c.text("CompleteTime", &m.CompleteTime)
}

// TransferCompleteResponse is empty.
type TransferCompleteResponse struct{ response }

// Method is MethodTransferComplete.
func (*TransferCompleteResponse) Method() Method { return MethodTransferComplete }

// AutonomousTransferComplete reports a transfer that no ACS asked for.
type AutonomousTransferComplete struct {
	AnnounceURL, TransferURL                       Text
	IsDownload, FileType, FileSize, TargetFileName Text
	FaultStruct                                    TransferFault
	StartTime, CompleteTime                        Text
	Extra
}

// Method is MethodAutonomousTransferComplete.
func (*AutonomousTransferComplete) Method() Method { return MethodAutonomousTransferComplete }

func (m *AutonomousTransferComplete) fields(c *coder) {
	c.text("AnnounceURL", &m.AnnounceURL)
	c.text("TransferURL", &m.TransferURL)
	c.text("IsDownload", &m.IsDownload)
	c.text("FileType", &m.FileType)
	c.text("FileSize", &m.FileSize)
	c.text("TargetFileName", &m.TargetFileName)
	c.structure("FaultStruct", &m.FaultStruct)
	c.text("StartTime", &m.StartTime)
	c.text("CompleteTime", &m.CompleteTime)
}

// AutonomousTransferCompleteResponse is empty.
type AutonomousTransferCompleteResponse struct{ response }

// Method is MethodAutonomousTransferComplete.
func (*AutonomousTransferCompleteResponse) Method() Method { return MethodAutonomousTransferComplete }
