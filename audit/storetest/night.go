package storetest

import (
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

// Night is what a small fleet lives through from one evening to the next
// morning: for each question in docs/audit.md there is something to find, and
// something that must not be.
func Night() *Log {
	const (
		dns1     = "Device.DNS.Client.Server.1.DNSServer"
		url      = "Device.ManagementServer.URL"
		interval = "Device.ManagementServer.PeriodicInformInterval"
		wifi     = "Device.WiFi.AccessPoint.1.Security.KeyPassphrase"
		admin    = "Device.Users.User.1.Enable"
		firmware = "https://files.example.com/fw-2.0.bin"
	)
	l := NewLog("night")
	at := func(day, hour, minute int) { l.Now = time.Date(2026, 11, day, hour, minute, 0, 0, time.UTC) }
	home := map[string]string{"T1": "192.0.2.1", "T2": "192.0.2.2", "T3": "192.0.2.3", "T4": "192.0.2.4"}
	begin := func(serial, acs string) *Session {
		s := l.Session(audit.Device{Manufacturer: "Example", OUI: "00005E", Class: "HG", Serial: serial}, "s-"+l.Now.Format("0215:04")+"-"+serial)
		s.ACS, s.Peer = acs, home[serial]+":40001"
		return s
	}
	ok, end := member("Status", "0"), func(s *Session) { s.End(audit.EndClean, nil, nil) }

	at(24, 18, 0)
	l.Start()
	for i, serial := range []string{"T1", "T2", "T3", "T4"} { // what they are like before
		at(24, 19, i)
		s := begin(serial, "acs-a")
		if serial == "T1" {
			s.Subject, s.Expires = "CN=00005E-T1", time.Date(2026, 12, 10, 0, 0, 0, 0, time.UTC)
		}
		if serial == "T2" {
			s.Subject, s.Expires = "CN=00005E-T2", time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)
		}
		s.Inform([]string{"1 BOOT"}, Param(url, "https://acs.example.com/", "string"))
		s.Read(Param(dns1, "192.0.2.53", "string"), Param(admin, "0", "boolean"), Param(interval, "3600", "unsignedInt"))
		end(s)
	}

	at(24, 22, 0) // one ACS sets name servers; one CPE refuses
	s := begin("T1", "acs-b")
	s.Inform([]string{"2 PERIODIC"})
	s.Set("n-1", Param(dns1, "203.0.113.66", "string"))
	s.Accept(ok)
	end(s)
	at(24, 22, 1)
	s = begin("T2", "acs-b")
	s.Inform([]string{"2 PERIODIC"})
	s.Set("n-1", Param(dns1, "203.0.113.66", "string"))
	s.Fault("9003", "Invalid arguments", [2]string{dns1, "9008"})
	end(s)
	at(24, 22, 2) // the other ACS sets something else, and a key that two share
	for _, serial := range []string{"T3", "T4"} {
		s = begin(serial, "acs-a")
		s.Inform([]string{"2 PERIODIC"})
		s.Set("n-2", Param(interval, "900", "unsignedInt"), Secret(wifi, "9f2c41d07be3a855"))
		s.Accept(ok)
		end(s)
	}
	at(24, 22, 10)
	s = begin("T1", "acs-a")
	s.Inform([]string{"2 PERIODIC"})
	s.Set("n-3", Secret(wifi, "00d1c2b3a4958677"))
	s.Accept(ok)
	end(s)

	at(24, 23, 0) // firmware: one takes it, one fails, one says nothing more
	for _, serial := range []string{"T1", "T2", "T3"} {
		s = begin(serial, "acs-a")
		s.Inform([]string{"2 PERIODIC"})
		s.Download("fw-2.0", firmware)
		s.Started()
		end(s)
	}
	at(24, 23, 20)
	s = begin("T1", "acs-a")
	s.Inform([]string{"1 BOOT", "M Download"})
	s.Complete("fw-2.0", "0", "2026-11-24T23:01:00Z", "2026-11-24T23:15:00Z")
	s.Confirm()
	end(s)
	at(24, 23, 21)
	s = begin("T2", "acs-a")
	s.Inform([]string{"1 BOOT", "M Download"})
	s.Complete("fw-2.0", "9010", "2026-11-24T23:01:00Z", "0001-01-01T00:00:00Z")
	s.Confirm()
	end(s)

	at(25, 1, 0) // what no RPC has set; a value that was set is told as well
	s = begin("T2", "acs-a")
	s.Peer = "198.51.100.9:40001"
	s.Inform([]string{"4 VALUE CHANGE"}, Param(admin, "1", "boolean"))
	end(s)
	at(25, 1, 1)
	s = begin("T3", "acs-a")
	s.Inform([]string{"2 PERIODIC"}, Param(interval, "900", "unsignedInt"))
	end(s)

	at(25, 2, 0) // sent away: one never comes again
	for _, serial := range []string{"T3", "T4"} {
		s = begin(serial, "acs-b")
		s.Inform([]string{"2 PERIODIC"})
		s.Set("away", Param(url, "https://acs.example.net/", "string"))
		s.Accept(ok)
		end(s)
	}
	at(25, 2, 30)
	s = begin("T1", "acs-b")
	s.Inform([]string{"2 PERIODIC"})
	s.Ask("FactoryReset")
	s.Accept()
	end(s)
	at(25, 2, 31)
	s = begin("T2", "acs-b")
	s.Inform([]string{"2 PERIODIC"})
	asked := s.Ask("Reboot", member("CommandKey", "again"))
	s.End(audit.EndACSFailed, []uint64{asked}, nil)

	at(25, 3, 0) // an ACS whose messages are refused
	for range 2 {
		l.add("refusal", member("tenant", "isp"), member("from", "acs"), member("acs", "acs-b"), member("reason", "doctype"), number("offset", 39),
			member("path", "Envelope"), number("size", 512), number("status", 502), number("count", 3))
	}
	l.Refusal("invalid-character", 1)
	l.add("system", member("what", audit.SystemGap), member("why", "records could not be made durable"),
		`"detail":`+object(member("count", "2"), member("since", "2026-11-25T03:00:10.000000Z"), member("until", "2026-11-25T03:00:11.000000Z")))

	at(25, 6, 0)
	for _, serial := range []string{"T1", "T2", "T3"} {
		s = begin(serial, "acs-a")
		s.Inform([]string{"2 PERIODIC"})
		end(s)
	}
	return l
}
