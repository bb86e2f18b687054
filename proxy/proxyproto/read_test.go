package proxyproto

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// v2 is a header of version 2, written by hand: command and protocol, the bytes
// behind the length.
func v2(head, rest string) string {
	b, err := hex.DecodeString("0d0a0d0a000d0a515549540a" + strings.ReplaceAll(head, " ", "") + strings.ReplaceAll(rest, " ", ""))
	if err != nil {
		panic(err)
	}
	return string(b)
}

var headers = []struct {
	name, in string
	want     string // of the client; "" where the balancer speaks for itself
	bad      bool
}{
	{"IPv4 as text", "PROXY TCP4 192.0.2.7 198.51.100.1 56324 7547\r\n", "192.0.2.7:56324", false},
	{"IPv6 as text", "PROXY TCP6 2001:db8::7 2001:db8::1 56324 7547\r\n", "[2001:db8::7]:56324", false},
	{"the longest text", "PROXY TCP6 ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "", true},
	{"the longest IPv6 as text", "PROXY TCP6 2001:0db8:1111:2222:3333:4444:5555:6666 2001:0db8:1111:2222:3333:4444:5555:7777 65535 65535\r\n", "[2001:db8:1111:2222:3333:4444:5555:6666]:65535", false},
	{"IPv4 in IPv6", "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.8 1 2\r\n", "192.0.2.7:1", false},
	{"unknown", "PROXY UNKNOWN\r\n", "", false},
	{"unknown with more", "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "", false},
	{"port 0", "PROXY TCP4 192.0.2.7 198.51.100.1 0 7547\r\n", "192.0.2.7:0", false},
	{"port with a zero before", "PROXY TCP4 192.0.2.7 198.51.100.1 056324 7547\r\n", "", true},
	{"port too large", "PROXY TCP4 192.0.2.7 198.51.100.1 65536 7547\r\n", "", true},
	{"a sign", "PROXY TCP4 192.0.2.7 198.51.100.1 +1 7547\r\n", "", true},
	{"other family", "PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n", "", true},
	{"other family still", "PROXY TCP6 192.0.2.7 192.0.2.8 1 2\r\n", "", true},
	{"a zone", "PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n", "", true},
	{"two blanks", "PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n", "", true},
	{"a blank behind", "PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n", "", true},
	{"too few", "PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n", "", true},
	{"lower case", "PROXY tcp4 192.0.2.7 198.51.100.1 1 2\r\n", "", true},
	{"a bare line feed", "PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n" + strings.Repeat("x", 107), "", true},
	{"no end", "PROXY TCP4 " + strings.Repeat("1", 107), "", true},
	{"no address", "PROXY TCP4 0.0.0.0 198.51.100.1 1 2\r\n", "", true},
	{"multicast", "PROXY TCP4 224.0.0.1 198.51.100.1 1 2\r\n", "", true},
	{"a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("r", 32), "", true},
	{"an HTTP request", "POST /acs HTTP/1.1\r\nHost: acs\r\n\r\n", "", true},

	{"IPv4", v2("21 11 000c", "c0000207 c6336401 dc04 1d7b"), "192.0.2.7:56324", false},
	{"IPv6", v2("21 21 0024", "20010db8000000000000000000000007 20010db8000000000000000000000001 dc04 1d7b"), "[2001:db8::7]:56324", false},
	{"IPv4 in IPv6, in bytes", v2("21 21 0024", "00000000000000000000ffffc0000207 00000000000000000000ffffc0000208 dc04 1d7b"), "192.0.2.7:56324", false},
	{"local", v2("20 00 0000", ""), "", false},
	{"local with addresses", v2("20 11 000c", "c0000207 c6336401 dc04 1d7b"), "", false},
	{"unspecified", v2("21 00 0003", "ffffff"), "", false},
	{"extensions", v2("21 11 0015", "c0000207 c6336401 dc04 1d7b  04 0002 0000  20 0001 07"), "192.0.2.7:56324", false},
	{"an extension that is cut off", v2("21 11 000f", "c0000207 c6336401 dc04 1d7b  04 0002"), "", true},
	{"an extension without a length", v2("21 11 000d", "c0000207 c6336401 dc04 1d7b  04"), "", true},
	// Computed by other code, with four zeros in the place of the sum.
	{"checksum", v2("21 11 0013", "c0000207 c6336401 dc04 1d7b  03 0004 6938d6d2"), "192.0.2.7:56324", false},
	{"wrong checksum", v2("21 11 0013", "c0000207 c6336401 dc04 1d7b  03 0004 12345678"), "", true},
	{"addresses too short", v2("21 11 000b", "c0000207 c6336401 dc04 1d"), "", true},
	{"IPv6 too short", v2("21 21 000c", "c0000207 c6336401 dc04 1d7b"), "", true},
	{"UDP", v2("21 12 000c", "c0000207 c6336401 dc04 1d7b"), "", true},
	{"a Unix socket", v2("21 31 0000", ""), "", true},
	{"version 1 in bytes", v2("11 11 000c", "c0000207 c6336401 dc04 1d7b"), "", true},
	{"command 2", v2("22 11 000c", "c0000207 c6336401 dc04 1d7b"), "", true},
	{"too long", v2("21 11 1001", strings.Repeat("00", 4097)), "", true},
	{"as long as may be", v2("21 00 1000", strings.Repeat("00", 4096)), "", false},
}

// TestRead: who a header names, and that what stands behind it is left.
func TestRead(t *testing.T) {
	for _, x := range headers {
		t.Run(x.name, func(t *testing.T) {
			for _, one := range []bool{false, true} {
				const behind = "what the client says"
				text := strings.NewReader(x.in + behind)
				var r io.Reader = text
				if one {
					r = iotest.OneByteReader(text)
				}
				got, err := Read(r)
				switch {
				case x.bad && !errors.Is(err, ErrHeader):
					t.Errorf("%v, %v; want ErrHeader", got, err)
				case x.bad:
				case err != nil:
					t.Fatal(err)
				case x.want == "" && got.IsValid() || x.want != "" && got.String() != x.want:
					t.Errorf("it is from %s, want %q", got, x.want)
				}
				if rest, _ := io.ReadAll(text); !x.bad && string(rest) != behind {
					t.Errorf("%q is left", rest)
				}
			}
		})
	}
	for _, x := range headers {
		if x.bad {
			continue
		}
		for n := range len(x.in) {
			_, err := Read(strings.NewReader(x.in[:n]))
			if err == nil || errors.Is(err, ErrHeader) || errors.Is(err, io.EOF) != (n == 0) {
				t.Errorf("%s, cut off after %d bytes: %v", x.name, n, err)
			}
		}
	}
}

// FuzzRead: whatever comes, it ends, reads no more than it may, and says the same
// of the same bytes.
func FuzzRead(f *testing.F) {
	for _, x := range headers {
		f.Add([]byte(x.in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		a, err := Read(r)
		used := len(in) - r.Len()
		if used > 16+MaxLength {
			t.Errorf("%d bytes were read", used)
		}
		if err != nil {
			if a.IsValid() {
				t.Errorf("%s, and %v", a, err)
			}
			return
		}
		if a.IsValid() && (a.Addr().Is4In6() || a.Addr().IsUnspecified() || a.Addr().Zone() != "") {
			t.Errorf("client %s", a)
		}
		b, err := Read(bytes.NewReader(in[:used]))
		if a != b || err != nil {
			t.Errorf("%s, and of the same bytes without those behind: %s, %v", a, b, err)
		}
	})
}
