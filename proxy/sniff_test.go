package proxy

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/cwmpgate/cwmpgate/proxy/h1"
)

func TestSniff(t *testing.T) {
	const message = `<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body/></soap:Envelope>`
	f := func(what, file, coding string, want bool) {
		t.Helper()
		var fields []h1.Field
		if coding != "" {
			fields = append(fields, h1.Field{Name: []byte("Content-Encoding"), Value: []byte(coding)})
		}
		r, got, err := sniff(strings.NewReader(file), fields)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: a message %v, want %v", what, got, want)
		}
		if got {
			return
		}
		if whole, _ := io.ReadAll(r); string(whole) != file {
			t.Errorf("%s: %d bytes became %d", what, len(file), len(whole))
		}
	}
	f("nothing", "", "", false)
	f("firmware", strings.Repeat("\x7fELF\x00\x01", 4000), "", false)
	for _, pad := range []string{"\x00", "\xff", "\xe4", "\xfe\xff", "\x00\xff"} {
		f(fmt.Sprintf("an image padded with %x", pad), strings.Repeat(pad, 5000)+"UBI#", "", false)
	}
	f("an image with a mark", "\xff\xfe"+strings.Repeat("\x00\x01", 5000), "", false)
	f("a page", "<!DOCTYPE html><html>Envelope</html>", "", false)
	f("a configuration", `<?xml version="1.0"?><config><Envelope/></config>`, "", false)
	f("blanks", strings.Repeat(" ", 100), "", false)
	f("a long text", strings.Repeat("text ", 4000), "", false)
	f("a message", message, "", true)
	f("with a declaration", "\ufeff \n<?xml version='1.0'?><!-- -->"+message, "", true)
	f("without a prefix", strings.ReplaceAll(message, "soap:", ""), "", true)
	f("behind a long comment", "<!--"+strings.Repeat("x", 5000)+"-->"+message, "", true)
	f("behind many blanks", strings.Repeat(" ", 5000)+message, "", true)
	f("packed", string(pack(t, "gzip", []byte(message))), "gzip", true)
	f("packed, raw", string(pack(t, "raw", []byte(message))), "deflate", true)
	f("a packed page", string(pack(t, "gzip", []byte("<html></html>"))), "gzip", false)
	f("packed twice, the first one empty", string(pack(t, "gzip", nil))+string(pack(t, "gzip", []byte(message))), "gzip", true)
	var utf16LE strings.Builder
	for _, u := range utf16.Encode([]rune("\ufeff" + message)) {
		utf16LE.WriteByte(byte(u))
		utf16LE.WriteByte(byte(u >> 8))
	}
	f("in UTF-16", utf16LE.String(), "", true)
	f("in UTF-16 without its mark", utf16LE.String()[2:], "", true)
}
