package auth

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/cwmpgate/cwmpgate/configs"
)

var (
	here  = netip.MustParsePrefix("192.0.2.7/32")
	there = netip.MustParsePrefix("192.0.2.8/32")
)

// clock is a time that a test sets.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// bench is an Authenticator and what a test turns.
type bench struct {
	*Authenticator
	clock *clock
	set   *metrics.Set
	file  string
}

// usersText is users as a file has them: alice by Digest and Basic (password
// "wonder land"), bob by Basic alone ("builder").
func usersText(t testing.TB) string {
	t.Helper()
	var all []string
	for _, u := range []struct {
		name, password string
		kinds          []string
	}{{"alice", "wonder land", []string{KindMD5, KindSHA256}}, {"bob", "builder", nil}} {
		lines, err := Lines(u.name, u.password, "cwmpgate", u.kinds)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, lines...)
	}
	// With the least cost: tests are many.
	all = append(all, "alice:$2a$04$U0J53jxhQQJpI97I.DB87uxfiD2QPLBn48I6E4DX/7VGrQIUXJ.fC", "bob:$2a$04$4est7b3GGW6B3UMwRHIRAexmmSekv4QEjW63m0dZ5VXfdRIqBEfJS")
	return "# users\n\n" + strings.Join(all, "\n") + "\n"
}

