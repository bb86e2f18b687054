package proxy

import (
	"slices"
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
	f("cg=AAAAAAAAAAAAAAAAAAAAAA", "")
	f(" cg=AAAAAAAAAAAAAAAAAAAAAA ;", "")
	f("cg=AAAAAAAAAAAAAAAAAAAAAA; session=1", "session=1")
	f("session=1; cg=AAAAAAAAAAAAAAAAAAAAAA", "session=1")
	f("a=1; cg=AAAAAAAAAAAAAAAAAAAAAA; b=2", "a=1; b=2")
	f("a=1;cg=AAAAAAAAAAAAAAAAAAAAAA;b=2", "a=1;b=2")
	f("a=1, cg=AAAAAAAAAAAAAAAAAAAAAA, b=2", "a=1, b=2")
	f(`$Version="1"; s="a b,c;d"; $Path="/"; cg=AAAAAAAAAAAAAAAAAAAAAA`, `$Version="1"; s="a b,c;d"; $Path="/"`)
	f(`s="a; cg=AAAAAAAAAAAAAAAAAAAAAA; b"; t=1`, `s="a; cg=AAAAAAAAAAAAAAAAAAAAAA; b"; t=1`)
	f("xcg=1; cgx=2", "xcg=1; cgx=2")
	f("s=1; cg=AAAAAAAAAAAAAAAAAAAAAA; cg=_-9zAAAAAAAAAAAAAAAAAA", "s=1")
	f("s=a=b==&c%20|{}[]", "s=a=b==&c%20|{}[]")
	f("flag; cg=AAAAAAAAAAAAAAAAAAAAAA", "flag")
	f("cg=acsvalue; a=1", "cg=acsvalue; a=1")
	f(`s="abc; cg=AAAAAAAAAAAAAAAAAAAAAA`, `s="abc`)
}

func TestOwnCookie(t *testing.T) {
	const x, y = "AAAAAAAAAAAAAAAAAAAAAA", "_-9zAAAAAAAAAAAAAAAAAA"
	f := func(want []string, values ...string) {
		t.Helper()
		var fields []h1.Field
		for _, v := range values {
			fields = append(fields, h1.Field{Name: []byte("cookie"), Value: []byte(v)})
		}
		var got []string
		eachOwnCookie(fields, func(v string) { got = append(got, v) })
		if !slices.Equal(got, want) {
			t.Errorf("%q gave %q, want %q", values, got, want)
		}
	}
	f(nil)
	f(nil, "a=1")
	f([]string{x}, "a=1; cg="+x)
	f([]string{x}, "a=1, cg="+x)
	f([]string{x}, "a=1", "b=2;cg="+x)
	f([]string{x}, `cg="`+x+`"`)
	f([]string{x, y}, "cg="+x+"; cg="+y)
	f([]string{x}, `s="abc; cg=`+x) // a quote that is never closed
	f([]string{x}, `s=a"b; cg=`+x+`; t="`)
	f(nil, `a="cg=`+x+`"`)
	f(nil, "cg=acsvalue", "cg="+x+"A", "cg=AAAAAAAAAAAAAAAAAAAA+/", "xcg="+x)
}

func FuzzCookiePairs(f *testing.F) {
	for _, s := range []string{"a=1; cg=AAAAAAAAAAAAAAAAAAAAAA, b=2", `a="\";cg=1`, ";;,,", "cg=", `"`} {
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
		eachOwnCookie([]h1.Field{{Name: []byte("Cookie"), Value: rest}}, func(string) {
			t.Fatalf("%q still has the gateway's cookie in %q", b, rest)
		})
	})
}
