package configs

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The sections of the tests: one of every shape.
type testConfig struct {
	Listeners []testListener    `yaml:"listeners" required:"true" min:"1" doc:"Where CPEs connect."`
	Tenants   []*testTenant     `yaml:"tenants" doc:"Who is served."`
	Journal   testJournal       `yaml:"journal" doc:"What is on disk before it is sent."`
	Limits    map[string]Size   `yaml:"limits" max:"3" doc:"Bytes by name."`
	Admin     *testAdmin        `yaml:"admin" doc:"For operators."`
	Labels    map[string]string `yaml:"labels" doc:"Names for the log."`
	Unlisted  func()
}

func (c *testConfig) Validate(at At) {
	names := map[string]bool{}
	for i, t := range c.Tenants {
		if names[t.Name] {
			at.Item("tenants", i).Errorf("name", "%q is there twice", t.Name)
		}
		names[t.Name] = true
	}
	if c.Labels["main"] != "" && !at.Wrong("listeners") {
		for _, l := range c.Listeners {
			if l.Address.String() == c.Labels["main"] {
				return
			}
		}
		at.Errorf("labels.main", "no listener has the address %q", c.Labels["main"])
	}
}

type testListener struct {
	Address Address  `yaml:"address" required:"true" doc:"Where to listen."`
	Idle    Duration `yaml:"idle" min:"1s" max:"1h" doc:"How long a connection may be silent."`
	Trusted []Prefix `yaml:"trusted" doc:"Networks of load balancers."`
	Plain   bool     `yaml:"plain" doc:"No TLS."`
}

func (l *testListener) SetDefaults() { l.Idle = Duration(time.Minute) }

type testTenant struct {
	Name      string         `yaml:"name" required:"true" min:"1" max:"20" doc:"What the record calls the tenant."`
	Upstreams []testUpstream `yaml:"upstreams" doc:"The nodes of the ACS."`
	Key       Secret         `yaml:"key" absent:"ok" doc:"Redaction key."`
	Events    []string       `yaml:"events" enum:"boot|periodic|value-change" doc:"What is let in."`
}

func (t *testTenant) Validate(at At) {
	for i, u := range t.Upstreams {
		if u.URL.URL().Path == "/loop" {
			at.Item("upstreams", i).Errorf("url", "points back to us")
		}
	}
	if t.Name == "all" {
		at.Errorf("name", "is the name of every tenant")
	}
	if len(t.Upstreams) == 0 && !at.Given("upstreams") {
		at.Errorf("upstreams", "at least one is needed")
	}
}

type testUpstream struct {
	URL      URL     `yaml:"url" required:"true" doc:"The ACS."`
	Reuse    string  `yaml:"reuse" enum:"never|clean|shared" doc:"Connections after a session."`
	Weight   uint8   `yaml:"weight" min:"1" doc:"Share of the sessions."`
	Factor   float64 `yaml:"factor" min:"0.5" max:"2" doc:"Slow start."`
	Password Secret  `yaml:"password" doc:"For the ACS."`
}

func (u *testUpstream) SetDefaults() { *u = testUpstream{Reuse: "never", Weight: 1, Factor: 1} }

type testJournal struct {
	Directory Path `yaml:"directory" required:"true" doc:"Where the segments are."`
	MaxSize   Size `yaml:"max_size" min:"1MiB" doc:"Bytes of all segments."`
	Depth     int  `yaml:"depth" min:"1" max:"64" doc:"Levels."`
}

func (j *testJournal) Validate(at At) {
	if j.MaxSize < 16<<20 && j.Depth > 32 {
		at.Errorf("depth", "is too much for max_size = %v", j.MaxSize)
	}
	if j.MaxSize < 16<<20 && j.Depth == 0 {
		at.Errorf("depth", "is needed for max_size = %v", j.MaxSize)
	}
}

type testAdmin struct {
	Metrics *Address `yaml:"metrics" doc:"Where Prometheus asks."`
	Log     testLog  `yaml:"log" doc:"What is logged."`
}

type testLog struct {
	Level string `yaml:"level" enum:"debug|info|warn|error" doc:"The least that is logged."`
}

