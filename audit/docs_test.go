package audit

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestRecordDocs holds the closed lists in docs/record.md to those of the code.
func TestRecordDocs(t *testing.T) {
	doc := readDoc(t, "record.md")
	code := constants(t, "record.go")
	for _, list := range []struct {
		section, field string
		want           []string
	}{
		{"Fields of every record", "kind", code["Kind"]},
		{"message", "verdict", code["Verdict"]},
		{"session", "how", code["End"]},
		{"system", "what", code["System"]},
	} {
		if got := quoted(meaning(section(t, doc, list.section), list.field)); len(list.want) == 0 || !slices.Equal(got, list.want) {
			t.Errorf("%s of %s: docs/record.md has %q, the code %q", list.field, list.section, got, list.want)
		}
	}
	for _, kind := range Kinds() {
		section(t, doc, kind)
	}
	if !slices.Equal(Kinds(), code["Kind"]) || !slices.Equal(SessionEnds(), code["End"]) {
		t.Errorf("Kinds %q, SessionEnds %q, constants %q", Kinds(), SessionEnds(), code)
	}
}

// TestAuditDocs holds docs/audit.md to the columns, outcomes and actions.
func TestAuditDocs(t *testing.T) {
	doc := readDoc(t, "audit.md")
	common := firsts(section(t, doc, "What every view has"), "column")
	for _, view := range Views() {
		if view == ViewRecords {
			continue // shown as they stand
		}
		got := firsts(section(t, doc, "audit "+string(view)), "column")
		if !slices.Equal(got, view.Columns()) {
			t.Errorf("audit %s: docs/audit.md has %q, the code %q", view, got, view.Columns())
		}
		for _, c := range common {
			if !slices.Contains(view.Columns(), c) && !(view == ViewSessions && c == "at") {
				t.Errorf("audit %s has no column %s, which is said to be in every view", view, c)
			}
		}
	}
	outcomes := section(t, doc, "Outcomes")
	if got := firsts(outcomes, "outcome"); !slices.Equal(got, Outcomes()) {
		t.Errorf("docs/audit.md has the outcomes %q, the code %q", got, Outcomes())
	}
	if got := constants(t, "reader.go")["Outcome"]; !slices.Equal(got, Outcomes()) {
		t.Errorf("Outcomes %q, constants %q", Outcomes(), got)
	}
	actions := slices.DeleteFunc(constants(t, "rows.go")["Action"], func(a string) bool { return a == ActionRefused })
	if got := firsts(section(t, doc, "audit changes"), "action"); !slices.Equal(got, actions) {
		t.Errorf("docs/audit.md has the actions %q, the code %q", got, actions)
	}
}

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// constants gives the texts of a file's constants in their order, by what
// their names begin with, or by their type where they have one.
func constants(t *testing.T, file string) map[string][]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			v := s.(*ast.ValueSpec)
			text, ok := v.Values[0].(*ast.BasicLit)
			if !ok || text.Kind != token.STRING {
				continue
			}
			group := regexp.MustCompile(`^[A-Z][a-z]+`).FindString(v.Names[0].Name)
			if name, ok := v.Type.(*ast.Ident); ok {
				group = name.Name
			}
			value, err := strconv.Unquote(text.Value)
			if err != nil {
				t.Fatal(err)
			}
			all[group] = append(all[group], value)
		}
	}
	return all
}

// section is what stands under a heading of the second level.
func section(t *testing.T, doc, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(doc, "\n## "+heading+"\n")
	if !ok {
		t.Errorf("no section %q", heading)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	return rest
}

// meaning is the second cell of a field's row.
func meaning(section, field string) string {
	for line := range strings.Lines(section) {
		if rest, ok := strings.CutPrefix(line, "| `"+field+"` | "); ok {
			return rest
		}
	}
	return ""
}

// firsts are the names in the first column of the tables in which it has that
// title.
func firsts(section, title string) []string {
	var names []string
	within := false
	for line := range strings.Lines(section) {
		cell, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		switch {
		case !ok || !strings.HasPrefix(line, "| "):
			within = false
		case cell == title:
			within = true
		case within:
			names = append(names, quoted(cell)...)
		}
	}
	return names
}

func quoted(text string) []string {
	var words []string
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(text, -1) {
		words = append(words, m[1])
	}
	return words
}
