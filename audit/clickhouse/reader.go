package clickhouse

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

// Query gives the rows of a view. Texts that a row does not have are empty,
// but old and new, which are nil as numbers and times are.
func (s *Store) Query(ctx context.Context, f audit.Filter) iter.Seq2[audit.Row, error] {
	return func(yield func(audit.Row, error) bool) {
		if err := s.query(ctx, f, yield); err != nil {
			yield(audit.Row{}, s.describe("read", err))
		}
	}
}

func (s *Store) query(ctx context.Context, f audit.Filter, yield func(audit.Row, error) bool) error {
	columns := f.View.Columns()
	if columns == nil {
		return fmt.Errorf("view %q is not one of %v", f.View, audit.Views())
	}
	conn := s.conn.Load()
	if conn == nil {
		return errNotOpen
	}
	text, err := s.statement(ctx, f)
	if err != nil {
		return err
	}
	rows, err := (*conn).Query(ctx, text)
	if err != nil {
		return err
	}
	// Whoever stops early does not wait for what is left.
	defer rows.Close()
	into := make([]any, len(columns))
	for i, t := range rows.ColumnTypes() {
		into[i] = reflect.New(t.ScanType()).Interface()
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		values := make([]any, len(columns))
		for i, name := range columns {
			values[i] = convert(name, into[i])
		}
		if !yield(audit.Row{Columns: columns, Values: values}, nil) {
			return nil
		}
	}
	return rows.Err()
}

// convert gives a value the type that its column has in every store.
func convert(column string, scanned any) any {
	v := reflect.ValueOf(scanned).Elem()
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			switch column {
			case "old", "new", "begin", "end", "answers", "answered", "completed", "http_status", "bytes":
				return nil
			}
			return ""
		}
		v = v.Elem()
	}
	switch {
	case v.CanUint():
		return int64(v.Uint())
	case v.CanInt():
		return v.Int()
	}
	if t, ok := v.Interface().(time.Time); ok {
		return t.UTC()
	}
	return v.Interface()
}

// statement makes the SQL of a filter.
func (s *Store) statement(ctx context.Context, f audit.Filter) (string, error) {
	q := where{view: f.View}
	if f.Log != "" {
		q.and("log = %s", literal(f.Log))
	}
	if f.After > 0 {
		q.and("seq > %d", f.After)
	}
	if f.Tenant != "" {
		q.and("tenant = %s", literal(f.Tenant))
	}
	if f.Session != "" {
		q.and("session = %s", literal(f.Session))
	}
	if !f.Since.IsZero() {
		q.and("at >= %s", moment(f.Since))
	}
	if !f.Until.IsZero() {
		q.and("at < %s", moment(f.Until))
	}
	if f.Kind != "" && f.View == audit.ViewRecords {
		q.and("kind = %s", literal(f.Kind))
	}
	if f.RPC != "" {
		switch f.View {
		case audit.ViewChanges, audit.ViewRPCs:
			q.and("(rpc = %[1]s OR to_rpc = %[1]s)", literal(f.RPC))
		case audit.ViewTransfers:
			q.and("if(step = 'bytes', method, rpc) = %s", literal(f.RPC))
		}
	}
	if f.Device != "" {
		q.and("%s", deviceCondition(f.Device))
	}
	if f.Parameter != "" && f.View == audit.ViewChanges {
		names, err := s.names(ctx, f.Parameter, q.text)
		if err != nil {
			return "", err
		}
		q.and("name IN (%s)", list(names))
	}
	return q.statement(ctx, s, f)
}

// where is the conditions of a statement, as they grow.
type where struct {
	view audit.View
	text string
}

func (q *where) and(condition string, args ...any) {
	q.text += " AND " + fmt.Sprintf(condition, args...)
}

// tables are what the rows of the views come from.
var tables = map[audit.View]string{
	audit.ViewRecords: "ledger", audit.ViewChanges: "parameters", audit.ViewTransfers: "transfers",
	audit.ViewSessions: "sessions", audit.ViewRPCs: "rpcs",
}

