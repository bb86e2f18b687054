package cwmp

// Download has the CPE fetch a file.
type Download struct {
	CommandKey, FileType                   Text
	URL, Username, Password                Text
	FileSize, TargetFileName, DelaySeconds Text
	SuccessURL, FailureURL                 Text
	Extra
}

// Method is MethodDownload.
func (*Download) Method() Method { return MethodDownload }

func (m *Download) fields(c *coder) {
	c.text("CommandKey", &m.CommandKey)
	c.text("FileType", &m.FileType)
	c.text("URL", &m.URL)
	c.text("Username", &m.Username)
	c.text("Password", &m.Password)
	c.text("FileSize", &m.FileSize)
	c.text("TargetFileName", &m.TargetFileName)
	c.text("DelaySeconds", &m.DelaySeconds)
	c.text("SuccessURL", &m.SuccessURL)
	c.text("FailureURL", &m.FailureURL)
}

// DownloadResponse has Status 0 where the transfer is complete, with its
// times; 1 where a TransferComplete will follow.
type DownloadResponse struct {
	Status, StartTime, CompleteTime Text
	response
}

// Method is MethodDownload.
func (*DownloadResponse) Method() Method { return MethodDownload }

func (m *DownloadResponse) fields(c *coder) {
	c.text("Status", &m.Status)
	c.text("StartTime", &m.StartTime)
	c.text("CompleteTime", &m.CompleteTime)
}

// Upload has the CPE send a file.
type Upload struct {
	CommandKey, FileType    Text
	URL, Username, Password Text
	DelaySeconds            Text
	Extra
}

// Method is MethodUpload.
func (*Upload) Method() Method { return MethodUpload }

func (m *Upload) fields(c *coder) {
	c.text("CommandKey", &m.CommandKey)
	c.text("FileType", &m.FileType)
	c.text("URL", &m.URL)
	c.text("Username", &m.Username)
	c.text("Password", &m.Password)
	c.text("DelaySeconds", &m.DelaySeconds)
}

// UploadResponse is as DownloadResponse.
type UploadResponse struct {
	Status, StartTime, CompleteTime Text
	response
}

// Method is MethodUpload.
func (*UploadResponse) Method() Method { return MethodUpload }

func (m *UploadResponse) fields(c *coder) {
	c.text("Status", &m.Status)
	c.text("StartTime", &m.StartTime)
	c.text("CompleteTime", &m.CompleteTime)
}

// TimeWindow is a TimeWindowStruct; the times are seconds from receipt.
type TimeWindow struct {
	WindowStart, WindowEnd, WindowMode, UserMessage, MaxRetries Text
	Extra
}

func (w *TimeWindow) fields(c *coder) {
	c.text("WindowStart", &w.WindowStart)
	c.text("WindowEnd", &w.WindowEnd)
	c.text("WindowMode", &w.WindowMode)
	c.text("UserMessage", &w.UserMessage)
	c.text("MaxRetries", &w.MaxRetries)
}

// ScheduleDownload has the CPE fetch a file in one of up to two windows.
type ScheduleDownload struct {
	CommandKey, FileType     Text
	URL, Username, Password  Text
	FileSize, TargetFileName Text
	TimeWindowList           []TimeWindow
	Extra
}

// Method is MethodScheduleDownload.
func (*ScheduleDownload) Method() Method { return MethodScheduleDownload }

func (m *ScheduleDownload) fields(c *coder) {
	c.text("CommandKey", &m.CommandKey)
	c.text("FileType", &m.FileType)
	c.text("URL", &m.URL)
	c.text("Username", &m.Username)
	c.text("Password", &m.Password)
	c.text("FileSize", &m.FileSize)
	c.text("TargetFileName", &m.TargetFileName)
	list(c, "TimeWindowList", "TimeWindowStruct", &m.TimeWindowList)
}

// ScheduleDownloadResponse is empty.
type ScheduleDownloadResponse struct{ response }

