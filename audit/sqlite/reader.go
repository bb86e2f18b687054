package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
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
	db := s.read.Load()
	if db == nil {
		return errNotOpen
	}
	if f.View.Columns() == nil {
		return fmt.Errorf("view %q is not one of %v", f.View, audit.Views())
	}
	q, err := conditions(ctx, db, f)
	if err != nil {
		return err
	}
	for {
		rows, behind, err := s.page(ctx, db, f, &q)
		for i := range rows {
			if !yield(rows[i], nil) {
				return nil
			}
		}
		if err != nil || behind == nil {
			return err
		}
		q.behind = behind
		if f.Limit > 0 {
			if f.Limit -= len(rows); f.Limit == 0 {
				return nil
			}
		}
	}
}

// A page is read in one transaction, and given out when that has ended: nothing
// of the write-ahead log can be used again while somebody reads, so that a reader
// who is as slow as a person would let it grow without bound.
const (
	pageRows  = 5000
	pageBytes = 8 << 20 // of texts; a row more may be in it
)

// page reads rows until a page is full; then behind is the place of the last.
func (s *Store) page(ctx context.Context, db *sql.DB, f audit.Filter, q *query) (page []audit.Row, behind *place, err error) {
	text, args := q.text(f)
	rows, err := db.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	columns := f.View.Columns()
	into := make([]any, len(columns), len(columns)+4)
	var at place
	into = append(into, &at.at, &at.log, &at.seq, &at.item)
	for size := 0; rows.Next(); {
		values := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return page, nil, err
		}
		for i, name := range columns {
			values[i] = convert(name, values[i])
			if text, ok := values[i].(string); ok {
				size += len(text)
			}
		}
		page = append(page, audit.Row{Columns: columns, Values: values})
		if len(page) >= s.pageRows || size >= pageBytes {
			return page, &at, nil
		}
	}
	return page, nil, rows.Err()
}

// conditions makes the WHERE of a filter. Devices and names are looked up first,
// in their own small tables, so that the large ones are asked by number.
func conditions(ctx context.Context, db *sql.DB, f audit.Filter) (q query, err error) {
	if f.Log != "" {
		q.where("log_id = (SELECT id FROM logs WHERE log = ?)", f.Log)
	} else if f.After > 0 {
		q.where("log_id IN (SELECT id FROM logs)") // else the place has no index
	}
	if f.After > 0 {
		q.where("seq > ?", int64(f.After))
	}
	if f.Tenant != "" {
		q.where("tenant = ?", f.Tenant)
	}
	if f.Session != "" {
		q.where("session = ?", f.Session)
	}
	if !f.Since.IsZero() {
		q.where("at >= ?", f.Since.UnixMicro())
	}
	if !f.Until.IsZero() {
		q.where("at < ?", f.Until.UnixMicro())
	}
	if f.Kind != "" && f.View == audit.ViewRecords {
		q.where("kind = ?", f.Kind)
	}
	if f.RPC != "" && f.View != audit.ViewRecords && f.View != audit.ViewSessions {
		q.where(`? IN (rpc, "to")`, f.RPC)
	}
	if at := slices.Index(audit.Identities(), f.Identity); at >= 0 && f.View != audit.ViewRecords {
		q.where("identity IN (SELECT value FROM json_each(?))", array(audit.Identities()[at:]))
	}
	if f.Outcome != "" && f.View != audit.ViewRecords {
		q.where("outcome = ?", f.Outcome)
	}
	if f.Device != "" {
		exact, same, err := devices(ctx, db, f.Device)
		if err != nil {
			return q, err
		}
		if f.View == audit.ViewRecords || f.View == audit.ViewRPCs {
			same = exact
		}
		q.oneOf("device_id", same)
	}
	if f.Parameter != "" && f.View == audit.ViewChanges {
		ids, err := names(ctx, db, f.Parameter)
		if err != nil {
			return q, err
		}
		q.oneOf("name_id", ids)
	}
	if f.Device == "" && f.View == audit.ViewTransfers {
		if err := q.narrowTransfers(ctx, db, f); err != nil {
			return q, err
		}
	}
	return q, nil
}

// query is a WHERE that grows.
type query struct {
	conditions []string
	args       []any
	behind     *place // of the last row that was given; nil at the beginning
}

// place is where a row stands among all of its view.
type place struct{ at, log, seq, item int64 }

func (q *query) where(condition string, args ...any) {
	q.conditions = append(q.conditions, condition)
	q.args = append(q.args, args...)
}

// inline is how many numbers stand in the statement itself; a list that does
// is passed on into the views, one that is read from JSON is not.
const inline = 1000

func (q *query) oneOf(column string, ids []int64) {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = strconv.FormatInt(id, 10)
	}
	list := strings.Join(texts, ", ")
	if len(ids) > inline {
		q.where(column+" IN (SELECT value FROM json_each(?))", "["+list+"]")
		return
	}
	q.where(column + " IN (" + list + ")")
}

