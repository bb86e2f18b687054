package audit

import (
	"github.com/cwmpgate/cwmpgate/cwmp"
)

// planted are the secrets that the messages of samples hold. None may stand
// in a record, whatever its form there.
var planted = []string{
	"plain-secret-01", "plain-secret-02", "plain-secret-03", "plain-secret-04", "plain-secret-05",
	"plain-secret-06", "plain-secret-07", "plain-secret-08", "plain-secret-09", "plain-secret-10",
	"plain-secret-11", "plain-secret-12", "plain-secret-13", "plain-secret-14", "plain-secret-15",
	"plain-secret-16", "plain-secret-17", "plain-secret-18", "plain-secret-19", "plain-secret-20",
	"plain-secret-21", "plain-secret-22", "plain-secret-23", "plain-secret-24", "plain-secret-25",
	"plain-secret-26", "plain-secret-27", "plain-secret-28", "plain-secret-29", "plain-secret-30",
	"fleet-user", "40917326", "s3cr",
}

type sample struct {
	name    string
	from    cwmp.Party
	answers *cwmp.Ref
	message *cwmp.Message
}

func parameter(name, value, kind string) cwmp.ParameterValue {
	return cwmp.ParameterValue{Name: cwmp.T(name), Value: cwmp.T(value), Type: []byte(kind)}
}

func element(name, value string) cwmp.Element {
	return cwmp.Element{Name: cwmp.T(name), Value: cwmp.T(value)}
}

func texts(list ...string) []cwmp.Text {
	out := make([]cwmp.Text, len(list))
	for i, s := range list {
		out[i] = cwmp.T(s)
	}
	return out
}

// say wraps an RPC into a message as the decoder would give it.
func say(name, id string, rpc cwmp.RPC) *cwmp.Message {
	method, kind := cwmp.ParseMethod([]byte(name))
	m := &cwmp.Message{Kind: kind, Method: method, Name: name, Version: "1-2", Charset: "utf-8", RPC: rpc}
	if id != "" {
		m.Header.ID = cwmp.T(id)
	}
	return m
}

func testInform() *cwmp.Inform {
	inform := &cwmp.Inform{
		Event: []cwmp.Event{
			{EventCode: cwmp.T("\n 4 VALUE CHANGE "), CommandKey: cwmp.T("")},
			{EventCode: cwmp.T("M Download"), CommandKey: cwmp.T("fw-1")},
		},
		MaxEnvelopes: cwmp.T("1"),
		CurrentTime:  cwmp.T("2026-11-24T13:00:00.5+01:00"),
		RetryCount:   cwmp.T("0"),
		ParameterList: []cwmp.ParameterValue{
			parameter("Device.DeviceInfo.SoftwareVersion", "1.4 \"β\"\t\\", "xsd:string"),
			parameter("Device.ManagementServer.ConnectionRequestURL", "http://192.0.2.7:7547/plain-secret-01", "xsd:string"),
			{Name: cwmp.T("Device.X_00005E.NoValue")},
			parameter("Device.X_00005E.Empty", "", "xsd:string"),
		},
	}
	inform.DeviceID.Manufacturer = cwmp.T("Example")
	inform.DeviceID.OUI = cwmp.T("00005E")
	inform.DeviceID.ProductClass = cwmp.T("HG-8 Plus")
	inform.DeviceID.SerialNumber = cwmp.T(" T1\n")
	return inform
}

func ref(method cwmp.Method, seq uint64) *cwmp.Ref {
	return &cwmp.Ref{Method: method, Name: method.String(), ID: "7", Seq: seq}
}

// samples are messages of every RPC in both directions, with a secret wherever
// one may stand.
func samples() []sample {
	return append(append(parameterSamples(), transferSamples()...), otherSamples()...)
}

