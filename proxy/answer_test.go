package proxy

import (
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/configs"
	"github.com/cwmpgate/cwmpgate/proxy/h1"
	"github.com/cwmpgate/cwmpgate/proxy/upstream"
)

func testACS(t *testing.T) []*acs {
	return []*acs{{node: testNode(t, "http://192.0.2.10:7550")}}
}

func testNode(t *testing.T, url string) *upstream.Node {
	t.Helper()
	var c upstream.Config
	c.SetDefaults()
	if err := c.URL.UnmarshalText([]byte(url)); err != nil {
		t.Fatal(err)
	}
	n, err := upstream.New(c, upstream.Options{Connect: time.Second, Answer: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestLocation(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		nodes := testACS(t)
		x := &exchange{
			acs: nodes[0], tenant: &tenant{acses: nodes, redirects: map[string]bool{"other.example.com": true}},
			conn: &conn{scheme: []byte("https")}, req: &h1.Request{Host: []byte("gw.example.com:7547")},
		}
		got, err := x.location([]byte(in))
		if want == "" {
			if reasonOf(err) != reasonRedirect {
				t.Errorf("%q became %q, %v; want a refusal", in, got, err)
			}
			return
		}
		if err != nil || string(got) != want {
			t.Errorf("%q became %q, %v; want %q", in, got, err, want)
		}
	}
	f("http://192.0.2.10:7550/other?x=1", "https://gw.example.com:7547/other?x=1")
	f("http://192.0.2.10:7550", "https://gw.example.com:7547/")
	f("http://192.0.2.10:7550/a%2Fb?", "https://gw.example.com:7547/a%2Fb?")
	f("http://gw.example.com:7547/x", "https://gw.example.com:7547/x")
	f("HTTP://GW.example.com:7547/x", "https://gw.example.com:7547/x")
	f("/other?x=1", "/other?x=1")
	f("other", "other")
	f("https://other.example.com:1234/x", "https://other.example.com:1234/x")
	f("https://192.0.2.99:7548/acs", "")
	f("//192.0.2.99/acs", "")
	f("http://user@192.0.2.10:7550/", "")
	f("ftp://192.0.2.10:7550/", "")
	f("http://192.0.2.10:7551/", "")
	f("/\\192.0.2.99/", "")
	f("javascript:alert(1)", "")
	f("http://[::1", "")
	f("http:////192.0.2.99/", "")
	f("http:", "")
}

// A request without Host has no address of ours to be led to: the path must not
// become one of another host.
func TestLocationWithoutHost(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		x := &exchange{tenant: &tenant{acses: testACS(t)}, conn: &conn{scheme: []byte("https")}, req: &h1.Request{}}
		if got, err := x.location([]byte(in)); err != nil || string(got) != want {
			t.Errorf("%q became %q, %v; want %q", in, got, err, want)
		}
	}
	f("http://192.0.2.10:7550/x?y", "/x?y")
	f("http://192.0.2.10:7550//192.0.2.99/x", "/192.0.2.99/x")
}

func TestUntrustedFields(t *testing.T) {
	f := func(name string, want bool) {
		t.Helper()
		if got := isUntrusted([]byte(name)); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	for _, n := range []string{"X-Forwarded-For", "x-forwarded-FOR", "X_Forwarded_For", "Forwarded", "FORWARDED", "X-Real-IP", "Client-Cert", "client-cert-chain", "X-SSL-Client-Cert", "X-SSL-Client-Serial", "X-Forwarded-Tls-Client-Cert", "SSL_CLIENT_S_DN", "X-ARR-ClientCert", "Remote-User", "Proxy", "Content_Length", "Transfer_Encoding"} {
		f(n, true)
	}
	for _, n := range []string{"", "X", "SOAPAction", "Proxy-Ish", "X-Probe-Case", "Cookie", "Referer", "TE", "Content-Type"} {
		f(n, false)
	}
}

func TestForwardedElement(t *testing.T) {
	f := func(addr, host, want string) {
		t.Helper()
		if got := string(forwardedElement([]byte(addr), []byte(host), []byte("https"))); got != want {
			t.Errorf("%s %s: %s, want %s", addr, host, got, want)
		}
	}
	f("192.0.2.1", "gw.example.com", `for=192.0.2.1;host="gw.example.com";proto=https`)
	f("2001:db8::1", "", `for="[2001:db8::1]";proto=https`)
}

func TestTenantMatch(t *testing.T) {
	f := func(m Match, listener, host, path string, want bool) {
		t.Helper()
		tn := &tenant{match: m, hosts: lowerSet(m.Hosts)}
		if got := tn.matches(listener, []byte(host), path); got != want {
			t.Errorf("%+v matches %s %s %s: %v", m, listener, host, path, got)
		}
	}
	f(Match{}, "a", "", "/", true)
	f(Match{Listener: "a"}, "a", "", "/", true)
	f(Match{Listener: "a"}, "b", "", "/", false)
	f(Match{Hosts: []string{"ACS.example.com"}}, "a", "acs.example.com", "/", true)
	f(Match{Hosts: []string{"acs.example.com"}}, "a", "", "/", false)
	f(Match{Hosts: []string{"acs.example.com"}}, "a", "ACS.example.com:7547", "/", true)
	f(Match{Hosts: []string{"2001:db8::1"}}, "a", "[2001:db8::1]:7547", "/", true)
	f(Match{Hosts: []string{"2001:db8::1"}}, "a", "[2001:DB8::1]", "/", true)
	f(Match{Path: "/acs"}, "a", "", "/acs", true)
	for name, want := range map[string]bool{"": false, "north.example.com": true, "NORTH.example.com": true, "south.example.com": false} {
		if got := (&tenant{sni: lowerSet([]string{"North.example.com"})}).hasName(name); got != want {
			t.Errorf("north has the name %q: %v", name, got)
		}
	}
	f(Match{Path: "/acs"}, "a", "", "/acs/x", false)
	f(Match{Path: "/acs/"}, "a", "", "/acs/x", true)
	f(Match{Path: "/acs/"}, "a", "", "/acs", false)
	// What a server may take for another path is below none.
	for _, p := range []string{"/acs/../ui", "/acs/./x", "/acs/%2e%2e/ui", "/acs/..%2fui", "/acs/a%2fb", `/acs/a\b`, "/acs/%5c", "/acs/%zz", "/acs/..;x/ui", "/acs/%252e%252e/ui"} {
		f(Match{Path: "/acs/"}, "a", "", p, false)
		f(Match{}, "a", "", p, true)
	}
	f(Match{Path: "/acs/"}, "a", "", "/acs/a..b/%20.x", true)
}

func TestDefaultsAreWithinTheirOwnRanges(t *testing.T) {
	root := struct {
		Limits   Limits   `yaml:"limits"`
		Timeouts Timeouts `yaml:"timeouts"`
	}{Defaults().Limits, Defaults().Timeouts}
	if err := configs.LoadBytes("t.yaml", []byte("limits: {fields: 100}\n"), &root); err != nil {
		t.Error(err)
	}
}
