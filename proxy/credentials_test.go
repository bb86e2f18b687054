package proxy

import (
	"slices"
	"testing"

	"github.com/cwmpgate/cwmpgate/proxy/h1"
)

func TestReadCredentials(t *testing.T) {
	f := func(field, user, nonce string) {
		t.Helper()
		got := readCredentials([]h1.Field{{Name: []byte("Authorization"), Value: []byte(field)}})
		if got.user != user || got.nonce != nonce {
			t.Errorf("%q: user %q nonce %q, want %q and %q", field, got.user, got.nonce, user, nonce)
		}
	}
	f("Basic VEVTVDpwdw==", "TEST", "")
	f("basic  VEVTVDpwdw==", "TEST", "")
	f("Basic not base64", "", "")
	f(`Digest username="U", nonce="n1", uri="/"`, "U", "n1")
	f(`Digest nonce=n2 , username="a, \"b\"",qop=auth`, `a, "b"`, "n2")
	f(`Digest username="open`, "open", "")
	f(`Bearer x`, "", "")
	f(``, "", "")
}

func TestChallengeNonces(t *testing.T) {
	f := func(field string, want ...string) {
		t.Helper()
		var got []string
		challengeNonces([]h1.Field{{Name: []byte("WWW-Authenticate"), Value: []byte(field)}}, func(n string) { got = append(got, n) })
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", field, got, want)
		}
	}
	f(`Digest realm="r", nonce="n1", qop="auth"`, "n1")
	f(`Digest nonce="n1", realm="r"`, "n1")
	f(`Digest realm="nonce=\"x\"", cnonce="c", nonce=n2`, "n2")
	f(`Basic realm="r"`)
}
