package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

// The other views, and what narrows them.
var viewTests = []test{
	{"rpcs", func(t T, s Store) {
		l, cpe := begin("rpcs")
		i := cpe.Inform([]string{"1 BOOT", "M Reboot"}, Param(ssid, "home", "string"))
		set := cpe.Set("job", Param(ssid, "away", "string"))
		f := cpe.Fault("9003", "Invalid arguments", [2]string{ssid, "9007"})
		d := cpe.Download("dl", image)
		cpe.Started()
		settle(t, s, l)
		expect(t, ask(t, s, audit.Filter{View: audit.ViewRPCs}),
			want{
				"seq": i, "at": l.At(i), "log": l.ID, "tenant": "isp", "serial": "T1", "identity": "http", "session": "s-1", "n": 1, "from": "cpe",
				"acs": "acs-a", "rpc": "Inform", "to": "", "message": "request", "cwmp": "1-0", "answers": nil, "verdict": "pass",
				"events": "1 BOOT, M Reboot", "parameters": 1, "outcome": "accepted", "answered": i + 1,
			},
			want{"rpc": "InformResponse", "to": "Inform", "message": "response", "answers": i, "outcome": "", "answered": nil, "from": "acs"},
			want{"seq": set, "rpc": "SetParameterValues", "parameter_key": "job", "outcome": "refused", "answered": f, "fault_code": "9003", "fault_text": "Invalid arguments"},
			want{"seq": f, "rpc": "Fault", "to": "SetParameterValues", "message": "fault", "answers": set, "fault_code": "9003", "outcome": ""},
			want{"seq": d, "rpc": "Download", "command_key": "dl", "outcome": "accepted", "status": "1"},
			want{"rpc": "DownloadResponse", "status": "1", "answers": d})
		expect(t, ask(t, s, audit.Filter{View: audit.ViewRPCs, RPC: "Download"}), want{"rpc": "Download"}, want{"rpc": "DownloadResponse"})
		expect(t, ask(t, s, audit.Filter{View: audit.ViewRPCs, Outcome: "refused"}), want{"seq": set})
	}},
	{"sessions", func(t T, s Store) {
		l, cpe := begin("sessions")
		i := cpe.BareInform([]string{"1 BOOT"})
		at := l.Now
		seq := cpe.End("acs-failed", []uint64{i}, []uint64{7, 8})
		settle(t, s, l)
		expect(t, ask(t, s, audit.Filter{View: audit.ViewSessions}), want{
			"begin": at.Add(-time.Second), "end": at, "log": l.ID, "seq": seq, "tenant": "isp", "oui": "00005E", "class": "HG", "serial": "T1",
			"identity": "http", "session": "s-1", "acs": "acs-a", "acs_node": "acs-a-1", "how": "acs-failed", "messages": 1, "empty": 2,
			"bytes_in": 9000, "bytes_out": 4000, "open": 1, "undelivered": 2,
			"peer": "192.0.2.7:4711", "listener": ":7547", "tls": "1.3", "sni": "acs.example.net", "certificate": "",
		})
		expect(t, ask(t, s, audit.Filter{View: audit.ViewSessions, Outcome: "clean"}))
	}},
	{"sessions and their connections", func(t T, s Store) {
		l := NewLog("connections")
		l.Session(router, "s-0").End("timeout", nil, nil) // no message of it
		certified := l.Session(modem, "s-1")
		certified.Subject = "CN=C-D"
		certified.Inform([]string{"1 BOOT"})
		certified.Read(Param(ssid, "home", "string"))
		certified.End("clean", nil, nil)
		settle(t, s, l)
		expect(t, ask(t, s, audit.Filter{View: audit.ViewSessions}),
			want{"session": "s-0", "peer": "192.0.2.7:4711", "tls": "1.3"},
			want{"session": "s-1", "peer": "192.0.2.7:4711", "listener": ":7547", "tls": "1.3", "sni": "acs.example.net", "certificate": "CN=C-D"})
	}},
	{"requests of no session", func(t T, s Store) {
		l := NewLog("orphans")
		l.Start()
		nobody := l.Session(audit.Device{}, "")
		seq := nobody.message("cpe", "TransferComplete", "orphan", 0, member("CommandKey", "dl"))
		l.Start()
		settle(t, s, l)
		expect(t, ask(t, s, audit.Filter{View: audit.ViewRPCs}), want{"seq": seq, "verdict": "orphan", "outcome": "undelivered"})
	}},
	{"records of no device", func(t T, s Store) {
		l := NewLog("plain")
		l.Start()
		l.Refusal("doctype", 3)
		settle(t, s, l)
		expect(t, ask(t, s, audit.Filter{View: audit.ViewRecords}),
			want{"kind": "system", "tenant": "", "serial": "", "session": ""}, want{"kind": "refusal", "tenant": "isp"})
		expect(t, ask(t, s, audit.Filter{View: audit.ViewRecords, Kind: "refusal"}), want{"seq": 2})
	}},
	{"odd values", func(t T, s Store) {
		l, cpe := begin("odd")
		long := strings.Repeat("x", 64<<10)
		for _, value := range []string{"", " ", "\x00\x01\x1f\x7f", "\u2028\u00e9\U0001F600", `"\\/`, "NULL", "1e400", "9223372036854775808", "'; DROP TABLE ledger; --", long} {
			cpe.Set(value, Param("Device."+value, value, "string"))
			cpe.Accept(member("Status", "0"))
		}
		for _, at := range []string{"", "0001-01-01T00:00:00Z", "0001-01-01T00:00:10Z", "9999-12-31T23:59:59Z", "2026-11-24T20:00:00", "1969-12-31T23:59:59Z",
			"2262-04-12T00:00:00Z", "2026-11-24T20::00:00Z", "-1", "2026-11-24T20:00:00.123456789+05:30"} {
			cpe.Complete("key", "0", at, at)
			cpe.Confirm()
		}
		settle(t, s, l)
		checkRecords(t, s, l)
		rows := ask(t, s, audit.Filter{View: audit.ViewChanges})
		expect(t, rows[len(rows)-1:], want{"new": long, "old": nil})
		expect(t, rows[2:3], want{"new": "\x00\x01\x1f\x7f"})
		rows = ask(t, s, transfers)
		expect(t, rows[7:8], want{"start": "2026-11-24T20::00:00Z", "outcome": "unattached"})
	}},
	{"devices", func(t T, s Store) {
		settle(t, s, world())
		all := map[string]int{}
		for _, view := range audit.Views() {
			rows := ask(t, s, audit.Filter{View: view})
			for _, name := range []string{"T1", "00005e-T1", "00005E-HG-T1", "C-D", "00005E-C-D", "00005E-A-B-C-D", "D", "HG-T1", "00005E-A-B", "nobody", "%", "T1' OR 1=1"} {
				n := 0
				for _, row := range rows {
					if audit.MatchDevice(name, row["oui"].(string), row["class"].(string), row["serial"].(string)) {
						n++
					}
				}
				got := ask(t, s, audit.Filter{View: view, Device: name})
				if len(got) != n {
					t.Errorf("%s of device %s: %d rows, want %d", view, name, len(got), n)
				}
				all[name] += n
			}
		}
		for _, name := range []string{"T1", "00005E-C-D", "00005E-A-B-C-D"} {
			if all[name] == 0 {
				t.Errorf("device %s has no rows at all", name)
			}
		}
	}},
	{"times", func(t T, s Store) {
		l := world()
		settle(t, s, l)
		since, until := l.At(10), l.At(20)
		for _, view := range audit.Views() {
			n := 0
			for _, row := range ask(t, s, audit.Filter{View: view}) {
				at, ok := row["at"].(time.Time)
				if !ok {
					at = l.At(uint64(row["seq"].(int64)))
				}
				if !at.Before(since) && at.Before(until) {
					n++
				}
			}
			if got := ask(t, s, audit.Filter{View: view, Since: since, Until: until}); len(got) != n {
				t.Errorf("%s: %d rows, want %d", view, len(got), n)
			}
		}
	}},
	{"parameters", func(t T, s Store) {
		settle(t, s, world())
		for pattern, n := range map[string]int{
			dns: 6, "Device.**": 16, "device.dns.**": 6, "Device.*": 0, "**.DNSServer": 6, "Device.DNS.": 6,
			"Device.DNS.Client.Server.*.DNSServer": 6, password: 6, "Device.DeviceInfo.*": 4, "InternetGatewayDevice.**": 0, ssid: 0,
		} {
			if got := ask(t, s, audit.Filter{View: audit.ViewChanges, Parameter: pattern}); len(got) != n {
				t.Errorf("%s: %d changes, want %d", pattern, len(got), n)
			}
		}
		for _, err := range s.Query(t.Context(), audit.Filter{View: audit.ViewChanges, Parameter: "Device..x"}) {
			if err == nil {
				t.Error("a pattern that is none was taken")
			}
		}
	}},
	{"tenants, sessions, logs", func(t T, s Store) {
		l := world()
		settle(t, s, l)
		for _, view := range audit.Views() {
			if got := ask(t, s, audit.Filter{View: view, Tenant: "other"}); len(got) > 0 {
				t.Errorf("%s: a row of another tenant", view)
			}
			if got := ask(t, s, audit.Filter{View: view, Tenant: "isp"}); len(got) == 0 {
				t.Errorf("%s: no row of the tenant", view)
			}
			if got := ask(t, s, audit.Filter{View: view, Log: "00"}); len(got) > 0 {
				t.Errorf("%s: a row of another log", view)
			}
			for _, row := range ask(t, s, audit.Filter{View: view, Session: "s-1-T1", Log: l.ID}) {
				if row["session"] != "s-1-T1" {
					t.Errorf("%s: a row of session %v", view, row["session"])
				}
			}
		}
	}},
	{"identities", func(t T, s Store) {
		settle(t, s, world())
		for _, view := range audit.Views() {
			if view == audit.ViewRecords {
				continue
			}
			all := ask(t, s, audit.Filter{View: view})
			for _, least := range []string{audit.IdentityClaimed, audit.IdentityClass, audit.IdentityHTTP, audit.IdentityCertificate} {
				n := 0
				for _, row := range all {
					if at := slices.Index(audit.Identities(), row["identity"].(string)); at >= slices.Index(audit.Identities(), least) {
						n++
					}
				}
				if got := ask(t, s, audit.Filter{View: view, Identity: least}); len(got) != n {
					t.Errorf("%s with identity %s: %d rows, want %d", view, least, len(got), n)
				}
			}
		}
	}},
	{"the newest", func(t T, s Store) {
		settle(t, s, world())
		for _, view := range audit.Views() {
			all := texts(ask(t, s, audit.Filter{View: view}))
			for _, n := range []int{1, 3, len(all), len(all) + 5} {
				same(t, fmt.Sprintf("the newest %d of %s", n, view), texts(ask(t, s, audit.Filter{View: view, Limit: n})), all[len(all)-min(n, len(all)):])
			}
		}
	}},
	{"follow", func(t T, s Store) {
		l := world()
		var after uint64
		var got []string
		for first := uint64(1); first <= l.Last(); first += 7 {
			write(t, s, l.Batch(first, min(first+6, l.Last())))
			for {
				rows := ask(t, s, audit.Filter{View: audit.ViewRecords, Log: l.ID, After: after, Limit: 3})
				if after == 0 && len(rows) > 0 { // the newest few come first
					rows = ask(t, s, audit.Filter{View: audit.ViewRecords})
				}
				if len(rows) == 0 {
					break
				}
				after = uint64(rows[len(rows)-1]["seq"].(int64))
				got = append(got, texts(rows)...)
			}
		}
		same(t, "followed", got, texts(ask(t, s, audit.Filter{View: audit.ViewRecords})))
		for _, view := range audit.Views() {
			all := texts(ask(t, s, audit.Filter{View: view}))
			n := 0
			for _, row := range ask(t, s, audit.Filter{View: view}) {
				if row["seq"].(int64) <= 30 {
					n++
				}
			}
			same(t, "after 30 of "+string(view), texts(ask(t, s, audit.Filter{View: view, After: 30})), all[n:])
		}
	}},
	{"stopped by the reader", func(t T, s Store) {
		write(t, s, world().All())
		for range 20 { // more than a store has connections
			for _, err := range s.Query(t.Context(), audit.Filter{View: audit.ViewRecords}) {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
		}
	}},
	{"no such view", func(t T, s Store) {
		n := 0
		for _, err := range s.Query(t.Context(), audit.Filter{View: "secrets"}) {
			if n++; err == nil {
				t.Fatal("a row of a view that is none")
			}
		}
		if n != 1 {
			t.Fatalf("%d errors, want 1", n)
		}
	}},
}

func texts(rows []map[string]any) (lines []string) {
	for _, row := range rows {
		lines = append(lines, fmt.Sprintf("%v", row)) // fmt sorts keys
	}
	return lines
}