func newBench(t testing.TB, change func(*Config)) *bench {
	t.Helper()
	b := &bench{clock: &clock{time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}, set: metrics.NewSet(), file: filepath.Join(t.TempDir(), "users")}
	if err := os.WriteFile(b.file, []byte(usersText(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	var cfg Config
	configs.Defaults(&cfg)
	cfg.Users = configs.Path(b.file)
	cfg.Schemes = []string{schemeSHA256, schemeMD5, schemeBasic}
	if change != nil {
		change(&cfg)
	}
	var err error
	if b.Authenticator, err = New(cfg, Options{Tenant: "home", Metrics: b.set, Now: b.clock.now}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) try(source netip.Prefix, fields ...string) Result {
	r := Request{Method: "POST", Target: "/acs?x=1", Source: source}
	for _, f := range fields {
		r.Authorization = append(r.Authorization, []byte(f))
	}
	return b.Check(context.Background(), r)
}

var nonceIn = regexp.MustCompile(`nonce="([^"]+)"`)

func (b *bench) nonce(source netip.Prefix) string {
	for _, c := range b.Challenges(source, false) {
		if m := nonceIn.FindSubmatch(c); m != nil {
			return string(m[1])
		}
	}
	return ""
}

// hashOf is a client's own: nothing of the package is used.
func hashOf(algorithm, text string) string {
	if algorithm == "SHA-256" {
		s := sha256.Sum256([]byte(text))
		return hex.EncodeToString(s[:])
	}
	s := md5.Sum([]byte(text))
	return hex.EncodeToString(s[:])
}

// digestField answers a challenge as a CPE does.
func digestField(algorithm, user, password, nonce string, nc int, change ...string) string {
	count := fmt.Sprintf("%08x", nc)
	ha1 := hashOf(algorithm, user+":cwmpgate:"+password)
	ha2 := hashOf(algorithm, "POST:/acs?x=1")
	response := hashOf(algorithm, strings.Join([]string{ha1, nonce, count, "c0", "auth", ha2}, ":"))
	text := fmt.Sprintf(`Digest username="%s", realm="cwmpgate", nonce="%s", uri="/acs?x=1", algorithm=%s, qop=auth, nc=%s, cnonce="c0", response="%s"`,
		user, nonce, algorithm, count, response)
	for i := 0; i+1 < len(change); i += 2 {
		text = strings.Replace(text, change[i], change[i+1], 1)
	}
	return text
}

// TestExamples are those of RFC 7616 section 3.9.1 and RFC 2617 section 3.5.
func TestExamples(t *testing.T) {
	const head = `Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", ` +
		`nc=00000001, cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS", `
	for _, x := range []struct{ field, realm, password string }{
		{head + `algorithm=MD5, response="8ca523f5e9506fed4657c9700eebdbec"`, "http-auth@example.org", "Circle of Life"},
		{head + `algorithm=SHA-256, response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"`, "http-auth@example.org", "Circle of Life"},
		{`Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", qop=auth, nc=00000001, ` +
			`cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"`, "testrealm@host.com", "Circle Of Life"},
	} {
		c, err := parse([]byte(x.field))
		if err != nil {
			t.Fatal(err)
		}
		if ha1 := c.algorithm.sum("Mufasa", x.realm, x.password); !c.answers(ha1, "GET") || c.realm != x.realm {
			t.Errorf("%s does not answer its challenge", x.field)
		} else if c.answers(ha1, "POST") || c.answers(nobody(c.algorithm), "GET") {
			t.Errorf("%s answers another", x.field)
		}
	}
}

// TestLogins: what becomes of each kind of credentials.
func TestLogins(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Failures.User.Mode, c.Failures.Address.Mode = "off", "off" })
	for _, alg := range []string{"MD5", "SHA-256"} {
		field := func(change ...string) string {
			return digestField(alg, "alice", "wonder land", b.nonce(here), 1, change...)
		}
		for name, x := range map[string]struct {
			field string
			want  Outcome
		}{
			"right":               {field(), Accepted},
			"right, in capitals":  {strings.Replace(field(), "Digest username", "DIGEST UserName", 1), Accepted},
			"quoted":              {field("qop=auth", `qop="auth"`, "nc=00000001", `nc="00000001"`, "algorithm="+alg, `algorithm="`+alg+`"`), Accepted},
			"absolute uri":        {digestURI(alg, b.nonce(here), "http://acs.example.com:7547/acs?x=1"), Accepted},
			"another password":    {digestField(alg, "alice", "wonder", b.nonce(here), 1), Failed},
			"nobody":              {digestField(alg, "mallory", "wonder land", b.nonce(here), 1), Failed},
			"no HA1":              {digestField(alg, "bob", "builder", b.nonce(here), 1), Failed},
			"another uri":         {digestURI(alg, b.nonce(here), "/other"), Failed},
			"another target":      {digestURI(alg, b.nonce(here), "http://acs.example.com/other"), Failed},
			"a nonce of nobody's": {digestField(alg, "alice", "wonder land", "abc", 1), Stale},
			"another source's":    {digestField(alg, "alice", "wonder land", b.nonce(there), 1), Stale},
			"wrong, no nonce":     {digestField(alg, "alice", "wonder", "abc", 1), Failed},
			"another realm":       {field(`realm="cwmpgate"`, `realm="elsewhere"`), Challenged},
			"another algorithm":   {field("algorithm="+alg, "algorithm="+alg+"-sess"), Challenged},
			"no qop":              {field("qop=auth, ", ""), Failed},
			"auth-int":            {field("qop=auth", "qop=auth-int"), Failed},
			"a parameter twice":   {field() + `, username="alice"`, Failed},
			"no cnonce":           {field(`cnonce="c0", `, ""), Failed},
			"nc 0":                {digestField(alg, "alice", "wonder land", b.nonce(here), 0), Failed},
			"userhash":            {field() + ", userhash=true", Failed},
		} {
			if got := b.try(here, x.field); got.Outcome != x.want {
				t.Errorf("%s, %s: %v (%s), want %v", alg, name, got.Outcome, got.Why, x.want)
			}
		}
	}
	for name, x := range map[string]struct {
		fields []string
		want   Outcome
	}{
		"none":              {nil, Challenged},
		"another scheme":    {[]string{"Bearer xyz"}, Challenged},
		"basic":             {[]string{string(basicOf("bob", "builder"))}, Accepted},
		"basic, again":      {[]string{string(basicOf("bob", "builder"))}, Accepted},
		"basic, wrong":      {[]string{string(basicOf("bob", "Builder"))}, Failed},
		"basic, nobody":     {[]string{string(basicOf("mallory", "builder"))}, Failed},
		"basic, too long":   {[]string{string(basicOf("bob", "builder"+strings.Repeat("x", 100)))}, Failed},
		"basic, no colon":   {[]string{"Basic Ym9i"}, Failed},
		"two fields":        {[]string{string(basicOf("bob", "builder")), string(basicOf("bob", "builder"))}, Failed},
		"control character": {[]string{"Basic \x01"}, Failed},
	} {
		if got := b.try(here, x.fields...); got.Outcome != x.want {
			t.Errorf("%s: %v (%s), want %v", name, got.Outcome, got.Why, x.want)
		} else if strings.Contains(got.Why, "uilder") {
			t.Errorf("%s: the password is in %q", name, got.Why)
		}
	}
}

// digestURI answers with another uri, hashed as it is sent.
func digestURI(algorithm, nonce, uri string) string {
	ha1 := hashOf(algorithm, "alice:cwmpgate:wonder land")
	response := hashOf(algorithm, strings.Join([]string{ha1, nonce, "00000001", "c0", "auth", hashOf(algorithm, "POST:"+uri)}, ":"))
	return fmt.Sprintf(`Digest username="alice", realm="cwmpgate", nonce="%s", uri="%s", algorithm=%s, qop=auth, nc=00000001, cnonce="c0", response="%s"`, nonce, uri, algorithm, response)
}

// TestOnlyWhatIsOffered: a scheme that was not asked for is no login, right or
// wrong.
func TestOnlyWhatIsOffered(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Schemes = nil })
	if got := string(b.Challenges(here, true)[0]); len(b.Challenges(here, true)) != 1 || !strings.HasSuffix(got, `algorithm=MD5, stale=true`) {
		t.Errorf("challenge %s", got)
	}
	for range 100 { // and counts as no guess
		if got := b.try(here, string(basicOf("bob", "builder"))); got.Outcome != Challenged {
			t.Fatalf("Basic: %v", got)
		}
	}
	if got := b.try(here, digestField("SHA-256", "alice", "wonder land", b.nonce(here), 1)); got.Outcome != Challenged {
		t.Errorf("SHA-256: %v", got)
	}
	all := newBench(t, nil).Challenges(here, false)
	if len(all) != 3 || !strings.Contains(string(all[0]), "SHA-256") || !strings.Contains(string(all[1]), "MD5") || string(all[2]) != `Basic realm="cwmpgate"` {
		t.Errorf("challenges %q", all)
	}
}

