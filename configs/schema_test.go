package configs

import (
	"bytes"
	"os"
	"testing"
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
