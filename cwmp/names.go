package cwmp

import "strings"

// schemaPath is the path of an element with names of no schema left out: in a
// broken document such a name may be a piece of a value, a secret one even.
func schemaPath(path string) string {
	if path == "" {
		return ""
	}
	steps := strings.Split(path, "/")
	for i, step := range steps {
		name, index, _ := strings.Cut(step, "[")
		switch {
		case !isSchemaName(name):
			steps[i] = "*"
		case index != "":
			steps[i] = name + "[" + index
		}
	}
	return strings.Join(steps, "/")
}

// isSchemaName tells the element names of SOAP 1.1 and of cwmp-1-0 to 1-4.
func isSchemaName(name string) bool {
	switch name {
	case
		"AccessList", "AccessListChange", "AddObject", "AddObjectResponse", "AllQueuedTransferStruct", "AnnounceURL",
		"Arg", "ArgStruct", "AutonomousDUStateChangeComplete", "AutonomousDUStateChangeCompleteResponse",
		"AutonomousTransferComplete", "AutonomousTransferCompleteResponse", "Body", "CancelTransfer",
		"CancelTransferResponse", "ChangeDUState", "ChangeDUStateResponse", "Command", "CommandKey", "CompleteTime",
		"CurrentState", "CurrentTime", "DUStateChangeComplete", "DUStateChangeCompleteResponse", "DelaySeconds",
		"DeleteObject", "DeleteObjectResponse", "DeploymentUnitRef", "DeviceId", "Download", "DownloadResponse",
		"Envelope", "Event", "EventCode", "EventStruct", "ExecutionEnvRef", "ExecutionUnitRefList", "ExpirationDate",
		"FactoryReset", "FactoryResetResponse", "FailureURL", "Fault", "FaultCode", "FaultString", "FaultStruct",
		"FileSize", "FileType", "FileTypeArg", "GetAllQueuedTransfers", "GetAllQueuedTransfersResponse", "GetOptions",
		"GetOptionsResponse", "GetParameterAttributes", "GetParameterAttributesResponse", "GetParameterNames",
		"GetParameterNamesResponse", "GetParameterValues", "GetParameterValuesResponse", "GetQueuedTransfers",
		"GetQueuedTransfersResponse", "GetRPCMethods", "GetRPCMethodsResponse", "Header", "HoldRequests", "ID", "Inform",
		"InformResponse", "InstanceNumber", "IsDownload", "IsTransferable", "Kicked", "KickedResponse", "Manufacturer",
		"MaxEnvelopes", "MaxRetries", "MethodList", "Mode", "Name", "Next", "NextLevel", "NextURL", "NoMoreRequests",
		"Notification", "NotificationChange", "OUI", "ObjectName", "OperationPerformed", "Operations", "OptionList",
		"OptionName", "OptionStruct", "ParameterAttributeStruct", "ParameterAttributesStruct", "ParameterInfoStruct",
		"ParameterKey", "ParameterList", "ParameterName", "ParameterNames", "ParameterPath", "ParameterValueStruct",
		"Password", "ProductClass", "QueuedTransferStruct", "Reboot", "RebootResponse", "Referer", "RequestDownload",
		"RequestDownloadResponse", "Resolved", "Results", "RetryCount", "ScheduleDownload", "ScheduleDownloadResponse",
		"ScheduleInform", "ScheduleInformResponse", "SerialNumber", "SessionTimeout", "SetParameterAttributes",
		"SetParameterAttributesResponse", "SetParameterAttributesStruct", "SetParameterValues", "SetParameterValuesFault",
		"SetParameterValuesResponse", "SetVouchers", "SetVouchersResponse", "StartDate", "StartTime", "State", "Status",
		"SuccessURL", "SupportedCWMPVersions", "TargetFileName", "TimeWindowList", "TimeWindowStruct", "TransferComplete",
		"TransferCompleteResponse", "TransferList", "TransferURL", "Type", "URL", "UUID", "Upload", "UploadResponse",
		"UseCWMPVersion", "UserMessage", "Username", "Value", "Version", "VoucherList", "VoucherSN", "WindowEnd",
		"WindowMode", "WindowStart", "Writable", "base64", "detail", "faultactor", "faultcode", "faultstring", "string":
		return true
	}
	return false
}
