package clickhouse

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

var _ audit.RowChecker = (*Store)(nil)

// rowPlace is a row's within its table and log.
type rowPlace struct {
	seq  uint64
	item int
}

// wanted are the rows that a table is to hold, as the writer makes them.
type wanted struct {
	*block
	columns []string // that are compared
	rows    map[rowPlace]int
	may     map[rowPlace]bool // need not be there
	any     map[rowPlace]bool // whose column changed only all records before could tell
}

// CheckRows compares the projections, and the ledger's own columns, with the
// rows that the records make.
func (s *Store) CheckRows(ctx context.Context, log string, first, last uint64, want *audit.Rows) (faults []audit.RowFault, err error) {
	if s.conn.Load() == nil {
		return nil, s.describe("read", errNotOpen)
	}
	for _, w := range expect(want) {
		if faults, err = w.compare(ctx, s, log, first, last, faults); err != nil {
			return nil, s.describe("read", fmt.Errorf("table %s: %w", w.table, err))
		}
	}
	return faults, nil
}

// expect makes the rows that are to be there.
func expect(want *audit.Rows) (all []*wanted) {
	t, l := newProjections(""), newLedger()
	for i := range want.Records {
		r := &want.Records[i]
		h := headOf(&r.Head)
		l.add(&h, r.Kind, nil, nil, nil)
	}
	to := make(map[uint64]string)
	for i := range want.RPCs {
		r := &want.RPCs[i]
		to[r.Seq] = r.To
		h := headOf(&r.Head)
		t.rpcs.add(&h, r)
	}
	for i := range want.Parameters {
		p := &want.Parameters[i]
		h, s := headOf(&p.Head), sharedOf(p)
		s.to = word(to[p.Seq])
		t.parameters.add(&h, &s, p, p.Action != audit.ActionRefused)
	}
	for i := range want.Transfers {
		r := &want.Transfers[i]
		h := headOf(&r.Head)
		t.transfers.add(&h, r, to[r.Seq])
	}
	for i := range want.Sessions {
		h := headOf(&want.Sessions[i].Head)
		t.sessions.add(&h, &want.Sessions[i])
	}
	for i := range want.Refusals {
		h := headOf(&want.Refusals[i].Head)
		t.refusals.add(&h, &want.Refusals[i])
	}
	for i := range want.Security {
		h := headOf(&want.Security[i].Head)
		t.security.add(&h, &want.Security[i])
	}
	for i := range want.Decisions {
		h := headOf(&want.Decisions[i].Head)
		t.decisions.add(&h, &want.Decisions[i])
	}
	for i := range want.System {
		h := headOf(&want.System[i].Head)
		t.system.add(&h, &want.System[i])
	}
	for _, b := range append(t.all(), &l.block) {
		w := &wanted{block: b, columns: b.names, rows: make(map[rowPlace]int, b.rows), may: map[rowPlace]bool{}, any: map[rowPlace]bool{}}
		for i := range b.rows {
			w.rows[rowPlace{b.place[2*i], int(b.place[2*i+1])}] = i
		}
		switch b {
		case &l.block:
			// The proof looks at leaf, salt and bytes.
			w.columns = slices.DeleteFunc(slices.Clone(b.names), func(name string) bool { return name == "leaf" || name == "salt" || name == "bytes" })
		case &t.parameters.block:
			for i := range want.Parameters {
				p := &want.Parameters[i]
				at := rowPlace{p.Seq, p.Item}
				w.may[at], w.any[at] = p.MayLack(), tells(p)
			}
		}
		all = append(all, w)
	}
	return all
}

// compare looks at the rows of one table.
func (w *wanted) compare(ctx context.Context, s *Store, log string, first, last uint64, faults []audit.RowFault) ([]audit.RowFault, error) {
	rows, err := (*s.conn.Load()).Query(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE log = %s AND seq BETWEEN %d AND %d ORDER BY seq",
		strings.Join(w.columns, ", "), w.table, literal(log), first, last))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	into := make([]any, len(w.columns))
	for i, t := range rows.ColumnTypes() {
		into[i] = reflect.New(t.ScanType()).Interface()
	}
	want := make([]reflect.Value, len(w.columns))
	for i, name := range w.columns {
		want[i] = reflect.ValueOf(w.block.columns[slices.Index(w.names, name)].all())
	}
	fault := func(at rowPlace, what, column string) {
		faults = append(faults, audit.RowFault{Table: w.table, Seq: at.seq, Item: at.item, What: what, Column: column})
	}
	seen := make(map[rowPlace]bool, len(w.rows))
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		at := w.placeOf(into)
		row, ok := w.rows[at]
		switch {
		case w.table == "ledger" && !ok: // an emptied one
		case !ok || seen[at]:
			fault(at, audit.Added, "")
		default:
			for i, name := range w.columns {
				if name == "changed" && w.any[at] {
					continue
				}
				if !equal(reflect.ValueOf(into[i]).Elem(), want[i].Index(row)) {
					fault(at, audit.Altered, name)
					break
				}
			}
		}
		seen[at] = true
	}
	for at := range w.rows {
		if !seen[at] && !w.may[at] {
			fault(at, audit.Missing, "")
		}
	}
	return faults, rows.Err()
}

func (w *wanted) placeOf(row []any) (at rowPlace) {
	for i, name := range w.columns {
		switch v := row[i].(type) {
		case *uint64:
			if name == "seq" {
				at.seq = *v
			}
		case *uint32:
			if name == "item" {
				at.item = int(*v)
			}
		}
	}
	return at
}

// equal compares a value as it was read with one as it would be written.
func equal(got, want reflect.Value) bool {
	for want.Kind() == reflect.Interface {
		want = want.Elem()
	}
	if !want.IsValid() { // a word that is not there is written as an empty one
		return got.Kind() == reflect.String && got.Len() == 0
	}
	if got.Kind() == reflect.Pointer || want.Kind() == reflect.Pointer {
		if got.Kind() != want.Kind() {
			return false
		}
		if got.IsNil() || want.IsNil() {
			return got.IsNil() == want.IsNil()
		}
		return equal(got.Elem(), want.Elem())
	}
	if t, ok := want.Interface().(time.Time); ok {
		u, ok := got.Interface().(time.Time)
		return ok && u.UnixMicro() == t.UnixMicro()
	}
	if want.Kind() == reflect.Slice {
		if got.Kind() != reflect.Slice || got.Len() != want.Len() {
			return false
		}
		for i := range want.Len() {
			if !equal(got.Index(i), want.Index(i)) {
				return false
			}
		}
		return true
	}
	return got.Interface() == want.Interface()
}