func (q *query) text(f audit.Filter) (string, []any) {
	columns := `"` + strings.Join(f.View.Columns(), `", "`) + `", at, log_id, seq, item`
	order := " ORDER BY at, log_id, seq, item"
	if f.After > 0 { // within a log the time never goes back
		order = " ORDER BY log_id, seq, item"
	}
	conditions, args := q.conditions, q.args
	if p := q.behind; p != nil {
		if f.After > 0 {
			conditions = append(slices.Clip(conditions), "log_id >= ? AND (log_id, seq, item) > (?, ?, ?)")
			args = append(slices.Clip(args), p.log, p.log, p.seq, p.item)
		} else {
			conditions = append(slices.Clip(conditions), "at >= ? AND (at, log_id, seq, item) > (?, ?, ?, ?)")
			args = append(slices.Clip(args), p.at, p.at, p.log, p.seq, p.item)
		}
	}
	where := ""
	if len(conditions) > 0 {
		where = " WHERE " + strings.Join(conditions, " AND ")
	}
	from := "view_" + string(f.View) + where
	switch {
	case f.Limit > 0 && f.After == 0 && q.behind == nil: // the newest
		from = "(SELECT * FROM " + from + " ORDER BY at DESC, log_id DESC, seq DESC, item DESC LIMIT " + strconv.Itoa(f.Limit) + ")" + order
	case f.Limit > 0:
		from += order + " LIMIT " + strconv.Itoa(f.Limit)
	default:
		from += order
	}
	return "SELECT " + columns + " FROM " + from, args
}

// narrowTransfers names the devices that the rows asked for are of. The life
// of a transfer is folded from all steps of its device; without this, from
// those of all devices.
func (q *query) narrowTransfers(ctx context.Context, db *sql.DB, f audit.Filter) error {
	since, until := int64(0), int64(math.MaxInt64)
	if !f.Since.IsZero() {
		since = f.Since.UnixMicro()
	}
	if !f.Until.IsZero() {
		until = f.Until.UnixMicro()
	}
	all := f.Tenant != "" || f.Session != "" || f.RPC != "" || f.Outcome != "" || f.Identity != "" || f.Log != "" || f.After > 0
	if f.Limit > 0 && !all {
		// Each request is a row, so none of the newest so many rows is older
		// than the last of the newest so many requests.
		err := db.QueryRowContext(ctx, `SELECT coalesce(min(at), ?1) FROM (SELECT at FROM transfers
			WHERE at >= ?1 AND at < ?2 AND step = 'request' ORDER BY at DESC LIMIT ?3) HAVING count(*) = ?3`,
			since, until, f.Limit).Scan(&since)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	rows, err := db.QueryContext(ctx, `SELECT DISTINCT device FROM transfers
		WHERE at >= ? AND at < ? AND device IS NOT NULL LIMIT ?`, since, until, inline+1)
	if err != nil {
		return err
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		list = append(list, strconv.FormatInt(id, 10))
	}
	if len(list) <= inline {
		q.where("(device_id IS NULL OR device_id IN (" + strings.Join(list, ", ") + "))")
	}
	return rows.Err()
}

// devices gives the numbers of the devices asked for: as spelled, and those
// under which all spellings stand together. The serial is what is asked for,
// or any part of it behind a hyphen.
func devices(ctx context.Context, db *sql.DB, asked string) (exact, same []int64, err error) {
	serials := []string{asked}
	for rest := asked; ; {
		_, behind, ok := strings.Cut(rest, "-")
		if !ok {
			break
		}
		serials, rest = append(serials, behind), behind
	}
	rows, err := db.QueryContext(ctx, `SELECT id, same, oui, class, serial FROM devices
		WHERE serial IN (SELECT value FROM json_each(?))`, array(serials))
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, group int64
		var oui, class, serial string
		if err := rows.Scan(&id, &group, &oui, &class, &serial); err != nil {
			return nil, nil, err
		}
		if audit.MatchDevice(asked, oui, class, serial) {
			exact, same = append(exact, id), append(same, group)
		}
	}
	return exact, same, rows.Err()
}

// names gives the numbers of the names that a pattern matches.
func names(ctx context.Context, db *sql.DB, pattern string) (ids []int64, err error) {
	p, err := audit.ParsePattern(pattern)
	if err != nil {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, `SELECT id, name FROM names`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			return nil, err
		}
		if p.Match(name) {
			ids = append(ids, id)
		}
	}
	return ids, rows.Err()
}

// convert gives a value the type that its column has in every store.
func convert(column string, v any) any {
	switch column {
	case "at", "begin", "end":
		if n, ok := v.(int64); ok {
			return time.UnixMicro(n).UTC()
		}
		return nil
	case "old", "new":
		return v
	case "seq", "item", "n", "answers", "answered", "completed", "parameters", "http_status", "bytes",
		"messages", "empty", "bytes_in", "bytes_out", "open", "undelivered":
		return v
	case "events":
		return events(v)
	}
	switch v := v.(type) {
	case nil:
		return ""
	case []byte:
		return string(v)
	}
	return v
}

func events(v any) string {
	text, _ := v.(string)
	var list []string
	if json.Unmarshal([]byte(text), &list) != nil {
		return ""
	}
	return strings.Join(list, ", ")
}