// statement makes the SQL of a filter. Which rows are asked for is looked up
// first: the other tables are then asked for what belongs to them alone.
func (q *where) statement(ctx context.Context, s *Store, f audit.Filter) (string, error) {
	var c scope
	order, limit := " ORDER BY at, log, seq, item", ""
	if f.After > 0 { // within a log the time never goes back
		order = " ORDER BY log, seq, item"
	}
	newest := f.Limit > 0 && f.After == 0
	if f.Limit > 0 {
		limit = fmt.Sprintf(" LIMIT %d", f.Limit)
	}
	outcome := ""
	if f.Outcome != "" && f.View != audit.ViewRecords {
		outcome = " WHERE outcome = " + literal(f.Outcome)
	}
	if at := slices.Index(audit.Identities(), f.Identity); at >= 0 && f.View != audit.ViewRecords {
		if outcome += " AND "; f.Outcome == "" {
			outcome = " WHERE "
		}
		outcome += "identity IN (" + list(audit.Identities()[at:]) + ")"
	}
	c.Where = q.text
	if f.View == audit.ViewTransfers {
		c.Devices = q.devices(f)
	} else if f.Limit > 0 && outcome == "" {
		// What became of a row does not matter here: the rows can be chosen first.
		c.Rows = order + limit
		if newest {
			c.Rows = " ORDER BY at DESC, log DESC, seq DESC, item DESC" + limit
		}
		if newest && f.View == audit.ViewRecords {
			// By the times alone first, so that the bytes are read of few rows.
			c.Where += fmt.Sprintf(" AND at >= (SELECT min(at) FROM (SELECT at FROM ledger WHERE salt != ''%s ORDER BY at DESC%s))", q.text, limit)
		}
	}
	if f.View != audit.ViewRecords {
		if err := s.narrow(ctx, f.View, &c); err != nil {
			return "", err
		}
	}
	text, err := viewText(f.View, c)
	if err != nil {
		return "", err
	}
	columns := columnList(f.View)
	from := "(\n" + text + ")" + outcome
	if newest {
		return "SELECT " + columns + " FROM (SELECT * FROM " + from +
			" ORDER BY at DESC, log DESC, seq DESC, item DESC" + limit + ")" + order, nil
	}
	return "SELECT " + columns + " FROM " + from + order + limit, nil
}

// listed is how many rows are listed for the other tables to be narrowed by; of
// more, the times alone narrow.
const listed = 5000

// narrow looks up what the rows that are asked for are of.
func (s *Store) narrow(ctx context.Context, view audit.View, c *scope) error {
	var logs []string
	err := s.each(ctx, "SELECT toString(log), max(seq) FROM ledger GROUP BY log", func(scan func(...any) error) error {
		var log string
		var tail uint64
		err := scan(&log, &tail)
		logs = append(logs, fmt.Sprintf("%s, toUInt64(%d)", literal(log), tail))
		return err
	})
	if err != nil {
		return err
	}
	c.Committed = "map(" + strings.Join(logs, ", ") + ")"
	if len(logs) == 0 {
		c.Committed = "map('', toUInt64(0))"
	}
	if c.Where == "" && c.Rows == "" && c.Devices == "" {
		return nil
	}
	table, named, item, of := tables[view], "''", "toUInt32(0)", c.Where
	switch view {
	case audit.ViewChanges:
		named, item, of = "toString(name)", "item", " AND changed"+of
	case audit.ViewTransfers:
		item, of = "item", c.Devices
	}
	rows := c.Rows
	if rows == "" {
		rows = fmt.Sprintf(" LIMIT %d", listed+1)
	}
	sessions, seqs, devices, names := map[string]bool{}, map[string]bool{}, map[[2]string]bool{}, map[string]bool{}
	n := 0
	var from, to time.Time
	err = s.each(ctx, "SELECT at, log, seq, session, toString(tenant), serial, "+named+", "+item+" AS item FROM "+table+
		" WHERE seq <= "+c.Committed+"[log]"+of+rows,
		func(scan func(...any) error) error {
			var at time.Time
			var log, session, name string
			var seq uint64
			var device [2]string
			var item uint32
			if err := scan(&at, &log, &seq, &session, &device[0], &device[1], &name, &item); err != nil {
				return err
			}
			if n++; n > listed {
				return nil
			}
			if n == 1 || at.Before(from) {
				from = at
			}
			if n == 1 || at.After(to) {
				to = at
			}
			sessions[session], seqs[fmt.Sprint(seq)], devices[device], names[name] = true, true, true, true
			return nil
		})
	if err != nil || n > listed {
		return err
	}
	c.Sessions, c.Seqs, c.Pairs, c.Names = listOf(sessions, literal), listOf(seqs, func(s string) string { return s }), pairs(devices), listOf(names, literal)
	c.From, c.To = moment(from), moment(to)
	if n == 0 {
		c.Sessions, c.Seqs, c.Pairs, c.Names = "''", "0", "('', '')", "''"
	}
	if c.Rows != "" {
		c.Where += " AND at BETWEEN " + c.From + " AND " + c.To
	}
	return nil
}

