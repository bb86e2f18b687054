package auth

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/cwmpgate/cwmpgate/configs"
)

// TestUsersFile: each mistake has file and line, and all come at once.
func TestUsersFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	cfg := &Config{}
	configs.Defaults(cfg)
	cfg.Users = configs.Path(file)
	read := func(text string) error {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := firstUsers(cfg)
		return err
	}
	const md5 = "0123456789abcdef0123456789abcdef"
	const hash = "$2a$04$4est7b3GGW6B3UMwRHIRAexmmSekv4QEjW63m0dZ5VXfdRIqBEfJS"
	if err := read("a:cwmpgate:" + md5 + "\r\n#\n\nb:elsewhere:" + md5 + "\nb:" + hash); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"":                                  "has no user for digest-md5",
		"a:" + hash:                         "has no user for digest-md5",
		"a:elsewhere:" + md5:                `in realm "cwmpgate"`,
		"a":                                 "users:1: neither user:bcrypt nor user:realm:hash",
		"a:b:c:d":                           "users:1: neither",
		"a:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9": `users:1: no bcrypt hash behind "a"`,
		"a:$2a$16$" + hash[7:]:              "users:1: bcrypt with cost 16, which is not from 4 to 14",
		"a:cwmpgate:" + md5 + "00":          "users:1: no hash of MD5 or SHA-256",
		":cwmpgate:" + md5:                  "users:1: no user",
		"# x\na:cwmpgate:" + md5 + "\na:cwmpgate:" + md5: `users:3: user "a" is there twice for Digest with MD5`,
		"a:" + hash + "\na:" + hash:                      "users:2: user \"a\" is there twice for Basic",
		"a\nb\n" + strings.Repeat("c\n", 20):             "users:10:",
	} {
		if err := read(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if n := len(split(read(strings.Repeat("c\n", 20)))); n != maxUserErrors {
		t.Errorf("%d mistakes are told", n)
	}
	cfg.Users = "absent"
	if _, err := firstUsers(cfg); err == nil {
		t.Error("an absent file was read")
	}
}

// TestReload: a change of the file holds at once, also for who is remembered; a
// broken one changes nothing until it is mended.
func TestReload(t *testing.T) {
	b := newBench(t, nil)
	right, wrong := string(basicOf("bob", "builder")), string(basicOf("bob", "another"))
	digest := func(nc int) Outcome {
		return b.try(here, digestField("MD5", "alice", "wonder land", b.nonce(here), nc)).Outcome
	}
	// write gives the file a time of its own, however coarse the disk's are.
	var written time.Duration
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(b.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		written += time.Second
		if err := os.Chtimes(b.file, time.Time{}, b.clock.at.Add(written)); err != nil {
			t.Fatal(err)
		}
	}
	reload := func(want bool, mistake string) {
		t.Helper()
		changed, err := b.Reload()
		if changed != want || (err == nil) != (mistake == "") || err != nil && !strings.Contains(err.Error(), mistake) {
			t.Fatalf("changed %v, %v", changed, err)
		}
	}
	if b.try(here, right).Outcome != Accepted || digest(1) != Accepted {
		t.Fatal("the first file does not hold")
	}
	reload(false, "")
	write("bob\n")
	reload(false, "users:1: neither")
	if b.try(here, right).Outcome != Accepted || digest(1) != Accepted {
		t.Error("a broken file is in force")
	}
	old := b.users.table.Load()
	hash, err := bcrypt.GenerateFromPassword([]byte("another"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	write("bob:" + string(hash) + "\n")
	reload(true, "")
	reload(false, "")
	// A check that was under way meanwhile says yes by the table before.
	b.users.right.put(b.users.keys.key("bob", "builder"), old, b.clock.at, time.Hour)
	if b.try(here, right).Outcome != Failed || b.try(here, wrong).Outcome != Accepted || digest(1) != Failed {
		t.Error("the new file is not in force")
	}
	write("")
	reload(true, "")
	if b.try(here, wrong).Outcome != Failed {
		t.Error("the last user was taken out, and is let in")
	}
	if err := os.Remove(b.file); err != nil {
		t.Fatal(err)
	}
	reload(false, "look at users")
	if n := b.metrics.reloadFailures.Get(); n != 2 {
		t.Errorf("%d failures counted", n)
	}
}

// TestBcryptIsBounded: while all places are taken nobody's password is looked
// at, known or not; who was right before goes on.
func TestBcryptIsBounded(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Wait = configs.Duration(10 * time.Millisecond) })
	if got := b.try(here, string(basicOf("bob", "builder"))); got.Outcome != Accepted {
		t.Fatal(got)
	}
	for range b.cfg.BcryptAtOnce {
		b.users.slots.free <- struct{}{}
	}
	for _, x := range []struct {
		user, password string
		want           Outcome
	}{{"bob", "builder", Accepted}, {"bob", "another", Unavailable}, {"mallory", "another", Unavailable}, {"alice", "wonder land", Unavailable}} {
		if got := b.try(here, string(basicOf(x.user, x.password))); got.Outcome != x.want {
			t.Errorf("%s: %v, want %v", x.user, got.Outcome, x.want)
		}
	}
	for range b.cfg.BcryptAtOnce {
		<-b.users.slots.free
	}
	if got := b.try(here, string(basicOf("alice", "wonder land"))); got.Outcome != Accepted {
		t.Error(got)
	}
}

// TestLongPassword: bcrypt looks at 72 bytes, and more are another password.
func TestLongPassword(t *testing.T) {
	b := newBench(t, nil)
	long := strings.Repeat("x", maxBcryptPassword)
	hash, err := bcrypt.GenerateFromPassword([]byte(long), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.file, []byte("carol:"+string(hash)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if changed, err := b.Reload(); !changed || err != nil {
		t.Fatal(changed, err)
	}
	for password, want := range map[string]Outcome{long: Accepted, long + "x": Failed, long[1:]: Failed} {
		if got := b.try(here, string(basicOf("carol", password))); got.Outcome != want {
			t.Errorf("%d bytes: %v, want %v", len(password), got.Outcome, want)
		}
	}
}

// TestFailuresAreLimited: by user and source, and by source; who logged in from
// there before is not kept out by its neighbours.
func TestFailuresAreLimited(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Failures.Address.Count, c.Failures.Address.Burst = 30, 30 })
	wrong := func(source int, user string) Outcome {
		return b.try([]configs.Prefix{{Prefix: here}, {Prefix: there}}[source].Prefix, digestField("MD5", user, "guess", "n", 1)).Outcome
	}
	if got := b.try(here, string(basicOf("bob", "builder"))); got.Outcome != Accepted {
		t.Fatal(got)
	}
	count := func(source int, user string, n int) (limited int) {
		for range n {
			if wrong(source, user) == Limited {
				limited++
			}
		}
		return limited
	}
	if n := count(0, "alice", 25); n != 15 {
		t.Errorf("%d of 25 guesses were refused, want 15", n)
	}
	got := b.try(here, digestField("MD5", "alice", "wonder land", b.nonce(here), 1))
	if got.Outcome != Limited || got.RetryAfter <= 0 || got.RetryAfter > 6*time.Second || !strings.Contains(got.Why, "failures.user = 10 in 1m") {
		t.Errorf("the right one behind them: %+v", got)
	}
	if n := count(1, "alice", 5); n != 0 {
		t.Errorf("another source: %d refused", n)
	}
	for i := range 19 { // ten are spent
		wrong(0, string(rune('A'+i)))
	}
	if got := wrong(0, "Y"); got != Failed {
		t.Errorf("the last of the address: %v", got)
	}
	if got := b.try(here, string(basicOf("alice2", "x"))); got.Outcome != Limited || !strings.Contains(got.Why, "failures.address = 30 in 1m") {
		t.Errorf("over the address's: %+v", got)
	}
	if got := b.try(here, string(basicOf("bob", "builder"))); got.Outcome != Accepted {
		t.Errorf("a neighbour who logged in before: %v", got)
	}
	shared := Request{Method: "POST", Target: "/acs?x=1", Source: here, Shared: true, Authorization: [][]byte{basicOf("alice2", "x")}}
	if got := b.Check(t.Context(), shared); got.Outcome != Failed {
		t.Errorf("through a load balancer: %+v", got)
	}
	b.clock.at = b.clock.at.Add(6 * time.Second)
	if got := b.try(here, digestField("MD5", "alice", "wonder land", b.nonce(here), 1)); got.Outcome != Accepted {
		t.Errorf("when its time is over: %v", got)
	}
}

// TestPasswd: lines of a password are what the file takes, and no line of one
// before is left.
func TestPasswd(t *testing.T) {
	lines, err := Lines("alice", "Circle of Life", "cwmpgate", []string{KindMD5, KindSHA256, KindBasic})
	if err != nil {
		t.Fatal(err)
	}
	if lines[0] != "alice:cwmpgate:"+hashOf("MD5", "alice:cwmpgate:Circle of Life") || lines[1] != "alice:cwmpgate:"+hashOf("SHA-256", "alice:cwmpgate:Circle of Life") {
		t.Errorf("%q", lines)
	}
	if bcrypt.CompareHashAndPassword([]byte(strings.TrimPrefix(lines[2], "alice:")), []byte("Circle of Life")) != nil {
		t.Error("the bcrypt hash is another's")
	}
	before := "# kept\nalice:$2a$old\nalic:x:1\nalice:cwmpgate:old\nalice:elsewhere:1\nbob:cwmpgate:2"
	for name, x := range map[string]struct {
		realm string
		lines []string
		want  string
	}{
		"new":     {"cwmpgate", []string{"alice:cwmpgate:new"}, "# kept\nalic:x:1\nalice:elsewhere:1\nbob:cwmpgate:2\nalice:cwmpgate:new\n"},
		"deleted": {"", nil, "# kept\nalic:x:1\nbob:cwmpgate:2"},
	} {
		if got, found := Edit([]byte(before), "alice", x.realm, x.lines); string(got) != x.want || !found {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got, found := Edit(nil, "alice", "r", []string{"alice:r:1"}); string(got) != "alice:r:1\n" || found {
		t.Errorf("%q", got)
	}
	for _, x := range [][3]string{
		{"", "x", "r"}, {"a:b", "x", "r"}, {"#a", "x", "r"}, {"a\n", "x", "r"}, {"a", "", "r"}, {"a", "x\ny", "r"}, {"a", "x", ""}, {"a", "x", "r:s"},
		{"a", strings.Repeat("x", 73), "r"}, {strings.Repeat("a", 257), "x", "r"}, {"\xff", "x", "r"},
	} {
		if lines, err := Lines(x[0], x[1], x[2], []string{KindBasic}); err == nil {
			t.Errorf("%q: %q", x, lines)
		}
	}
}
