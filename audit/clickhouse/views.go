package clickhouse

import (
	"embed"
	"fmt"
	"strings"
	"text/template"

	"github.com/cwmpgate/cwmpgate/audit"
)

//go:embed views/*.sql
var viewFiles embed.FS

// scope narrows the text of a view to what is asked for; the zero scope is the
// whole view, as it stands in the database for people to ask. All are texts of
// SQL; what is empty does not narrow.
type scope struct {
	Committed string // how far each log has come
	Where     string // conditions on the rows of the view, each with its AND
	Rows      string // which of them: order and limit
	Devices   string // of transfers: conditions on the steps that are read

	// What the rows are of, for the other tables: lists, and times.
	Sessions, Seqs, Pairs, Names string
	From, To                     string
}

// viewText gives the SELECT of a view.
func viewText(view audit.View, c scope) (string, error) {
	t, err := template.ParseFS(viewFiles, "views/*.sql")
	if err != nil {
		return "", err
	}
	var text strings.Builder
	if err := t.ExecuteTemplate(&text, string(view)+".sql", c); err != nil {
		return "", err
	}
	return text.String(), nil
}

// columnList is the columns of a view as a statement names them.
func columnList(view audit.View) string {
	return "`" + strings.Join(view.Columns(), "`, `") + "`"
}

// viewsMigration makes the views view_records, view_changes and so on. They
// hold nothing, and so are made anew whenever their text changes.
func viewsMigration(onCluster string) (migration, error) {
	m := migration{name: "views"}
	for _, view := range audit.Views() {
		text, err := viewText(view, scope{})
		if err != nil {
			return m, err
		}
		m.statements = append(m.statements, fmt.Sprintf("CREATE OR REPLACE VIEW view_%s%s AS SELECT %s FROM (\n%s) SETTINGS join_use_nulls = 0",
			view, onCluster, columnList(view), text))
	}
	m.checksum = checksum(strings.Join(m.statements, "\n"))
	return m, nil
}
