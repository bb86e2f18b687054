package configs

import (
	"fmt"
	"reflect"
	"regexp"
	"testing"
	"time"
)

// valuesOf are texts that each type accepts, with what it prints them as.
var acceptedTexts = []struct {
	into  Value
	texts map[string]string
}{
	{new(Duration), map[string]string{"2ms": "2ms", "90s": "1m30s", "60m": "1h", "1h0m5s": "1h0m5s", "0s": "0s", "1.5s": "1.5s", "24h": "24h", "10m": "10m", "100h10m": "100h10m"}},
	{new(Age), map[string]string{"1d": "1d", "400d": "400d", "106000d": "106000d", "forever": "forever"}},
	{new(Size), map[string]string{"0": "0B", "1023": "1023B", "1024": "1KiB", "64 KiB": "64KiB", "64KiB": "64KiB", "1.5MiB": "1536KiB", "20GiB": "20GiB",
		"10MB": "10000000B", "1kB": "1000B", "1KB": "1000B", "9223372036854775807": "9223372036854775807B", "2048TiB": "2PiB"}},
	{new(Address), map[string]string{":7547": ":7547", "127.0.0.1:0": "127.0.0.1:0", "[2001:db8::1]:80": "[2001:db8::1]:80", "acs_1.example.com:65535": "acs_1.example.com:65535", "localhost:1": "localhost:1"}},
	{new(Prefix), map[string]string{"192.0.2.7": "192.0.2.7/32", "192.0.2.0/24": "192.0.2.0/24", "2001:db8::/32": "2001:db8::/32", "::": "::/128", "0.0.0.0/0": "0.0.0.0/0"}},
	{new(URL), map[string]string{"http://192.0.2.1:7550/": "http://192.0.2.1:7550/", "https://[2001:db8::1]/a%2fb?c=d": "https://[2001:db8::1]/a%2fb?c=d", "http://acs": "http://acs"}},
	{new(Path), map[string]string{"/etc/cwmpgate": "/etc/cwmpgate", "a b": "a b"}},
	{new(Secret), map[string]string{"file:a": "file:a", "env:_A1": "env:_A1"}},
}

func TestAccepted(t *testing.T) {
	for _, c := range acceptedTexts {
		pattern := regexp.MustCompile(c.into.Syntax().Pattern)
		for text, want := range c.texts {
			v := reflect.New(reflect.TypeOf(c.into).Elem())
			if err := v.Interface().(Value).UnmarshalText([]byte(text)); err != nil {
				t.Errorf("%T %q: %v", c.into, text, err)
			}
			if got := fmt.Sprint(v.Elem()); got != want {
				t.Errorf("%T %q: got %q, want %q", c.into, text, got, want)
			}
			if !pattern.MatchString(text) {
				t.Errorf("%T %q: not of the pattern", c.into, text)
			}
		}
	}
}

func TestAddressParts(t *testing.T) {
	for _, c := range []struct {
		a        Address
		host     string
		port     int
		loopback bool
	}{
		{":7547", "", 7547, false},
		{"127.0.0.2:1", "127.0.0.2", 1, true},
		{"[::1]:0", "::1", 0, true},
		{"localhost:80", "localhost", 80, true},
		{"192.0.2.1:80", "192.0.2.1", 80, false},
		{"", "", 0, false},
	} {
		if c.a.Host() != c.host || c.a.Port() != c.port || c.a.Loopback() != c.loopback {
			t.Errorf("%q: got %q %d %v", c.a, c.a.Host(), c.a.Port(), c.a.Loopback())
		}
	}
}

func TestURLAddress(t *testing.T) {
	for text, want := range map[string]Address{
		"http://acs.example.com/":    "acs.example.com:80",
		"https://acs.example.com/":   "acs.example.com:443",
		"https://[2001:db8::1]/":     "[2001:db8::1]:443",
		"http://[2001:db8::1]:7547/": "[2001:db8::1]:7547",
	} {
		var u URL
		if err := u.UnmarshalText([]byte(text)); err != nil || u.Address() != want || u.IsZero() {
			t.Errorf("%s: %v, got %q", text, err, u.Address())
		}
		u.URL().Host = "changed"
		if u.Address() != want {
			t.Errorf("%s: the copy is none", text)
		}
	}
	if !new(URL).IsZero() {
		t.Error("no URL looks like one")
	}
}

func TestNearest(t *testing.T) {
	keys := []string{"upstreams", "url", "max_size", "max_delay", "on_failure", "id"}
	for name, want := range map[string]string{
		"upstrems": "upstreams", "upsterams": "upstreams", "ulr": "url", "URL": "url", "maxSize": "max_size", "max-delay": "max_delay",
		"maxsize": "max_size", "listeners": "", "xx": "", "a": "", "": "", "on_failrue": "on_failure",
	} {
		if got := nearest(name, keys); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func TestDefaults(t *testing.T) {
	type outer struct {
		Upstream testUpstream `yaml:"upstream"`
		Idle     Duration     `yaml:"idle"`
	}
	o := outer{Idle: Duration(time.Second)}
	Defaults(&o)
	if o.Upstream.Reuse != "never" || o.Idle != Duration(time.Second) {
		t.Errorf("got %+v", o)
	}
}

// Mistakes in the program, not in a file, show at once.
func TestBugs(t *testing.T) {
	for what, load := range map[string]func(){
		"not a pointer": func() { LoadBytes("f", nil, testConfig{}) },
		"nil":           func() { LoadBytes("f", nil, (*testConfig)(nil)) },
		"not a section": func() { LoadBytes("f", nil, new(Duration)) },
		"time.Duration": func() {
			LoadBytes("f", []byte("a: 1"), &struct {
				A time.Duration `yaml:"a"`
			}{})
		},
		"function": func() {
			LoadBytes("f", []byte("a: 1"), &struct {
				A func() `yaml:"a"`
			}{})
		},
		"inline": func() {
			LoadBytes("f", nil, &struct {
				testLog `yaml:",inline"`
			}{})
		},
		"not exported": func() {
			LoadBytes("f", nil, &struct {
				a int `yaml:"a"`
			}{})
		},
		"bad bound": func() {
			LoadBytes("f", []byte("a: 1"), &struct {
				A int `yaml:"a" min:"x"`
			}{})
		},
		"bad bound of type": func() {
			LoadBytes("f", []byte("a: 1s"), &struct {
				A Duration `yaml:"a" min:"1"`
			}{})
		},
		"bound of a secret": func() {
			LoadBytes("f", []byte("a: file:x"), &struct {
				A Path `yaml:"a" min:"1"`
			}{})
		},
	} {
		func() {
			defer func() {
				if r := recover(); r == nil {
					t.Errorf("%s: no panic", what)
				}
			}()
			load()
		}()
	}
}
