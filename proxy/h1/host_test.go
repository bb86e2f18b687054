package h1

import "testing"

func TestValidHost(t *testing.T) {
	f := func(host string, want bool) {
		t.Helper()
		if got := validHost([]byte(host)); got != want {
			t.Errorf("%q: %v, want %v", host, got, want)
		}
	}
	for _, h := range []string{"acs.example.com", "acs.example.com:7547", "192.0.2.1", "[2001:db8::1]", "[2001:db8::1]:65535", "a_b"} {
		f(h, true)
	}
	for _, h := range []string{"", ":7547", "a b", "a@b/c", "a:65536", "a:99999", "a:x", "a:123456", "[:::::::::]", "[]", "[192.0.2.1]", "[fe80::1%eth0]", "[2001:db8::1", "a\x00b"} {
		f(h, false)
	}
}
