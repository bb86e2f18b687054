package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// demoPassword is what the demo's CPEs log in to the demo's ACS with.
const demoPassword = "demo-password"

// newDemoACS is a stub ACS that sets, reads and upgrades its devices in turn.
func newDemoACS(address, public string) *cwmptest.ACS {
	firmware := bytes.Repeat([]byte("cwmpgate demo firmware 1.1.0\n"), 9000)
	s := &demoScript{sessions: make(map[string]int)}
	return cwmptest.NewACS(cwmptest.ACSConfig{
		Address: address, Character: cwmptest.ConnectionBound,
		Auth: cwmptest.AuthDigest, Password: func(string) (string, bool) { return demoPassword, true },
		Files: map[string][]byte{"/firmware/1.1.0.bin": firmware}, FileBase: public,
		Script: s.tasks,
	})
}

// demoScript gives each session of a device something else to do.
type demoScript struct {
	mu       sync.Mutex
	sessions map[string]int
}

func (s *demoScript) tasks(i cwmptest.Informed) []cwmptest.Task {
	s.mu.Lock()
	n := s.sessions[i.Identity.Serial]
	s.sessions[i.Identity.Serial]++
	s.mu.Unlock()
	const root = "InternetGatewayDevice."
	set := func(name, value, kind string) cwmptest.Parameter {
		return cwmptest.Parameter{Name: root + name, Value: value, Type: kind}
	}
	switch n % 6 {
	case 0:
		return []cwmptest.Task{
			cwmptest.GetParameterValues(root+"DeviceInfo.", root+"ManagementServer.", root+"Time."),
			cwmptest.SetParameterValues(
				set("ManagementServer.PeriodicInformInterval", fmt.Sprint(3600+60*n), "unsignedInt"),
				set("ManagementServer.ConnectionRequestPassword", fmt.Sprintf("demo-secret-%d", n), "string"),
				set("Time.NTPServer1", "ntp1.example.com", "string")),
		}
	case 1:
		return []cwmptest.Task{
			cwmptest.SetParameterValues(set("LANDevice.1.WLANConfiguration.1.Channel", fmt.Sprint(1+n%11), "unsignedInt")),
			cwmptest.SetParameterValues(set("DeviceInfo.SoftwareVersion", "9.9.9", "string")), // not writable: refused
		}
	case 2:
		return []cwmptest.Task{cwmptest.Download(fmt.Sprintf("firmware-%d", n), "1 Firmware Upgrade Image", "/firmware/1.1.0.bin?device="+i.Identity.Serial)}
	case 3:
		return []cwmptest.Task{cwmptest.SetParameterValues(set("Time.NTPServer1", "ntp2.example.com", "string"), set("DeviceInfo.ProvisioningCode", fmt.Sprintf("P%d", n), "string"))}
	case 4:
		return []cwmptest.Task{cwmptest.GetParameterNames(root, true), cwmptest.Reboot("maintenance")}
	}
	return []cwmptest.Task{cwmptest.GetParameterValues(root + "ManagementServer.")}
}

// longest is how long a demo goes on that nobody ends.
const longest = 30 * 24 * time.Hour

// newDemoFleet is the CPEs: TLS, Digest, some with the quirks of real ones.
func newDemoFleet(d *demo, c *config, public string) (*cwmptest.Fleet, error) {
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(string(c.Listeners[0].TLS.SelfSigned.Directory), "cwmpgate-selfsigned.pem"))
	if err != nil {
		return nil, fmt.Errorf("read the gateway's certificate: %w", err)
	}
	roots.AppendCertsFromPEM(pem)
	return cwmptest.NewFleet(cwmptest.FleetConfig{
		Devices: d.devices, Rate: 6, Concurrency: 4, Changes: 0.2, Seed: 1, Duration: longest,
		Base: cwmptest.DeviceConfig{
			Identity: cwmptest.Identity{Manufacturer: "Example Devices", OUI: "00005E", ProductClass: "DemoBox"},
			URL:      public + "/acs", Password: demoPassword, FaultRate: 0.08,
			TLS: &tls.Config{RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(64)},
		},
		Each: func(i int, cfg *cwmptest.DeviceConfig) {
			cfg.Username = cfg.Identity.OUI + "-" + cfg.Identity.Serial
			cfg.Gzip, cfg.Chunked = i%4 == 1, i%4 == 2
			switch i % 5 {
			case 3:
				cfg.Quirks.ReconnectAfter401, cfg.Quirks.ExtraEmptyPost = true, true
			case 4:
				cfg.Quirks.SpacesEverywhere, cfg.Quirks.WrongID = true, true
			}
		},
	})
}
