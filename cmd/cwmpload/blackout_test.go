package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBlackoutCommand has a row for each gate and share, and a plot.
func TestBlackoutCommand(t *testing.T) {
	plot := filepath.Join(t.TempDir(), "plot.svg")
	var out bytes.Buffer
	err := run(t.Context(), []string{"blackout", "--fleet", "2000", "--rate", "20", "--ignore", "0,100", "--plot", plot}, &out, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| nothing | 2000 | – |", "| token bucket | 2000 | – |", "| cwmpgate | 2000 | 0 % |", "| cwmpgate | 2000 | 100 % |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no row %q in\n%s", want, out.String())
		}
	}
	if text, err := os.ReadFile(plot); err != nil || bytes.Count(text, []byte("<text")) < 4*7 {
		t.Errorf("plot of %d bytes: %v", len(text), err)
	}
	if err := run(t.Context(), []string{"blackout", "--fleet", "0"}, io.Discard, io.Discard); err == nil {
		t.Error("a fleet of none was played")
	}
}
