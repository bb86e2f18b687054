package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cwmpgate/cwmpgate/audit"
)

// anything is what a column may hold that only all records before could tell.
type anything struct{}

// rowPlace is a row's within its table and log.
type rowPlace struct {
	seq  int64
	item int64
}

// wanted are the rows that a table is to hold.
type wanted struct {
	layout
	seq, item int // columns; item is -1 where there is none
	rows      map[rowPlace][]any
	may       map[rowPlace]bool // need not be there
}

// CheckRows compares the projections, and the ledger's own columns, with the
// rows that the records make.
func (s *Store) CheckRows(ctx context.Context, log string, first, last uint64, want *audit.Rows) ([]audit.RowFault, error) {
	db := s.read.Load()
	if db == nil {
		return nil, s.describe("read", errNotOpen)
	}
	faults, err := checkRows(ctx, db, log, first, last, want)
	return faults, s.describe("read", err)
}

func checkRows(ctx context.Context, db *sql.DB, log string, first, last uint64, want *audit.Rows) ([]audit.RowFault, error) {
	c := &checker{ctx: ctx, db: db}
	err := db.QueryRowContext(ctx, `SELECT id FROM logs WHERE log = ?`, log).Scan(&c.log)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil // then nothing is shown of it
	}
	if err != nil {
		return nil, err
	}
	c.lay()
	if err := c.expect(want); err != nil {
		return nil, err
	}
	for _, w := range c.wanted {
		if err := c.compare(w, int64(first), int64(min(last, 1<<63-1))); err != nil {
			return nil, fmt.Errorf("table %s: %w", w.table, err)
		}
	}
	return c.faults, nil
}

type checker struct {
	ctx     context.Context
	db      *sql.DB
	log     int64
	tables  tables
	wanted  []*wanted
	params  *wanted // of wanted, that of parameters
	devices map[deviceKey]deviceID
	names   map[string]int64
	may     bool // the row that comes need not be there
	faults  []audit.RowFault
}

// lay makes the inserts give what they would write.
func (c *checker) lay() {
	c.devices, c.names = map[deviceKey]deviceID{}, map[string]int64{}
	for _, l := range c.tables.layouts() {
		w := &wanted{layout: l, item: -1, rows: map[rowPlace][]any{}, may: map[rowPlace]bool{}}
		for i, column := range l.columns {
			switch column {
			case "seq":
				w.seq = i
			case "item":
				w.item = i
			}
		}
		*l.into = &insert{table: l.table, columns: len(l.columns), collect: func(values []any) {
			at := w.rowPlace(values)
			w.rows[at] = values
			if c.may {
				w.may[at] = true
			}
		}}
		if l.into == &c.tables.parameters {
			c.params = w
		}
		if l.into != &c.tables.plain { // its rows are of parameters too
			c.wanted = append(c.wanted, w)
		}
	}
}

func (w *wanted) rowPlace(values []any) (p rowPlace) {
	p.seq, _ = values[w.seq].(int64)
	if w.item >= 0 {
		p.item, _ = values[w.item].(int64)
	}
	return p
}

// expect fills in what the rows are to be.
func (c *checker) expect(want *audit.Rows) error {
	t := &c.tables
	for i := range want.Records {
		r := &want.Records[i]
		d, err := c.device(&r.Head)
		if err != nil {
			return err
		}
		t.ledger.collect([]any{c.log, int64(r.Seq), r.At.UnixMicro(), r.Kind, r.Node, r.Tenant, number(d.id), r.Session, int64(r.N), r.Identity,
			anything{}, anything{}, anything{}})
	}
	for i := range want.RPCs {
		_ = t.addRPC(c.log, &want.RPCs[i])
	}
	for i := range want.Parameters {
		if err := c.expectParameter(&want.Parameters[i]); err != nil {
			return err
		}
	}
	for i := range want.Transfers {
		r := &want.Transfers[i]
		d, err := c.device(&r.Head)
		if err != nil {
			return err
		}
		_ = t.addTransfer(c.log, d.same, r)
	}
	for i := range want.Sessions {
		r := &want.Sessions[i]
		d, err := c.device(&r.Head)
		if err != nil {
			return err
		}
		_ = t.addSession(c.log, d.same, r)
	}
	return t.addEvents(c.log, want)
}

