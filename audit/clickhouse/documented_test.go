package clickhouse

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest"
)

var (
	documentedTable  = regexp.MustCompile(`(?m)^## (\w+)$`)
	documentedColumn = regexp.MustCompile("(?m)^\\| `(\\w+)` \\| `([^`]+)` \\|")
)

// TestTablesDocumented holds docs/tables.md to the schema: each table, and each
// column with its type.
func TestTablesDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/tables.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[[2]string]string{}
	heads := documentedTable.FindAllStringSubmatchIndex(string(text), -1)
	for i, h := range heads {
		end := len(text)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		for _, c := range documentedColumn.FindAllStringSubmatch(string(text[h[0]:end]), -1) {
			documented[[2]string{string(text[h[2]:h[3]]), c[1]}] = c[2]
		}
	}
	e := chtest.Start(t)
	s := open(t, newConfig(e, "native"))
	plain := strings.NewReplacer(" ", "", "\n", "")
	err = s.each(t.Context(), `SELECT table, name, type FROM system.columns WHERE database = currentDatabase()
		AND NOT startsWith(table, 'view_') AND NOT startsWith(table, 'make_') AND table NOT IN ('migrations', 'locks')`, func(scan func(...any) error) error {
		var key [2]string
		var kind string
		if err := scan(&key[0], &key[1], &kind); err != nil {
			return err
		}
		said, ok := documented[key]
		if !ok || plain.Replace(said) != plain.Replace(kind) {
			t.Errorf("%s.%s is %s; docs/tables.md says %q", key[0], key[1], kind, said)
		}
		delete(documented, key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for key := range documented {
		t.Errorf("docs/tables.md has %s.%s, which is not there", key[0], key[1])
	}
}
