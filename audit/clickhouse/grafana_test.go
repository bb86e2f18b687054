package clickhouse

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest"
	"github.com/cwmpgate/cwmpgate/audit/storetest"
)

// timeFilter is Grafana's, of a column.
var timeFilter = regexp.MustCompile(`\$__timeFilter\(([a-z_.]+)\)`)

// expanded is a panel's SQL as Grafana's data source of ClickHouse sends it.
func expanded(sql, tenant string) string {
	const from, to = "toDateTime(1795543200)", "toDateTime(1795586400)" // the night, 2026-11-24 18:00 to 2026-11-25 06:00 UTC
	sql = timeFilter.ReplaceAllString(sql, "$1 >= "+from+" AND $1 <= "+to)
	return strings.NewReplacer("$__fromTime", from, "$__toTime", to, "${tenant}", tenant, "${serial}", "T4", "${file}", "FW-2.0").Replace(sql)
}

// TestGrafana runs each panel of configs/grafana.json on the night of
// docs/audit.md: there is one for each question, and each finds something, of the
// tenant that is asked for alone.
func TestGrafana(t *testing.T) {
	text, err := os.ReadFile("../../configs/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	type query struct{ RawSQL string }
	var d struct {
		Panels []struct {
			ID          int
			Title, Type string
			GridPos     struct{ X, Y, W, H int }
			Targets     []query
		}
		Templating struct {
			List []struct{ Name, Type, Query string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(doc), "\n## Questions\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var titles []string
	for _, m := range question.FindAllStringSubmatch(section, -1) {
		titles = append(titles, m[1])
	}
	e := chtest.Start(t)
	c := newConfig(e, "native")
	s := open(t, c)
	if err := s.Write(t.Context(), storetest.Night().All()); err != nil {
		t.Fatal(err)
	}
	lines := func(sql string) int {
		return strings.Count(askHTTP(t, e, c.Database, sql), "\n") - 1 // the first has the columns
	}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || len(p.Targets) != 1 || p.GridPos.W == 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d, %s, is not laid out", p.ID, p.Title)
		}
		ids[p.ID] = true
		if i := slices.Index(titles, p.Title); i >= 0 {
			titles = slices.Delete(titles, i, i+1)
		} else if p.Type == "table" {
			t.Errorf("%s is no question of docs/audit.md", p.Title)
		}
		sql := p.Targets[0].RawSQL
		for _, tenant := range []string{"", "isp"} {
			if n := lines(expanded(sql, tenant)); n < 1 {
				t.Errorf("%s: nothing is found of tenant %q", p.Title, tenant)
			}
		}
		if strings.Contains(sql, "FROM system") { // of no tenant
			continue
		}
		if n := lines(expanded(sql, "other")); n != 0 {
			t.Errorf("%s: %d rows of a tenant that has none", p.Title, n)
		}
	}
	for _, title := range titles {
		t.Errorf("no panel asks: %s", title)
	}
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			if n := lines(v.Query); n < 2 {
				t.Errorf("variable %s has %d values", v.Name, n)
			}
		}
	}
}
