package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

const testRoot = "InternetGatewayDevice."

// passwordOf is the test devices' password at the test ACS.
func passwordOf(user string) (string, bool) { return "pw-of-" + user, true }

// openACS runs a stub ACS until the test ends.
func openACS(t testing.TB, cfg cwmptest.ACSConfig) *cwmptest.ACS {
	t.Helper()
	if cfg.Auth != cwmptest.AuthNone {
		cfg.Password = passwordOf
	}
	a := cwmptest.NewACS(cfg)
	if err := a.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// device is the config of a CPE that logs in under a name of its own.
func device(url, serial string) cwmptest.DeviceConfig {
	user := "00005E-" + serial
	password, _ := passwordOf(user)
	return cwmptest.DeviceConfig{
		Identity: cwmptest.Identity{Manufacturer: "Example Networks", OUI: "00005E", ProductClass: "HG", Serial: serial},
		URL:      url, Username: user, Password: password, Timeout: patience,
	}
}

// chores are RPCs that name the device they are meant for in values, ID and key.
func chores(i cwmptest.Informed) []cwmptest.Task {
	return []cwmptest.Task{
		cwmptest.GetParameterValues(testRoot + "DeviceInfo."),
		cwmptest.SetParameterValues(
			cwmptest.Parameter{Name: testRoot + "Time.NTPServer1", Value: i.Identity.Serial + ".example.com", Type: "string"},
			cwmptest.Parameter{Name: testRoot + "ManagementServer.ConnectionRequestPassword", Value: "only-" + i.Identity.Serial, Type: "string"}),
	}
}

// TestNoMessageToTheWrongDevice has many devices of every kind in sessions at
// once, before ACSes that tell them apart by what they can: no device may see a
// message that is meant for another, nor an ACS an answer of another's.
func TestNoMessageToTheWrongDevice(t *testing.T) {
	for _, x := range []struct {
		acs      cwmptest.Character
		auth     cwmptest.Auth
		reuse    string
		devices  int
		sessions int
	}{
		{cwmptest.ConnectionOnly, cwmptest.AuthDigest, "never", 200, 600},
		{cwmptest.ConnectionBound, cwmptest.AuthDigest, "never", 90, 90},
		{cwmptest.CookiePerSession, cwmptest.AuthDigest, "never", 90, 90},
		{cwmptest.SerialCookie, cwmptest.AuthNone, "never", 90, 90},
		{cwmptest.CookiePerSession, cwmptest.AuthBasic, "clean", 90, 180},
		{cwmptest.ConnectionOnly, cwmptest.AuthNone, "clean", 90, 180},
	} {
		t.Run(fmt.Sprintf("%s-%s", x.acs, x.reuse), func(t *testing.T) {
			n := x.sessions
			switch {
			case long && x.acs == cwmptest.ConnectionOnly:
				n = 10000
			case long:
				n *= 10
			case testing.Short():
				n = x.devices
			}
			crowd(t, x.acs, x.auth, x.reuse, x.devices, n)
		})
	}
}

// kinds are what devices of a crowd are made of; an ACS that knows sessions by
// cookies has none with a device that drops them.
func kinds(acs cwmptest.Character) []cwmptest.Quirks {
	list := []cwmptest.Quirks{
		{}, {ReconnectEachPost: true}, {SecondConnection: true}, {ReconnectAfter401: true}, {InformAgain: true}, {InformAgainAnew: true},
		{CookiesByComma: true}, {CookieAttributes: true}, {ExtraEmptyPost: true}, {WrongID: true}, {NoID: true}, {SpacesEverywhere: true},
		{ReconnectEachPost: true, ReconnectAfter401: true, WrongID: true}, {HTTP10: true}, {TypedEmptyPost: true, LowercaseHeaders: true},
	}
	if acs == cwmptest.ConnectionOnly {
		list = append(list, cwmptest.Quirks{DropCookies: true})
	}
	return list
}

func crowd(t *testing.T, character cwmptest.Character, auth cwmptest.Auth, reuse string, devices, sessions int) {
	acs := openACS(t, cwmptest.ACSConfig{Character: character, Auth: auth, Script: chores})
	r := start(t, plan{acs: acs.Addr(), reuse: reuse, level: "warn"})
	list := kinds(character)
	fleet, err := cwmptest.NewFleet(cwmptest.FleetConfig{
		Devices: devices, Sessions: sessions, Concurrency: devices, Seed: *seed,
		Each: func(i int, cfg *cwmptest.DeviceConfig) {
			*cfg = device(r.url(), cfg.Identity.Serial)
			cfg.Quirks = list[i%len(list)]
			cfg.Gzip, cfg.Chunked, cfg.KeepConnection = i%3 == 1, i%5 == 2, i%7 == 3
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	result := fleet.Run(context.Background())
	for _, m := range slices.Concat(fleet.Misdelivered(), acs.Misdelivered()) {
		t.Errorf("misdelivered: %+v", m)
	}
	checkCrowd(t, fleet, acs, result, sessions)
	m := r.metrics()
	if begun, ended := m.sum("cwmpgate_sessions_begun_total"), m.sum("cwmpgate_sessions_ended_total"); begun < float64(sessions) || ended < float64(sessions) {
		t.Errorf("%v sessions begun and %v ended of %d", begun, ended, sessions)
	}
	r.close()
	checkCrowdRecord(t, openArchive(t, r.dir).records(), acs, sessions)
	t.Logf("%d sessions, %d RPCs, %d POSTs in %v; mean %v", result.Sessions, result.RPCs, result.Posts, result.Took, result.Latencies.Mean())
}

// checkCrowd: every session came to its end, every RPC to its device, once.
func checkCrowd(t *testing.T, fleet *cwmptest.Fleet, acs *cwmptest.ACS, result cwmptest.FleetResult, sessions int) {
	t.Helper()
	if result.Sessions != sessions || result.Failed > 0 {
		t.Errorf("%d sessions of %d, failed: %v; the ACS refused: %v", result.Sessions, sessions, result.Errors, acs.Refusals())
		for _, d := range fleet.Devices() {
			if s := d.Received(); len(s) == 0 {
				t.Logf("%s received nothing", d.Identity().Serial)
			}
		}
	}
	meant := map[string]string{}
	for _, x := range acs.Deliveries() {
		meant[x.ID] = x.Serial
		if !x.Answered {
			t.Errorf("%s %s was not answered", x.ID, x.Task.Method)
		}
	}
	seen := map[string]bool{}
	for _, d := range fleet.Devices() {
		serial := d.Identity().Serial
		for _, got := range d.Received() {
			if meant[got.ID] != serial || seen[got.ID] {
				t.Errorf("%s received %s %s, meant for %q, again: %v", serial, got.Method, got.ID, meant[got.ID], seen[got.ID])
			}
			seen[got.ID] = true
		}
		if v := d.Value("Time.NTPServer1"); len(d.Received()) > 0 && v != serial+".example.com" {
			t.Errorf("%s was set to %q", serial, v)
		}
	}
	if len(seen) != len(meant) {
		t.Errorf("%d RPCs received of %d sent", len(seen), len(meant))
	}
}

// checkCrowdRecord: every RPC stands once in the record, under the device that it
// was meant for, and once its answer.
func checkCrowdRecord(t *testing.T, all []record, acs *cwmptest.ACS, sessions int) {
	t.Helper()
	checkLedger(t, all)
	sent, answered := map[string]record{}, map[uint64]int{}
	for _, m := range ofKind(all, audit.KindMessage) {
		switch {
		case m.From == "cpe" && m.Answers > 0:
			answered[m.Answers]++
		case m.From == "acs" && kindOf(m) == "request":
			if _, twice := sent[m.ID]; twice || m.Session == "" {
				t.Errorf("%s is there twice, or in no session: %s", m.ID, m.line)
			}
			sent[m.ID] = m
		}
	}
	deliveries := acs.Deliveries()
	for _, x := range deliveries {
		if m := sent[x.ID]; m.Device.Serial != x.Serial || m.RPC != x.Task.Method || answered[m.Seq] != 1 {
			t.Errorf("%s %s of %s: recorded as %s of %q with %d answers", x.Task.Method, x.ID, x.Serial, m.RPC, m.Device.Serial, answered[m.Seq])
		}
	}
	if len(sent) != len(deliveries) {
		t.Errorf("%d RPCs recorded of %d", len(sent), len(deliveries))
	}
	ends := map[string]int{}
	for _, s := range ofKind(all, audit.KindSession) {
		ends[s.How]++
	}
	if ends[audit.EndClean] != sessions || len(ends) > 2 || len(ends) == 2 && ends[audit.EndSuperseded] == 0 {
		t.Errorf("sessions ended: %v, of %d", ends, sessions)
	}
}

// TestEachQuirk has one session of a CPE with each quirk before each ACS.
func TestEachQuirk(t *testing.T) {
	all := cwmptest.EachQuirk()
	for _, character := range cwmptest.Characters() {
		t.Run(character.String(), func(t *testing.T) {
			auth := cwmptest.AuthDigest
			if character == cwmptest.SerialCookie {
				auth = cwmptest.AuthNone
			}
			acs := openACS(t, cwmptest.ACSConfig{Character: character, Auth: auth, Script: chores})
			r := start(t, plan{acs: acs.Addr(), level: "warn"})
			for _, name := range slices.Sorted(maps.Keys(all)) {
				t.Run(name, func(t *testing.T) { visitWithQuirk(t, r, acs, character, name, all[name]) })
			}
		})
	}
}

// endOf is how a session of a CPE with this quirk ends: "" as it should.
func endOf(acs cwmptest.Character, quirk string) string {
	switch {
	case quirk == "StopAfterInform" || quirk == "CloseWithoutReading":
		return "stopped"
	case quirk == "GiveUpOn4xx" && acs != cwmptest.SerialCookie:
		return "status-401" // it takes the challenge for a refusal
	case quirk == "DropCookies" && acs == cwmptest.ConnectionBound:
		return "status-400"
	case quirk == "DropCookies" && acs != cwmptest.ConnectionOnly:
		return "status-401"
	}
	return ""
}

func visitWithQuirk(t *testing.T, r *rig, acs *cwmptest.ACS, character cwmptest.Character, name string, q cwmptest.Quirks) {
	cfg := device(r.url(), "Q-"+strings.ToUpper(name))
	cfg.Quirks = q
	d, err := cwmptest.NewDevice(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	report, err := d.Session(context.Background())
	got := ""
	if err != nil {
		got = cwmptest.ErrorKind(err)
	}
	if want := endOf(character, name); got != want {
		t.Errorf("the session ended %q, not %q: %v; the ACS refused: %v", got, want, err, acs.Refusals())
	}
	if got == "" && report.RPCs != len(chores(cwmptest.Informed{})) {
		t.Errorf("%d RPCs", report.RPCs)
	}
	if n := len(d.Misdelivered()) + len(acs.Misdelivered()); n > 0 {
		t.Errorf("%d misdelivered", n)
	}
}
