package clickhouse

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/journal"
)

// writer is what is kept from one cut to the next: how far which log has come,
// and memory. What a device told is looked up for each cut.
type writer struct {
	store *Store
	log   string // of the last cut that was written for certain
	next  uint64 // the number behind it; 0: in doubt

	projector audit.Projector
	rows      audit.Rows
	tables    *projections
	ledger    *ledgerTable
	latest    *latestTable
}

// Write adds the records of a cut and their projections. It may stop at any
// point: what is there already is not sent again, and the records themselves,
// which are sent last, are what makes the rest count.
func (s *Store) Write(ctx context.Context, b *audit.Batch) error {
	if len(b.Entries) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.open(ctx)
	if err == nil {
		err = s.writer.write(ctx, b)
	}
	return s.describe("write to", err)
}

func (w *writer) write(ctx context.Context, b *audit.Batch) (err error) {
	if w.tables == nil {
		w.tables, w.ledger, w.latest = newProjections(""), newLedger(), newLatest()
	}
	if err := w.store.undisturbed(ctx); err != nil {
		return err
	}
	doubt := w.store.moved.Swap(false) || w.log != b.Log || w.next == 0 || b.First != w.next
	w.next = 0
	defer func() {
		// The records' bytes are the caller's.
		w.tables.reset()
		w.ledger.reset()
		w.latest.reset()
		if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
			err = fmt.Errorf("%w (%w)", err, ctx.Err())
		}
	}()
	b.Unprojected = 0
	for rest := b.Entries; len(rest) > 0; {
		c, err := w.read(b.Log, rest)
		if err != nil {
			return err
		}
		if doubt {
			err = w.settle(ctx, c)
		} else {
			err = w.send(ctx, c, nothing)
		}
		if err != nil {
			return err
		}
		b.Unprojected += c.rowless()
		rest = rest[len(c.records):]
	}
	if doubt {
		// A cursor that was lost sends a log from its beginning: what follows may be
		// there too, up to where the ledger has come.
		tail, err := w.tail(ctx, b.Log)
		if err != nil || tail > b.Last {
			return err
		}
	}
	w.log, w.next = b.Log, b.Last+1
	return nil
}

// tail is the last number that the ledger has of a log.
func (w *writer) tail(ctx context.Context, log string) (seq uint64, err error) {
	err = (*w.store.conn.Load()).QueryRow(context.WithoutCancel(ctx), "SELECT max(seq) FROM ledger WHERE log = "+literal(log)).Scan(&seq)
	if err != nil {
		return 0, fmt.Errorf("ask the ledger: %w", err)
	}
	return seq, nil
}

// cut is a run of records that one insert can take: of one month, so that the
// rows of a table become one part, all or nothing.
type cut struct {
	log     string
	records []record
	there   map[uint64]bool // those that the ledger has
}

type record struct {
	entry *journal.Entry
	leaf  [sha256.Size]byte
	row   audit.RecordRow
	bare  bool // it cannot be projected

	rpcs, parameters, transfers, sessions, refusals, security, decisions, system span
}

// span is the rows of a record among those of its cut.
type span struct{ from, to int }

func (c *cut) first() *record { return &c.records[0] }
func (c *cut) last() *record  { return &c.records[len(c.records)-1] }

// rowless is how many records that were not there have no rows.
func (c *cut) rowless() (n int) {
	for i := range c.records {
		if c.records[i].bare && !c.there[c.records[i].row.Seq] {
			n++
		}
	}
	return n
}

// between is the place of the cut's rows in a table, as a condition. Times are
// beside the numbers for the partitions.
func (c *cut) between(from *record) string {
	return fmt.Sprintf("log = %s AND seq BETWEEN %d AND %d AND at BETWEEN %s AND %s",
		literal(c.log), from.row.Seq, c.last().row.Seq, moment(from.row.At), moment(c.last().row.At))
}

