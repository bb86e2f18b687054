package cwmptest

import (
	"bytes"
	"net/http"
	"net/http/httputil"
	"os"
	"testing"
)

// record has two sessions with an ACS and returns what went over the wire.
func record(t *testing.T, cfg DeviceConfig) []Exchange {
	t.Helper()
	a := openACS(t, ACSConfig{Character: ConnectionBound, Files: map[string][]byte{"/fw": []byte("firmware")}})
	a.Queue("SN0001", GetParameterValues(root), SetParameterValues(Parameter{Name: root + "No.Such", Value: "ü"}), Download("k", "1 Firmware Upgrade Image", "/fw"))
	cfg.URL, cfg.KeepExchanges = a.URL(), 100
	d := newDevice(t, cfg)
	session(t, d)
	session(t, d)
	return d.Exchanges()
}

func replay(t *testing.T, exchanges []Exchange, between func(url string) string, cfg PlayerConfig) (*Stub, []Response) {
	t.Helper()
	s := NewStub(StubConfig{Exchanges: exchanges})
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	cfg.URL = between("http://" + s.Addr() + "/")
	p, err := NewPlayer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	answers, err := p.Play(t.Context(), exchanges)
	if err != nil {
		t.Fatal(err)
	}
	return s, answers
}

// compare checks bodies to the byte and the header fields but for ignore, both ways.
func compare(t *testing.T, exchanges []Exchange, arrived []Arrived, answers []Response, ignore ...string) {
	t.Helper()
	if len(arrived) != len(exchanges) || len(answers) != len(exchanges) {
		t.Fatalf("%d exchanges, %d requests arrived, %d responses", len(exchanges), len(arrived), len(answers))
	}
	for i, x := range exchanges {
		if got := arrived[i]; got.Method != x.Request.Method || got.Target != x.Request.Target || !bytes.Equal(got.Body, x.Request.Body) {
			t.Errorf("request %d differs: %s %s\n%q\nwant\n%q", i+1, got.Method, got.Target, got.Body, x.Request.Body)
		}
		if got := answers[i]; got.Status != x.Response.Status || !bytes.Equal(got.Body, x.Response.Body) {
			t.Errorf("response %d differs: %d\n%q\nwant\n%q", i+1, got.Status, got.Body, x.Response.Body)
		}
		for _, line := range append(Differences(x.Request.Header, arrived[i].Header, ignore...), Differences(x.Response.Header, answers[i].Header, ignore...)...) {
			t.Errorf("exchange %d: %s", i+1, line)
		}
	}
}

func direct(url string) string { return url }

func TestReplay(t *testing.T) {
	for name, cfg := range map[string]DeviceConfig{
		"plain":   {},
		"chunked": {Chunked: true},
		"gzip":    {Gzip: true},
		"Latin-1": {Quirks: Quirks{Latin1: true, ReconnectEachPost: true}},
	} {
		t.Run(name, func(t *testing.T) {
			exchanges := record(t, cfg)
			if len(exchanges) < 8 {
				t.Fatalf("only %d exchanges", len(exchanges))
			}
			s, answers := replay(t, exchanges, direct, PlayerConfig{})
			compare(t, exchanges, s.Arrived(), answers)
		})
	}
}

// TestReplayThroughProxy has a proxy between that sets a cookie of its own.
func TestReplayThroughProxy(t *testing.T) {
	exchanges := record(t, DeviceConfig{})
	set := 0
	between := func(url string) string {
		return openMixer(t, url, func(p *httputil.ReverseProxy) {
			rewrite := p.Rewrite
			p.Rewrite = func(r *httputil.ProxyRequest) {
				rewrite(r)
				if c, err := r.In.Cookie("own"); err == nil && c.Value == "1" {
					set++
				}
			}
			p.ModifyResponse = func(r *http.Response) error {
				r.Header.Add("Set-Cookie", "own=1; Path=/")
				return nil
			}
		})
	}
	s, answers := replay(t, exchanges, between, PlayerConfig{AddCookies: true})
	compare(t, exchanges, s.Arrived(), answers, "Cookie", "Set-Cookie", "SOAPAction", "SOAPServer", "Accept-Encoding")
	if set != len(exchanges)-1 {
		t.Errorf("the proxy's cookie came back %d times in %d requests", set, len(exchanges))
	}
	for i, x := range exchanges {
		want, _ := fieldValue(x.Request.Header, "Cookie")
		got, _ := fieldValue(s.Arrived()[i].Header, "Cookie")
		switch {
		case i == 0 && got != want, i > 0 && want != "" && got != want+"; own=1", i > 0 && want == "" && got != "own=1":
			t.Errorf("request %d: Cookie is %q, recorded %q", i+1, got, want)
		}
	}
}

func TestStubBehindItsEnd(t *testing.T) {
	x := Exchange{Request: Request{Method: "POST", Target: "/"}, Response: Response{Status: 204, Reason: "No Content"}}
	s := NewStub(StubConfig{Exchanges: []Exchange{x}})
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, err := NewPlayer(PlayerConfig{URL: "http://" + s.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	answers, err := p.Play(t.Context(), []Exchange{x, x})
	if err != nil || answers[0].Status != 204 || answers[1].Status != 500 {
		t.Errorf("%+v, %v", answers, err)
	}
}

func TestDifferences(t *testing.T) {
	want := []Field{{"SOAPAction", ""}, {"Set-Cookie", "a=1"}, {"Set-Cookie", "b=2"}, {"Host", "x"}, {"Server", "s"}}
	got := []Field{{"Set-Cookie", "a=1"}, {"Soapaction", ""}, {"Set-Cookie", "b=3"}, {"X-Forwarded-For", "::1"}, {"Server", "t"}, {"New", "n"}}
	lines := Differences(want, got, "server")
	if len(lines) != 3 {
		t.Errorf("%q", lines)
	}
}

// TestReplayCorpus plays the recorded sessions of the folder named by
// CWMPGATE_CORPUS, where it is set.
func TestReplayCorpus(t *testing.T) {
	corpus := os.Getenv("CWMPGATE_CORPUS")
	if corpus == "" {
		t.Skip("CWMPGATE_CORPUS is not set")
	}
	transcript, err := ReadFolder(corpus)
	if err != nil {
		t.Fatal(err)
	}
	s, answers := replay(t, transcript.Exchanges, direct, PlayerConfig{})
	compare(t, transcript.Exchanges, s.Arrived(), answers)
}
