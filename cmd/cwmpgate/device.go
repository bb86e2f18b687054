package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cwmpgate/cwmpgate/audit"
)

// deviceQuestion is what the flags of audit device ask.
type deviceQuestion struct {
	file, device, tenant string
	at                   string
	limit                int
	json, wide           bool
}

func newAuditDevice() *cobra.Command {
	q := &deviceQuestion{}
	cmd := &cobra.Command{
		Use: "device DEVICE --config FILE", Short: "Show a device as the record knows it, now or at a time",
		Long: `Device reads all records of one device and tells who it is, where it came from,
the last known value of each parameter and how it became known, what changed
without an RPC that set it, its transfers and its latest sessions. DEVICE is a
serial number, OUI-serial or OUI-class-serial. See docs/audit.md.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("name one device: its serial number, OUI-serial or OUI-class-serial")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			q.device = args[0]
			at, err := readTime("--at", q.at, time.Now())
			if err != nil {
				return err
			}
			if q.limit < 0 {
				return usagef("--limit %d is negative", q.limit)
			}
			store, err := openStore(cmd.Context(), q.file, true)
			if err != nil {
				return err
			}
			defer store.Close()
			p, err := q.read(cmd.Context(), store, at)
			if err != nil {
				return err
			}
			if q.json {
				_, err = cmd.OutOrStdout().Write(append(p.json(), '\n'))
				return err
			}
			width := terminalWidth(cmd.OutOrStdout())
			if q.wide {
				width = 0
			}
			return p.print(cmd.OutOrStdout(), width)
		},
	}
	f := cmd.Flags()
	configFlag(cmd, &q.file)
	f.StringVar(&q.tenant, "tenant", "", "the device of this `tenant`")
	f.StringVar(&q.at, "at", "", "as it was known at this `time`; now where absent")
	f.IntVar(&q.limit, "limit", 10, "the newest `n` addresses, changes, transfers and sessions; 0: all")
	f.BoolVar(&q.json, "json", false, "one JSON object; see docs/audit.md")
	f.BoolVar(&q.wide, "wide", false, "do not shorten columns to the terminal's width")
	return cmd
}

// portrait is a device as it was known at a time.
type portrait struct {
	subject   audit.Subject
	life      *audit.Life
	at        time.Time // zero: now
	limit     int
	transfers []audit.Row
	sessions  []audit.Row
}

// read collects what the store knows of the device.
func (q *deviceQuestion) read(ctx context.Context, r audit.Reader, at time.Time) (*portrait, error) {
	s, err := findSubject(ctx, r, q.device, q.tenant)
	if err != nil {
		return nil, err
	}
	p := &portrait{subject: s, life: audit.NewLife(), at: at, limit: q.limit}
	last := map[string]int64{} // number of the last record known then, by log
	f := audit.Filter{View: audit.ViewRecords, Device: s.Device.Serial}
	if !at.IsZero() {
		f.Until = at.Add(time.Microsecond) // what was recorded at that moment is known
	}
	for row, err := range r.Query(ctx, f) {
		if err != nil {
			return nil, fmt.Errorf("ask the store: %w", err)
		}
		if !s.About(row) {
			continue
		}
		log, seq := row.Text("log"), row.Number("seq")
		if err := p.life.Add(log, uint64(seq), []byte(row.Text("record"))); err != nil {
			return nil, err
		}
		last[log] = seq
	}
	if p.life.Records == 0 {
		return nil, fmt.Errorf("no record of %s is as old as %s", describeSubject(s), q.at)
	}
	if p.transfers, err = q.rows(ctx, r, s, f, audit.ViewTransfers); err != nil {
		return nil, err
	}
	if !at.IsZero() {
		for _, t := range p.transfers {
			asKnown(t, last[t.Text("log")])
		}
	}
	p.sessions, err = q.rows(ctx, r, s, f, audit.ViewSessions)
	return p, err
}

// rows gives the newest rows of a view that are of the device.
func (q *deviceQuestion) rows(ctx context.Context, r audit.Reader, s audit.Subject, f audit.Filter, view audit.View) (rows []audit.Row, err error) {
	f.View = view
	for row, err := range r.Query(ctx, f) {
		if err != nil {
			return nil, fmt.Errorf("ask the store: %w", err)
		}
		if s.About(row) {
			rows = append(rows, row)
		}
		if q.limit > 0 && len(rows) > 2*q.limit {
			rows = append(rows[:0], rows[len(rows)-q.limit:]...)
		}
	}
	return newest(rows, q.limit), nil
}

// newest gives the last n of a list; 0: all.
func newest[T any](all []T, n int) []T {
	if n > 0 && len(all) > n {
		return all[len(all)-n:]
	}
	return all
}

// asKnown takes from the row of a transfer what was recorded behind last. What
// was relayed of one that was open then is left out, since the row does not tell
// when that was.
func asKnown(t audit.Row, last int64) {
	answered, completed := t.Number("answered"), t.Number("completed")
	if answered <= last && completed > 0 && completed <= last {
		return
	}
	outcome := t.Text("outcome")
	if answered > last {
		outcome = audit.OutcomeUnanswered
	} else if completed > last || outcome == audit.OutcomeCancelled {
		outcome = audit.OutcomeStarted
	}
	for i, c := range t.Columns {
		switch c {
		case "outcome":
			t.Values[i] = outcome
		case "answered", "completed":
			if t.Number(c) > last {
				t.Values[i] = nil
			}
		}
	}
	if outcome != audit.OutcomeUnanswered && outcome != audit.OutcomeStarted {
		return
	}
	for i, c := range t.Columns {
		switch c {
		case "http_status", "bytes":
			t.Values[i] = nil
		case "status", "sha256", "start", "finish", "fault_code", "fault_text":
			if outcome == audit.OutcomeUnanswered || c != "status" {
				t.Values[i] = ""
			}
		}
	}
}

// Columns of the lists that are made from the device's life.
var (
	addressColumns   = []string{"address", "first", "last", "sessions"}
	parameterColumns = []string{"parameter", "value", "value_secret", "type", "at", "by", "acs", "session", "log", "seq", "told"}
	unaskedColumns   = []string{"at", "log", "seq", "item", "session", "action", "parameter", "old", "old_secret", "new", "new_secret", "type"}
)

func (p *portrait) addresses() (rows []audit.Row) {
	for i, a := range p.life.Addresses() {
		if p.limit > 0 && i == p.limit {
			break
		}
		rows = append(rows, audit.Row{Columns: addressColumns, Values: []any{a.Address, a.First, a.Last, int64(a.Sessions)}})
	}
	return rows
}

func (p *portrait) parameters() (rows []audit.Row) {
	for _, a := range p.life.Parameters() {
		r := &a.Row
		var told any
		if !a.Told.IsZero() {
			told = a.Told
		}
		rows = append(rows, audit.Row{Columns: parameterColumns, Values: []any{
			r.Name, valueOf(r), r.Secret, r.Type, r.At, a.By, r.ACS, r.Session, r.Log, int64(r.Seq), told,
		}})
	}
	return rows
}

func (p *portrait) unasked() (rows []audit.Row) {
	for _, u := range newest(p.life.Unasked(), p.limit) {
		r := &u.New
		rows = append(rows, audit.Row{Columns: unaskedColumns, Values: []any{
			r.At, r.Log, int64(r.Seq), int64(r.Item), r.Session, r.Action, r.Name, valueOf(&u.Old), u.Old.Secret, valueOf(r), r.Secret, r.Type,
		}})
	}
	return rows
}

func valueOf(r *audit.ParameterRow) any {
	if r.Value == nil {
		return nil
	}
	return *r.Value
}

// json is all of it as one object.
func (p *portrait) json() []byte {
	l, d := p.life, p.life.Device
	var at any
	if !p.at.IsZero() {
		at = p.at
	}
	b := appendRow(nil, audit.Row{
		Columns: []string{"tenant", "manufacturer", "oui", "class", "serial", "identity", "at", "first_seen", "last_seen", "records", "unread", "sessions_ended"},
		Values: []any{p.subject.Tenant, d.Manufacturer, d.OUI, d.Class, d.Serial, l.Identity, at, l.First, l.Last,
			int64(l.Records), int64(l.Unread), int64(l.Sessions)},
	})
	b = b[:len(b)-1]
	for _, list := range []struct {
		name string
		rows []audit.Row
	}{
		{"addresses", p.addresses()}, {"parameters", p.parameters()}, {"changed_without_rpc", p.unasked()},
		{"transfers", p.transfers}, {"sessions", p.sessions},
	} {
		b = append(appendJSON(append(b, ','), list.name), ":["...)
		for i, row := range list.rows {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendRow(b, row)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// print is all of it for people.
func (p *portrait) print(out io.Writer, width int) error {
	l, d := p.life, p.life.Device
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-14s%s\n", name, printable(value))
		}
	}
	line("DEVICE", p.subject.Name())
	line("MANUFACTURER", d.Manufacturer)
	line("TENANT", p.subject.Tenant)
	line("IDENTITY", l.Identity)
	if !p.at.IsZero() {
		line("KNOWN AT", moment(p.at))
	}
	line("FIRST SEEN", moment(l.First))
	line("LAST SEEN", moment(l.Last))
	line("RECORDS", fmt.Sprintf("%d, %s ended", l.Records, plural(l.Sessions, "session")))
	if l.Unread > 0 {
		line("UNREAD", plural(l.Unread, "record")+" that this version cannot read")
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return err
	}
	for _, part := range []struct {
		title   string
		rows    []audit.Row
		columns []column
	}{
		{"Addresses", p.addresses(), []column{text("ADDRESS", "address", 8), text("FIRST", "first", 19), text("LAST", "last", 19), text("SESSIONS", "sessions", 1)}},
		{"Last known parameters", p.parameters(), []column{text("PARAMETER", "parameter", 24), {"VALUE", 8, valueCell("value")},
			text("SINCE", "at", 19), text("BY", "by", 8), text("ACS", "acs", 6), text("LAST TOLD", "told", 19)}},
		{"Changed without an RPC that set it", p.unasked(), []column{text("TIME", "at", 19), text("TOLD BY", "action", 8), text("PARAMETER", "parameter", 24),
			{"OLD", 8, valueCell("old")}, {"NEW", 8, valueCell("new")}}},
		{"Transfers", p.transfers, withoutDevice(audit.ViewTransfers)},
		{"Latest sessions", p.sessions, withoutDevice(audit.ViewSessions)},
	} {
		fmt.Fprintf(out, "\n%s\n", part.title)
		t := &table{w: out, width: width, columns: part.columns, empty: "none"}
		for _, row := range part.rows {
			if err := t.row(row); err != nil {
				return err
			}
		}
		if err := t.end(); err != nil {
			return err
		}
	}
	return nil
}

// withoutDevice are a view's columns where all rows are of one device.
func withoutDevice(view audit.View) (columns []column) {
	for _, c := range tableColumns(view) {
		if c.title != "DEVICE" && c.title != "TENANT" {
			columns = append(columns, c)
		}
	}
	return columns
}