// read projects entries up to the end of a month.
func (w *writer) read(log string, entries []journal.Entry) (*cut, error) {
	w.resetRows()
	c := &cut{log: log, records: make([]record, 0, len(entries))}
	month := time.Time{}
	hash := sha256.New()
	for i := range entries {
		e := &entries[i]
		if i > 0 && e.Seq <= entries[i-1].Seq {
			return nil, fmt.Errorf("log %s: record %d stands behind record %d in its batch", log, e.Seq, entries[i-1].Seq)
		}
		of, err := w.projected(log, e)
		if err != nil {
			return nil, err
		}
		at := bounded(of.row.At)
		if begin := time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC); i == 0 {
			month = begin
		} else if !begin.Equal(month) {
			break
		}
		hash.Reset()
		hash.Write([]byte{0}) // RFC 6962: a leaf begins so, that none can be read as a node
		hash.Write(e.Salt[:])
		hash.Write(e.Bytes)
		hash.Sum(of.leaf[:0])
		c.records = append(c.records, *of)
	}
	return c, nil
}

func (w *writer) resetRows() {
	if cap(w.rows.Parameters) > keptRows {
		w.rows = audit.Rows{}
		return
	}
	w.rows.Reset()
}

// projected adds the rows of a record to those of its cut.
func (w *writer) projected(log string, e *journal.Entry) (*record, error) {
	r := &w.rows
	of := &record{entry: e}
	of.rpcs.from, of.parameters.from, of.transfers.from = len(r.RPCs), len(r.Parameters), len(r.Transfers)
	of.sessions.from, of.refusals.from, of.security.from = len(r.Sessions), len(r.Refusals), len(r.Security)
	of.decisions.from, of.system.from = len(r.Decisions), len(r.System)
	if err := w.projector.Project(log, e.Seq, e.Bytes, r); err != nil {
		var p *audit.ProjectError
		if !errors.As(err, &p) || p.Record == nil {
			return nil, err
		}
		of.row, of.bare = *p.Record, true
	} else {
		of.row = r.Records[len(r.Records)-1]
	}
	of.rpcs.to, of.parameters.to, of.transfers.to = len(r.RPCs), len(r.Parameters), len(r.Transfers)
	of.sessions.to, of.refusals.to, of.security.to = len(r.Sessions), len(r.Refusals), len(r.Security)
	of.decisions.to, of.system.to = len(r.Decisions), len(r.System)
	return of, nil
}

// settle brings a cut into the store of which it is not known what is there. It
// asks, sends what is missing, and asks again: a server may take an insert for
// one that it has had, and say so to nobody.
func (w *writer) settle(ctx context.Context, c *cut) error {
	for try := 0; ; try++ {
		there, err := w.existing(ctx, c)
		if err != nil {
			return err
		}
		if try == 0 {
			c.there = there
		}
		p := presence{try: try, ledger: there}
		if len(there) < len(c.records) {
			if try == maxTries {
				return fmt.Errorf("the server says that it took records %d to %d of log %s, but has only %d of them", c.first().row.Seq, c.last().row.Seq, c.log, len(there))
			}
			if p.rows, err = w.existingRows(ctx, c); err != nil {
				return err
			}
			if err := w.send(ctx, c, p); err != nil {
				return err
			}
			continue
		}
		return w.healLatest(context.WithoutCancel(ctx), c)
	}
}

// maxTries is how often a cut is sent whose inserts were acknowledged but are
// not there.
const maxTries = 3

// presence is what a store has of a cut.
type presence struct {
	try    int
	ledger map[uint64]bool
	rows   map[string]map[place]bool // by table
}

type place struct {
	seq  uint64
	item uint32
}

var nothing presence

