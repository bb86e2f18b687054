package xmlscan

import (
	"bytes"
	"encoding/xml"
	"math/rand/v2"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// naiveCheck is checkUTF8 one character at a time.
func naiveCheck(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 || !isCharacter(r) {
			return i
		}
		i += n
	}
	return len(b)
}

func TestCheckUTF8(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "<", " ", "\n", "\t", "\r", "\x7F", "é", "€", "\U0001F4F6", "\u0080", "\uFFFD", "plain text of some length, "}
	bad := []string{"\x00", "\x1F", "\x0B", "\x80", "\xC0\x80", "\xED\xA0\x80", "\uFFFE", "\uFFFF", "\xF5", "\xE2\x82"}
	for range 20_000 {
		var b []byte
		for range r.IntN(30) {
			b = append(b, pieces[r.IntN(len(pieces))]...)
		}
		if r.IntN(2) == 0 {
			at := r.IntN(len(b) + 1)
			b = append(b[:at:at], append([]byte(bad[r.IntN(len(bad))]), b[at:]...)...)
		}
		want := naiveCheck(b)
		end, reason, _ := checkUTF8(b)
		if end != want || (reason == "") != (want == len(b)) {
			t.Fatalf("checkUTF8(%q) = %d, %q, want %d", b, end, reason, want)
		}
	}
	// Every byte in every lane.
	for c := range 256 {
		for lane := range 70 {
			b := bytes.Repeat([]byte{'x'}, 70)
			b[lane] = byte(c)
			if end, _, _ := checkUTF8(b); end != naiveCheck(b) {
				t.Errorf("byte %#x in lane %d: %d", c, lane, end)
			}
		}
	}
}

func TestWindows1252(t *testing.T) {
	for b := range 256 {
		want := charmap.Windows1252.DecodeByte(byte(b))
		if b < 0x80 {
			continue
		}
		got := runeOf(Windows1252, byte(b))
		if got == 0 {
			if want != utf8.RuneError {
				t.Errorf("%#x is undefined, want %q", b, want)
			}
			continue
		}
		if got != want {
			t.Errorf("%#x is %q, want %q", b, got, want)
		}
		if back, ok := ByteOf(Windows1252, got); !ok || back != byte(b) {
			t.Errorf("%q is %#x, %v", got, back, ok)
		}
	}
}

// Every letter that is taken may begin a name for encoding/xml, which goes by
// the older editions, and by the fifth edition's table.
func TestLetters(t *testing.T) {
	fifth := func(r rune) bool {
		for _, p := range [][2]rune{{0xC0, 0xD6}, {0xD8, 0xF6}, {0xF8, 0x2FF}, {0x370, 0x37D}, {0x37F, 0x1FFF}, {0x200C, 0x200D}, {0x2070, 0x218F}, {0x2C00, 0x2FEF}, {0x3001, 0xD7FF}, {0xF900, 0xFDCF}, {0xFDF0, 0xFFFD}, {0x10000, 0xEFFFF}} {
			if r >= p[0] && r <= p[1] {
				return true
			}
		}
		return false
	}
	taken := 0
	for r := rune(0x80); r <= utf8.MaxRune; r++ {
		if !isLetter(r) {
			continue
		}
		taken++
		_, err := xml.NewDecoder(bytes.NewReader([]byte("<" + string(r) + "/>"))).Token()
		if err != nil || !fifth(r) {
			t.Errorf("%U: encoding/xml says %v, the fifth edition %v", r, err, fifth(r))
		}
	}
	if taken < 30_000 {
		t.Errorf("only %d letters", taken)
	}
}

func TestCharsetNames(t *testing.T) {
	for label, want := range map[string]string{
		"UTF-8": UTF8, "utf8": UTF8, "ISO-8859-1": Latin1, "Latin1": Latin1, "Windows-1252": Windows1252, "CP1252": Windows1252,
		"US-ASCII": ASCII, "utf-16": "", "utf-7": "", "": "", "a name that is far too long": "", "iso-8859-15": "",
	} {
		if got := lookupCharset([]byte(label)); got != want {
			t.Errorf("%q is %q, want %q", label, got, want)
		}
	}
}
