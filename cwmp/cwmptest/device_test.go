package cwmptest

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWaysToSpeak(t *testing.T) {
	for name, cfg := range map[string]DeviceConfig{
		"gzip":                   {Gzip: true},
		"chunked":                {Chunked: true},
		"expect":                 {ExpectContinue: true},
		"gzip, chunked, expect":  {Gzip: true, Chunked: true, ExpectContinue: true},
		"kept connection":        {KeepConnection: true},
		"Device root, cwmp-1-2":  {Root: "Device.", Version: "1-2"},
		"Basic unasked":          {BasicUnasked: true, Username: "u", Password: "p"},
		"Latin-1 in white space": {Quirks: Quirks{Latin1: true, SpacesEverywhere: true}},
	} {
		t.Run(name, func(t *testing.T) {
			a := openACS(t, ACSConfig{Character: ConnectionBound, KeepBodies: true})
			cfg.URL, cfg.KeepExchanges = a.URL(), 100
			d := newDevice(t, cfg)
			for range 2 {
				a.Queue("SN0001", GetParameterValues(d.cfg.Root))
				session(t, d)
			}
			list := a.Deliveries()
			if len(list) != 2 || !list[1].Answered {
				t.Fatalf("deliveries: %+v", list)
			}
			want, _ := d.model.get([]string{d.cfg.Root})
			for i := range want {
				want[i].Type = ""
			}
			if !slices.Equal(list[1].Values, want) {
				t.Errorf("ACS read %v\nwant %v", list[1].Values, want)
			}
			if v := cfg.Version; v != "" && !bytes.Contains(list[1].Sent, []byte("urn:dslforum-org:cwmp-"+v)) {
				t.Errorf("ACS did not answer in cwmp-%s", v)
			}
		})
	}
}

