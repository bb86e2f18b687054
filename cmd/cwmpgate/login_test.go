package main

import (
	"bufio"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
	"github.com/cwmpgate/cwmpgate/proxy/auth"
)

// usersFile writes a file of users as passwd does, but that bcrypt has the least
// cost; the password of each is passwordOf.
func usersFile(t testing.TB, dir string, users ...string) {
	t.Helper()
	var text []byte
	for _, u := range users {
		password, _ := passwordOf(u)
		lines, err := auth.Lines(u, password, "cwmpgate", []string{auth.KindMD5, auth.KindSHA256})
		if err != nil {
			t.Fatal(err)
		}
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, u+":"+string(hash))
		text, _ = auth.Edit(text, u, "cwmpgate", lines)
	}
	if err := os.WriteFile(filepath.Join(dir, "users"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// loginPlan is a plan whose CPEs log in by what keys says, and whose ACS's
// Informs may be limited.
func loginPlan(t testing.TB, acs *cwmptest.ACS, keys string) plan {
	t.Helper()
	dir := t.TempDir()
	usersFile(t, dir, "00005E-A1", "00005E-A2", "shared", "shared-2")
	if !strings.Contains(keys, "webhook") {
		keys = "users: users, " + keys
	}
	return plan{dir: dir, acs: acs.Addr(), sections: "timeouts: {drain: 50ms}\n", tenant: "    authentication: {basic_in_clear: true, " + strings.TrimSuffix(keys, ", ") + "}\n"}
}

// caller is a client of HTTP with nothing but what it is told, on one connection.
type caller struct {
	t     testing.TB
	c     net.Conn
	b     *bufio.Reader
	nonce string
	nc    int
	last  answer
	jar   string // a Cookie field, once there were cookies
}

func dialCaller(t testing.TB, addr string) *caller {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * patience))
	return &caller{t: t, c: c, b: bufio.NewReader(c)}
}

var challengeNonce = regexp.MustCompile(`nonce="([^"]+)"`)

