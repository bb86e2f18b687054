package cwmptest

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openACS(t testing.TB, cfg ACSConfig) *ACS {
	t.Helper()
	a := NewACS(cfg)
	if err := a.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func newDevice(t testing.TB, cfg DeviceConfig) *Device {
	t.Helper()
	if cfg.Identity.Serial == "" {
		cfg.Identity.Serial = "SN0001"
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	d, err := NewDevice(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func session(t testing.TB, d *Device) Report {
	t.Helper()
	r, err := d.Session(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func passwordOf(user string) (string, bool) { return "pw-" + user, user != "" }

const root = "InternetGatewayDevice."

func everyTask() []Task {
	return []Task{
		GetRPCMethods(),
		GetParameterNames(root, false),
		GetParameterValues(root+"DeviceInfo.", root+"ManagementServer.URL"),
		SetParameterValues(Parameter{root + "LANDevice.1.WLANConfiguration.1.SSID", "Büro & <Flur>", "string"}),
		GetParameterAttributes(root + "ManagementServer."),
		AddObject(root + "WANDevice.1.WANConnectionDevice.1.WANIPConnection.1.PortMapping."),
		DeleteObject(root + "WANDevice.1.WANConnectionDevice.1.WANIPConnection.1.PortMapping.1."),
		ScheduleInform(1, ""),
		Reboot(""),
	}
}

func TestDeviceAgainstEveryCharacter(t *testing.T) {
	for _, c := range Characters() {
		for _, auth := range []Auth{AuthNone, AuthBasic, AuthDigest} {
			t.Run(c.String()+"/"+[]string{"none", "basic", "digest"}[auth], func(t *testing.T) {
				a := openACS(t, ACSConfig{Character: c, Auth: auth, Password: passwordOf})
				a.Queue("SN0001", everyTask()...)
				d := newDevice(t, DeviceConfig{URL: a.URL(), Username: "u1", Password: "pw-u1"})
				r := session(t, d)
				session(t, d)
				if want := len(everyTask()); r.RPCs != want {
					t.Errorf("answered %d RPCs, not %d", r.RPCs, want)
				}
				for _, x := range a.Deliveries() {
					if !x.Answered || x.Fault != nil || x.AnswerID != x.ID {
						t.Errorf("%s %s: answered %v under ID %s with %+v", x.ID, x.Task.Method, x.Answered, x.AnswerID, x.Fault)
					}
				}
				if a.Ended() != 2 || len(a.Informs()) != 2 {
					t.Errorf("%d of %d sessions ended", a.Ended(), len(a.Informs()))
				}
			})
		}
	}
}