func TestTellsEventsUntilHeard(t *testing.T) {
	down := true
	a := openACS(t, ACSConfig{Intercept: func(w http.ResponseWriter, _ *http.Request) bool {
		if down {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return down
	}})
	d := newDevice(t, DeviceConfig{URL: a.URL()})
	if _, err := d.Session(context.Background()); ErrorKind(err) != "status-503" {
		t.Fatal(err)
	}
	down = false
	session(t, d)
	a.Queue("SN0001", Reboot("key 1"))
	session(t, d)
	d.Change("ManagementServer.ConnectionRequestURL", "http://192.0.2.9:7547/x")
	session(t, d)
	session(t, d)
	want := [][]Event{
		{{Code: "0 BOOTSTRAP"}, {Code: "1 BOOT"}},
		{{Code: "2 PERIODIC"}},
		{{Code: "1 BOOT"}, {"M Reboot", "key 1"}, {Code: "4 VALUE CHANGE"}},
		{{Code: "2 PERIODIC"}},
	}
	for i, in := range a.Informs() {
		if !slices.Equal(in.Events, want[i]) {
			t.Errorf("Inform %d tells %v, want %v", i+1, in.Events, want[i])
		}
	}
}

func TestSetParameterValues(t *testing.T) {
	p := func(name, value string) Parameter { return Parameter{Name: root + name, Value: value} }
	for _, c := range []struct {
		name   string
		set    []Parameter
		status string
		codes  []string
	}{
		{"accepted", []Parameter{p("Time.NTPServer1", "a.example"), p("Time.NTPServer1", "b.example")}, "0", nil},
		{"after reboot", []Parameter{p("LANDevice.1.WLANConfiguration.1.Channel", "11")}, "1", nil},
		{"one of each fault", []Parameter{p("Time.NTPServer1", "c"), p("No.Such", "1"), p("DeviceInfo.SerialNumber", "1"),
			p("ManagementServer.PeriodicInformEnable", "maybe")}, "", []string{"9005", "9008", "9007"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := openACS(t, ACSConfig{})
			a.Queue("SN0001", SetParameterValues(c.set...))
			d := newDevice(t, DeviceConfig{URL: a.URL()})
			session(t, d)
			sent, got := a.Deliveries()[0], d.Sets()[0]
			if sent.Status != c.status || got.Status != c.status || got.Key != sent.ID || got.ID != sent.ID || len(got.Parameters) != len(c.set) {
				t.Errorf("ACS: %+v\nCPE: %+v", sent, got)
			}
			var codes []string
			if sent.Fault != nil {
				for i, f := range sent.Fault.Parameters {
					codes = append(codes, f.Code)
					if f != got.Fault.Parameters[i] {
						t.Errorf("ACS read %+v, CPE wrote %+v", f, got.Fault.Parameters[i])
					}
				}
				if d.Value("Time.NTPServer1") != "ntp.example.net" {
					t.Error("a refused request has set a value")
				}
			}
			if !slices.Equal(codes, c.codes) {
				t.Errorf("fault codes %v, want %v", codes, c.codes)
			}
		})
	}
}

func TestFaultRate(t *testing.T) {
	a := openACS(t, ACSConfig{Script: func(Informed) []Task { return everyTask() }})
	d := newDevice(t, DeviceConfig{URL: a.URL(), FaultRate: 1, Seed: 7})
	session(t, d)
	got := d.Received()
	for i, x := range a.Deliveries() {
		if x.Fault == nil || got[i].Fault.Code != x.Fault.Code || len(got[i].Fault.Parameters) != len(x.Fault.Parameters) {
			t.Errorf("%s: ACS read %+v, CPE wrote %+v", x.Task.Method, x.Fault, got[i].Fault)
		}
	}
}

func TestHoldRequests(t *testing.T) {
	a := openACS(t, ACSConfig{HoldRequests: true, Files: map[string][]byte{"/f": []byte("x")}})
	d := newDevice(t, DeviceConfig{URL: a.URL(), KeepExchanges: 20})
	a.Queue("SN0001", Download("dl", "3 Vendor Configuration File", "/f"))
	session(t, d)
	a.Queue("SN0001", GetRPCMethods())
	session(t, d)
	var methods []string
	for _, x := range d.Exchanges() {
		if m, err := readMessage(x.Request.Body, ""); err == nil && m != nil {
			methods = append(methods, m.method)
		} else {
			methods = append(methods, "")
		}
	}
	want := []string{"Inform", "", "DownloadResponse", "", "Inform", "", "GetRPCMethodsResponse", "TransferComplete", ""}
	if !slices.Equal(methods, want) {
		t.Errorf("sent %q, want %q", methods, want)
	}
	if len(a.Completions()) != 1 {
		t.Errorf("completions: %+v", a.Completions())
	}
}

func TestRedirect(t *testing.T) {
	behind := openACS(t, ACSConfig{})
	front := openACS(t, ACSConfig{Intercept: func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, behind.URL()+"moved", http.StatusTemporaryRedirect)
		return true
	}})
	d := newDevice(t, DeviceConfig{URL: front.URL()})
	session(t, d)
	if len(behind.Informs()) != 1 {
		t.Error("the Inform did not follow")
	}
}

func TestBusyAndCancelled(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	a := openACS(t, ACSConfig{Intercept: func(w http.ResponseWriter, r *http.Request) bool {
		close(entered)
		<-release
		return true
	}})
	defer close(release)
	d := newDevice(t, DeviceConfig{URL: a.URL()})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		_, err := d.Session(ctx)
		ended <- err
	}()
	<-entered
	if _, err := d.Session(ctx); err != ErrBusy {
		t.Errorf("second session at once: %v", err)
	}
	cancel()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("cancelled session: %v", err)
	}
}

func TestTLS(t *testing.T) {
	ca, server, client := testCertificates(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			a := openACS(t, ACSConfig{TLS: &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: ca, ClientAuth: tls.RequireAndVerifyClientCert}})
			resumed := false
			cfg := &tls.Config{RootCAs: ca, MinVersion: version, MaxVersion: version, Certificates: []tls.Certificate{client},
				ClientSessionCache: tls.NewLRUClientSessionCache(4),
				VerifyConnection: func(s tls.ConnectionState) error {
					resumed = resumed || s.DidResume
					if s.Version != version {
						t.Errorf("version is %s", tls.VersionName(s.Version))
					}
					return nil
				}}
			d := newDevice(t, DeviceConfig{URL: a.URL(), TLS: cfg})
			session(t, d)
			session(t, d)
			if !resumed {
				t.Error("the second session did not resume")
			}
			cfg = cfg.Clone()
			cfg.Certificates, cfg.ClientSessionCache = nil, nil
			if _, err := newDevice(t, DeviceConfig{URL: a.URL(), TLS: cfg}).Session(context.Background()); err == nil {
				t.Error("a client without certificate was let in")
			}
		})
	}
}

