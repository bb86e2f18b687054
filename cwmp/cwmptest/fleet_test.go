package cwmptest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

func newFleet(t testing.TB, cfg FleetConfig) *Fleet {
	t.Helper()
	f, err := NewFleet(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func fleetScript(in Informed) []Task {
	tasks := []Task{
		GetParameterValues(root+"DeviceInfo.SerialNumber", root+"ManagementServer."),
		SetParameterValues(Parameter{root + "DeviceInfo.ProvisioningCode", in.Identity.Serial, "string"}),
	}
	if in.Events[0].Code == "0 BOOTSTRAP" {
		tasks = append(tasks, Download("", "1 Firmware Upgrade Image", "/fw"))
	}
	return tasks
}

func TestFleet(t *testing.T) {
	for _, c := range Characters() {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			a := openACS(t, ACSConfig{Character: c, Script: fleetScript, Files: map[string][]byte{"/fw": []byte("firmware")}})
			f := newFleet(t, FleetConfig{Devices: 50, Sessions: 200, Concurrency: 16, Changes: 0.3, Seed: 1, Base: DeviceConfig{URL: a.URL()}})
			r := f.Run(t.Context())
			if r.Sessions != 200 || r.Failed != 0 || a.Ended() != 200 {
				t.Fatalf("%d sessions, %d failed %v, %d ended at the ACS", r.Sessions, r.Failed, r.Errors, a.Ended())
			}
			if r.RPCs != len(a.Deliveries()) || r.RPCs != 2*200+50 {
				t.Errorf("fleet answered %d RPCs, ACS sent %d", r.RPCs, len(a.Deliveries()))
			}
			if n := len(f.Misdelivered()) + len(a.Misdelivered()); n > 0 {
				t.Errorf("%d messages misdelivered", n)
			}
			if n := len(a.Completions()); n != 50 {
				t.Errorf("%d transfers completed", n)
			}
			for _, d := range f.Devices() {
				if got := d.Value("DeviceInfo.ProvisioningCode"); got != d.Identity().Serial {
					t.Errorf("%s holds the value of %s", d.Identity().Serial, got)
				}
			}
		})
	}
}

func TestFleetFollowsItsSeed(t *testing.T) {
	outcome := func(seed uint64) (all []string) {
		a := openACS(t, ACSConfig{Script: fleetScript})
		f := newFleet(t, FleetConfig{Devices: 12, Sessions: 50, Concurrency: 5, Changes: 0.5, Seed: seed, Base: DeviceConfig{URL: a.URL(), FaultRate: 0.3}})
		f.Run(t.Context())
		for _, d := range f.Devices() {
			line := d.Identity().Serial + " " + d.Value("ManagementServer.ConnectionRequestURL")
			for _, r := range d.Received() {
				if line += " " + r.Method; r.Fault != nil {
					line += " " + r.Fault.Code
				}
			}
			all = append(all, line)
		}
		return all
	}
	first := outcome(3)
	if again := outcome(3); !slices.Equal(first, again) {
		t.Errorf("same seed, other outcome:\n%q\n%q", first, again)
	}
	if other := outcome(4); slices.Equal(first, other) {
		t.Error("other seed, same outcome")
	}
}

func TestFleetEnds(t *testing.T) {
	a := openACS(t, ACSConfig{})
	f := newFleet(t, FleetConfig{Devices: 4, Duration: time.Hour, Rate: 1000, Base: DeviceConfig{URL: a.URL()}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan FleetResult)
	go func() { ended <- f.Run(ctx) }()
	for f.Result().Sessions < 8 {
		select {
		case r := <-ended:
			t.Fatalf("ended by itself: %+v", r.Errors)
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	if r := <-ended; r.Failed > 0 {
		t.Errorf("%v", r.Errors)
	}
	// Another ACS: this one may still be at an Inform that was cut.
	short := newFleet(t, FleetConfig{Devices: 4, Duration: 20 * time.Millisecond, Base: DeviceConfig{URL: openACS(t, ACSConfig{}).URL()}})
	if r := short.Run(t.Context()); r.Sessions == 0 || r.Failed > 0 {
		t.Errorf("%d sessions, %v", r.Sessions, r.Errors)
	}
}

func TestErrorKinds(t *testing.T) {
	a := openACS(t, ACSConfig{Intercept: func(w http.ResponseWriter, _ *http.Request) bool { panic(http.ErrAbortHandler) }})
	r := newFleet(t, FleetConfig{Devices: 3, Base: DeviceConfig{URL: a.URL()}}).Run(t.Context())
	if !maps.Equal(r.Errors, map[string]int{"connection": 3}) {
		t.Errorf("%v", r.Errors)
	}
}

// TestMixingProxyIsSeen puts what many proxies do, one pool of connections for
// all clients, before an ACS that knows sessions by connection. If this passed
// without a misdelivery, no test that uses these simulators would prove anything.
func TestMixingProxyIsSeen(t *testing.T) {
	a := openACS(t, ACSConfig{Character: ConnectionOnly, Script: fleetScript})
	proxy := openMixer(t, a.URL(), nil)
	f := newFleet(t, FleetConfig{Devices: 20, Sessions: 100, Concurrency: 10, Base: DeviceConfig{URL: proxy}})
	r := f.Run(t.Context())
	if r.Errors["wrong-device"] == 0 || len(f.Misdelivered()) == 0 {
		t.Errorf("nothing seen at the devices: %v", r.Errors)
	}
	for _, m := range f.Misdelivered() {
		if serial, ok := MessageSerial(m.MeantBy); !ok || serial == m.Serial {
			t.Errorf("no misdelivery: %+v", m)
		}
	}
}

// TestMixedCookiesAreSeen gives every session the cookie that the ACS set last.
func TestMixedCookiesAreSeen(t *testing.T) {
	for _, c := range []Character{CookiePerSession, SerialCookie} {
		t.Run(c.String(), func(t *testing.T) {
			var mu sync.Mutex
			last := ""
			a := openACS(t, ACSConfig{Character: c, Script: fleetScript})
			proxy := openMixer(t, a.URL(), func(p *httputil.ReverseProxy) {
				rewrite := p.Rewrite
				p.Rewrite = func(r *httputil.ProxyRequest) {
					rewrite(r)
					mu.Lock()
					defer mu.Unlock()
					if r.Out.Header.Get("Cookie") != "" {
						r.Out.Header.Set("Cookie", last)
					}
				}
				p.ModifyResponse = func(r *http.Response) error {
					mu.Lock()
					defer mu.Unlock()
					for _, k := range r.Cookies() {
						last = fmt.Sprintf("%s=%s", k.Name, k.Value)
					}
					return nil
				}
			})
			f := newFleet(t, FleetConfig{Devices: 20, Sessions: 100, Concurrency: 10, Base: DeviceConfig{URL: proxy}})
			f.Run(t.Context())
			if len(f.Misdelivered()) == 0 {
				t.Error("nothing seen at the devices")
			}
			if len(a.Misdelivered()) == 0 {
				t.Error("nothing seen at the ACS")
			}
		})
	}
}

func openMixer(t *testing.T, target string, change func(*httputil.ReverseProxy)) string {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxConnsPerHost: 3}
	t.Cleanup(transport.CloseIdleConnections)
	p := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }}
	if change != nil {
		change(p)
	}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return s.URL + "/"
}
