package configs

import (
	"bytes"
	"os"
	"testing"
	"time"
)

func documented() *testConfig {
	c := testDefaults()
	Defaults(c)
	return c
}

func TestSchemaAndReference(t *testing.T) {
	schema, err := Schema(documented())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/schema.golden.json", schema)
	golden(t, "testdata/reference.golden.md", Reference(documented()))
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s", file, got)
	}
}

// Defaults of every kind, as both documents tell them.
func TestDefaultsAreTold(t *testing.T) {
	type section struct {
		Name    string         `yaml:"name" doc:"A | in the text."`
		Numbers []int          `yaml:"numbers" doc:"Several."`
		Nets    []Prefix       `yaml:"nets" doc:"Networks."`
		Limit   *Size          `yaml:"limit" doc:"Behind a pointer."`
		From    Address        `yaml:"from" doc:"Address."`
		To      URL            `yaml:"to" doc:"URL."`
		Zero    Duration       `yaml:"zero" doc:"Nothing, which is something."`
		None    *Duration      `yaml:"none" doc:"Nothing."`
		Entries []testLog      `yaml:"entries" doc:"Sections by default are told by their keys."`
		Matrix  [][]testLog    `yaml:"matrix" doc:"Lists of lists."`
		By      map[string]int `yaml:"by" doc:"Numbers by name."`
		When    time.Time      `yaml:"when" doc:"A type of another package."`
		Large   uint64         `yaml:"large" doc:"64 bits."`
	}
	limit := Size(1 << 20)
	c := &section{Name: "a", Numbers: []int{1, 2}, Limit: &limit, From: ":1", Entries: []testLog{{"info"}}, Large: 1 << 63, When: time.Unix(0, 0).UTC()}
	if err := c.To.UnmarshalText([]byte("http://acs.example.com/")); err != nil {
		t.Fatal(err)
	}
	schema, err := Schema(c)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/defaults.golden.json", schema)
	golden(t, "testdata/defaults.golden.md", Reference(c))
}