func parameterSamples() []sample {
	reads := []cwmp.ParameterValue{
		parameter("Device.DeviceInfo.ModelName", "HomeGate 3", "xsd:string"),
		parameter("Device.WiFi.AccessPoint.1.Security.KeyPassphrase", "plain-secret-02", "xsd:string"),
		parameter("Device.DeviceConfig.ConfigFile", "[wifi]\nkey=plain-secret-03\n", "xsd:string"),
		parameter(" device.wifi.ACCESSPOINT.[a.b].security.PreSharedKey\n", " plain-secret-04 ", "xsd:string"),
		parameter("Device.WiFi.AccessPoint.1.WPS.PIN", "40917326", "xsd:string"),
		parameter("Device.Services.VoiceService.1.SIP.Client.2.AuthPassword", "plain-secret-05", ""),
		parameter("Device.X_00005E_Web.Users.1.AdminPasswd", "plain-secret-06", "xsd:string"),
		parameter("Device.X_00005E_Web.PasswordReset", "1", "xsd:boolean"),
		parameter("Device.X_00005E_Web.UsePassword", "1", "xsd:boolean"),
		parameter("Device.USPAgent.ControllerTrust.Challenge.[c-1].Value", "plain-secret-07", "xsd:string"),
		parameter("Device.X_00005E.WEPKey.3.Value", "s3cr", "xsd:string"),
		parameter("Device.ManagementServer.URL", "https://u:plain-secret-08@acs.example.net/cwmp?t=plain-secret-09&u=", "xsd:string"),
		parameter("Device.X_00005E.Note", "see http://files.example.net/a?sig=plain-secret-10 and b", "xsd:string"),
		parameter("Device.ManagementServer.Password", "", "xsd:string"),
		{Value: cwmp.T("plain-secret-11"), Type: []byte("xsd:string")},
	}
	sets := []cwmp.ParameterValue{
		parameter("Device.DNS.Client.Server.1.DNSServer", "192.0.2.53", "xsd:string"),
		parameter("InternetGatewayDevice.ManagementServer.ConnectionRequestPassword", "plain-secret-12", "xsd:string"),
		parameter("Device.ManagementServer.STUNPassword", "s3cr", "xsd:string"),
	}
	fault := &cwmp.Fault{
		FaultCode: cwmp.T("Client"), FaultString: cwmp.T("CWMP fault"), Detail: true,
		CWMPCode: cwmp.T("9003"), CWMPString: cwmp.T("Invalid arguments: plain-secret-12, 's3cr'"),
		Parameters: []cwmp.ParameterFault{
			{ParameterName: cwmp.T("Device.DNS.Client.Server.1.DNSServer"), FaultCode: cwmp.T("9007"), FaultString: cwmp.T("bad: plain-secret-12")},
			{ParameterName: cwmp.T("\tDevice.ManagementServer.STUNPassword"), FaultCode: cwmp.T("9008")},
		},
	}
	attributes := &cwmp.SetParameterAttributes{ParameterList: []cwmp.SetParameterAttribute{{
		Name: cwmp.T("Device.DeviceInfo.ProvisioningCode"), NotificationChange: cwmp.T("true"), Notification: cwmp.T("2"),
		AccessListChange: cwmp.T("0"), AccessList: texts("Subscriber"),
	}}}
	return []sample{
		{"inform", cwmp.PartyCPE, nil, say("Inform", "1", testInform())},
		{"inform-response", cwmp.PartyACS, ref(cwmp.MethodInform, 4), say("InformResponse", "1", &cwmp.InformResponse{MaxEnvelopes: cwmp.T("1")})},
		{"get-values", cwmp.PartyACS, nil, say("GetParameterValues", "2", &cwmp.GetParameterValues{ParameterNames: texts("Device.", "")})},
		{"get-values-response", cwmp.PartyCPE, ref(cwmp.MethodGetParameterValues, 5), say("GetParameterValuesResponse", "2", &cwmp.GetParameterValuesResponse{ParameterList: reads})},
		{"set-values", cwmp.PartyACS, nil, say("SetParameterValues", "3", &cwmp.SetParameterValues{ParameterList: sets, ParameterKey: cwmp.T("job-12")})},
		{"set-values-fault", cwmp.PartyCPE, ref(cwmp.MethodSetParameterValues, 8), say("Fault", "3", fault)},
		{"set-values-response", cwmp.PartyCPE, ref(cwmp.MethodSetParameterValues, 8), say("SetParameterValuesResponse", "3", &cwmp.SetParameterValuesResponse{Status: cwmp.T(" 1 ")})},
		{"get-names", cwmp.PartyACS, nil, say("GetParameterNames", "", &cwmp.GetParameterNames{ParameterPath: cwmp.T(""), NextLevel: cwmp.T("0")})},
		{"get-names-response", cwmp.PartyCPE, ref(cwmp.MethodGetParameterNames, 9), say("GetParameterNamesResponse", "", &cwmp.GetParameterNamesResponse{ParameterList: []cwmp.ParameterInfo{
			{Name: cwmp.T(".ManagementServer.Password"), Writable: cwmp.T("1")},
		}})},
		{"set-attributes", cwmp.PartyACS, nil, say("SetParameterAttributes", "4", attributes)},
		{"get-attributes-response", cwmp.PartyCPE, ref(cwmp.MethodGetParameterAttributes, 9), say("GetParameterAttributesResponse", "4", &cwmp.GetParameterAttributesResponse{
			ParameterList: []cwmp.ParameterAttribute{{Name: cwmp.T("Device.A"), Notification: cwmp.T("0"), AccessList: texts()}},
		})},
		{"add-object", cwmp.PartyACS, nil, say("AddObject", "5", &cwmp.AddObject{ObjectName: cwmp.T("Device.NAT.PortMapping."), ParameterKey: cwmp.T("k")})},
		{"add-object-response", cwmp.PartyCPE, ref(cwmp.MethodAddObject, 9), say("AddObjectResponse", "5", &cwmp.AddObjectResponse{InstanceNumber: cwmp.T("3"), Status: cwmp.T("0")})},
		{"delete-object", cwmp.PartyACS, nil, say("DeleteObject", "6", &cwmp.DeleteObject{ObjectName: cwmp.T("Device.NAT.PortMapping.3."), ParameterKey: cwmp.T("k")})},
	}
}

