package cwmptest

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"
)

// hand is a CPE moved by hand, one connection after the other.
type hand struct {
	t *testing.T
	u *url.URL
}

func (h hand) connect() *wire {
	h.t.Helper()
	w, err := dialWire(context.Background(), hostPort(h.u), h.u, nil, time.Second, 1)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { w.Close() })
	return w
}

// post sends a body with a cookie and returns status, first line of the body,
// and the session cookie that was set.
func (h hand) post(w *wire, cookie string, body []byte, more ...Field) (status int, text, set string, r Response) {
	h.t.Helper()
	header := append([]Field{{"Host", "acs.example.test"}}, more...)
	if cookie != "" {
		header = append(header, Field{"Cookie", "session=" + cookie})
	}
	request := Request{Method: "POST", Target: "/", Header: framed(header, len(body), true), Body: body}
	r, _, err := roundTrip(context.Background(), w, request, false, 5*time.Second)
	if err != nil {
		h.t.Fatal(err)
	}
	raw, _ := fieldValue(r.Header, "Set-Cookie")
	_, set, _ = strings.Cut(raw, "=")
	set, _, _ = strings.Cut(set, ";")
	return r.Status, strings.TrimSpace(string(r.Body)), set, r
}

func informOf(serial string) []byte {
	return Envelope{ID: MessageID(serial, 1), RPC: InformRPC(Identity{"Example", "00005E", "Box", serial},
		[]Event{{Code: "2 PERIODIC"}}, 0, "0001-01-01T00:00:00Z", nil)}.Append(nil)
}

// TestConnectionBoundSessions is the table of what a well-known ACS answers to
// the second request of a session.
func TestConnectionBoundSessions(t *testing.T) {
	for _, c := range []struct {
		name   string
		second func(h hand, first *wire, cookie string) (status int, text, set string, r Response)
		status int
		text   string
	}{
		{"same connection with cookie", func(h hand, w *wire, c string) (int, string, string, Response) {
			return h.post(w, c, nil)
		}, 204, ""},
		{"same connection without cookie", func(h hand, w *wire, c string) (int, string, string, Response) {
			return h.post(w, "", nil)
		}, 400, "Invalid session"},
		{"new connection, old one closed", func(h hand, w *wire, c string) (int, string, string, Response) {
			w.Close()
			return h.post(h.connect(), c, nil)
		}, 204, ""},
		{"new connection, old one open", func(h hand, w *wire, c string) (int, string, string, Response) {
			return h.post(h.connect(), c, nil)
		}, 400, "Invalid session"},
		{"second Inform in the session", func(h hand, w *wire, c string) (int, string, string, Response) {
			return h.post(w, c, informOf("A"))
		}, 400, "Bad session state"},
		{"Inform with the cookie of an ended session", func(h hand, w *wire, c string) (int, string, string, Response) {
			h.post(w, c, nil)
			status, text, set, r := h.post(h.connect(), c, informOf("A"))
			return status, text[:5], set, r
		}, 200, "<?xml"},
		{"Inform of a device that is in a session", func(h hand, w *wire, c string) (int, string, string, Response) {
			return h.post(h.connect(), "", informOf("A"))
		}, 400, "CPE already in session"},
		{"another device's cookie on the connection", func(h hand, w *wire, c string) (int, string, string, Response) {
			_, _, other, _ := h.post(h.connect(), "", informOf("B"))
			return h.post(w, other, nil)
		}, 400, "Invalid session"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := openACS(t, ACSConfig{Character: ConnectionBound, ReconnectWait: 300 * time.Millisecond})
			u, err := url.Parse(a.URL())
			if err != nil {
				t.Fatal(err)
			}
			h := hand{t, u}
			w := h.connect()
			status, _, cookie, _ := h.post(w, "", informOf("A"))
			if status != 200 || cookie == "" {
				t.Fatalf("Inform: %d, cookie %q", status, cookie)
			}
			status, text, _, r := c.second(h, w, cookie)
			if status != c.status || text != c.text {
				t.Errorf("answered %d %q, want %d %q", status, text, c.status, c.text)
			}
			if closes := fieldHas(r.Header, "Connection", "close"); closes != (status != 200) {
				t.Errorf("answer %d closes the connection: %v", status, closes)
			}
		})
	}
}

func TestDigestNonceOnConnection(t *testing.T) {
	for _, c := range []Character{CookiePerSession, ConnectionBound, ConnectionOnly} {
		t.Run(c.String(), func(t *testing.T) {
			a := openACS(t, ACSConfig{Character: c, Auth: AuthDigest, Password: passwordOf})
			d := newDevice(t, DeviceConfig{URL: a.URL(), Username: "u", Password: "pw-u", Quirks: Quirks{ReconnectAfter401: true}})
			_, err := d.Session(context.Background())
			if c.nonceOnConnection() != (err != nil) || err != nil && ErrorKind(err) != "status-401" {
				t.Errorf("challenge answered over a new connection: %v", err)
			}
		})
	}
}

func TestWrongPassword(t *testing.T) {
	for _, auth := range []Auth{AuthBasic, AuthDigest} {
		a := openACS(t, ACSConfig{Auth: auth, Password: passwordOf})
		d := newDevice(t, DeviceConfig{URL: a.URL(), Username: "u", Password: "guess"})
		if _, err := d.Session(context.Background()); ErrorKind(err) != "status-401" {
			t.Errorf("auth %d: %v", auth, err)
		}
		if n := len(a.Informs()); n > 0 {
			t.Errorf("auth %d: %d Informs taken", auth, n)
		}
	}
}

// TestDigestVector is the example of RFC 2617 section 3.5.
func TestDigestVector(t *testing.T) {
	p := authParameters(`username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", ` +
		`uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", opaque="5ccc069c403ebaf9f0171e9517f40e41"`)
	if got := digestResponse(p, "GET", "Circle Of Life"); got != "6629fae49393a05397450978507c4ef1" {
		t.Errorf("response is %s", got)
	}
}

func TestAuthParameters(t *testing.T) {
	got := authParameters(`realm="a, \"b\"",nonce = x1 , stale=true, empty=""`)
	for name, want := range map[string]string{"realm": `a, "b"`, "nonce": "x1", "stale": "true", "empty": ""} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

// TestMessageToTheWrongDevice moves two devices over one connection, so that
// both ends see the other's messages.
func TestMessageToTheWrongDevice(t *testing.T) {
	a := openACS(t, ACSConfig{Character: ConnectionOnly, Script: func(Informed) []Task { return []Task{GetRPCMethods()} }})
	u, err := url.Parse(a.URL())
	if err != nil {
		t.Fatal(err)
	}
	h := hand{t, u}
	w := h.connect()
	h.post(w, "", informOf("A"))
	_, text, _, _ := h.post(w, "", nil)
	m, err := readMessage([]byte(text), "")
	if err != nil || m.method != "GetRPCMethods" {
		t.Fatalf("%v, %v", m, err)
	}
	h.post(w, "", informOf("B"))
	h.post(w, "", Envelope{ID: m.id, RPC: methodList(nil)}.Append(nil))
	got := a.Misdelivered()
	if len(got) != 1 || got[0] != (Misdelivery{"acs", "B", m.id, "GetRPCMethodsResponse"}) {
		t.Errorf("seen at the ACS: %+v", got)
	}
}