func (c *checker) expectParameter(p *audit.ParameterRow) error {
	d, err := c.device(&p.Head)
	if err != nil {
		return err
	}
	name, err := c.name(p.Name)
	if err != nil {
		return err
	}
	shared := commonOf(c.log, d.same, p)
	c.may = p.MayLack()
	defer func() { c.may = false }()
	_ = c.tables.addWhole(&shared, name, p.Action != audit.ActionRefused, p)
	if tells(p) {
		// Whether it is a change, all records before tell.
		row := c.params.rows[rowPlace{int64(p.Seq), int64(p.Item)}]
		row[slices.Index(c.params.columns, "changed")] = anything{}
	}
	return nil
}

// device finds the numbers of a device, -1 for one that the store does not
// know, which no row has. Where other rows of it say otherwise, the lowest
// number of its spellings counts.
func (c *checker) device(h *audit.Head) (d deviceID, err error) {
	k := deviceKey{h.Tenant, h.Manufacturer, h.OUI, h.Class, h.Serial}
	if k.manufacturer == "" && k.oui == "" && k.class == "" && k.serial == "" {
		return d, nil
	}
	if d, ok := c.devices[k]; ok {
		return d, nil
	}
	var same int64
	err = c.db.QueryRowContext(c.ctx, `SELECT id, same, (SELECT min(e.id) FROM devices AS e
			WHERE e.serial = d.serial AND e.tenant = d.tenant AND e.oui = d.oui COLLATE NOCASE AND e.class = d.class)
		FROM devices AS d WHERE serial = ? AND tenant = ? AND oui = ? AND class = ? AND manufacturer = ?`,
		k.serial, k.tenant, k.oui, k.class, k.manufacturer).Scan(&d.id, &same, &d.same)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		d, err = deviceID{-1, -1}, nil
	case err == nil && same != d.same:
		c.faults = append(c.faults, audit.RowFault{Table: "devices", Seq: h.Seq, What: audit.Altered, Column: "same"})
	}
	c.devices[k] = d
	return d, err
}

// name finds the number of a name, -1 for one that the store does not know.
func (c *checker) name(name string) (int64, error) {
	if id, ok := c.names[name]; ok {
		return id, nil
	}
	var id int64
	err := c.db.QueryRowContext(c.ctx, `SELECT id FROM names WHERE name = ?`, name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		id, err = -1, nil
	}
	c.names[name] = id
	return id, err
}

// compare looks at the rows of one table.
func (c *checker) compare(w *wanted, first, last int64) error {
	columns := w.columns
	if w.table == "ledger" {
		columns = columns[:len(columns)-3] // the proof looks at leaf, salt and bytes
	}
	rows, err := c.db.QueryContext(c.ctx, `SELECT `+strings.Join(columns, ", ")+` FROM `+w.table+
		` WHERE log = ? AND seq BETWEEN ? AND ? ORDER BY seq`, c.log, first, last)
	if err != nil {
		return err
	}
	defer rows.Close()
	got, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range got {
		into[i] = &got[i]
	}
	seen := make(map[rowPlace]bool, len(w.rows))
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		at := w.rowPlace(got)
		want, ok := w.rows[at]
		switch {
		case w.table == "ledger" && !ok:
		case !ok || seen[at]:
			c.fault(w, at, audit.Added, "")
		default:
			for i, column := range columns {
				if !equal(got[i], want[i]) {
					c.fault(w, at, audit.Altered, column)
					break
				}
			}
		}
		seen[at] = true
	}
	for at := range w.rows {
		if !seen[at] && !w.may[at] {
			c.fault(w, at, audit.Missing, "")
		}
	}
	return rows.Err()
}

func (c *checker) fault(w *wanted, at rowPlace, what, column string) {
	c.faults = append(c.faults, audit.RowFault{Table: w.table, Seq: uint64(at.seq), Item: int(at.item), What: what, Column: column})
}

func equal(got, want any) bool {
	switch v := want.(type) {
	case anything:
		return true
	case bool:
		want = int64(0)
		if v {
			want = int64(1)
		}
	}
	if b, ok := got.([]byte); ok {
		w, ok := want.([]byte)
		return ok && bytes.Equal(b, w)
	}
	return got == want
}
