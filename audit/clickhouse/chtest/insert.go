package chtest

import (
	"fmt"
	"strings"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest/internal/chdb"
)

// insert is an INSERT statement whose rows are not computed by the engine.
type insert struct {
	target   string // table or table function, as written
	function bool
	columns  string // "(a, b)", or empty
	settings string // "SETTINGS ...", or empty
	format   string // of the rows that follow
	inline   string // rows within the statement
}

// parseInsert tells whether rows follow (or may follow) sql. It does not hold
// of INSERT ... SELECT, and of VALUES with rows in the statement: those are for
// the engine as they are.
func parseInsert(sql string) (ins insert, ok bool) {
	t := tokens{sql: sql}
	if t.word() != "INSERT" {
		return ins, false
	}
	t.next()
	for t.word() == "INTO" || t.word() == "TABLE" {
		t.next()
	}
	ins.parseTarget(&t)
	if t.word() == "(" {
		at := t.at()
		end := closing(sql, at)
		inner := tokens{sql, at + 1}
		if w := inner.word(); w == "SELECT" || w == "WITH" {
			return ins, false
		}
		ins.columns, t.i = sql[at:end], end
	}
	if t.word() == "SETTINGS" {
		ins.parseSettings(&t)
	}
	switch t.word() {
	case "", ";":
		ins.format = "Native"
		return ins, true
	case "VALUES":
		t.next()
		ins.format = "Values"
		return ins, t.word() == "" || t.word() == ";"
	case "FORMAT":
		t.next()
		from := t.at()
		t.next()
		ins.format = sql[from:t.i]
		// One line end separates the format's name from the rows.
		rest := strings.TrimLeft(sql[t.i:], " \t")
		rest = strings.TrimPrefix(strings.TrimPrefix(rest, ";"), "\r")
		ins.inline = strings.TrimPrefix(rest, "\n")
		return ins, !strings.EqualFold(ins.format, "Values") || strings.TrimSpace(ins.inline) == ""
	}
	return ins, false
}

func (ins *insert) parseTarget(t *tokens) {
	if t.word() == "FUNCTION" {
		ins.function = true
		t.next()
	}
	from := t.at()
	t.next()
	for t.word() == "." {
		t.next()
		t.next()
	}
	if ins.function && t.word() == "(" {
		t.i = closing(t.sql, t.at())
	}
	ins.target = t.sql[from:t.i]
}

func (ins *insert) parseSettings(t *tokens) {
	from := t.at()
	for {
		switch t.word() {
		case "FORMAT", "VALUES", "SELECT", "WITH", "", ";", "FROM":
			ins.settings = strings.TrimSpace(t.sql[from:t.i])
			return
		}
		t.next()
	}
}

// run applies the insert to rows that came in the given chunks.
func (ins insert) run(s *chdb.Session, rows ...[]byte) (chdb.Result, error) {
	return s.Insert(ins.from, rows...)
}

// from is the statement that reads the rows from a file.
func (ins insert) from(path string) string {
	function := ""
	if ins.function {
		function = "FUNCTION "
	}
	return fmt.Sprintf("INSERT INTO %s%s %s FROM INFILE '%s' COMPRESSION 'none' %s FORMAT %s",
		function, ins.target, ins.columns, path, ins.settings, ins.format)
}

// names are the columns of the statement's list, nil for all of them.
func (ins insert) names() (names []string) {
	if ins.columns == "" {
		return nil
	}
	for _, n := range splitTop(ins.columns[1:len(ins.columns)-1], ',') {
		n = strings.TrimSpace(n)
		if len(n) > 1 && (n[0] == '`' || n[0] == '"') {
			n = strings.NewReplacer("\\`", "`", `\"`, `"`, `\\`, `\`).Replace(n[1 : len(n)-1])
		}
		names = append(names, n)
	}
	return names
}

// wanted are the columns of the rows that a client has to send.
func (ins insert) wanted(s *chdb.Session) ([]column, error) {
	describe := "DESCRIBE TABLE "
	if ins.function {
		describe += "FUNCTION "
	}
	out, err := s.Query(describe+ins.target, "TSV", nil)
	if err != nil {
		return nil, err
	}
	all := map[string]column{}
	var columns []column
	for line := range strings.Lines(string(out.Data)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) < 3 {
			continue
		}
		c := column{unescapeTSV(f[0]), unescapeTSV(f[1])}
		switch f[2] {
		case "MATERIALIZED", "ALIAS":
			continue
		case "EPHEMERAL":
		default:
			columns = append(columns, c)
		}
		all[c.Name] = c
	}
	names := ins.names()
	if names == nil {
		return columns, nil
	}
	columns = nil
	for _, n := range names {
		c, ok := all[n]
		if !ok {
			return nil, chdb.Errorf(16, "No such column %s in table %s", n, ins.target)
		}
		columns = append(columns, c)
	}
	return columns, nil
}
