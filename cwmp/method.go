package cwmp

import "bytes"

// Method is an RPC of TR-069, either side's.
type Method uint8

// The RPCs of cwmp-1-0 to cwmp-1-4. MethodVendor is every RPC of no schema.
const (
	MethodUnknown Method = iota
	MethodVendor
	MethodGetRPCMethods
	MethodSetParameterValues
	MethodGetParameterValues
	MethodGetParameterNames
	MethodSetParameterAttributes
	MethodGetParameterAttributes
	MethodAddObject
	MethodDeleteObject
	MethodReboot
	MethodFactoryReset
	MethodScheduleInform
	MethodDownload
	MethodUpload
	MethodScheduleDownload
	MethodCancelTransfer
	MethodGetQueuedTransfers
	MethodGetAllQueuedTransfers
	MethodSetVouchers
	MethodGetOptions
	MethodChangeDUState
	MethodInform
	MethodTransferComplete
	MethodAutonomousTransferComplete
	MethodDUStateChangeComplete
	MethodAutonomousDUStateChangeComplete
	MethodRequestDownload
	MethodKicked
	methodCount
)

// rpcs is the one list of the schemas' RPCs: to add one, add its Method, its two
// types in the file of its family, and a line here.
var rpcs = [methodCount]struct {
	name, answer      string
	request, response func() RPC
}{
	MethodUnknown: {name: "Unknown"},
	MethodVendor:  {name: "Vendor"},

	MethodGetRPCMethods:                   {"GetRPCMethods", "GetRPCMethodsResponse", fresh[GetRPCMethods], fresh[GetRPCMethodsResponse]},
	MethodSetParameterValues:              {"SetParameterValues", "SetParameterValuesResponse", fresh[SetParameterValues], fresh[SetParameterValuesResponse]},
	MethodGetParameterValues:              {"GetParameterValues", "GetParameterValuesResponse", fresh[GetParameterValues], fresh[GetParameterValuesResponse]},
	MethodGetParameterNames:               {"GetParameterNames", "GetParameterNamesResponse", fresh[GetParameterNames], fresh[GetParameterNamesResponse]},
	MethodSetParameterAttributes:          {"SetParameterAttributes", "SetParameterAttributesResponse", fresh[SetParameterAttributes], fresh[SetParameterAttributesResponse]},
	MethodGetParameterAttributes:          {"GetParameterAttributes", "GetParameterAttributesResponse", fresh[GetParameterAttributes], fresh[GetParameterAttributesResponse]},
	MethodAddObject:                       {"AddObject", "AddObjectResponse", fresh[AddObject], fresh[AddObjectResponse]},
	MethodDeleteObject:                    {"DeleteObject", "DeleteObjectResponse", fresh[DeleteObject], fresh[DeleteObjectResponse]},
	MethodReboot:                          {"Reboot", "RebootResponse", fresh[Reboot], fresh[RebootResponse]},
	MethodFactoryReset:                    {"FactoryReset", "FactoryResetResponse", fresh[FactoryReset], fresh[FactoryResetResponse]},
	MethodScheduleInform:                  {"ScheduleInform", "ScheduleInformResponse", fresh[ScheduleInform], fresh[ScheduleInformResponse]},
	MethodDownload:                        {"Download", "DownloadResponse", fresh[Download], fresh[DownloadResponse]},
	MethodUpload:                          {"Upload", "UploadResponse", fresh[Upload], fresh[UploadResponse]},
	MethodScheduleDownload:                {"ScheduleDownload", "ScheduleDownloadResponse", fresh[ScheduleDownload], fresh[ScheduleDownloadResponse]},
	MethodCancelTransfer:                  {"CancelTransfer", "CancelTransferResponse", fresh[CancelTransfer], fresh[CancelTransferResponse]},
	MethodGetQueuedTransfers:              {"GetQueuedTransfers", "GetQueuedTransfersResponse", fresh[GetQueuedTransfers], fresh[GetQueuedTransfersResponse]},
	MethodGetAllQueuedTransfers:           {"GetAllQueuedTransfers", "GetAllQueuedTransfersResponse", fresh[GetAllQueuedTransfers], fresh[GetAllQueuedTransfersResponse]},
	MethodSetVouchers:                     {"SetVouchers", "SetVouchersResponse", fresh[SetVouchers], fresh[SetVouchersResponse]},
	MethodGetOptions:                      {"GetOptions", "GetOptionsResponse", fresh[GetOptions], fresh[GetOptionsResponse]},
	MethodChangeDUState:                   {"ChangeDUState", "ChangeDUStateResponse", fresh[ChangeDUState], fresh[ChangeDUStateResponse]},
	MethodInform:                          {"Inform", "InformResponse", fresh[Inform], fresh[InformResponse]},
	MethodTransferComplete:                {"TransferComplete", "TransferCompleteResponse", fresh[TransferComplete], fresh[TransferCompleteResponse]},
	MethodAutonomousTransferComplete:      {"AutonomousTransferComplete", "AutonomousTransferCompleteResponse", fresh[AutonomousTransferComplete], fresh[AutonomousTransferCompleteResponse]},
	MethodDUStateChangeComplete:           {"DUStateChangeComplete", "DUStateChangeCompleteResponse", fresh[DUStateChangeComplete], fresh[DUStateChangeCompleteResponse]},
	MethodAutonomousDUStateChangeComplete: {"AutonomousDUStateChangeComplete", "AutonomousDUStateChangeCompleteResponse", fresh[AutonomousDUStateChangeComplete], fresh[AutonomousDUStateChangeCompleteResponse]},
	MethodRequestDownload:                 {"RequestDownload", "RequestDownloadResponse", fresh[RequestDownload], fresh[RequestDownloadResponse]},
	MethodKicked:                          {"Kicked", "KickedResponse", fresh[Kicked], fresh[KickedResponse]},
}

func fresh[T any, P interface {
	*T
	RPC
}]() RPC {
	return P(new(T))
}

// String returns the schema's name, "Vendor" or "Unknown".
func (m Method) String() string {
	if m >= methodCount {
		m = MethodUnknown
	}
	return rpcs[m].name
}

// ReadOnly reports whether the RPC changes nothing on the CPE.
func (m Method) ReadOnly() bool {
	switch m {
	case MethodGetRPCMethods, MethodGetParameterValues, MethodGetParameterNames, MethodGetParameterAttributes,
		MethodGetQueuedTransfers, MethodGetAllQueuedTransfers, MethodGetOptions:
		return true
	}
	return false
}

// ParseMethod reads the name of an RPC's element, without its prefix. A name of
// no schema is MethodVendor, and a response where it ends so; "Fault" is
// MethodUnknown and KindFault.
func ParseMethod(name []byte) (Method, Kind) {
	if string(name) == "Fault" {
		return MethodUnknown, KindFault
	}
	if m := methodNamed(name); m != MethodVendor {
		return m, KindRequest
	}
	base, response := bytes.CutSuffix(name, []byte("Response"))
	if !response || len(base) == 0 {
		return MethodVendor, KindRequest
	}
	return methodNamed(base), KindResponse
}

func methodNamed(name []byte) Method {
	for m := MethodVendor + 1; m < methodCount; m++ {
		if rpcs[m].name == string(name) {
			return m
		}
	}
	return MethodVendor
}
