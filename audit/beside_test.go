package audit

import (
	"bytes"
	"testing"

	"github.com/cwmpgate/cwmpgate/cwmp"
)

// TestSecretsBeside: what stands beside a secret, and what names it only when
// it has been told, keep it too.
func TestSecretsBeside(t *testing.T) {
	const s = "plain-secret-01"
	beside := func(name, value, kind string, elements ...cwmp.Element) *cwmp.Message {
		p := parameter(name, value, kind)
		p.Name.Set = name != ""
		p.Elements = elements
		return say("SetParameterValues", "1", &cwmp.SetParameterValues{ParameterList: []cwmp.ParameterValue{p}})
	}
	vendor := func(elements ...cwmp.Element) *cwmp.Message {
		rpc := &cwmp.VendorRPC{Name: cwmp.T("X_00005E_Do")}
		rpc.Elements = elements
		return say("X_00005E_Do", "1", rpc)
	}
	group := func(name string, elements ...cwmp.Element) cwmp.Element {
		return cwmp.Element{Name: cwmp.T(name), Elements: elements}
	}
	completion := func(text string) *cwmp.Message {
		m := &cwmp.TransferComplete{CommandKey: cwmp.T("fw-17")}
		m.FaultStruct.FaultCode, m.FaultStruct.FaultString = cwmp.T("9012"), cwmp.T(text)
		return say("TransferComplete", "1", m)
	}
	const password = "Device.ManagementServer.Password"
	cases := []struct {
		name    string
		message *cwmp.Message
		want    []string
	}{
		{"element", beside(password, "x", "xsd:string", element("X_Old", s)), []string{`{"Name":"X_Old","secret":"`}},
		{"element inside", beside(password, "x", "xsd:string", group("X_Old", group("A", element("B", s)))), []string{`"Name":"B","secret"`}},
		{"element of one guessed", beside("Device.X_00005E.UsePassword", "1", "xsd:boolean", element("X_Old", s)), []string{`"Value":"1"`}},
		{"element of a URL", beside("Device.ManagementServer.ConnectionRequestURL", "http://192.0.2.7/x", "", element("X_Path", s)), nil},
		{"element without a name", beside("", "x", "", element("X_Old", s)), nil},
		{"element of another", beside("Device.Time.NTPServer1", "x", "", element("X_Old", "y")), []string{`{"Name":"X_Old","Value":"y"}`}},
		{"type", beside(password, "x", s), []string{`"Type":"***"`}},
		{"type with a prefix", beside(password, "x", s+":string"), []string{`"Type":"***"`}},
		{"type that is none", beside(password, "x", "xsd:"+s), []string{`"Type":"***"`}},
		{"type of a boolean", beside("Device.X_00005E.UsePassword", "1", s+":boolean"), []string{`"Type":"***"`}},
		{"type in capitals", beside(password, "x", "xsd:String"), []string{`"Type":"xsd:String"`}},
		{"type of another", beside("Device.Time.NTPServer1", "x", "a:b"), []string{`"Type":"a:b"`}},
		{"configuration", beside("Device.X_00005E_ConfigFile", s, "xsd:string"), nil},
		{"kicked", say("Kicked", "1", &cwmp.Kicked{Command: cwmp.T("go"), Arg: cwmp.T("p=" + s)}), []string{`"Arg":{"secret":"`}},
		{"value before its name", vendor(element("Value", s), element("Name", password)),
			[]string{`{"Name":"Value","secret":"`, `{"Name":"Name","Value":"` + password}},
		{"values before their names", vendor(element("Value", "time.example.com"), element("Name", "Device.Time.NTPServer1"), element("Value", s), element("Name", password)), nil},
		{"value deep before its name", vendor(group("Set", group("V", element("Text", s)), element("Path", password))), nil},
		{"value in one list only", vendor(group("A", element("Value", "y"), element("Name", "Device.Time.NTPServer1")), group("B", element("Value", s), element("Name", password)), element("Mode", "2")),
			[]string{`{"Name":"Value","Value":"y"}`, `{"Name":"Mode","Value":"2"}`}},
		{"value behind its name", vendor(element("Name", "Device.Time.NTPServer1"), element("Value", "y"), element("Name", password), element("Value", s)),
			[]string{`{"Name":"Value","Value":"y"}`}},
		{"completion with a password", completion("530 for fleet, password=" + s), []string{`password=***`}},
		{"completion with a URL", completion("ftp://fleet:" + s + "@files.example.net/b: 530"), []string{`ftp://files.example.net/b: 530`}},
		{"completion without a scheme", completion("fleet:" + s + "@files.example.net: 530"), []string{`***@files.example.net: 530`}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e, o := newEncoder(64<<10, newKeyless()), testOrigin(t)
			for range 2 { // what one record learned must not stay
				record := encode(e, o, sample{message: c.message, from: cwmp.PartyACS}, Pass, 1)
				checkCanonical(t, record)
				if bytes.Contains(record, []byte(s)) {
					t.Errorf("the secret stands in %s", record)
				}
				for _, want := range c.want {
					if !bytes.Contains(record, []byte(want)) {
						t.Errorf("no %s in %s", want, record)
					}
				}
			}
			plain := encode(e, o, sample{message: vendor(element("Value", "y"), element("Name", "Device.Time.NTPServer1")), from: cwmp.PartyACS}, Pass, 1)
			if !bytes.Contains(plain, []byte(`"Value":"y"`)) {
				t.Errorf("the record behind it: %s", plain)
			}
		})
	}
}
