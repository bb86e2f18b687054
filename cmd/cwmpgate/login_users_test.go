package main

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
	"github.com/cwmpgate/cwmpgate/proxy/auth"
)

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

// TestCheckOfLogins: what cannot work together is said before it runs.
func TestCheckOfLogins(t *testing.T) {
	dir := t.TempDir()
	digestOnly, err := auth.Lines("00005E-A1", "x", "cwmpgate", []string{auth.KindMD5})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "users"), []byte(digestOnly[0]), 0o600); err != nil {
		t.Fatal(err)
	}
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
		{", tls: {self_signed: {directory: .}}}\n  - {address: \":7548\"", `match: {listener: ":7548"}
    authentication: {webhook: {url: "https://192.0.2.2/"}, schemes: [basic]}`, `listener ":7548" has no TLS`},
		{", tls: {self_signed: {directory: .}}}\n  - {address: \":7548\"", `match: {sni: [acs.example.com]}
    authentication: {webhook: {url: "https://192.0.2.2/"}, schemes: [basic]}`, ""},
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
