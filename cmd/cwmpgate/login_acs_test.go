package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
	"github.com/cwmpgate/cwmpgate/proxy/auth"
)

// TestLoginOfFiles: a file that the ACS asked for needs no login, and its own
// Authorization passes; others do.
func TestLoginOfFiles(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{
		FileUser: "fw", FilePassword: "fw's", Files: map[string][]byte{"/fw.bin": []byte("firmware"), "/page": []byte("page")},
		Script: func(i cwmptest.Informed) []cwmptest.Task {
			return []cwmptest.Task{cwmptest.Download("k", "1 Firmware Upgrade Image", "/fw.bin")}
		},
	})
	get := func(path string, fields ...string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: acs.example.test\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\n"
	}
	for _, files := range []string{auth.FilesExpected, auth.FilesOpen} {
		r := start(t, loginPlan(t, acs, "schemes: [basic], files: "+files+", "))
		mine := basicWith("00005E-A1", mustPassword("00005E-A1"))
		p := dialCaller(t, r.addr)
		for _, x := range []struct {
			what, request    string
			expected, opened int
		}{
			{"before it was asked for", get("/fw.bin", basicWith("fw", "fw's")), 401, 200},
			{"before, by the CPE's own", get("/fw.bin", mine), 503, 401}, // the ACS wants others
			{"Inform", inform("A1", mine), 200, 200},
			{"the Download", "", 200, 200},
		} {
			want := x.expected
			if files == auth.FilesOpen {
				want = x.opened
			}
			if x.request == "" {
				x.request = post("", p.jar)
			}
			if got := p.say(x.request); got != want {
				t.Errorf("%s, %s: %d, want %d", files, x.what, got, want)
			}
		}
		q := dialCaller(t, r.addr)
		if status := q.say(get("/fw.bin", basicWith("fw", "fw's"))); status != 200 || q.last.body != "firmware" {
			t.Errorf("%s: what was asked for: %+v", files, q.last)
		}
		put := "PUT /fw.bin HTTP/1.1\r\nHost: acs.example.test\r\nContent-Length: 4\r\n" + basicWith("fw", "fw's") + "\r\n\r\nevil"
		if status := q.say(put); (status == 401) != (files == auth.FilesExpected) {
			t.Errorf("%s: what was asked for, sent: %d", files, status)
		}
		want := map[string]int{auth.FilesExpected: 401, auth.FilesOpen: 200}[files]
		if status := q.say(get("/page", basicWith("fw", "fw's"))); status != want {
			t.Errorf("%s: another file: %d, want %d", files, status, want)
		}
		r.close()
	}
}

// TestOwnCredentialsAreForTheACS: a tenant's file server does not get them.
func TestOwnCredentialsAreForTheACS(t *testing.T) {
	t.Setenv("OWN", "own")
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if got := q.Header.Get("Authorization"); got != "" {
			t.Errorf("it sees %q", got)
		}
	}))
	defer files.Close()
	p := loginPlan(t, openACS(t, cwmptest.ACSConfig{}), `schemes: [basic], acs: {credentials: own, user: "env:OWN", password: "env:OWN"}, `)
	p.tenant += fmt.Sprintf("    files: {upstream: {url: %q}}\n", files.URL)
	r := start(t, p)
	request := "GET /fw.bin HTTP/1.1\r\nHost: gw\r\n" + basicWith("00005E-A1", mustPassword("00005E-A1")) + "\r\n\r\n"
	if status := dialCaller(t, r.addr).say(request); status != 200 {
		t.Errorf("answered %d", status)
	}
}

// TestACSThatChallenges: its challenge does not reach a CPE that has logged in
// at the gateway.
func TestACSThatChallenges(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{Auth: cwmptest.AuthDigest})
	r := start(t, loginPlan(t, acs, "schemes: [basic], "))
	p := dialCaller(t, r.addr)
	if status := p.say(inform("A1", basicWith("00005E-A1", mustPassword("00005E-A1")))); status != 503 || p.last.header.Get("WWW-Authenticate") != "" {
		t.Errorf("%+v", p.last)
	}
	if n := r.metrics()[`cwmpgate_refusals_total{from="acs",reason="acs-challenges"}`]; n != 1 {
		t.Errorf("%v counted", n)
	}
}

// TestLoginByWebhook: down, CPEs are told to come back, or are let in as who
// they say they are.
func TestLoginByWebhook(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	for _, x := range []struct {
		on     string
		status int
		reason string
	}{{"refuse", 503, "login-unavailable"}, {"pass", 200, "login-unverified"}} {
		r := start(t, loginPlan(t, acs, `schemes: [basic], webhook: {url: "http://127.0.0.1:1/", timeout: 500ms, on_failure: `+x.on+"}, "))
		p := dialCaller(t, r.addr)
		if status := p.say(inform("A1", basicWith("00005E-A1", mustPassword("00005E-A1")))); status != x.status || status == 503 && p.last.header.Get("Retry-After") == "" {
			t.Errorf("%s: %+v", x.on, p.last)
		}
		if x.status == 200 {
			p.say(post("", p.jar))
		}
		r.close()
		a := openArchive(t, r.dir)
		found := false
		for _, s := range append(ofKind(a.records(), audit.KindSecurity), ofKind(a.records(), audit.KindRefusal)...) {
			found = found || s.Reason == x.reason
		}
		if !found {
			t.Errorf("%s: no record of %s", x.on, x.reason)
		}
		for _, s := range a.rows(audit.Filter{View: audit.ViewSessions}) {
			if s.text("identity") != "claimed" {
				t.Errorf("%s: identity %s", x.on, s.text("identity"))
			}
		}
	}
}

// TestLoginByCurl has another's client log in.
func TestLoginByCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("there is no curl here")
	}
	acs := openACS(t, cwmptest.ACSConfig{})
	body := filepath.Join(t.TempDir(), "inform.xml")
	if err := os.WriteFile(body, []byte(informBody("A1")), 0o600); err != nil {
		t.Fatal(err)
	}
	for schemes, how := range map[string]string{
		"digest-md5": "--digest", "digest-sha-256": "--digest", "digest-sha-256, digest-md5": "--digest", "digest-md5, digest-sha-256, basic": "--digest", "basic": "--basic",
		"basic, digest-md5": "--anyauth",
	} {
		p := loginPlan(t, acs, "schemes: ["+schemes+"], ")
		p.tls = true
		r := start(t, p)
		run := func(password string) string {
			out, err := exec.Command(curl, "--silent", "--max-time", "20", "--cacert", filepath.Join(r.dir, "cwmpgate-selfsigned.pem"), how,
				"--user", "00005E-A1:"+password, "--header", `SOAPAction: ""`, "--header", "Content-Type: text/xml", "--data-binary", "@"+body,
				"--output", filepath.Join(r.dir, "answer"), "--write-out", "%{http_code}",
				"https://localhost:"+r.addr[strings.LastIndexByte(r.addr, ':')+1:]+"/acs?a=b%20c").CombinedOutput()
			if err != nil {
				t.Fatalf("curl: %v %s", err, out)
			}
			return string(out)
		}
		if got := run(mustPassword("00005E-A1")); got != "200" {
			t.Errorf("%s by %s: %s\n%s", schemes, how, got, r.log)
		}
		if got := run("another"); got != "401" {
			t.Errorf("%s by %s, wrong: %s", schemes, how, got)
		}
		r.close()
	}
}
