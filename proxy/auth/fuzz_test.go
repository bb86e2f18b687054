package auth

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParse: whatever a CPE sends is read within bounds or refused, and what is
// read means the same when it is written again.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"Basic Ym9iOmJ1aWxkZXI=", "basic  Ym9iOg==", "Basic", "Bearer x", "", "Digest",
		digestField("MD5", "alice", "wonder land", "n", 1), digestField("SHA-256", "alice", `x`, "n", 255, "algorithm=SHA-256", `algorithm="SHA-256"`),
		`Digest username="a\"b\\c", realm=r, nonce=n, uri="/", response=00112233445566778899aabbccddeeff, qop=auth, nc=00000001, cnonce=c`,
		`Digest ,, username = "a" ,nonce=n`, `Digest username="a`, `Digest username="a" nonce=n`, `Digest a=1, A=2`, `Digest x="\`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, field []byte) {
		c, err := parse(field)
		if err != nil || c.scheme == "" {
			return
		}
		if c.user == "" || len(c.user) > maxUser || !utf8.ValidString(c.user) || len(field) > maxField {
			t.Fatalf("user %q", c.user)
		}
		again := string(basicOf(c.user, c.password))
		if c.scheme != schemeBasic {
			if c.nc == 0 || len(c.response) != c.algorithm.size() {
				t.Fatalf("%+v", c)
			}
			quote := func(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }
			again = fmt.Sprintf("Digest username=%s, realm=%s, nonce=%s, uri=%s, cnonce=%s, nc=%s, qop=auth, algorithm=%v, response=%x",
				quote(c.user), quote(c.realm), quote(c.nonce), quote(c.uri), quote(c.cnonce), c.ncText, c.algorithm, c.response)
		}
		if len(again) > maxField {
			return // quoted anew it may be longer
		}
		d, err := parse([]byte(again))
		if err != nil || fmt.Sprint(d) != fmt.Sprint(c) {
			t.Fatalf("%q\n%+v\nread again from %q\n%+v, %v", field, c, again, d, err)
		}
	})
}
