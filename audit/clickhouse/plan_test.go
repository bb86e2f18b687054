package clickhouse

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest"
)

// TestPlans sees that what the command line asks of one device, one session or
// one parameter reads a few granules of tables of many, by EXPLAIN indexes = 1.
func TestPlans(t *testing.T) {
	e := chtest.Start(t)
	s := open(t, newConfig(e, "native"))
	const rows = 400_000
	// 4,000 devices of 100 rows each, in order of time.
	common := `'l' AS log, number + 1 AS seq, toDateTime64('2026-11-01 00:00:00', 6, 'UTC') + number AS at, 'isp' AS tenant,
		concat('S', toString(number % 4000)) AS serial, '00005E' AS oui, 'HG' AS class, concat(serial, '-', toString(intDiv(number, 16000))) AS session FROM numbers(` + strconv.Itoa(rows) + `)`
	for table, columns := range map[string]string{
		"ledger":     "'message' AS kind, repeat('x', 300) AS bytes",
		"rpcs":       "'Inform' AS rpc, 'request' AS message, 'pass' AS verdict",
		"sessions":   "'clean' AS how",
		"transfers":  "'request' AS step, 'Download' AS rpc, 'dl' AS command_key",
		"parameters": "'set' AS action, true AS changed, concat('Device.P', toString(intDiv(number, 4000))) AS name, toString(number) AS value",
	} {
		var names []string
		for _, m := range regexp.MustCompile(` AS (\w+)`).FindAllStringSubmatch(columns+", "+common, -1) {
			names = append(names, m[1])
		}
		text := fmt.Sprintf("INSERT INTO %s (%s) SELECT %s, %s", table, strings.Join(names, ", "), columns, common)
		for _, text := range []string{text, "OPTIMIZE TABLE " + table + " FINAL"} {
			if err := (*s.conn.Load()).Exec(t.Context(), text); err != nil {
				t.Fatal(err)
			}
		}
	}
	var filters []audit.Filter
	for _, view := range audit.Views() {
		filters = append(filters, audit.Filter{View: view, Device: "S77", Limit: 50}, audit.Filter{View: view, Tenant: "isp", Device: "00005E-S77"},
			audit.Filter{View: view, Session: "S77-3"})
	}
	filters = append(filters, audit.Filter{View: audit.ViewChanges, Parameter: "Device.P7", Limit: 50},
		audit.Filter{View: audit.ViewChanges, Parameter: "Device.P7", Device: "S77"})
	for _, f := range filters {
		text, err := s.statement(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		most, plan := granules(t, s, text)
		t.Logf("%s device %q session %q parameter %q: at most %s", f.View, f.Device, f.Session, f.Parameter, most.text)
		if most.read > 10 || most.all < 20 {
			t.Errorf("%+v reads %s\n%s", f, most.text, plan)
		}
	}
}

type read struct {
	read, all int
	text      string
}

// granules is the most that a statement reads of a table, after all indexes.
func granules(t *testing.T, s *Store, text string) (most read, plan string) {
	t.Helper()
	var lines []string
	err := s.each(t.Context(), "EXPLAIN indexes = 1, projections = 1 "+text, func(scan func(...any) error) error {
		var line string
		err := scan(&line)
		lines = append(lines, line)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var last *read
	table := ""
	take := func() {
		if last != nil && last.read >= most.read {
			most = *last
			most.text += " granules of " + strings.TrimSuffix(table, ")")
		}
		last = nil
	}
	whole := 0
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "ReadFromMergeTree ("); ok {
			take()
			table, whole = name, 0
		}
		if g, ok := strings.CutPrefix(line, "Granules: "); ok {
			var r read
			if _, err := fmt.Sscanf(g, "%d/%d", &r.read, &r.all); err != nil {
				continue
			}
			whole = max(whole, r.all)
			r.all, r.text = whole, fmt.Sprintf("%d/%d", r.read, whole)
			last = &r
		}
	}
	take()
	return most, strings.Join(lines, "\n")
}