// Method is MethodScheduleDownload.
func (*ScheduleDownloadResponse) Method() Method { return MethodScheduleDownload }

// CancelTransfer withdraws the transfers of a CommandKey.
type CancelTransfer struct {
	CommandKey Text
	Extra
}

// Method is MethodCancelTransfer.
func (*CancelTransfer) Method() Method { return MethodCancelTransfer }

func (m *CancelTransfer) fields(c *coder) { c.text("CommandKey", &m.CommandKey) }

// CancelTransferResponse is empty.
type CancelTransferResponse struct{ response }

// Method is MethodCancelTransfer.
func (*CancelTransferResponse) Method() Method { return MethodCancelTransfer }

// GetQueuedTransfers asks for the transfers that the ACS began.
type GetQueuedTransfers struct{ Extra }

// Method is MethodGetQueuedTransfers.
func (*GetQueuedTransfers) Method() Method { return MethodGetQueuedTransfers }

// QueuedTransfer is a QueuedTransferStruct.
type QueuedTransfer struct {
	CommandKey, State Text
	Extra
}

func (q *QueuedTransfer) fields(c *coder) {
	c.text("CommandKey", &q.CommandKey)
	c.text("State", &q.State)
}

// GetQueuedTransfersResponse lists them.
type GetQueuedTransfersResponse struct {
	TransferList []QueuedTransfer
	response
}

// Method is MethodGetQueuedTransfers.
func (*GetQueuedTransfersResponse) Method() Method { return MethodGetQueuedTransfers }

func (m *GetQueuedTransfersResponse) fields(c *coder) {
	list(c, "TransferList", "QueuedTransferStruct", &m.TransferList)
}

// GetAllQueuedTransfers asks for all transfers.
type GetAllQueuedTransfers struct{ Extra }

// Method is MethodGetAllQueuedTransfers.
func (*GetAllQueuedTransfers) Method() Method { return MethodGetAllQueuedTransfers }

// AllQueuedTransfer is an AllQueuedTransferStruct.
type AllQueuedTransfer struct {
	CommandKey, State, IsDownload, FileType, FileSize, TargetFileName Text
	Extra
}

func (q *AllQueuedTransfer) fields(c *coder) {
	c.text("CommandKey", &q.CommandKey)
	c.text("State", &q.State)
	c.text("IsDownload", &q.IsDownload)
	c.text("FileType", &q.FileType)
	c.text("FileSize", &q.FileSize)
	c.text("TargetFileName", &q.TargetFileName)
}

// GetAllQueuedTransfersResponse lists them.
type GetAllQueuedTransfersResponse struct {
	TransferList []AllQueuedTransfer
	response
}

// Method is MethodGetAllQueuedTransfers.
func (*GetAllQueuedTransfersResponse) Method() Method { return MethodGetAllQueuedTransfers }

func (m *GetAllQueuedTransfersResponse) fields(c *coder) {
	list(c, "TransferList", "AllQueuedTransferStruct", &m.TransferList)
}

// RequestDownload is the CPE's wish for a Download.
type RequestDownload struct {
	FileType    Text
	FileTypeArg []Arg
	Extra
}

// Method is MethodRequestDownload.
func (*RequestDownload) Method() Method { return MethodRequestDownload }

func (m *RequestDownload) fields(c *coder) {
	c.text("FileType", &m.FileType)
	list(c, "FileTypeArg", "ArgStruct", &m.FileTypeArg)
}

// Arg is an ArgStruct.
type Arg struct {
	Name, Value Text
	Extra
}

func (a *Arg) fields(c *coder) {
	c.text("Name", &a.Name)
	c.text("Value", &a.Value)
}

// RequestDownloadResponse is empty.
type RequestDownloadResponse struct{ response }

// Method is MethodRequestDownload.
func (*RequestDownloadResponse) Method() Method { return MethodRequestDownload }
