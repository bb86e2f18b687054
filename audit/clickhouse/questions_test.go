package clickhouse

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest"
	"github.com/cwmpgate/cwmpgate/audit/storetest"
)

// question is one of docs/audit.md: its SQL, and the table of its answer, which
// stands behind it.
var question = regexp.MustCompile("(?s)\n### ([^\n]+)\n.*?```sql\n(.*?)```\n((?:\n\\|[^\n]*(?:\n\\|[^\n]*)*\n)?)")

// TestAuditQuestions runs the SQL of docs/audit.md as it is written, and holds
// the answers there to what the engine says; -update writes them anew.
func TestAuditQuestions(t *testing.T) {
	e := chtest.Start(t)
	c := newConfig(e, "native")
	s := open(t, c)
	if err := s.Write(t.Context(), storetest.Night().All()); err != nil {
		t.Fatal(err)
	}
	const file = "../../docs/audit.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, section, ok := strings.Cut(string(text), "\n## Questions\n")
	section, behind, more := strings.Cut(section, "\n## ")
	if !ok {
		t.Fatalf("%s has no section Questions", file)
	}
	asked := 0
	now := question.ReplaceAllStringFunc(section, func(part string) string {
		m := question.FindStringSubmatch(part)
		asked++
		answer := "\n" + markdown(askHTTP(t, e, c.Database, m[2]))
		if strings.Count(answer, "\n") < 4 {
			t.Errorf("%s has no answer", m[1])
		}
		if !*update && m[3] != answer {
			t.Errorf("%s\n%s\nthe answer is\n%s", m[1], m[3], answer)
		}
		return strings.TrimSuffix(part, m[3]) + answer
	})
	if n := strings.Count(section, "```sql\n"); asked < 10 || asked != n {
		t.Errorf("%d questions were asked, of %d", asked, n)
	}
	if !*update {
		return
	}
	whole := before + "\n## Questions\n" + now
	if more {
		whole += "\n## " + behind
	}
	if err := os.WriteFile(file, []byte(whole), 0o644); err != nil {
		t.Fatal(err)
	}
}

// askHTTP asks as any client of ClickHouse may, and gives tab-separated lines.
func askHTTP(t *testing.T, e *chtest.Engine, database, sql string) string {
	t.Helper()
	q := url.Values{"database": {database}, "default_format": {"TSVWithNames"}}
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+e.HTTP+"/?"+q.Encode(), strings.NewReader(sql))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(e.User, e.Password)
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%s\n%s %s %v", sql, res.Status, text, err)
	}
	return string(text)
}

// markdown makes a table of tab-separated lines.
func markdown(lines string) string {
	var b strings.Builder
	for i, line := range strings.Split(strings.TrimSuffix(lines, "\n"), "\n") {
		cells := strings.Split(strings.NewReplacer("|", `\|`, `\N`, "", `\'`, "'").Replace(line), "\t")
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
		if i == 0 {
			fmt.Fprintf(&b, "|%s\n", strings.Repeat(" --- |", len(cells)))
		}
	}
	return b.String()
}