func transferSamples() []sample {
	download := &cwmp.Download{
		CommandKey: cwmp.T("fw-17"), FileType: cwmp.T("1 Firmware Upgrade Image"),
		URL:      cwmp.T("https://fleet-user:plain-secret-13@files.example.net/fw/b.bin?sig=plain-secret-14&exp=99#plain-secret-15"),
		Username: cwmp.T("fleet-user"), Password: cwmp.T("plain-secret-16"), FileSize: cwmp.T("7340032"),
		TargetFileName: cwmp.T("b.bin"), DelaySeconds: cwmp.T("0"), SuccessURL: cwmp.T(""), FailureURL: cwmp.T("fleet-user:plain-secret-17@files.example.net/x"),
	}
	download.Elements = []cwmp.Element{
		element("Md5", "0f343b0931126a20f133d67c2b018a3b"),
		element("X_Secret", "plain-secret-18"),
		{Name: cwmp.T("Credentials"), Elements: []cwmp.Element{element("Login", "fleet-user"), element("Part", "plain-secret-19")}},
	}
	upload := &cwmp.Upload{CommandKey: cwmp.T("up"), FileType: cwmp.T("1 Vendor Configuration File"),
		URL: cwmp.T("ftp://fleet-user:plain/secret-x@plain-secret-20@files.example.net/up"), Username: cwmp.T("fleet-user"), Password: cwmp.T("s3cr"), DelaySeconds: cwmp.T("0")}
	scheduled := &cwmp.ScheduleDownload{CommandKey: cwmp.T("sd"), FileType: cwmp.T("1 Firmware Upgrade Image"), URL: cwmp.T("http://files.example.net/?plain-secret-21"),
		Username: cwmp.T(""), Password: cwmp.T("plain-secret-22"), TimeWindowList: []cwmp.TimeWindow{{WindowStart: cwmp.T("0"), WindowEnd: cwmp.T("3600"), WindowMode: cwmp.T("1 At Any Time")}}}
	change := &cwmp.ChangeDUState{CommandKey: cwmp.T("du"), Operations: []cwmp.Operation{
		{Type: []byte("cwmp:InstallOpStruct"), URL: cwmp.T("http://files.example.net/app?k=plain-secret-23"), Username: cwmp.T("fleet-user"), Password: cwmp.T("plain-secret-24")},
		{Type: []byte("cwmp:UninstallOpStruct"), UUID: cwmp.T("u-1")},
	}}
	complete := &cwmp.TransferComplete{CommandKey: cwmp.T("fw-17"), StartTime: cwmp.T("0001-01-01T00:00:00Z"), CompleteTime: cwmp.T("2026-11-24T11:00:00Z")}
	complete.FaultStruct.FaultCode = cwmp.T("9016")
	complete.FaultStruct.FaultString = cwmp.T("GET https://fleet-user:plain-secret-25@files.example.net/fw failed")
	autonomous := &cwmp.AutonomousTransferComplete{AnnounceURL: cwmp.T(""), TransferURL: cwmp.T("http://files.example.net/a?x=plain-secret-26"), IsDownload: cwmp.T("1"),
		FileType: cwmp.T("1 Firmware Upgrade Image"), FileSize: cwmp.T("5"), TargetFileName: cwmp.T("a"), StartTime: cwmp.T("2026-11-24T11:54::14"), CompleteTime: cwmp.T("2026-11-24T11:00:00")}
	autonomous.FaultStruct.FaultCode = cwmp.T("0")
	return []sample{
		{"download", cwmp.PartyACS, nil, say("Download", "10", download)},
		{"download-fault", cwmp.PartyCPE, ref(cwmp.MethodDownload, 20), say("Fault", "10", &cwmp.Fault{FaultCode: cwmp.T("Client"), FaultString: cwmp.T("CWMP fault"),
			Detail: true, CWMPCode: cwmp.T("9012"), CWMPString: cwmp.T("login fleet-user/plain-secret-16 refused")})},
		{"download-response", cwmp.PartyCPE, ref(cwmp.MethodDownload, 20), say("DownloadResponse", "10", &cwmp.DownloadResponse{Status: cwmp.T("1"), StartTime: cwmp.T("0001-01-01T00:00:00Z"), CompleteTime: cwmp.T("0001-01-01T00:00:00Z")})},
		{"upload", cwmp.PartyACS, nil, say("Upload", "11", upload)},
		{"schedule-download", cwmp.PartyACS, nil, say("ScheduleDownload", "12", scheduled)},
		{"cancel-transfer", cwmp.PartyACS, nil, say("CancelTransfer", "13", &cwmp.CancelTransfer{CommandKey: cwmp.T("fw-17")})},
		{"transfer-complete", cwmp.PartyCPE, nil, say("TransferComplete", "14", complete)},
		{"transfer-complete-response", cwmp.PartyACS, ref(cwmp.MethodTransferComplete, 30), say("TransferCompleteResponse", "14", &cwmp.TransferCompleteResponse{})},
		{"autonomous", cwmp.PartyCPE, nil, say("AutonomousTransferComplete", "15", autonomous)},
		{"change-du-state", cwmp.PartyACS, nil, say("ChangeDUState", "16", change)},
		{"queued-transfers", cwmp.PartyCPE, ref(cwmp.MethodGetAllQueuedTransfers, 31), say("GetAllQueuedTransfersResponse", "17", &cwmp.GetAllQueuedTransfersResponse{
			TransferList: []cwmp.AllQueuedTransfer{{CommandKey: cwmp.T("fw-17"), State: cwmp.T("2"), IsDownload: cwmp.T("1")}}})},
	}
}

