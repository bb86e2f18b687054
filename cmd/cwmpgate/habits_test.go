package main

import (
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// TestHabits: what CPEs and ACSes may do otherwise than most, each in a few
// sessions that set, read, download and upload.
func TestHabits(t *testing.T) {
	firmware := strings.Repeat("firmware of the test ", 5000)
	for _, x := range []struct {
		name   string
		acs    cwmptest.ACSConfig
		device func(*cwmptest.DeviceConfig)
	}{
		{name: "hold requests", acs: cwmptest.ACSConfig{HoldRequests: true}},
		{name: "empty 200", acs: cwmptest.ACSConfig{EmptyOK: true, Character: cwmptest.ConnectionOnly}},
		{name: "gzip", device: func(d *cwmptest.DeviceConfig) { d.Gzip = true }, acs: cwmptest.ACSConfig{Character: cwmptest.ConnectionBound}},
		{name: "chunked and expect", device: func(d *cwmptest.DeviceConfig) { d.Chunked, d.ExpectContinue, d.Gzip = true, true, true }},
		{name: "basic unasked", device: func(d *cwmptest.DeviceConfig) { d.BasicUnasked = true }, acs: cwmptest.ACSConfig{Auth: cwmptest.AuthBasic}},
		{name: "kept connection", device: func(d *cwmptest.DeviceConfig) { d.KeepConnection, d.FetchInSession = true, true }, acs: cwmptest.ACSConfig{Auth: cwmptest.AuthDigest, Character: cwmptest.ConnectionOnly}},
		{name: "version 1-4", device: func(d *cwmptest.DeviceConfig) { d.Version, d.Root = "1-4", "Device." }},
		{name: "latin1 and spaces", device: func(d *cwmptest.DeviceConfig) { d.Quirks.Latin1, d.Quirks.SpacesEverywhere = true, true }},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			listen, _ := ports(t)
			x.acs.FileBase = "http://" + listen
			x.acs.Files = map[string][]byte{"/fw.bin": []byte(firmware)}
			sessions := 0
			x.acs.Script = func(i cwmptest.Informed) []cwmptest.Task { // one session at a time
				root := "InternetGatewayDevice."
				if strings.HasPrefix(i.Parameters[0].Name, "Device.") {
					root = "Device."
				}
				if sessions++; sessions > 1 {
					return []cwmptest.Task{cwmptest.GetParameterValues(root)}
				}
				return []cwmptest.Task{
					cwmptest.SetParameterValues(cwmptest.Parameter{Name: root + "ManagementServer.PeriodicInformInterval", Value: "4711", Type: "unsignedInt"}),
					cwmptest.Download("down", "1 Firmware Upgrade Image", "/fw.bin"),
					cwmptest.Upload("up", "1 Vendor Configuration File", "/up/config"),
				}
			}
			acs := openACS(t, x.acs)
			r := start(t, plan{acs: acs.Addr(), listen: listen, level: "info"})
			cfg := device(r.url(), "HABIT")
			if x.device != nil {
				x.device(&cfg)
			}
			d, err := cwmptest.NewDevice(cfg)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if report, err := d.Session(t.Context()); err != nil {
					t.Fatalf("%+v: %v", report, err)
				}
			}
			d.Close()
			for _, x := range d.Transfers() {
				if x.FaultCode != "0" || !x.Answered && !x.InSession {
					t.Errorf("%+v", x)
				}
			}
			r.close()
			checkHabit(t, openArchive(t, r.dir), len(firmware))
		})
	}
}

func checkHabit(t *testing.T, a *archive, size int) {
	t.Helper()
	all := a.records()
	checkLedger(t, all)
	if refused := append(ofKind(all, audit.KindRefusal), ofKind(all, audit.KindSecurity)...); len(refused) > 0 {
		t.Errorf("refused: %s", refused[0].line)
	}
	for _, e := range ofKind(all, audit.KindSession) {
		if e.How != audit.EndClean || e.Device.Serial != "HABIT" {
			t.Errorf("%s", e.line)
		}
	}
	set := a.rows(audit.Filter{View: audit.ViewChanges, Parameter: "**.PeriodicInformInterval", RPC: "SetParameterValues"})
	if len(set) != 1 || set[0].text("outcome") != audit.OutcomeAccepted || strings.TrimSpace(set[0].text("new")) != "4711" {
		t.Errorf("changes: %v", set)
	}
	moved := a.rows(audit.Filter{View: audit.ViewTransfers})
	if len(moved) != 2 || moved[0].text("command_key") != "down" || moved[1].text("command_key") != "up" {
		t.Fatalf("%d transfers: %v", len(moved), moved)
	}
	for i, m := range moved {
		if m.text("outcome") != audit.OutcomeCompleted || i == 0 && m.number("bytes") != int64(size) || m.number("bytes") == 0 || m.text("sha256") == "" {
			t.Errorf("transfer: %v", m)
		}
	}
}