// say sends a request and reads its answer, and of a challenge the nonce.
func (p *caller) say(request string) int {
	p.t.Helper()
	if _, err := io.WriteString(p.c, request); err != nil {
		p.t.Fatal(err)
	}
	res, err := http.ReadResponse(p.b, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	p.last = answer{res.StatusCode, res.Header, string(body), res.Close}
	for _, c := range res.Cookies() {
		if p.jar == "" {
			p.jar = "Cookie: "
		} else {
			p.jar += "; "
		}
		p.jar += c.Name + "=" + c.Value
	}
	if m := challengeNonce.FindStringSubmatch(strings.Join(res.Header.Values("WWW-Authenticate"), "\n")); m != nil {
		p.nonce, p.nc = m[1], 0
	}
	return res.StatusCode
}

func (p *caller) stale() bool {
	return strings.Contains(strings.Join(p.last.header.Values("WWW-Authenticate"), "\n"), "stale=true")
}

// digest is the field that answers the last challenge, by RFC 7616 and nothing
// of the gateway's.
func (p *caller) digest(algorithm, user, password, method, uri string) string {
	p.nc++
	return digestAnswer(algorithm, user, password, method, uri, p.nonce, p.nc)
}

func digestAnswer(algorithm, user, password, method, uri, nonce string, count int) string {
	h := func(s string) string {
		if algorithm == "SHA-256" {
			sum := sha256.Sum256([]byte(s))
			return hex.EncodeToString(sum[:])
		}
		sum := md5.Sum([]byte(s))
		return hex.EncodeToString(sum[:])
	}
	nc := fmt.Sprintf("%08x", count)
	response := h(strings.Join([]string{h(user + ":cwmpgate:" + password), nonce, nc, "7a", "auth", h(method + ":" + uri)}, ":"))
	return fmt.Sprintf(`Authorization: Digest username="%s",realm="cwmpgate",nonce="%s",uri="%s",algorithm=%s,qop=auth,nc=%s,cnonce="7a",response="%s"`,
		user, nonce, uri, algorithm, nc, response)
}

func basicWith(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// outcome is how many logins of the tenant had it.
func outcome(r *rig, what string) float64 {
	return r.metrics()[fmt.Sprintf(`cwmpgate_logins_total{tenant="home",outcome=%q}`, what)]
}

// TestLogin: whole sessions of devices by each scheme and habit; the ACS sees
// what it is to see, admission is charged once, and records know the device.
func TestLogin(t *testing.T) {
	t.Setenv("OWN_USER", "gateway")
	t.Setenv("OWN_PASSWORD", "gateway's own")
	own := base64.StdEncoding.EncodeToString([]byte("gateway:gateway's own"))
	password, _ := passwordOf("00005E-A1")
	device1 := base64.StdEncoding.EncodeToString([]byte("00005E-A1:" + password))
	for _, x := range []struct {
		name, keys string
		sees       string
		quirks     cwmptest.Quirks
		identity   string
	}{
		{"digest", "", "", cwmptest.Quirks{}, "http"},
		{"digest, new connections", "", "", cwmptest.Quirks{ReconnectEachPost: true}, "http"},
		{"digest, a new connection behind the challenge", "", "", cwmptest.Quirks{ReconnectAfter401: true}, "http"},
		{"basic", "schemes: [basic], ", "", cwmptest.Quirks{}, "http"},
		{"basic, new connections", "schemes: [basic], ", "", cwmptest.Quirks{ReconnectEachPost: true}, "http"},
		{"basic, own", "schemes: [basic], acs: {credentials: own, user: \"env:OWN_USER\", password: \"env:OWN_PASSWORD\"}, ", "Basic " + own, cwmptest.Quirks{}, "http"},
		{"digest, own", "acs: {credentials: own, user: \"env:OWN_USER\", password: \"env:OWN_PASSWORD\"}, ", "Basic " + own, cwmptest.Quirks{}, "http"},
		{"basic, passed", "schemes: [basic], acs: {credentials: pass}, ", "Basic " + device1, cwmptest.Quirks{}, "http"},
	} {
		t.Run(x.name, func(t *testing.T) {
			var seen atomic.Int64
			acs := openACS(t, cwmptest.ACSConfig{Script: chores, Intercept: func(_ http.ResponseWriter, q *http.Request) bool {
				if got := strings.Join(q.Header.Values("Authorization"), "|"); got != x.sees {
					t.Errorf("the ACS sees %q, want %q", got, x.sees)
				}
				seen.Add(1)
				return false
			}})
			p := loginPlan(t, acs, x.keys)
			p.reuse = "never, informs: {mode: enforce, count: 1, per: 24h, burst: 1}"
			p.sections += "admission: {wait: 50ms}\n"
			r := start(t, p)
			cfg := device(r.url(), "A1")
			cfg.Quirks = x.quirks
			d, err := cwmptest.NewDevice(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			report, err := d.Session(context.Background())
			if err != nil || report.RPCs != 2 || seen.Load() == 0 {
				t.Fatalf("%+v, %v", report, err)
			}
			if n := informsSum(r, "admitted_total"); n != 1 {
				t.Errorf("%v Informs charged for one session", n)
			}
			if outcome(r, "challenged") < 1 || outcome(r, "accepted") < 1 || outcome(r, "failed")+outcome(r, "replayed")+outcome(r, "stale") > 0 {
				t.Errorf("logins: %v", r.metrics())
			}
			r.close()
			a := openArchive(t, r.dir)
			for _, s := range a.rows(audit.Filter{View: audit.ViewSessions}) {
				if s.text("identity") != x.identity {
					t.Errorf("identity %s", s.text("identity"))
				}
			}
			all := a.records()
			if n := len(ofKind(all, audit.KindRefusal)) + len(ofKind(all, audit.KindSecurity)); n > 0 {
				t.Errorf("%d refusals recorded", n)
			}
			if n := len(ofKind(all, audit.KindSession)); n != 1 {
				t.Errorf("%d sessions", n)
			}
			for _, secret := range []string{password, device1} {
				if names := filesWith(t, r.dir, []byte(secret)); len(names) > 0 || strings.Contains(r.log.String(), secret) {
					t.Errorf("%q stands in %v, or in the log", secret, names)
				}
			}
		})
	}
}

// TestLoginSHA256: a client that follows RFC 7616 takes the first of two.
func TestLoginSHA256(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	r := start(t, loginPlan(t, acs, "schemes: [digest-sha-256, digest-md5], "))
	password, _ := passwordOf("00005E-A1")
	p := dialCaller(t, r.addr)
	if p.say(inform("A1")) != 401 || p.last.last {
		t.Fatalf("%+v", p.last)
	}
	offered := p.last.header.Values("WWW-Authenticate")
	if len(offered) != 2 || !strings.HasSuffix(offered[0], "algorithm=SHA-256") || !strings.HasSuffix(offered[1], "algorithm=MD5") {
		t.Errorf("%q", offered)
	}
	for _, algorithm := range []string{"SHA-256", "MD5"} {
		if status := p.say(inform("A1", p.digest(algorithm, "00005E-A1", password, "POST", "/acs"))); status != 200 {
			t.Errorf("%s: %d", algorithm, status)
		}
	}
}

// TestLoginOfASession: which request needs credentials, on which connection.
func TestLoginOfASession(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	r := start(t, loginPlan(t, acs, "nonce_lifetime: 24h, "))
	password, _ := passwordOf("00005E-A1")
	field := func(p *caller) string { return p.digest("MD5", "00005E-A1", password, "POST", "/acs") }
	first := dialCaller(t, r.addr)
	step := func(what string, p *caller, request string, want int, stale bool) {
		t.Helper()
		if got := p.say(request); got != want || want == 401 && p.stale() != stale {
			t.Errorf("%s: %d (stale %v), want %d (stale %v)", what, got, p.stale(), want, stale)
		}
	}
	step("an Inform without", first, inform("A1"), 401, false)
	used := field(first)
	step("the Inform", first, inform("A1", used), 200, false)
	cookie := first.jar
	step("an Inform without, on its connection", first, inform("A1"), 401, false)
	other := dialCaller(t, r.addr)
	step("the session on another connection, without", other, post("", cookie), 401, false)
	step("the same once more", other, post("", cookie, used), 401, true)
	step("by another user", other, post("", cookie, digestAnswer("MD5", "00005E-A2", mustPassword("00005E-A2"), "POST", "/acs", other.nonce, 1)), 403, false)
	other.nc = 1 // whoever used it
	step("by its own", other, post("", cookie, field(other)), 204, false)
	step("behind its end", other, post("", cookie), 204, false)

	again := dialCaller(t, r.addr)
	step("an Inform that was sent before", again, inform("A1", used), 401, true)
	fresh := field(again)
	step("one with the new nonce", again, inform("A1", fresh), 200, false)
	step("its nc not counted, on its connection", again, post("", fresh, again.jar), 204, false)
	step("an Inform so", again, inform("A1", fresh), 401, true)
	if n := outcome(r, "replayed"); n != 2 {
		t.Errorf("%v counted as replayed", n)
	}
	if n := outcome(r, "failed"); n != 0 {
		t.Errorf("%v counted as failed", n)
	}
	shared := dialCaller(t, r.addr)
	step("the challenge by an empty POST", shared, post(""), 401, false)
	step("a user of many", shared, inform("S1", shared.digest("MD5", "shared", mustPassword("shared"), "POST", "/acs")), 200, false)
	other = dialCaller(t, r.addr)
	step("its session, challenged elsewhere", other, post("", shared.jar), 401, false)
	step("its session, by another user", other, post("", shared.jar, other.digest("MD5", "shared-2", mustPassword("shared-2"), "POST", "/acs")), 403, false)
	step("its session, by its own", shared, post("", shared.jar), 204, false)
	// A challenge keeps nothing of the request, and what is too long closes.
	long := dialCaller(t, r.addr)
	if long.say(post(strings.Repeat(" ", 70<<10))); long.last.status != 401 || !long.last.last {
		t.Errorf("a long one: %+v", long.last)
	}
	r.close()
	if n := len(acs.Informs()); n != 3 {
		t.Errorf("the ACS got %d Informs", n)
	}
	// Behind a restart nonces are stale, and nobody is asked for the password.
	r = startFile(t, r.file)
	p := dialCaller(t, r.addr)
	step("after a restart", p, inform("A1", digestAnswer("MD5", "00005E-A1", password, "POST", "/acs", again.nonce, 9)), 401, true)
	step("and anew", p, inform("A1", field(p)), 200, false)
}

func mustPassword(user string) string {
	password, _ := passwordOf(user)
	return password
}

// TestLoginRefused: what is wrong never reaches the ACS, and is recorded with
// the user, never with what was tried.
func TestLoginRefused(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	r := start(t, loginPlan(t, acs, "schemes: [basic, digest-md5], "))
	const tried = "a-password-that-was-tried"
	for _, field := range []string{
		basicWith("00005E-A1", tried), basicWith("00005E-NONE", tried), "Authorization: Basic %%%", "Authorization: Digest x",
		digestAnswer("MD5", "00005E-A1", tried, "POST", "/acs", "n", 1),
	} {
		p := dialCaller(t, r.addr)
		if status := p.say(inform("A1", field)); status != 401 || len(p.last.header.Values("WWW-Authenticate")) != 2 || p.stale() || strings.Contains(p.last.body, "00005E") {
			t.Errorf("%s: %+v", field, p.last)
		}
		if status := p.say(inform("A1", basicWith("00005E-A1", mustPassword("00005E-A1")))); status != 200 {
			t.Errorf("right behind %s: %d", field, status)
		}
	}
	if n := outcome(r, "failed"); n != 5 {
		t.Errorf("%v counted", n)
	}
	if n := r.metrics()[`cwmpgate_refusals_total{from="cpe",reason="login-failed"}`]; n != 5 {
		t.Errorf("%v refusals counted", n)
	}
	r.close()
	sum, claimed := 0, ""
	for _, s := range ofKind(openArchive(t, r.dir).records(), audit.KindSecurity) {
		if s.Reason != "login-failed" || s.Tenant != "home" || s.Source != "127.0.0.1/32" {
			t.Errorf("%s", s.line)
		}
		sum += s.Count
		claimed += s.Claimed + " "
	}
	if sum != 5 || !strings.HasPrefix(claimed, "00005E-A1") {
		t.Errorf("%d recorded, of %s", sum, claimed)
	}
	for _, secret := range []string{tried, base64.StdEncoding.EncodeToString([]byte("00005E-A1:" + tried))} {
		if names := filesWith(t, r.dir, []byte(secret)); len(names) > 0 || strings.Contains(r.log.String(), secret) {
			t.Errorf("what was tried stands in %v, or in the log", names)
		}
	}
}

// TestLoginFlood: guesses make few records and few checks, whose sum is exact;
// who has logged in from there goes on.
func TestLoginFlood(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	r := start(t, loginPlan(t, acs, "schemes: [digest-md5], failures: {address: {count: 20, per: 24h, burst: 20}, user: {count: 3, per: 24h, burst: 3}}, "))
	good := dialCaller(t, r.addr)
	good.say(inform("A1"))
	if status := good.say(inform("A1", good.digest("MD5", "00005E-A1", mustPassword("00005E-A1"), "POST", "/acs"))); status != 200 {
		t.Fatal(status)
	}
	const guesses = 300
	statuses := map[int]int{}
	for i := range guesses {
		p := dialCaller(t, r.addr)
		status := p.say(inform("A1", digestAnswer("MD5", fmt.Sprint("00005E-N", i%100), "guess", "POST", "/acs", "n", 1)))
		statuses[status]++
		if status == 503 && (p.last.header.Get("Retry-After") == "" || !p.last.last) {
			t.Errorf("%+v", p.last)
		}
		p.c.Close()
	}
	if statuses[401] != 20 || statuses[503] != guesses-20 {
		t.Errorf("answers: %v", statuses)
	}
	if status := dialCaller(t, r.addr).say(inform("A2", digestAnswer("MD5", "00005E-A2", mustPassword("00005E-A2"), "POST", "/acs", "n", 1))); status != 503 {
		t.Errorf("a newcomer from there: %d", status)
	}
	again := dialCaller(t, r.addr)
	again.say(inform("A1"))
	if status := again.say(inform("A1", again.digest("MD5", "00005E-A1", mustPassword("00005E-A1"), "POST", "/acs"))); status != 200 {
		t.Errorf("who logged in before: %d", status)
	}
	r.close()
	sum := map[string]int{}
	records := ofKind(openArchive(t, r.dir).records(), audit.KindSecurity)
	for _, s := range records {
		sum[s.Reason] += s.Count
	}
	if sum["login-failed"] != 20 || sum["login-limited"] != guesses-20+1 || len(records) > 100 {
		t.Errorf("%d records: %v", len(records), sum)
	}
}

// TestLoginIdentity: a user is held to the device that it names.
func TestLoginIdentity(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	for _, x := range []struct {
		mode, user, serial string
		status             int
		identity           string
	}{
		{"auto", "00005E-A1", "A1", 200, "http"},
		{"auto", "00005E-A1", "B1", 403, ""},
		{"auto", "shared", "B2", 200, "claimed"},
		{"refuse", "00005E-A1", "B3", 403, ""},
		{"pass", "00005E-A1", "B4", 200, "claimed"},
		{"strict", "00005E-A2", "A2", 200, "http"},
		{"strict", "shared", "B5", 403, ""},
		{"strict", "00005E-A1", "B6", 403, ""},
	} {
		t.Run(x.mode+" "+x.user+" "+x.serial, func(t *testing.T) {
			p := loginPlan(t, acs, "schemes: [basic], ")
			p.tenant += "    user_mismatch: " + x.mode + "\n"
			r := start(t, p)
			c := dialCaller(t, r.addr)
			if status := c.say(inform(x.serial, basicWith(x.user, mustPassword(x.user)))); status != x.status {
				t.Fatalf("answered %d", status)
			}
			if x.status == 200 {
				c.say(post("", c.jar))
			}
			r.close()
			a := openArchive(t, r.dir)
			security := ofKind(a.records(), audit.KindSecurity)
			sessions := a.rows(audit.Filter{View: audit.ViewSessions})
			switch {
			case x.status == 403 && (len(security) != 1 || security[0].Reason != "identity-mismatch" || security[0].Device.Serial != x.serial || len(sessions) > 0):
				t.Errorf("security %v, sessions %v", security, sessions)
			case x.status == 200 && (len(security) > 0 || len(sessions) != 1 || sessions[0].text("identity") != x.identity):
				t.Errorf("security %v, sessions %v", security, sessions)
			}
		})
	}
}

// TestLoginOfADeviceElsewhere: the rate of a device is its own wherever it is, if
// its user names it; where many share a user, that of its address.
func TestLoginOfADeviceElsewhere(t *testing.T) {
	p := loginPlan(t, openACS(t, cwmptest.ACSConfig{}), "schemes: [basic], ")
	p.sections += "admission: {device: {mode: enforce, count: 1, per: 24h, burst: 1}}\n"
	r := start(t, p)
	for _, x := range []struct {
		from, user, serial string
		status             int
	}{
		{"127.0.0.1", "00005E-A1", "A1", 200}, {"127.0.0.2", "00005E-A1", "A1", 503},
		{"127.0.0.1", "shared", "S1", 200}, {"127.0.0.2", "shared", "S1", 200}, {"127.0.0.2", "shared", "S1", 503},
	} {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(x.from)}}
		c, err := d.Dial("tcp", r.addr)
		if err != nil {
			t.Skipf("no second loopback address here: %v", err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		caller := &caller{t: t, c: c, b: bufio.NewReader(c)}
		if got := caller.say(inform(x.serial, basicWith(x.user, mustPassword(x.user)))); got != x.status {
			t.Errorf("%s as %s from %s: %d, want %d", x.serial, x.user, x.from, got, x.status)
		}
	}
}
