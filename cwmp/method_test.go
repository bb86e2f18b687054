package cwmp

import "testing"

func TestParseMethod(t *testing.T) {
	for _, tt := range []struct {
		name   string
		method Method
		kind   Kind
	}{
		{"Inform", MethodInform, KindRequest},
		{"InformResponse", MethodInform, KindResponse},
		{"AutonomousDUStateChangeCompleteResponse", MethodAutonomousDUStateChangeComplete, KindResponse},
		{"Fault", MethodUnknown, KindFault},
		{"inform", MethodVendor, KindRequest},
		{"X_00005E_Do", MethodVendor, KindRequest},
		{"X_00005E_DoResponse", MethodVendor, KindResponse},
		{"InformResponseResponse", MethodVendor, KindResponse},
		{"Response", MethodVendor, KindRequest},
		{"Vendor", MethodVendor, KindRequest},
		{"Unknown", MethodVendor, KindRequest},
		{"", MethodVendor, KindRequest},
	} {
		if m, k := ParseMethod([]byte(tt.name)); m != tt.method || k != tt.kind {
			t.Errorf("%q is %v, %v, want %v, %v", tt.name, m, k, tt.method, tt.kind)
		}
	}
}

// Every method has its two types, which know what they are.
func TestMethods(t *testing.T) {
	for m := MethodVendor + 1; m < methodCount; m++ {
		r := &rpcs[m]
		request, answer := r.request(), r.response()
		if request.Method() != m || answer.Method() != m || kindOf(request) != KindRequest || kindOf(answer) != KindResponse {
			t.Errorf("%v: %T is %v %v, %T is %v %v", m, request, request.Method(), kindOf(request), answer, answer.Method(), kindOf(answer))
		}
		if m.String() != r.name || r.answer != r.name+"Response" {
			t.Errorf("%v is called %q and %q", m, r.name, r.answer)
		}
	}
	readOnly := 0
	for m := range methodCount {
		if m.ReadOnly() {
			readOnly++
		}
	}
	if readOnly != 7 || MethodSetParameterValues.ReadOnly() || MethodVendor.ReadOnly() || !MethodGetOptions.ReadOnly() {
		t.Errorf("%d methods are read-only", readOnly)
	}
	if Method(200).String() != "Unknown" || MethodVendor.String() != "Vendor" {
		t.Error("names of no RPC")
	}
}

func TestTextValues(t *testing.T) {
	for in, want := range map[string][2]bool{"1": {true, true}, " true\n": {true, true}, "0": {false, true}, "false": {false, true}, "": {}, "TRUE": {}, "yes": {}, "2": {}} {
		if v, ok := T(in).Bool(); v != want[0] || ok != want[1] {
			t.Errorf("Bool of %q is %v, %v", in, v, ok)
		}
	}
	for in, want := range map[string]int64{"0": 0, " 60\n": 60, "+7": 7, "007": 7, "4294967295": 4294967295, "4294967296": -1, "-1": -1, "": -1, "1x": -1, "++1": -1, "1_0": -1} {
		if v, ok := T(in).Uint(); ok != (want >= 0) || ok && int64(v) != want {
			t.Errorf("Uint of %q is %v, %v", in, v, ok)
		}
	}
	h := Header{HoldRequests: T(" true "), SessionTimeout: T("90")}
	if n, ok := h.Timeout(); !h.Hold() || n != 90 || !ok {
		t.Errorf("Hold %v, Timeout %v %v", h.Hold(), n, ok)
	}
	if _, ok := (Header{}).Timeout(); ok || (Header{}).Hold() {
		t.Error("an empty header holds or times out")
	}
}

// Messages made by hand need no more than their RPC.
func TestAppendByHand(t *testing.T) {
	for _, tt := range []struct {
		message Message
		want    string
	}{
		{Message{RPC: &Inform{DeviceID: DeviceIDStruct{OUI: T("00005E")}, Event: []Event{{EventCode: T("1 BOOT")}}}},
			"request Inform Inform \"1-0\"\nDeviceId {\n  OUI \"00005E\"\n}\nEvent [\n  EventStruct {\n    EventCode \"1 BOOT\"\n  }\n}\n"},
		{Message{Version: "1-2", Header: Header{ID: T("7")}, RPC: &InformResponse{MaxEnvelopes: T("1")}},
			"response Inform InformResponse \"1-2\"\nID \"7\"\nMaxEnvelopes \"1\"\n"},
		{Message{RPC: &Fault{FaultCode: T("Client"), Detail: true, CWMPCode: T("9003"), Parameters: []ParameterFault{{ParameterName: T("A"), FaultCode: T("9001")}}}},
			"fault Unknown Fault \"1-0\"\nfaultcode \"Client\"\ndetail {\n  Fault {\n    FaultCode \"9003\"\n    SetParameterValuesFault [\n      SetParameterValuesFault {\n        ParameterName \"A\"\n        FaultCode \"9001\"\n      }\n    }\n  }\n}\n"},
		{Message{RPC: &VendorRPC{Name: T("X_00005E_Do"), Namespace: []byte("urn:a&b")}},
			"request Vendor X_00005E_Do \"1-0\"\nnamespace \"urn:a&b\"\n"},
		{Message{RPC: &SetParameterValues{ParameterList: []ParameterValue{}, ParameterKey: T("\x00\xff\uFFFE\r")}},
			"request SetParameterValues SetParameterValues \"1-0\"\nParameterList [\n}\nParameterKey \"\uFFFD\uFFFD\uFFFD\\r\"\n"},
	} {
		m, err := NewDecoder(DefaultLimits()).Decode(Append(nil, &tt.message), "")
		if err != nil {
			t.Errorf("%v", err)
		} else if got := dumpMessage(m, false); got != tt.want {
			t.Errorf("got\n%swant\n%s", got, tt.want)
		}
	}
}
