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
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
	"github.com/cwmpgate/cwmpgate/proxy/auth"
)

// usersFile writes a file of users as passwd does; the password of each is
// passwordOf.
func usersFile(t testing.TB, dir string, kinds []string, users ...string) {
	t.Helper()
	var text []byte
	for _, u := range users {
		password, _ := passwordOf(u)
		lines, err := auth.Lines(u, password, "cwmpgate", kinds)
		if err != nil {
			t.Fatal(err)
		}
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
	usersFile(t, dir, []string{auth.KindMD5, auth.KindSHA256, auth.KindBasic}, "00005E-A1", "00005E-A2", "shared")
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
	// A challenge keeps nothing of the request, and what is too long closes.
	long := dialCaller(t, r.addr)
	if long.say(post(strings.Repeat(" ", 70<<10))); long.last.status != 401 || !long.last.last {
		t.Errorf("a long one: %+v", long.last)
	}
	r.close()
	if n := len(acs.Informs()); n != 2 {
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

// TestLoginReload: a gateway that runs takes a change of its users, and says why
// it does not.
func TestLoginReload(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	p := loginPlan(t, acs, "check_every: 10ms, schemes: [digest-md5], ")
	r := start(t, p)
	logsIn := func(user, password string) bool {
		c := dialCaller(t, r.addr)
		defer c.c.Close()
		c.say(inform("A1"))
		return c.say(inform("A1", c.digest("MD5", user, password, "POST", "/acs"))) == 200
	}
	users := filepath.Join(r.dir, "users")
	if !logsIn("00005E-A1", mustPassword("00005E-A1")) {
		t.Fatal("the first file does not hold")
	}
	if code, _, stderr := passwd("new secret\nnot this line\n", users, "00005E-A1"); code != 0 {
		t.Fatal(stderr)
	}
	await(t, "the new password holds", func() bool { return r.metrics()[`cwmpgate_users_reloads_total{tenant="home"}`] == 1 })
	if logsIn("00005E-A1", mustPassword("00005E-A1")) || !logsIn("00005E-A1", "new secret") {
		t.Error("the new password is not the one that holds")
	}
	if err := os.WriteFile(users, []byte("00005E-A1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	await(t, "the broken file is told", func() bool { return strings.Contains(r.log.String(), "users:1: neither user:bcrypt") })
	if !logsIn("00005E-A1", "new secret") {
		t.Error("a broken file took the users away")
	}
	if err := os.Remove(users); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := passwd("third\n", users, "00005E-A1", "--digest", "md5"); code != 0 {
		t.Fatal(stderr)
	}
	await(t, "the third holds", func() bool { return r.metrics()[`cwmpgate_users_reloads_total{tenant="home"}`] == 2 })
	if !logsIn("00005E-A1", "third") {
		t.Error("it does not")
	}
}

// passwd runs the command with a standard input.
func passwd(input string, args ...string) (code int, stdout, stderr string) {
	var out, err logbook
	root := newRoot()
	root.SetArgs(append([]string{"passwd"}, args...))
	root.SetIn(strings.NewReader(input))
	root.SetOut(&out)
	root.SetErr(&err)
	if e := root.ExecuteContext(context.Background()); e != nil {
		return 1, out.String(), e.Error()
	}
	return 0, out.String(), err.String()
}

// TestPasswd: the file is replaced as a whole, belongs to its owner alone, and
// keeps what is not the user's.
func TestPasswd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	link := file + "-link"
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	read := func() string {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		return string(text)
	}
	if code, _, stderr := passwd("one\r\n", file, "a", "--digest", "md5", "--realm", "r"); code != 0 {
		t.Fatal(stderr)
	}
	sum := md5.Sum([]byte("a:r:one"))
	want := "a:r:" + hex.EncodeToString(sum[:]) + "\n"
	if got := read(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := passwd("two", link, "b", "--basic"); code != 0 {
		t.Fatal(stderr)
	}
	if got := read(); !strings.HasPrefix(got, want+"b:$2a$10$") || strings.Count(got, "\n") != 2 {
		t.Errorf("%q", got)
	}
	if code, _, stderr := passwd("", link, "b", "--delete"); code != 0 || read() != want {
		t.Errorf("%s %q", stderr, read())
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
	for _, args := range [][]string{{file, "b", "--delete"}, {file, "a:b"}, {file, ""}, {file, "a", "--digest", "sha-1"}, {file, "a", "--digest", "basic"}, {file, "a", "--digest", ""}, {file + "/no", "a"}} {
		if code, _, _ := passwd("x\n", args...); code == 0 || read() != want {
			t.Errorf("%q: exit code %d, %q", args, code, read())
		}
	}
	if code, _, _ := passwd("\n", file, "a"); code == 0 || read() != want {
		t.Error("an empty password was taken")
	}
	if names, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".users-*")); len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
}

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
		want := map[string]int{auth.FilesExpected: 401, auth.FilesOpen: 200}[files]
		if status := q.say(get("/page", basicWith("fw", "fw's"))); status != want {
			t.Errorf("%s: another file: %d, want %d", files, status, want)
		}
		r.close()
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

// TestCheckOfLogins: what cannot work together is said before it runs.
func TestCheckOfLogins(t *testing.T) {
	dir := t.TempDir()
	usersFile(t, dir, []string{auth.KindMD5}, "00005E-A1")
	if err := os.WriteFile(filepath.Join(dir, "broken"), []byte("# x\nbob\n:\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OWN", "x")
	const frame = `listeners:
  - {name: cpe, address: ":7547"%s}
tenants:
  - name: a
    upstreams: [{url: "https://192.0.2.1/"}]
    redaction: {key: "file:k"}
    %s
journal: {directory: j}
`
	const secure = ", tls: {self_signed: {directory: .}}"
	for _, x := range []struct{ listener, tenant, want string }{
		{"", "authentication: {users: users}", ""},
		{secure, `authentication: {webhook: {url: "https://192.0.2.2/"}, schemes: [basic], acs: {credentials: pass}}`, ""},
		{"", "authentication: {}", "give users or webhook, and not both"},
		{"", `authentication: {users: users, webhook: {url: "https://192.0.2.2/"}}`, "give users or webhook, and not both"},
		{"", "authentication: {users: absent}", "authentication.users: .*absent"},
		{"", "authentication: {users: broken}", "broken:2: neither user:bcrypt"},
		{"", "authentication: {users: broken}", "broken:3: no user"},
		{"", "authentication: {users: users, realm: other}", `no user for digest-md5 in realm "other": cwmpgate passwd`},
		{secure, "authentication: {users: users, schemes: [basic]}", "no user for basic"},
		{"", "authentication: {users: users, schemes: [basic, digest-md5]}", `listener "cpe" has no TLS`},
		{"", "authentication: {users: users, schemes: [digest-md5, digest-md5]}", `"digest-md5" is there twice`},
		{"", "authentication: {users: users, schemes: [ntlm]}", "digest-sha-256"},
		{"", `authentication: {users: users, realm: "a\"b"}`, "without quotes"},
		{"", "authentication: {users: users, acs: {credentials: pass}}", `pass needs schemes: \[basic\]`},
		{"", "authentication: {users: users, acs: {credentials: own}}", "user and password go with credentials: own"},
		{"", `authentication: {users: users, acs: {user: "env:OWN"}}`, "user and password go with credentials: own"},
		{"", `authentication: {webhook: {url: "http://192.0.2.2/"}}`, "passwords would cross the network in clear"},
		{"", `authentication: {webhook: {url: "https://192.0.2.2/", ca: users}}`, "ca holds no certificate"},
		{"", "user_mismatch: strict", "strict needs authentication"},
	} {
		file := filepath.Join(dir, "cwmpgate.yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, frame, x.listener, x.tenant), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := cli("check", "--config", file)
		if (code == 0) != (x.want == "") || !regexp.MustCompile(x.want).MatchString(stderr) {
			t.Errorf("%s %s: want %q, got exit code %d and\n%s", x.listener, x.tenant, x.want, code, stderr)
		}
	}
}
