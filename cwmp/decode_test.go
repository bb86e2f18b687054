package cwmp

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestAccept(t *testing.T) {
	d := NewDecoder(DefaultLimits()) // one for all: nothing may remain of the last
	for _, s := range samples(t, "accept") {
		t.Run(s.name, func(t *testing.T) {
			before := bytes.Clone(s.body)
			m, err := d.Decode(s.body, s.charset)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(before, s.body) {
				t.Error("the body was changed")
			}
			checkGolden(t, filepath.Join("testdata", "accept", s.name+".golden"), dumpMessage(m, true))
			checkMessage(t, s.body, m)
		})
	}
}

func checkGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("not as %s (-want +got):\n%s", file, diff)
	}
}

// Every RPC of the table, its response, and the fault have an accepted sample.
func TestAcceptCoversAllTypes(t *testing.T) {
	seen := map[string]bool{}
	d := NewDecoder(DefaultLimits())
	for _, s := range samples(t, "accept") {
		if m, err := d.Decode(s.body, s.charset); err == nil {
			seen[m.Name] = true
		}
	}
	for m := MethodVendor + 1; m < methodCount; m++ {
		for _, name := range []string{rpcs[m].name, rpcs[m].answer} {
			if !seen[name] {
				t.Errorf("no sample of %s", name)
			}
		}
	}
	if !seen["Fault"] {
		t.Error("no sample of a Fault")
	}
}

// The name of a refused sample begins with its Reason.
func TestRefuse(t *testing.T) {
	limits := DefaultLimits()
	limits.Parameters, limits.Elements = 50, 80
	d := NewDecoder(limits)
	seen := map[Reason]bool{}
	for _, s := range samples(t, "refuse") {
		t.Run(s.name, func(t *testing.T) {
			m, err := d.Decode(s.body, s.charset)
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("got %v, want a SyntaxError", err)
			}
			if m != nil {
				t.Error("a message came with the error")
			}
			seen[syntax.Reason] = true
			if s.name != string(syntax.Reason) && !strings.HasPrefix(s.name, string(syntax.Reason)+"-") {
				t.Errorf("got %v", err)
			}
			if syntax.Offset < 0 || syntax.Offset > len(s.body) {
				t.Errorf("offset %d of %d bytes", syntax.Offset, len(s.body))
			}
			if syntax.Detail == "" {
				t.Error("no detail")
			}
		})
	}
	for _, r := range Reasons() {
		if !seen[r] {
			t.Errorf("no sample is refused as %s", r)
		}
		delete(seen, r)
	}
	for r := range seen {
		t.Errorf("%s is not in the list of Reasons", r)
	}
}

// Every prefix that ends before the root element does is refused.
func TestPrefixes(t *testing.T) {
	d := NewDecoder(DefaultLimits())
	for _, s := range samples(t, "accept") {
		end := bytes.LastIndex(s.body, []byte("Envelope>")) + len("Envelope>")
		for n := range end {
			// A copy, so that reading beyond the end is found.
			if m, err := d.Decode(bytes.Clone(s.body[:n]), s.charset); err == nil || m != nil {
				t.Errorf("%s: the first %d of %d bytes are accepted", s.name, n, len(s.body))
			}
		}
		if _, err := d.Decode(s.body[:end], s.charset); err != nil {
			t.Errorf("%s: up to its root's end: %v", s.name, err)
		}
	}
}

func TestErrorNamesDevice(t *testing.T) {
	body := samples(t, "refuse")
	for _, s := range body {
		if s.name != "invalid-character-control" {
			continue
		}
		_, err := NewDecoder(DefaultLimits()).Decode(s.body, "")
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Fatal(err)
		}
		want := DeviceID{"Example Networks", "00005E", "HomeGate 3", "HG3-000017"}
		if syntax.Device != want {
			t.Errorf("device %+v", syntax.Device)
		}
		if want := "Envelope/Body/Inform/ParameterList/ParameterValueStruct/Value"; syntax.Path != want {
			t.Errorf("path %s, want %s", syntax.Path, want)
		}
		if want := bytes.IndexByte(s.body, 2); syntax.Offset != want {
			t.Errorf("offset %d, want %d", syntax.Offset, want)
		}
	}
}

// checkMessage holds m, decoded from body, to what must hold for every message.
func checkMessage(t testing.TB, body []byte, m *Message) {
	t.Helper()
	whole := dumpMessage(m, false)
	all := textsOf(m)
	var same []Edit
	for _, text := range all {
		same = append(same, Edit{text.Start, text.End, text.Bytes})
	}
	got, err := Apply(nil, body, m.Charset, same...)
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("every value replaced by itself: %v, %q", err, got)
	}
	if d, err := NewDecoder(DefaultLimits()).Decode(Append(nil, m), ""); err != nil {
		t.Errorf("decode what was appended: %v\n%s", err, Append(nil, m))
	} else if diff := cmp.Diff(whole, dumpMessage(d, false)); diff != "" {
		t.Errorf("decoded after Append (-was +is):\n%s", diff)
	}
}