// TestReplay: what was accepted once is not again, however many nonces are in use.
func TestReplay(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Nonces = 100 })
	var used []string
	for i := range 500 {
		b.clock.at = b.clock.at.Add(10 * time.Millisecond)
		field := digestField("MD5", "alice", "wonder land", b.nonce(here), 1)
		if got := b.try(here, field); got.Outcome != Accepted {
			t.Fatalf("login %d: %v %s", i, got.Outcome, got.Why)
		}
		used = append(used, field)
	}
	for i, field := range used {
		if got := b.try(here, field); got.Outcome != Replayed {
			t.Fatalf("login %d once more: %v", i, got.Outcome)
		}
	}
	if n := len(b.nonces.current.counts) + len(b.nonces.previous.counts); n > 2*(100/2+1) {
		t.Errorf("%d nonces are remembered", n)
	}
	nonce := b.nonce(here)
	for _, x := range []struct {
		nc   int
		want Outcome
	}{{1, Accepted}, {3, Accepted}, {2, Replayed}, {3, Replayed}, {4, Accepted}} {
		if got := b.try(here, digestField("MD5", "alice", "wonder land", nonce, x.nc)); got.Outcome != x.want {
			t.Errorf("nc %d: %v, want %v", x.nc, got.Outcome, x.want)
		}
	}
}

// TestNonceLifetime: a nonce ends with its time, with its process, and with
// every bit that is changed.
func TestNonceLifetime(t *testing.T) {
	b := newBench(t, nil)
	nonce := b.nonce(here)
	try := func(n string, nc int) Outcome {
		return b.try(here, digestField("SHA-256", "alice", "wonder land", n, nc)).Outcome
	}
	b.clock.at = b.clock.at.Add(5 * time.Minute)
	if got := try(nonce, 1); got != Accepted {
		t.Errorf("at its end: %v", got)
	}
	b.clock.at = b.clock.at.Add(time.Millisecond)
	if got := try(nonce, 2); got != Stale {
		t.Errorf("behind it: %v", got)
	}
	b.clock.at = b.clock.at.Add(-time.Hour)
	if got := try(nonce, 3); got != Stale {
		t.Errorf("before it was made: %v", got)
	}
	nonce = b.nonce(here)
	for i := range nonce {
		for _, c := range []byte("Aa0_") {
			if changed := nonce[:i] + string(c) + nonce[i+1:]; changed != nonce && try(changed, 1) != Stale {
				t.Errorf("byte %d changed to %c: accepted", i, c)
			}
		}
	}
	again := newBench(t, nil)
	if got := again.try(here, digestField("MD5", "alice", "wonder land", nonce, 1)).Outcome; got != Stale {
		t.Errorf("after a restart: %v", got)
	}
}
