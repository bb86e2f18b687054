package main

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/cwmpgate/cwmpgate"

// TestArrows holds the imports of the code to the table in ARCHITECTURE.md: no
// package imports what its row does not name, each package has a row, and no
// row is of a package that is not there.
func TestArrows(t *testing.T) {
	allowed := arrowTable(t)
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		pkg, ours := strings.CutPrefix(words[0], module+"/")
		if !ours {
			t.Errorf("package %s stands outside the module's folders", words[0])
			continue
		}
		seen[pkg] = true
		row, ok := allowed[pkg]
		if !ok {
			t.Errorf("package %s has no row in ARCHITECTURE.md", pkg)
			continue
		}
		for _, imp := range words[1:] {
			if dep, ours := strings.CutPrefix(imp, module+"/"); ours && !row[dep] {
				t.Errorf("package %s imports %s, which its row in ARCHITECTURE.md does not allow", pkg, dep)
			}
		}
	}
	for pkg := range allowed {
		if !seen[pkg] {
			t.Errorf("ARCHITECTURE.md has a row for %s, which does not exist", pkg)
		}
	}
}

// TestBinaryHasNoTestParts holds what is made for tests, and the loader of
// libraries that it needs, out of the program.
func TestBinaryHasNoTestParts(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, module+"/audit/sqlite") {
		t.Fatalf("go list gives not all that is linked: %q", deps)
	}
	barred := []string{
		module + "/audit/clickhouse/chtest", module + "/audit/journal/journaltest", module + "/audit/storetest/gotest",
		"github.com/ebitengine/purego", "testing",
	}
	for _, dep := range deps {
		for _, b := range barred {
			if dep == b || strings.HasPrefix(dep, b+"/") {
				t.Errorf("the program is linked with %s", dep)
			}
		}
	}
}

var arrowRow = regexp.MustCompile("(?m)^\\| `([a-z0-9/]+)` \\|[^|]*\\|([^|]*)\\|$")
var quoted = regexp.MustCompile("`([a-z0-9/]+)`")

func arrowTable(t *testing.T) map[string]map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]map[string]bool{}
	for _, m := range arrowRow.FindAllStringSubmatch(string(text), -1) {
		table[m[1]] = map[string]bool{}
		for _, q := range quoted.FindAllStringSubmatch(m[2], -1) {
			table[m[1]][q[1]] = true
		}
	}
	if len(table) < 5 {
		t.Fatalf("found only %d rows in the table of ARCHITECTURE.md", len(table))
	}
	return table
}
