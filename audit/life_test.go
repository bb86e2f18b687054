package audit_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/storetest"
)

const (
	lifeDNS    = "Device.DNS.Client.Server.1.DNSServer"
	lifeEnable = "Device.WiFi.SSID.1.Enable"
	lifeKey    = "Device.ManagementServer.ParameterKey"
	lifeSecret = "Device.ManagementServer.Password"
)

var lifeRouter = audit.Device{Manufacturer: "Example", OUI: "00005E", Class: "HG", Serial: "T1"}

// live reads a log as the life of its one device.
func live(t *testing.T, l *storetest.Log) *audit.Life {
	t.Helper()
	life := audit.NewLife()
	for _, e := range l.Entries {
		if err := life.Add(l.ID, e.Seq, e.Bytes); err != nil {
			t.Fatal(err)
		}
	}
	return life
}

func shown(r *audit.ParameterRow) string {
	if r.Value != nil {
		return *r.Value
	}
	return "(" + r.Secret + ")"
}

// TestLife: what is known of a parameter in the end and by what, and what of it
// changed though no accepted SetParameterValues had set it.
func TestLife(t *testing.T) {
	dns := func(v string) string { return storetest.Param(lifeDNS, v, "string") }
	accepted, reboot := `"Status":"0"`, `"Status":"1"`
	for _, x := range []struct {
		name    string
		play    func(s *storetest.Session)
		known   []string
		unasked []string
	}{
		{"first sight", func(s *storetest.Session) {
			s.Inform([]string{"4 VALUE CHANGE"}, dns("a"))
			s.Read(dns("a"))
		}, []string{lifeDNS + "=a reported told"}, nil},
		{"set and accepted", func(s *storetest.Session) {
			s.Read(dns("a"))
			s.Set("job", dns("b"))
			s.Accept(accepted)
		}, []string{lifeDNS + "=b set"}, nil},
		{"set and read", func(s *storetest.Session) {
			s.Read(dns("a"))
			s.Set("job", dns("b"))
			s.Accept(accepted)
			s.Read(dns("b"))
		}, []string{lifeDNS + "=b set told"}, nil},
		{"set and refused", func(s *storetest.Session) {
			s.Read(dns("a"))
			s.Set("job", dns("b"))
			s.Fault("9003", "no", [2]string{lifeDNS, "9007"})
		}, []string{lifeDNS + "=a read told"}, nil},
		{"set and answered by no Status", func(s *storetest.Session) {
			s.Set("job", dns("b"))
			s.Accept()
		}, nil, nil},
		{"changed by itself", func(s *storetest.Session) {
			s.Read(dns("a"))
			s.Inform([]string{"4 VALUE CHANGE"}, dns("b"))
		}, []string{lifeDNS + "=b reported told"}, []string{lifeDNS + ": a b reported"}},
		{"changed though set", func(s *storetest.Session) {
			s.Set("job", dns("b"))
			s.Accept(accepted)
			s.Read(dns("c"))
			s.Read(dns("b"))
		}, []string{lifeDNS + "=b read told"}, []string{lifeDNS + ": b c read", lifeDNS + ": c b read"}},
		{"changed to what was refused", func(s *storetest.Session) {
			s.Read(dns("a"))
			s.Set("job", dns("b"))
			s.Fault("9003", "no")
			s.Read(dns("b"))
		}, []string{lifeDNS + "=b read told"}, []string{lifeDNS + ": a b read"}},
		{"applied by a reboot", func(s *storetest.Session) {
			s.Read(dns("a"))
			s.Set("job", dns("b"))
			s.Accept(reboot)
			s.Read(dns("a"))
			s.Inform([]string{"1 BOOT"}, dns("b"))
		}, []string{lifeDNS + "=b set told"}, nil},
		{"waits for a reboot", func(s *storetest.Session) {
			s.Set("job", dns("b"))
			s.Accept(reboot)
		}, []string{lifeDNS + "=b set-after-reboot"}, nil},
		{"reverted behind a reboot", func(s *storetest.Session) {
			s.Read(dns("a"))
			s.Set("job", dns("b"))
			s.Accept(reboot)
			s.Inform([]string{"1 BOOT"}, dns("b"))
			s.Read(dns("a"))
		}, []string{lifeDNS + "=a read told"}, []string{lifeDNS + ": b a read"}},
		{"told in an Inform that was refused", func(s *storetest.Session) {
			s.Read(dns("a"))
			s.BareInform([]string{"4 VALUE CHANGE"}, dns("b"), storetest.Param(lifeEnable, "1", "boolean"))
			s.Reject("8003", "Invalid arguments")
			s.Read(dns("a"))
		}, []string{lifeDNS + "=a read told"}, nil},
		{"told before an Inform that was refused", func(s *storetest.Session) {
			s.Read(dns("a"))
			s.BareInform([]string{"4 VALUE CHANGE"}, dns("b")) // a challenge, say: it is believed
			s.Read(dns("c"))
			s.BareInform([]string{"2 PERIODIC"}, dns("d"))
			s.Reject("8003", "Invalid arguments")
		}, []string{lifeDNS + "=c read told"}, []string{lifeDNS + ": a b reported", lifeDNS + ": b c read"}},
		{"booleans", func(s *storetest.Session) {
			s.Read(storetest.Param(lifeEnable, "1", "boolean"))
			s.Read(storetest.Param(lifeEnable, "true", "boolean"))
			s.Read(storetest.Param(lifeEnable, "0", "boolean"))
		}, []string{lifeEnable + "=0 read told"}, []string{lifeEnable + ": 1 0 read"}},
		{"secrets", func(s *storetest.Session) {
			s.Read(storetest.Secret(lifeSecret, "9f2c41d07be3a855"))
			s.Read(storetest.Secret(lifeSecret, "9f2c41d07be3a855"))
			s.Read(storetest.Secret(lifeSecret, "0000000000000001"))
		}, []string{lifeSecret + "=(0000000000000001) read told"}, []string{lifeSecret + ": (9f2c41d07be3a855) (0000000000000001) read"}},
		{"the key of a request", func(s *storetest.Session) {
			s.Read(storetest.Param(lifeKey, "old", "string"))
			s.Set("job-1", dns("b"))
			s.Accept(accepted)
			s.Inform([]string{"2 PERIODIC"}, storetest.Param(lifeKey, "job-1", "string"))
			s.Inform([]string{"2 PERIODIC"}, storetest.Param(lifeKey, "other", "string"))
		}, []string{lifeDNS + "=b set", lifeKey + "=other informed told"}, []string{lifeKey + ": job-1 other informed"}},
		{"an object that is deleted", func(s *storetest.Session) {
			s.Read(dns("a"), storetest.Param(lifeEnable, "1", "boolean"))
			s.Ask("DeleteObject", `"ObjectName":"Device.DNS.Client.Server.1."`, `"ParameterKey":""`)
			s.Accept(accepted)
		}, []string{lifeEnable + "=1 read told"}, nil},
	} {
		l := storetest.NewLog(x.name)
		s := l.Session(lifeRouter, "s-1")
		x.play(s)
		life := live(t, l)
		var known, unasked []string
		for _, p := range life.Parameters() {
			told := ""
			if !p.Told.IsZero() {
				told = " told"
			}
			known = append(known, p.Row.Name+"="+shown(&p.Row)+" "+p.By+told)
		}
		for _, u := range life.Unasked() {
			unasked = append(unasked, u.New.Name+": "+shown(&u.Old)+" "+shown(&u.New)+" "+u.New.Action)
		}
		if !slices.Equal(known, x.known) || !slices.Equal(unasked, x.unasked) {
			t.Errorf("%s: known %q, want %q; changed without an RPC %q, want %q", x.name, known, x.known, unasked, x.unasked)
		}
	}
}