func otherSamples() []sample {
	vendor := &cwmp.VendorRPC{Name: cwmp.T("X_00005E_Do")}
	vendor.Elements = []cwmp.Element{
		element("Name", "Device.ManagementServer.Password"), element("Value", "plain-secret-27"),
		element("Name", "Device.Time.NTPServer1"), element("Value", "time.example.com"),
		{Name: cwmp.T("Group"), Elements: []cwmp.Element{element("Passphrase", "plain-secret-28"), element("Mode", "2")}},
	}
	held := say("GetRPCMethods", "21", &cwmp.GetRPCMethods{})
	held.Header.HoldRequests = cwmp.T("1")
	held.Header.SessionTimeout = cwmp.T("60")
	soapFault := say("Fault", "", &cwmp.Fault{FaultCode: cwmp.T("Server"), FaultString: cwmp.T("no")})
	soapFault.Version = ""
	duComplete := &cwmp.DUStateChangeComplete{CommandKey: cwmp.T("du"), Results: []cwmp.OperationResult{{UUID: cwmp.T("u-1"), CurrentState: cwmp.T("Failed")}}}
	duComplete.Results[0].Fault.FaultCode = cwmp.T("9016")
	duComplete.Results[0].Fault.FaultString = cwmp.T("http://fleet-user:plain-secret-24@files.example.net/app: 401")
	latin := say("Reboot", "22", &cwmp.Reboot{CommandKey: cwmp.T("Zürich")})
	latin.Charset = "iso-8859-1"
	return []sample{
		{"vendor", cwmp.PartyACS, nil, say("X_00005E_Do", "20", vendor)},
		{"hold", cwmp.PartyACS, nil, held},
		{"charset", cwmp.PartyACS, nil, latin},
		{"vouchers", cwmp.PartyACS, nil, say("SetVouchers", "23", &cwmp.SetVouchers{VoucherList: texts("plain-secret-29")})},
		{"kicked", cwmp.PartyCPE, nil, say("Kicked", "24", &cwmp.Kicked{Command: cwmp.T("go"), Referer: cwmp.T("http://www.example.com/?s=plain-secret-30"), Arg: cwmp.T("a"), Next: cwmp.T("http://www.example.com/")})},
		{"request-download", cwmp.PartyCPE, nil, say("RequestDownload", "25", &cwmp.RequestDownload{FileType: cwmp.T("2 Web Content"), FileTypeArg: []cwmp.Arg{
			{Name: cwmp.T("Version"), Value: cwmp.T("2")}, {Name: cwmp.T("AccessToken"), Value: cwmp.T("plain-secret-01")}}})},
		{"soap-fault", cwmp.PartyACS, ref(cwmp.MethodUnknown, 0), soapFault},
		{"set-vouchers-response", cwmp.PartyCPE, ref(cwmp.MethodSetVouchers, 40), say("SetVouchersResponse", "23", &cwmp.SetVouchersResponse{})},
		{"get-options-response", cwmp.PartyCPE, ref(cwmp.MethodGetOptions, 41), say("GetOptionsResponse", "", &cwmp.GetOptionsResponse{OptionList: []cwmp.Option{
			{OptionName: cwmp.T("QoS"), VoucherSN: cwmp.T("7"), State: cwmp.T("1")}}})},
		{"du-complete", cwmp.PartyCPE, nil, say("DUStateChangeComplete", "27", duComplete)},
		{"kicked-response", cwmp.PartyACS, ref(cwmp.MethodKicked, 42), say("KickedResponse", "24", &cwmp.KickedResponse{NextURL: cwmp.T("//u:plain-secret-02@www.example.com/")})},
		{"factory-reset", cwmp.PartyACS, nil, say("FactoryReset", "28", &cwmp.FactoryReset{})},
		{"schedule-inform", cwmp.PartyACS, nil, say("ScheduleInform", "29", &cwmp.ScheduleInform{DelaySeconds: cwmp.T("60"), CommandKey: cwmp.T("si")})},
		{"get-options", cwmp.PartyACS, nil, say("GetOptions", "30", &cwmp.GetOptions{OptionName: cwmp.T("")})},
		{"get-queued", cwmp.PartyACS, nil, say("GetQueuedTransfers", "31", &cwmp.GetQueuedTransfers{})},
		{"get-all-queued", cwmp.PartyACS, nil, say("GetAllQueuedTransfers", "32", &cwmp.GetAllQueuedTransfers{})},
		{"get-attributes", cwmp.PartyACS, nil, say("GetParameterAttributes", "33", &cwmp.GetParameterAttributes{ParameterNames: texts("Device.")})},
		{"autonomous-du", cwmp.PartyCPE, nil, say("AutonomousDUStateChangeComplete", "34", &cwmp.AutonomousDUStateChangeComplete{Results: []cwmp.AutonomousResult{{UUID: cwmp.T("u")}}})},
	}
}
