package storetest

import (
	"fmt"

	"github.com/cwmpgate/cwmpgate/audit"
)

const (
	dns      = "Device.DNS.Client.Server.1.DNSServer"
	ssid     = "Device.WiFi.SSID.1.SSID"
	password = "Device.ManagementServer.Password"
	enable   = "Device.WiFi.SSID.1.Enable"
	mapping  = "Device.NAT.PortMapping."
)

// set is a log with one session that sets DNS server and SSID; what comes
// then is the test's.
func set(name string, parameters ...string) (*Log, *Session, uint64) {
	l := NewLog(name)
	l.Start()
	s := l.Session(router, "s-1")
	s.Inform([]string{"2 PERIODIC"})
	if len(parameters) == 0 {
		parameters = []string{Param(dns, "192.0.2.53", "string"), Param(ssid, "home", "string")}
	}
	return l, s, s.Set("job-1", parameters...)
}

var changes = audit.Filter{View: audit.ViewChanges}

// What became of each parameter that an ACS set.
var changeTests = []test{
	{"accepted", func(t T, s Store) {
		l, cpe, seq := set("accepted")
		a := cpe.Accept(member("Status", "0"))
		cpe.End("clean", nil, nil)
		settle(t, s, l)
		expect(t, ask(t, s, changes),
			want{
				"at": l.At(seq), "log": l.ID, "seq": seq, "item": 0, "tenant": "isp", "oui": "00005E", "class": "HG", "serial": "T1",
				"identity": "http", "session": "s-1", "acs": "acs-a", "rpc": "SetParameterValues", "action": "set", "parameter": dns,
				"old": nil, "old_secret": "", "new": "192.0.2.53", "new_secret": "", "type": "xsd:string", "outcome": "accepted",
				"fault_code": "", "fault_text": "", "key": "job-1", "answered": a,
			},
			want{"item": 1, "parameter": ssid, "new": "home", "outcome": "accepted"})
	}},
	{"told in an Inform that was refused", func(t T, s Store) {
		l := NewLog("refused-inform")
		l.Start()
		cpe := l.Session(router, "s-1")
		cpe.Inform([]string{"2 PERIODIC"}, Param(dns, "a", "string"), Param(ssid, "home", "string"))
		refused := cpe.BareInform([]string{"2 PERIODIC"}, Param(dns, "b", "string"), Param(ssid, "home", "string"))
		fault := cpe.Reject("8005", "Retry request")
		again := cpe.Inform([]string{"2 PERIODIC"}, Param(dns, "b", "string"))
		forged := cpe.BareInform([]string{"4 VALUE CHANGE"}, Param(ssid, "forged", "string"))
		cpe.Reject("8003", "Invalid arguments")
		believed := cpe.BareInform([]string{"2 PERIODIC"}, Param(dns, "c", "string")) // a challenge, say
		read := cpe.Read(Param(dns, "d", "string"), Param(ssid, "home", "string"))
		set := cpe.Set("job", Param(ssid, "other", "string"))
		cpe.Accept(member("Status", "0"))
		settle(t, s, l)
		expect(t, ask(t, s, changes),
			want{"seq": refused, "action": "informed", "parameter": dns, "old": "a", "new": "b", "outcome": "refused", "fault_code": "8005", "answered": fault},
			want{"seq": again, "action": "informed", "parameter": dns, "old": "a", "new": "b", "outcome": "reported", "fault_code": ""},
			want{"seq": forged, "action": "reported", "parameter": ssid, "old": "home", "new": "forged", "outcome": "refused"},
			want{"seq": believed, "parameter": dns, "old": "b", "new": "c", "outcome": "reported"},
			want{"seq": read, "action": "read", "parameter": dns, "old": "c", "new": "d"},
			want{"seq": set, "parameter": ssid, "old": "home", "new": "other", "outcome": "accepted"})
		expect(t, ask(t, s, audit.Filter{View: audit.ViewChanges, Outcome: "refused"}), want{"seq": refused}, want{"seq": forged})
	}},
	{"accepted after reboot", func(t T, s Store) {
		l, cpe, _ := set("after-reboot")
		cpe.Accept(member("Status", "1"))
		settle(t, s, l)
		outcomes(t, s, "accepted-after-reboot", "accepted-after-reboot")
	}},
	{"no valid Status", func(t T, s Store) {
		var unclear []string
		for i, body := range [][]string{{member("Status", "2")}, {member("Status", "")}, nil, {member("Status", "00")}, {member("Status", "+1")}} {
			l, cpe, _ := set(fmt.Sprint("unclear-", i), Param(dns, fmt.Sprint(i), "string"))
			cpe.Accept(body...)
			cpe.End("clean", nil, nil)
			settle(t, s, l)
			unclear = append(unclear, "unclear")
		}
		outcomes(t, s, unclear...)
	}},
	{"objects, no valid Status", func(t T, s Store) {
		l := NewLog("unclear-objects")
		cpe := l.Session(router, "s-1")
		cpe.Inform([]string{"2 PERIODIC"})
		cpe.Ask("AddObject", member("ObjectName", mapping), member("ParameterKey", "k"))
		cpe.Accept(member("InstanceNumber", "7"))
		cpe.Ask("DeleteObject", member("ObjectName", mapping+"7."), member("ParameterKey", ""))
		cpe.Accept(member("Status", "2"))
		settle(t, s, l)
		expect(t, ask(t, s, changes),
			want{"action": "add", "new": "7", "outcome": "unclear"}, want{"action": "delete", "outcome": "unclear"})
		expect(t, ask(t, s, audit.Filter{View: audit.ViewRPCs, Outcome: "unclear"}), want{"rpc": "AddObject"}, want{"rpc": "DeleteObject"})
	}},
	{"refused, with details", func(t T, s Store) {
		l, cpe, _ := set("refused")
		cpe.Fault("9003", "Invalid arguments", [2]string{ssid, "9007"}, [2]string{ssid, "9008"})
		settle(t, s, l)
		expect(t, ask(t, s, changes),
			want{"parameter": dns, "outcome": "not-applied", "fault_code": "9003", "fault_text": "Invalid arguments"},
			want{"parameter": ssid, "outcome": "refused", "fault_code": "9007", "fault_text": "no 9007"})
	}},
	{"refused, without details", func(t T, s Store) {
		l, cpe, _ := set("no-detail")
		a := cpe.Fault("9002", "Internal error")
		settle(t, s, l)
		expect(t, ask(t, s, changes),
			want{"outcome": "refused-no-detail", "fault_code": "9002", "fault_text": "Internal error", "answered": a},
			want{"outcome": "refused-no-detail", "fault_code": "9002"})
	}},
	{"refused by SOAP alone", func(t T, s Store) {
		l, cpe, _ := set("soap")
		cpe.SOAPFault("no such method")
		settle(t, s, l)
		expect(t, ask(t, s, changes),
			want{"outcome": "refused-no-detail", "fault_code": "Client", "fault_text": "no such method"},
			want{"outcome": "refused-no-detail"})
	}},
	{"not answered yet", func(t T, s Store) {
		l, _, _ := set("pending")
		settle(t, s, l)
		outcomes(t, s, "unanswered", "unanswered")
	}},
	{"never answered", func(t T, s Store) {
		l, cpe, seq := set("unanswered")
		cpe.End("clean", []uint64{seq}, nil)
		settle(t, s, l)
		outcomes(t, s, "unanswered", "unanswered")
	}},
	{"undelivered", func(t T, s Store) {
		l, cpe, seq := set("undelivered")
		cpe.End("timeout", []uint64{seq}, []uint64{seq})
		settle(t, s, l)
		outcomes(t, s, "undelivered", "undelivered")
	}},
	{"session superseded", func(t T, s Store) {
		l, cpe, seq := set("superseded")
		cpe.End("superseded", []uint64{seq}, nil)
		settle(t, s, l)
		outcomes(t, s, "unknown", "unknown")
	}},
	{"session timed out", func(t T, s Store) {
		l, cpe, seq := set("timeout")
		cpe.End("timeout", []uint64{seq}, nil)
		settle(t, s, l)
		outcomes(t, s, "unknown", "unknown")
	}},
	{"gateway lost", func(t T, s Store) {
		l, _, _ := set("lost")
		l.Start()
		settle(t, s, l)
		outcomes(t, s, "unknown", "unknown")
	}},
	{"another session's end", func(t T, s Store) {
		l, _, _ := set("other-end")
		l.Session(modem, "s-2").End("superseded", nil, nil)
		settle(t, s, l)
		outcomes(t, s, "unanswered", "unanswered")
	}},
	{"denied", func(t T, s Store) {
		l := NewLog("denied")
		cpe := l.Session(router, "s-1")
		cpe.Inform([]string{"2 PERIODIC"})
		cpe.Denied("SetParameterValues", parameterList([]string{Param(dns, "192.0.2.66", "string")}), member("ParameterKey", ""))
		settle(t, s, l)
		expect(t, ask(t, s, changes), want{"outcome": "denied", "fault_code": "9003", "new": "192.0.2.66"})
	}},
	{"answered twice", func(t T, s Store) {
		l, cpe, _ := set("twice") // an ACS asked for its login in between
		cpe.Accept(member("Status", "0"))
		a := cpe.Accept(member("Status", "0"))
		settle(t, s, l)
		expect(t, ask(t, s, changes), want{"outcome": "accepted", "answered": a}, want{"outcome": "accepted", "answered": a})
	}},
	{"objects", func(t T, s Store) {
		l := NewLog("objects")
		cpe := l.Session(router, "s-1")
		cpe.Inform([]string{"2 PERIODIC"})
		cpe.Ask("AddObject", member("ObjectName", mapping), member("ParameterKey", "k"))
		cpe.Accept(member("InstanceNumber", "7"), member("Status", "0"))
		cpe.Ask("DeleteObject", member("ObjectName", mapping+"7."), member("ParameterKey", ""))
		cpe.Accept(member("Status", "1"))
		cpe.Ask("AddObject", member("ObjectName", mapping), member("ParameterKey", ""))
		cpe.Fault("9005", "Invalid parameter name")
		settle(t, s, l)
		expect(t, ask(t, s, changes),
			want{"action": "add", "parameter": mapping, "new": "7", "outcome": "accepted", "key": "k", "rpc": "AddObject"},
			want{"action": "delete", "parameter": mapping + "7.", "new": nil, "outcome": "accepted-after-reboot"},
			want{"action": "add", "new": nil, "outcome": "refused", "fault_code": "9005"})
	}},
	{"attributes", func(t T, s Store) {
		l := NewLog("attributes")
		cpe := l.Session(router, "s-1")
		cpe.Inform([]string{"2 PERIODIC"})
		cpe.Ask("SetParameterAttributes", `"ParameterList":[`+object(member("Name", dns), member("NotificationChange", "1"), member("Notification", "2"),
			member("AccessListChange", "true"), `"AccessList":["Subscriber"]`)+`]`)
		cpe.Accept()
		settle(t, s, l)
		expect(t, ask(t, s, changes), want{"action": "attributes", "parameter": dns, "new": "notification=2 access=Subscriber", "outcome": "accepted"})
	}},
	{"secrets", func(t T, s Store) {
		l, cpe, _ := set("secrets", Secret(password, "9f2c000000000000"))
		cpe.Accept(member("Status", "0"))
		cpe.Set("", Secret(password, "1111000000000000"))
		cpe.Accept(member("Status", "0"))
		settle(t, s, l)
		expect(t, ask(t, s, changes),
			want{"old": nil, "old_secret": "", "new": nil, "new_secret": "9f2c000000000000"},
			want{"old": nil, "old_secret": "9f2c000000000000", "new": nil, "new_secret": "1111000000000000"})
	}},
	{"an empty value", func(t T, s Store) {
		l, cpe, _ := set("empty", Param(ssid, "", "string"))
		cpe.Accept(member("Status", "0"))
		settle(t, s, l)
		expect(t, ask(t, s, changes), want{"new": ""})
	}},
}