// TestLifeHead: who it is, since when, and from where.
func TestLifeHead(t *testing.T) {
	l := storetest.NewLog("head")
	for i := range 3 {
		s := l.Session(lifeRouter, fmt.Sprint("s-", i))
		s.Inform([]string{"2 PERIODIC"})
		s.End("clean", nil, nil)
	}
	// A record of a later version is counted, and told no more of.
	last := &l.Entries[len(l.Entries)-1]
	last.Bytes = []byte(strings.Replace(string(last.Bytes), `"v":1`, `"v":2`, 1))
	life := live(t, l)
	if life.Device != lifeRouter || life.Identity != "http" || life.Records != 9 || life.Sessions != 2 || life.Unread != 1 {
		t.Errorf("%+v", life)
	}
	if !life.First.Equal(l.At(1)) || !life.Last.Equal(l.At(9)) {
		t.Errorf("first seen %v, last %v", life.First, life.Last)
	}
	want := audit.Address{Address: "192.0.2.7", First: l.At(1), Last: l.At(7), Sessions: 3}
	if got := life.Addresses(); len(got) != 1 || got[0] != want {
		t.Errorf("addresses %+v", got)
	}
	if err := life.Add(l.ID, 77, []byte("{")); err == nil {
		t.Error("what is no record at all was taken")
	}
}

// TestSubjects: what spellings are one device's.
func TestSubjects(t *testing.T) {
	at := func(tenant, oui, class, serial string) audit.Spelling {
		return audit.Spelling{Tenant: tenant, Device: audit.Device{OUI: oui, Class: class, Serial: serial}}
	}
	for _, x := range []struct {
		name string
		all  []audit.Spelling
		want []int // spellings of each subject
	}{
		{"nobody", nil, nil},
		{"one", []audit.Spelling{at("isp", "00005E", "HG", "T1")}, []int{1}},
		{"an OUI in small letters", []audit.Spelling{at("isp", "00005E", "HG", "T1"), at("isp", "00005e", "HG", "T1")}, []int{2}},
		{"two tenants", []audit.Spelling{at("isp", "00005E", "HG", "T1"), at("other", "00005E", "HG", "T1")}, []int{1, 1}},
		{"two classes", []audit.Spelling{at("isp", "00005E", "HG", "T1"), at("isp", "00005E", "HG2", "T1")}, []int{1, 1}},
		{"what was read of a refused Inform", []audit.Spelling{at("isp", "00005E", "HG", "T1"), at("isp", "00005E", "", "T1"), at("", "", "", "T1")}, []int{3}},
		{"a part of two", []audit.Spelling{at("isp", "00005E", "HG", "T1"), at("isp", "00005E", "HG2", "T1"), at("isp", "00005E", "", "T1")}, []int{1, 1, 1}},
		{"a part alone", []audit.Spelling{at("", "", "", "T1")}, []int{1}},
		{"another serial", []audit.Spelling{at("isp", "00005E", "", "T1"), at("isp", "00005E", "HG", "T2")}, []int{1, 1}},
	} {
		var got []int
		for _, s := range audit.Subjects(x.all) {
			got = append(got, len(s.All))
			for _, a := range s.All {
				if !s.Has(a.Tenant, a.Device.OUI, a.Device.Class, a.Device.Serial) {
					t.Errorf("%s: %+v has not %+v", x.name, s, a)
				}
			}
		}
		if !slices.Equal(got, x.want) {
			t.Errorf("%s: subjects of %v spellings, want %v", x.name, got, x.want)
		}
	}
}
