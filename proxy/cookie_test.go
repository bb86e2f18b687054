package proxy

import (
	"testing"

	"github.com/cwmpgate/cwmpgate/proxy/h1"
)

func TestWithoutOwnCookie(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		got, ok := withoutOwnCookie([]byte(in))
		if ok != (want != "") || string(got) != want && ok {
			t.Errorf("%q became %q, %v; want %q", in, got, ok, want)
		}
	}
	f("session=1", "session=1")
	f("cg=x", "")
	f(" cg=x ;", "")
	f("cg=x; session=1", "session=1")
	f("session=1; cg=x", "session=1")
	f("a=1; cg=x; b=2", "a=1; b=2")
	f("a=1;cg=x;b=2", "a=1;b=2")
	f("a=1, cg=x, b=2", "a=1, b=2")
	f(`$Version="1"; s="a b,c;d"; $Path="/"; cg=x`, `$Version="1"; s="a b,c;d"; $Path="/"`)
	f(`s="a; cg=no; b"; t=1`, `s="a; cg=no; b"; t=1`)
	f("xcg=1; cgx=2", "xcg=1; cgx=2")
	f("s=1; cg=x; cg=y", "s=1")
	f("s=a=b==&c%20|{}[]", "s=a=b==&c%20|{}[]")
	f("flag; cg=x", "flag")
}

func TestOwnCookie(t *testing.T) {
	f := func(want string, values ...string) {
		t.Helper()
		var fields []h1.Field
		for _, v := range values {
			fields = append(fields, h1.Field{Name: []byte("cookie"), Value: []byte(v)})
		}
		if got := ownCookie(fields); got != want {
			t.Errorf("%q gave %q, want %q", values, got, want)
		}
	}
	f("")
	f("", "a=1")
	f("x", "a=1; cg=x")
	f("x", "a=1, cg=x")
	f("x", "a=1", "b=2;cg=x")
	f("x", `cg="x"`)
	f("", `a="cg=x"`)
}

func FuzzCookiePairs(f *testing.F) {
	for _, s := range []string{"a=1; cg=x, b=2", `a="\";cg=1`, ";;,,", "cg=", `"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rest, ok := withoutOwnCookie(b)
		if !ok {
			return
		}
		if again, ok := withoutOwnCookie(rest); ok && string(again) != string(rest) {
			t.Fatalf("%q became %q, then %q", b, rest, again)
		}
		if ownCookie([]h1.Field{{Name: []byte("Cookie"), Value: rest}}) != "" {
			t.Fatalf("%q still has the gateway's cookie in %q", b, rest)
		}
	})
}
