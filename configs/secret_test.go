package configs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

func secretOf(t *testing.T, ref string) Secret {
	t.Helper()
	var s Secret
	if err := s.UnmarshalText([]byte(ref)); err != nil {
		t.Fatal(err)
	}
	if err := s.Read(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSecretIsNeverPrinted(t *testing.T) {
	t.Setenv("CWMPGATE_TEST_SECRET", hunter)
	s := secretOf(t, "env:CWMPGATE_TEST_SECRET")
	hidden := struct{ inside, pointer any }{s, &s}
	plain := struct{ s Secret }{s}
	asJSON, err := json.Marshal(map[string]any{"a": s, "b": &s, "c": []Secret{s}})
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Dump(map[string]any{"a": s, "b": []Secret{s}})
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{string(asJSON), string(asYAML), s.String(), s.GoString(), fmt.Sprint(errors.New(s.String()))}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%T", "%08b"} {
		for _, v := range []any{s, &s, []Secret{s}, map[string]Secret{"a": s}, hidden, &hidden, plain, &plain} {
			texts = append(texts, fmt.Sprintf(verb, v))
		}
	}
	for _, text := range texts {
		if strings.Contains(text, hunter) || strings.Contains(text, fmt.Sprintf("%x", hunter)) ||
			strings.Contains(text, fmt.Sprintf("%X", hunter)) || strings.Contains(text, fmt.Sprint([]byte(hunter))[1:20]) {
			t.Errorf("printed: %s", text)
		}
	}
	if s.Reveal() != hunter || string(s.Bytes()) != hunter || s.String() != "env:CWMPGATE_TEST_SECRET" {
		t.Error("not to be had at all")
	}
}

func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, text, want, why string }{
		{"plain", "a", "a", ""},
		{"line", "a\n", "a", ""},
		{"windows-line", "a\r\n", "a", ""},
		{"two-lines", "a\n\n", "a\n", ""},
		{"spaces", " a \n", " a ", ""},
		{"bytes", "\x00\xff", "\x00\xff", ""},
		{"empty", "", "", "is empty"},
		{"only-line", "\n", "", "is empty"},
		{"large", strings.Repeat("a", maxSecret+1), "", "is larger than 64KiB"},
		{"largest", strings.Repeat("a", maxSecret), strings.Repeat("a", maxSecret), ""},
	} {
		writeFile(t, dir, c.name, c.text)
		var s Secret
		if err := s.UnmarshalText([]byte("file:" + c.name)); err != nil {
			t.Fatal(err)
		}
		err := s.resolve(dir, false)
		if got := fmt.Sprint(err); err != nil && (c.why == "" || !strings.Contains(got, c.why)) || err == nil && c.why != "" {
			t.Errorf("%s: got %v, want %q", c.name, err, c.why)
		}
		if got := s.Reveal(); got != c.want {
			t.Errorf("%s: got %.20q, want %.20q", c.name, got, c.want)
		}
	}
}

// A file that the program makes itself is absent at first and read when made.
func TestSecretFileThatIsMadeLater(t *testing.T) {
	dir := t.TempDir()
	var s Secret
	if err := s.UnmarshalText([]byte("file:redaction.key")); err != nil {
		t.Fatal(err)
	}
	if err := s.resolve(dir, false); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("got %v", err)
	}
	if err := s.resolve(dir, true); err != nil || !s.Absent() || s.Bytes() != nil || s.File() != filepath.Join(dir, "redaction.key") {
		t.Fatalf("got %v, %v, %q", err, s.Absent(), s.File())
	}
	if err := os.WriteFile(s.File(), []byte(hunter), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Read(); err != nil || s.Absent() || s.Reveal() != hunter {
		t.Fatalf("got %v, %v", err, s.Absent())
	}
	var none Secret
	if !none.IsZero() || none.Absent() || none.File() != "" || none.Reveal() != "" {
		t.Error("no secret looks like one")
	}
	// Only files may be absent.
	if err := none.UnmarshalText([]byte("env:CWMPGATE_TEST_UNSET")); err != nil || none.resolve(dir, true) == nil {
		t.Errorf("got %v", err)
	}
}