// send makes the rows of what is missing, and inserts them: projections first,
// the ledger, which makes them count, behind them, and what the next cut asks
// for last.
func (w *writer) send(ctx context.Context, c *cut, p presence) error {
	from := slices.IndexFunc(c.records, func(r record) bool { return !p.ledger[r.row.Seq] })
	known, err := w.lookup(ctx, c.records[from:], "", p.rows != nil)
	if err != nil {
		return err
	}
	w.tables.reset()
	w.ledger.reset()
	w.latest.reset()
	for i := from; i < len(c.records); i++ {
		r := &c.records[i]
		h := headOf(&r.row.Head)
		missing := !p.ledger[r.row.Seq]
		w.project(&h, r, known, func(b *block, item int) bool {
			return missing && !p.rows[b.table][place{r.row.Seq, uint32(item)}]
		})
		if missing {
			w.ledger.add(&h, r.row.Kind, r.leaf[:], r.entry.Salt[:], r.entry.Bytes)
		}
	}
	for _, b := range w.tables.all() {
		if err := w.insert(ctx, b, c, p.try); err != nil {
			return err
		}
	}
	if err := w.store.undisturbed(ctx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// From here on it is not broken off: an error from the context means that
	// nothing of the cut counts.
	ctx = context.WithoutCancel(ctx)
	if err := w.insert(ctx, &w.ledger.block, c, p.try); err != nil {
		return err
	}
	if p.rows != nil {
		return nil // settle looks, and heals
	}
	known.freshInto(w.latest)
	return w.insert(ctx, &w.latest.block, c, p.try)
}

// insert sends a block under a token of its own: the same rows of the same cut
// have the same, others have another.
func (w *writer) insert(ctx context.Context, b *block, c *cut, try int) error {
	if b.rows == 0 {
		return nil
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %d %d %d\n", b.table, c.log, c.first().row.Seq, c.last().row.Seq, try)
	for i := range c.records {
		h.Write(c.records[i].leaf[:])
	}
	var number [8]byte
	for _, n := range b.place {
		binary.BigEndian.PutUint64(number[:], n)
		h.Write(number[:])
	}
	settings := ch.Settings{
		"async_insert": 0, "insert_deduplicate": 1, "insert_deduplication_token": hex.EncodeToString(h.Sum(nil)),
		"deduplicate_blocks_in_dependent_materialized_views": 1,
	}
	w.store.quorum(settings)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Duration(w.store.config.ReadTimeout))
	defer cancel()
	err := b.send(ch.Context(ctx, ch.WithSettings(settings)), *w.store.conn.Load(), w.store.local(b.table))
	if err != nil {
		return fmt.Errorf("insert %d rows into %s: %w", b.rows, b.table, refused(err))
	}
	return nil
}

func (s *Store) quorum(settings ch.Settings) {
	switch s.config.Quorum {
	case "none":
	case "auto":
		settings["insert_quorum"], settings["insert_quorum_parallel"] = "auto", 0
	default:
		settings["insert_quorum"], settings["insert_quorum_parallel"] = s.config.Quorum, 0
	}
}

// project adds the rows of one record to the projections, where the caller
// wants them.
func (w *writer) project(h *head, r *record, known *knowledge, wanted func(b *block, item int) bool) {
	t, rows := w.tables, &w.rows
	to := ""
	for i := range rows.RPCs[r.rpcs.from:r.rpcs.to] {
		row := &rows.RPCs[r.rpcs.from+i]
		to = row.To
		if wanted(&t.rpcs.block, 0) {
			t.rpcs.add(h, row)
		}
		if accepts(row) {
			known.accept(recordKey{row.Log, row.Answers})
		} else if refuses(row) {
			known.refuse(recordKey{row.Log, row.Answers})
		}
	}
	known.parameters(rows.Parameters[r.parameters.from:r.parameters.to], func(p *audit.ParameterRow, changed bool, s *shared) {
		if wanted(&t.parameters.block, p.Item) {
			s.to = word(to)
			t.parameters.add(h, s, p, changed)
		}
	})
	for i := range rows.Transfers[r.transfers.from:r.transfers.to] {
		if row := &rows.Transfers[r.transfers.from+i]; wanted(&t.transfers.block, row.Item) {
			t.transfers.add(h, row, to)
		}
	}
	for i := range rows.Sessions[r.sessions.from:r.sessions.to] {
		if wanted(&t.sessions.block, 0) {
			t.sessions.add(h, &rows.Sessions[r.sessions.from+i])
		}
	}
	for i := range rows.Refusals[r.refusals.from:r.refusals.to] {
		if wanted(&t.refusals.block, 0) {
			t.refusals.add(h, &rows.Refusals[r.refusals.from+i])
		}
	}
	for i := range rows.Security[r.security.from:r.security.to] {
		if wanted(&t.security.block, 0) {
			t.security.add(h, &rows.Security[r.security.from+i])
		}
	}
	for i := range rows.Decisions[r.decisions.from:r.decisions.to] {
		if wanted(&t.decisions.block, 0) {
			t.decisions.add(h, &rows.Decisions[r.decisions.from+i])
		}
	}
	for i := range rows.System[r.system.from:r.system.to] {
		if wanted(&t.system.block, 0) {
			t.system.add(h, &rows.System[r.system.from+i])
		}
	}
}

// projections are the tables made from the ledger's bytes.
type projections struct {
	rpcs       *rpcsTable
	parameters *parametersTable
	transfers  *transfersTable
	sessions   *sessionsTable
	refusals   *refusalsTable
	security   *securityTable
	decisions  *decisionsTable
	system     *systemTable
}

// newProjections makes their blocks; suffix is put behind the tables' names.
func newProjections(suffix string) *projections {
	return &projections{
		newRPCs("rpcs" + suffix), newParameters("parameters" + suffix), newTransfers("transfers" + suffix), newSessions("sessions" + suffix),
		newRefusals("refusals" + suffix), newSecurity("security" + suffix),
		newDecisions("decisions" + suffix), newSystem("system" + suffix),
	}
}

func (p *projections) all() []*block {
	return []*block{&p.rpcs.block, &p.parameters.block, &p.transfers.block, &p.sessions.block, &p.refusals.block, &p.security.block,
		&p.decisions.block, &p.system.block}
}

func (p *projections) reset() {
	for _, b := range p.all() {
		b.reset()
	}
}

// existing gives the numbers of a cut's records that the ledger has, and an
// error where one of them is another there.
func (w *writer) existing(ctx context.Context, c *cut) (map[uint64]bool, error) {
	// Without the times: a record that is there with others must be found too.
	rows, err := (*w.store.conn.Load()).Query(ctx, fmt.Sprintf("SELECT seq, leaf FROM ledger WHERE log = %s AND seq BETWEEN %d AND %d",
		literal(c.log), c.first().row.Seq, c.last().row.Seq))
	if err != nil {
		return nil, fmt.Errorf("ask the ledger: %w", err)
	}
	defer rows.Close()
	leaves := make(map[uint64][]byte)
	for rows.Next() {
		var seq uint64
		var leaf string
		if err := rows.Scan(&seq, &leaf); err != nil {
			return nil, err
		}
		leaves[seq] = []byte(leaf)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("ask the ledger: %w", err)
	}
	there := make(map[uint64]bool)
	for i := range c.records {
		r := &c.records[i]
		leaf, ok := leaves[r.row.Seq]
		if ok && !bytes.Equal(leaf, r.leaf[:]) {
			return nil, &DiffersError{c.log, r.row.Seq}
		}
		if ok {
			there[r.row.Seq] = true
		}
	}
	return there, nil
}

// existingRows gives what the projections have of a cut: rows of an insert
// whose cut was not finished.
func (w *writer) existingRows(ctx context.Context, c *cut) (map[string]map[place]bool, error) {
	all := make(map[string]map[place]bool)
	for _, b := range w.tables.all() {
		item := "toUInt32(0)"
		if slices.Contains(b.names, "item") {
			item = "item"
		}
		err := w.store.each(ctx, fmt.Sprintf("SELECT seq, %s FROM %s WHERE %s", item, b.table, c.between(c.first())), func(scan func(...any) error) error {
			var p place
			if err := scan(&p.seq, &p.item); err != nil {
				return err
			}
			if all[b.table] == nil {
				all[b.table] = make(map[place]bool)
			}
			all[b.table][p] = true
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("ask %s: %w", b.table, err)
		}
	}
	return all, nil
}

// each runs a query and gives its rows one after another.
func (s *Store) each(ctx context.Context, text string, take func(scan func(...any) error) error) error {
	rows, err := (*s.conn.Load()).Query(ctx, text)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := take(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