func (l *testLog) SetDefaults() { l.Level = "info" }

func testDefaults() *testConfig {
	return &testConfig{Journal: testJournal{MaxSize: 20 << 30, Depth: 16}}
}

// The secret of the golden files; it must be in none of them.
const hunter = "hunter2-correct-horse"

func TestMistakes(t *testing.T) {
	t.Setenv("CWMPGATE_TEST_SECRET", hunter)
	t.Setenv("CWMPGATE_TEST_EMPTY", "")
	files, err := filepath.Glob("testdata/mistakes/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := "no mistake\n"
			if err := LoadBytes("cwmpgate.yaml", text, testDefaults()); err != nil {
				got = err.Error() + "\n"
				checkErrors(t, text, err)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// checkErrors holds every error to what all must keep: a place inside the
// file, in order, one line, and no secret.
func checkErrors(t *testing.T, text []byte, err error) {
	t.Helper()
	var all Errors
	if !errors.As(err, &all) || len(all) == 0 {
		t.Fatalf("%T is not a list of errors", err)
	}
	if one := (Error{}); !errors.As(err, &one) || one != all[0] {
		t.Errorf("the first of the errors is not to be had by itself")
	}
	lines := 2 // the last, and the one behind it where a text ends too early
	for _, r := range string(text) {
		if strings.ContainsRune("\n\r\u0085\u2028\u2029", r) {
			lines++
		}
	}
	before := 0
	for _, e := range all {
		if e.Line < before && e.Line != 0 || e.Line > lines || (e.Line == 0) != (e.Column == 0) || e.Column < 0 {
			t.Errorf("%v: no such place, or out of order", e)
		}
		before = e.Line
		if s := e.Error(); strings.ContainsAny(s, "\n\r") || strings.Contains(s, hunter) {
			t.Errorf("error of several lines or with a secret: %q", s)
		}
	}
}

func TestMoreMistakesThanAreShown(t *testing.T) {
	text := "journal: {directory: /a}\nlisteners: [{address: ':1'}]\n" + strings.Repeat("? zzz\n", maxErrors+50)
	err := LoadBytes("cwmpgate.yaml", []byte(text), testDefaults())
	checkErrors(t, []byte(text), errors.Unwrap(fmt.Errorf("load: %w", err)))
	lines := strings.Split(err.Error(), "\n")
	if last := lines[len(lines)-1]; len(lines) != maxErrors+1 || last != "cwmpgate.yaml: and 50 more mistakes" {
		t.Errorf("%d lines, the last is %q", len(lines), last)
	}
}

// A few lines of aliases stand for a billion values.
func TestAliasesAreBounded(t *testing.T) {
	var nested struct {
		A []string         `yaml:"a"`
		B [][]string       `yaml:"b"`
		C [][][]string     `yaml:"c"`
		D [][][][]string   `yaml:"d"`
		E [][][][][]string `yaml:"e"`
	}
	text, entry := "", "x"
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		text += fmt.Sprintf("%s: &%s [%s%s]\n", key, key, strings.Repeat(entry+", ", 99), entry)
		entry = "*" + key
	}
	err := LoadBytes("cwmpgate.yaml", []byte(text), &nested)
	if err == nil || !strings.Contains(err.Error(), "more than 1000000 values") {
		t.Errorf("got %.300v", err)
	}
}

func TestAliasInsideWhatItStandsFor(t *testing.T) {
	type tree struct {
		Inner []tree `yaml:"inner"`
	}
	text := "inner: &all\n  - inner: *all\n  - {}\n"
	err := LoadBytes("cwmpgate.yaml", []byte(text), new(tree))
	if err == nil || !strings.Contains(err.Error(), "more than 64 levels, or an alias inside what it stands for") {
		t.Errorf("got %.300v", err)
	}
	checkErrors(t, []byte(text), err)
}

func TestFileThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	if err := Load(filepath.Join(dir, "none.yaml"), testDefaults()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := Load(dir, testDefaults()); err == nil {
		t.Error("a directory was read")
	}
	writeFile(t, dir, "large.yaml", strings.Repeat("# large\n", maxFile/8+1))
	if err := Load(filepath.Join(dir, "large.yaml"), testDefaults()); err == nil || !strings.Contains(err.Error(), "larger than 4MiB") {
		t.Errorf("got %v", err)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CWMPGATE_TEST_SECRET", hunter)
	writeFile(t, dir, "redaction.key", hunter+"\n")
	writeFile(t, dir, "cwmpgate.yaml", `
listeners:
  - {address: ":7547", trusted: [192.0.2.0/24, "2001:db8::1"]}
  - address: "[::1]:80"
    idle: 1m30s
    plain: true
tenants:
  - name: default
    upstreams: &acs
      - url: http://192.0.2.1:7550/cwmp?a=b
      - {url: "https://acs.example.com", reuse: clean, weight: 200, factor: 2, password: "env:CWMPGATE_TEST_SECRET"}
    key: file:redaction.key
    events: [boot, value-change]
  - {name: other, upstreams: *acs, key: "file:absent.key"}
journal: {directory: journal, max_size: 1048576}
limits: {body: 16MiB}
admin: {metrics: "127.0.0.1:9547"}
`)
	c := testDefaults()
	if err := Load(filepath.Join(dir, "cwmpgate.yaml"), c); err != nil {
		t.Fatal(err)
	}
	for _, check := range []struct {
		what      string
		got, want any
	}{
		{"default of an entry", c.Listeners[0].Idle, Duration(time.Minute)},
		{"duration", c.Listeners[1].Idle, Duration(90 * time.Second)},
		{"address", c.Listeners[1].Address, Address("[::1]:80")},
		{"bool", c.Listeners[1].Plain, true},
		{"network", c.Listeners[0].Trusted[1].String(), "2001:db8::1/128"},
		{"URL", c.Tenants[0].Upstreams[0].URL.String(), "http://192.0.2.1:7550/cwmp?a=b"},
		{"default beside it", c.Tenants[0].Upstreams[0].Reuse, "never"},
		{"uint", c.Tenants[0].Upstreams[1].Weight, uint8(200)},
		{"float", c.Tenants[0].Upstreams[1].Factor, 2.0},
		{"secret of the environment", c.Tenants[0].Upstreams[1].Password.Reveal(), hunter},
		{"secret of a file", string(c.Tenants[0].Key.Bytes()), hunter},
		{"alias", len(c.Tenants[1].Upstreams), 2},
		{"absent file", c.Tenants[1].Key.Absent(), true},
		{"its name", c.Tenants[1].Key.File(), filepath.Join(dir, "absent.key")},
		{"relative path", c.Journal.Directory, Path(filepath.Join(dir, "journal"))},
		{"plain number of bytes", c.Journal.MaxSize, Size(1 << 20)},
		{"default of the caller", c.Journal.Depth, 16},
		{"map", c.Limits["body"], Size(16 << 20)},
		{"pointer", *c.Admin.Metrics, Address("127.0.0.1:9547")},
		{"default behind a pointer", c.Admin.Log.Level, "info"},
	} {
		if check.got != check.want {
			t.Errorf("%s: got %v, want %v", check.what, check.got, check.want)
		}
	}
}

// A default behind a pointer is read over, and stays with whoever gave it.
func TestDefaultBehindPointer(t *testing.T) {
	address := Address("127.0.0.1:1")
	given := &testAdmin{Metrics: &address, Log: testLog{Level: "warn"}}
	c := testDefaults()
	c.Admin = given
	text := "listeners: [{address: ':1'}]\njournal: {directory: /a}\nadmin: {metrics: '127.0.0.1:2'}\n"
	if err := LoadBytes("cwmpgate.yaml", []byte(text), c); err != nil {
		t.Fatal(err)
	}
	if *c.Admin.Metrics != "127.0.0.1:2" || c.Admin.Log.Level != "warn" {
		t.Errorf("got %v, %q", *c.Admin.Metrics, c.Admin.Log.Level)
	}
	if given == c.Admin || *given.Metrics != "127.0.0.1:1" {
		t.Errorf("the default is now %v", *given.Metrics)
	}
}

func writeFile(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
