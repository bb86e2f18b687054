package audit

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cwmpgate/cwmpgate/audit/journal"
)

var update = flag.Bool("update", false, "write golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 24, 12, 0, 0, 123456000, time.UTC)

const testLog = "5d0f00000000000000000000000000aa"

func testRedactor(t testing.TB, patterns ...string) *Redactor {
	t.Helper()
	r, err := NewRedactor([]byte("0123456789abcdef0123456789abcdef"), patterns)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// testOrigin is a session that has sent three messages.
func testOrigin(t testing.TB) *Origin {
	return &Origin{
		Tenant:   "isp",
		Session:  "c1k9",
		Device:   Device{"Example", "00005E", "HG-8 Plus", "T1"},
		Identity: "http",
		ACS:      "acs-a",
		ACSNode:  "192.0.2.9:7547",
		Redactor: testRedactor(t),
		N:        3,
	}
}

// recorded gives all records that are durable.
func recorded(t testing.TB, j *journal.Journal) []string {
	t.Helper()
	var lines []string
	for entry, err := range j.Records(1) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(entry.Bytes))
	}
	return lines
}

// golden compares got with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s differs\n--- want\n%s\n--- got\n%s", path, want, got)
	}
}