func outcomes(t T, s Store, all ...string) {
	t.Helper()
	var rows []want
	for _, o := range all {
		rows = append(rows, want{"outcome": o})
	}
	expect(t, ask(t, s, changes), rows...)
}

// Old values: what a CPE told and what it accepted is known.
var knownTests = []test{
	{"old and new", func(t T, s Store) {
		l, cpe, _ := set("old-new", Param(dns, "192.0.2.1", "string"))
		cpe.Accept(member("Status", "0"))
		cpe.Set("", Param(dns, "192.0.2.2", "string"))
		cpe.Fault("9003", "no", [2]string{dns, "9007"})
		cpe.Set("", Param(dns, "192.0.2.3", "string"))
		cpe.Accept(member("Status", "0"))
		cpe.Set("", Param(dns, "192.0.2.3", "string")) // again, unchanged
		cpe.Accept(member("Status", "0"))
		settle(t, s, l)
		expect(t, ask(t, s, changes),
			want{"old": nil, "new": "192.0.2.1"},
			want{"old": "192.0.2.1", "new": "192.0.2.2", "outcome": "refused"},
			want{"old": "192.0.2.1", "new": "192.0.2.3", "outcome": "accepted"},
			want{"old": "192.0.2.3", "new": "192.0.2.3"})
	}},
	{"first sight is no change", func(t T, s Store) {
		l, cpe, _ := set("first-sight", Param(dns, "192.0.2.1", "string"))
		cpe.Fault("9002", "no")
		cpe.Read(Param(ssid, "home", "string"), Param(dns, "192.0.2.9", "string"))
		cpe.Read(Param(ssid, "home", "string"), Param(dns, "192.0.2.9", "string"))
		cpe.Read(Param(ssid, "away", "string"), Param(dns, "192.0.2.9", "string"))
		cpe.Inform([]string{"2 PERIODIC"}, Param(ssid, "away", "string"), Param(dns, "192.0.2.10", "string"))
		settle(t, s, l)
		expect(t, ask(t, s, changes),
			want{"outcome": "refused-no-detail", "old": nil},
			want{"action": "read", "outcome": "reported", "parameter": ssid, "old": "home", "new": "away", "rpc": "GetParameterValuesResponse"},
			want{"action": "informed", "outcome": "reported", "parameter": dns, "old": "192.0.2.9", "new": "192.0.2.10", "rpc": "Inform"})
	}},
	{"a read after an accepted set", func(t T, s Store) {
		l, cpe, _ := set("read-after-set", Param(dns, "192.0.2.1", "string"))
		cpe.Accept(member("Status", "0"))
		cpe.Read(Param(dns, "192.0.2.1", "string")) // as set: no row
		cpe.Read(Param(dns, "192.0.2.7", "string"))
		settle(t, s, l)
		expect(t, ask(t, s, changes),
			want{"action": "set"},
			want{"action": "read", "old": "192.0.2.1", "new": "192.0.2.7"})
	}},
	{"a read after a set that was refused", func(t T, s Store) {
		l := NewLog("read-after-refused")
		cpe := l.Session(router, "s-1")
		cpe.Inform([]string{"2 PERIODIC"}, Param(dns, "192.0.2.1", "string"))
		cpe.Set("", Param(dns, "192.0.2.2", "string"))
		cpe.Fault("9002", "no")
		cpe.Read(Param(dns, "192.0.2.1", "string")) // as it was: no row
		settle(t, s, l)
		expect(t, ask(t, s, changes), want{"action": "set", "old": "192.0.2.1", "new": "192.0.2.2"})
	}},
	{"a set that was answered with no valid Status", func(t T, s Store) {
		l := NewLog("unclear-known")
		cpe := l.Session(router, "s-1")
		cpe.Inform([]string{"2 PERIODIC"}, Param(dns, "192.0.2.1", "string"))
		cpe.Set("", Param(dns, "192.0.2.2", "string"))
		cpe.Accept(member("Status", "2"))
		cpe.Read(Param(dns, "192.0.2.1", "string")) // as it was: no row
		cpe.Set("", Param(dns, "192.0.2.3", "string"))
		cpe.Accept()
		cpe.Set("", Param(dns, "192.0.2.4", "string"))
		cpe.Accept(member("Status", " 1\n"))
		settle(t, s, l)
		expect(t, ask(t, s, changes),
			want{"old": "192.0.2.1", "new": "192.0.2.2", "outcome": "unclear"},
			want{"old": "192.0.2.1", "new": "192.0.2.3", "outcome": "unclear"},
			want{"old": "192.0.2.1", "new": "192.0.2.4", "outcome": "accepted-after-reboot"})
	}},
	{"told between set and answer", func(t T, s Store) {
		l := NewLog("between")
		cpe := l.Session(router, "s-1")
		cpe.Inform([]string{"2 PERIODIC"}, Param(dns, "192.0.2.1", "string"))
		cpe.Set("", Param(dns, "192.0.2.2", "string"))
		twin := l.Session(router, "s-2")
		twin.Inform([]string{"2 PERIODIC"}, Param(dns, "192.0.2.3", "string"))
		cpe.Accept(member("Status", "0"))
		cpe.Read(Param(dns, "192.0.2.3", "string"))
		settle(t, s, l)
		expect(t, ask(t, s, changes),
			want{"action": "set", "old": "192.0.2.1"},
			want{"action": "informed", "old": "192.0.2.1", "new": "192.0.2.3"})
	}},
	{"value changes", func(t T, s Store) {
		l := NewLog("value-change")
		cpe := l.Session(router, "s-1")
		cpe.Inform([]string{"4 VALUE CHANGE"}, Param(dns, "192.0.2.1", "string"))
		cpe.Inform([]string{"4 VALUE CHANGE"}, Param(dns, "192.0.2.2", "string"))
		settle(t, s, l)
		expect(t, ask(t, s, changes),
			want{"action": "reported", "outcome": "reported", "old": nil, "new": "192.0.2.1"},
			want{"action": "reported", "outcome": "reported", "old": "192.0.2.1", "new": "192.0.2.2"})
	}},
	{"booleans by meaning", func(t T, s Store) {
		l := NewLog("booleans")
		cpe := l.Session(router, "s-1")
		cpe.Inform([]string{"2 PERIODIC"}, Param(enable, "1", "boolean"), Param(ssid, "1", "string"))
		cpe.Read(Param(enable, "true", "boolean"), Param(ssid, "true", "string")) // the SSID is a text
		cpe.Read(Param(enable, "false", "boolean"))
		cpe.Read(Param(enable, "0", "boolean"))
		settle(t, s, l)
		expect(t, ask(t, s, changes),
			want{"parameter": ssid, "old": "1", "new": "true"},
			want{"parameter": enable, "old": "1", "new": "false"})
	}},
	{"twice in one message", func(t T, s Store) {
		l := NewLog("duplicate")
		cpe := l.Session(router, "s-1")
		cpe.Inform([]string{"2 PERIODIC"}, Param(ssid, "a", "string"))
		cpe.Read(Param(ssid, "b", "string"), Param(ssid, "c", "string"))
		cpe.Read(Param(ssid, "c", "string"))
		settle(t, s, l)
		expect(t, ask(t, s, changes),
			want{"item": 0, "old": "a", "new": "b"},
			want{"item": 1, "old": "b", "new": "c"})
	}},
	{"devices are apart", func(t T, s Store) {
		l := NewLog("apart")
		other := router
		other.Class = "HG2"
		elsewhere := l.Session(router, "s-3")
		elsewhere.Tenant = "other"
		for _, cpe := range []*Session{l.Session(router, "s-1"), l.Session(other, "s-2"), elsewhere} {
			cpe.Inform([]string{"2 PERIODIC"}, Param(ssid, cpe.Name, "string"))
		}
		settle(t, s, l)
		expect(t, ask(t, s, changes))
	}},
	{"an OUI is one in either case", func(t T, s Store) {
		l := NewLog("case")
		lower := modem
		upper := modem
		upper.OUI = "00005E"
		l.Session(lower, "s-1").Inform([]string{"2 PERIODIC"}, Param(ssid, "a", "string"))
		l.Session(upper, "s-2").Inform([]string{"2 PERIODIC"}, Param(ssid, "a", "string"))
		l.Session(lower, "s-3").Inform([]string{"2 PERIODIC"}, Param(ssid, "b", "string"))
		settle(t, s, l)
		expect(t, ask(t, s, changes), want{"old": "a", "new": "b", "oui": "00005e"})
	}},
	{"long values", func(t T, s Store) {
		l := NewLog("long")
		cpe := l.Session(router, "s-1")
		long := func(sum string) string {
			return object(member("Name", ssid), member("Value", "begin"), number("cut", 70000), member("sha256", sum), member("Type", "xsd:string"))
		}
		cpe.Inform([]string{"2 PERIODIC"}, long("aa"))
		cpe.Inform([]string{"2 PERIODIC"}, long("aa"))
		cpe.Inform([]string{"2 PERIODIC"}, long("bb"))
		settle(t, s, l)
		expect(t, ask(t, s, changes), want{"old": "begin", "new": "begin"})
	}},
	{"over many cuts", func(t T, s Store) {
		l, cpe, _ := set("cuts", Param(dns, "192.0.2.1", "string"))
		cpe.Accept(member("Status", "0"))
		cpe.Read(Param(dns, "192.0.2.1", "string"))
		cpe.Read(Param(dns, "192.0.2.2", "string"))
		for seq := range l.Last() {
			write(t, s, l.Batch(seq+1, seq+1))
		}
		expect(t, ask(t, s, changes), want{"action": "set"}, want{"action": "read", "old": "192.0.2.1", "new": "192.0.2.2"})
	}},
}
