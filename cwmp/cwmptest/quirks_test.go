package cwmptest

import (
	"context"
	"testing"
	"time"
)

// TestQuirks shows what each ACS makes of each quirk when nothing stands between:
// the error kind of the session, "" where it comes to its regular end.
func TestQuirks(t *testing.T) {
	same := func(kind string) [4]string { return [4]string{kind, kind, kind, kind} }
	// in the order of Characters: cookie, connection and cookie, connection, serial
	want := map[string][4]string{
		"DropCookies":         {"status-400", "status-400", "", "status-401"},
		"SecondConnection":    {"", "status-400", "status-400", ""},
		"ReconnectEachPost":   {"", "", "status-400", ""},
		"InformAgain":         {"", "status-400", "", ""},
		"InformAgainAnew":     {"", "status-400", "", ""},
		"ExtraEmptyPost":      {"status-400", "status-400", "status-400", ""},
		"NoHost":              same("status-400"), // net/http refuses it
		"StopAfterInform":     same("stopped"),
		"CloseWithoutReading": same("stopped"),
	}
	for name, q := range EachQuirk() {
		for i, c := range Characters() {
			t.Run(name+"/"+c.String(), func(t *testing.T) {
				a := openACS(t, ACSConfig{Character: c, ReconnectWait: time.Second})
				if want[name][i] == "status-400" && name != "ReconnectEachPost" {
					a.cfg.ReconnectWait = time.Millisecond
				}
				a.Queue("SN0001", GetParameterValues(root+"DeviceInfo."), SetParameterValues(Parameter{Name: root + "Time.NTPServer1", Value: "Zeit.example"}))
				d := newDevice(t, DeviceConfig{URL: a.URL(), Quirks: q})
				_, err := d.Session(context.Background())
				got := ""
				if err != nil {
					got = ErrorKind(err)
				}
				if got != want[name][i] {
					t.Fatalf("session ended with %v, want %q", err, want[name][i])
				}
				if got == "" {
					checkQuirk(t, a, d, name)
				}
				if n := len(a.Misdelivered()) + len(d.Misdelivered()); n > 0 {
					t.Errorf("%d messages misdelivered", n)
				}
			})
		}
	}
}

func checkQuirk(t *testing.T, a *ACS, d *Device, name string) {
	t.Helper()
	list := a.Deliveries()
	if len(list) != 2 {
		t.Fatalf("%d RPCs sent", len(list))
	}
	for _, x := range list {
		wantID := x.ID
		switch name {
		case "NoID":
			wantID = ""
		case "WrongID":
			wantID = x.AnswerID
			if x.AnswerID == x.ID {
				t.Errorf("answered under the right ID %s", x.ID)
			}
		}
		if !x.Answered || x.AnswerID != wantID || x.Fault != nil {
			t.Errorf("%s: answered %v under %q, %+v", x.ID, x.Answered, x.AnswerID, x.Fault)
		}
	}
	if v := list[0].Values; len(v) < 8 || v[0].Value != "Example Networks" {
		t.Errorf("values read: %v", v)
	}
	if got := d.Value("Time.NTPServer1"); got != "Zeit.example" {
		t.Errorf("value set is %q", got)
	}
}

func TestGiveUpOn4xx(t *testing.T) {
	a := openACS(t, ACSConfig{Auth: AuthBasic, Password: passwordOf})
	d := newDevice(t, DeviceConfig{URL: a.URL(), Username: "u", Password: "pw-u", Quirks: Quirks{GiveUpOn4xx: true}})
	if _, err := d.Session(context.Background()); ErrorKind(err) != "status-401" {
		t.Fatalf("first session: %v", err)
	}
	if _, err := d.Session(context.Background()); err != ErrGaveUp {
		t.Fatalf("second session: %v", err)
	}
}

func TestCookieHeader(t *testing.T) {
	jar := setCookie(setCookie(nil, "a=1; Path=/"), "b=2")
	jar = setCookie(jar, "a=3; Path=/; HttpOnly")
	for _, c := range []struct {
		q    Quirks
		want string
	}{
		{Quirks{}, "a=3; b=2"},
		{Quirks{DropCookies: true}, ""},
		{Quirks{CookiesByComma: true}, "a=3,b=2"},
		{Quirks{CookieAttributes: true}, "a=3; Path=/; HttpOnly; b=2"},
	} {
		if got := c.q.cookieHeader(jar); got != c.want {
			t.Errorf("%v: %q, want %q", c.q, got, c.want)
		}
	}
	if jar = setCookie(jar, "a=; Max-Age=0"); len(jar) != 1 {
		t.Errorf("expired cookie stays: %v", jar)
	}
}