func listOf(all map[string]bool, write func(string) string) string {
	texts := make([]string, 0, len(all))
	for s := range all {
		texts = append(texts, write(s))
	}
	return strings.Join(texts, ", ")
}

// devices narrows to the devices that the rows asked for are of: the life of a
// transfer is folded from all steps of its device.
func (q *where) devices(f audit.Filter) string {
	if q.text == "" && f.Limit == 0 {
		return ""
	}
	if f.Device != "" {
		return " AND " + deviceCondition(f.Device)
	}
	asked := q.text
	if f.Limit > 0 && f.Outcome == "" && f.Identity == "" && f.After == 0 {
		// Each request is a row, so none of the newest so many rows is older than
		// the last of the newest so many requests.
		asked += fmt.Sprintf(" AND at >= (SELECT if(count() < %[1]d, toDateTime64(0, 6, 'UTC'), min(at)) FROM (SELECT at FROM transfers WHERE step = 'request'%[2]s ORDER BY at DESC LIMIT %[1]d))", f.Limit, q.text)
	}
	return " AND (tenant, serial) IN (SELECT tenant, serial FROM transfers WHERE true" + asked + ")"
}

// deviceCondition says in SQL what audit.MatchDevice does.
func deviceCondition(asked string) string {
	any := []string{"serial = " + literal(asked)}
	for i := range len(asked) {
		if asked[i] != '-' {
			continue
		}
		rest := asked[:i]
		any = append(any, fmt.Sprintf("serial = %s AND (lower(oui) = lower(%s) OR endsWith(%[2]s, concat('-', class)) AND lower(oui) = lower(left(%[2]s, length(%[2]s) - length(class) - 1)))",
			literal(asked[i+1:]), literal(rest)))
	}
	// The serials once more by themselves, for the primary key.
	var serials []string
	serials = append(serials, asked)
	for i := range len(asked) {
		if asked[i] == '-' {
			serials = append(serials, asked[i+1:])
		}
	}
	return "serial IN (" + list(serials) + ") AND (" + strings.Join(any, " OR ") + ")"
}

// names gives the names that a pattern matches among those that changes within
// the other conditions have.
func (s *Store) names(ctx context.Context, pattern, conditions string) ([]string, error) {
	p, err := audit.ParsePattern(pattern)
	if err != nil {
		return nil, err
	}
	rows, err := (*s.conn.Load()).Query(ctx, "SELECT DISTINCT toString(name) FROM parameters WHERE changed"+conditions)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		if p.Match(name) {
			all = append(all, name)
		}
	}
	return all, rows.Err()
}

// literal writes a text as a string of SQL.
func literal(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, c := range []byte(s) {
		switch {
		case c == '\'' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 0x20 || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('\'')
	return b.String()
}

// list writes texts as the inside of an IN; nothing is in an empty one.
func list(all []string) string {
	if len(all) == 0 {
		return "SELECT '' WHERE false"
	}
	texts := make([]string, len(all))
	for i, s := range all {
		texts[i] = literal(s)
	}
	return strings.Join(texts, ", ")
}

func moment(t time.Time) string {
	return fmt.Sprintf("fromUnixTimestamp64Micro(%d, 'UTC')", bounded(t).UnixMicro())
}