func TestBadAnswers(t *testing.T) {
	for name, body := range map[string]string{
		"not XML":          "hello",
		"no InformReponse": string(Envelope{ID: "1", RPC: "<cwmp:Reboot><CommandKey/></cwmp:Reboot>"}.Append(nil)),
		"empty":            "",
		"fault":            string(Envelope{ID: "1", RPC: FaultRPC(Fault{Code: "8001", Text: "denied"})}.Append(nil)),
	} {
		t.Run(name, func(t *testing.T) {
			a := openACS(t, ACSConfig{Intercept: func(w http.ResponseWriter, _ *http.Request) bool {
				w.Write([]byte(body))
				return true
			}})
			d := newDevice(t, DeviceConfig{URL: a.URL()})
			if _, err := d.Session(context.Background()); err == nil {
				t.Error("the session went well")
			}
			if !d.Due() {
				t.Error("events count as heard")
			}
		})
	}
}

func TestInformForAnotherDevice(t *testing.T) {
	a := openACS(t, ACSConfig{Intercept: func(w http.ResponseWriter, _ *http.Request) bool {
		w.Write(Envelope{ID: MessageID("OTHER", 1), RPC: "<cwmp:InformResponse><MaxEnvelopes>1</MaxEnvelopes></cwmp:InformResponse>"}.Append(nil))
		return true
	}})
	d := newDevice(t, DeviceConfig{URL: a.URL()})
	if _, err := d.Session(context.Background()); ErrorKind(err) != "wrong-device" {
		t.Errorf("session ended with %v", err)
	}
	if got := d.Misdelivered(); len(got) != 1 || got[0].MeantBy != "OTHER#1" {
		t.Errorf("seen: %+v", got)
	}
}

func TestNewDeviceRefusesURL(t *testing.T) {
	for _, u := range []string{"", "ftp://127.0.0.1/", "http://", "::"} {
		if _, err := NewDevice(DeviceConfig{URL: u}); err == nil {
			t.Errorf("%q was taken", u)
		}
	}
}

func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	a := openACS(t, ACSConfig{Intercept: func(http.ResponseWriter, *http.Request) bool {
		<-release
		return true
	}})
	defer close(release)
	d := newDevice(t, DeviceConfig{URL: a.URL(), Timeout: 50 * time.Millisecond})
	if _, err := d.Session(context.Background()); ErrorKind(err) != "timeout" {
		t.Errorf("session ended with %v", err)
	}
}

// TestReceivedThoughUnanswered cuts the connection behind the ACS's RPC.
func TestReceivedThoughUnanswered(t *testing.T) {
	posts := 0
	a := openACS(t, ACSConfig{Intercept: func(http.ResponseWriter, *http.Request) bool {
		if posts++; posts == 3 {
			panic(http.ErrAbortHandler)
		}
		return false
	}})
	a.Queue("SN0001", SetParameterValues(Parameter{Name: root + "Time.NTPServer1", Value: "x"}))
	d := newDevice(t, DeviceConfig{URL: a.URL()})
	if _, err := d.Session(context.Background()); ErrorKind(err) != "connection" {
		t.Fatalf("session ended with %v", err)
	}
	got := d.Received()
	if len(got) != 1 || got[0].Answered || got[0].Method != "SetParameterValues" || len(d.Sets()) != 1 || d.Value("Time.NTPServer1") != "x" {
		t.Errorf("received %+v, set %+v", got, d.Sets())
	}
	if list := a.Deliveries(); len(list) != 1 || list[0].Answered {
		t.Errorf("sent %+v", list)
	}
}
