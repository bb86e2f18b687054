package clickhouse

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/cwmpgate/cwmpgate/audit/journal"
)

// How much a rebuild holds at a time.
const (
	rebuildRecords = 5000
	rebuildBytes   = 8 << 20
)

// rebuilt is what stands behind the names of tables in the making.
const rebuilt = "_rebuild"

// settling is how long a rebuild waits for writers of other processes to end
// what they were at when it took the lock; they begin nothing new.
const settling = 2 * time.Second

// ErrRebuild says that another process makes the tables anew. It passes.
var ErrRebuild = errors.New("another process makes the tables anew; the journal keeps the records meanwhile")

// undisturbed says whether the tables are free to be written.
func (s *Store) undisturbed(ctx context.Context) error {
	n, err := s.claims(ctx, "")
	if err == nil && n > 0 {
		return ErrRebuild
	}
	return err
}

// Rebuild makes all projections anew from the bytes of the ledger, in the order
// of their times, in tables beside the old ones, and then puts them in their
// place. Writers wait meanwhile, and the journal keeps what they could not
// write. If it fails or is interrupted, all is as before.
func (s *Store) Rebuild(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.open(ctx)
	if err == nil {
		err = s.locked(ctx, s.rebuild)
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	return s.describe("rebuild", err)
}

func (s *Store) rebuild(ctx context.Context) (err error) {
	if s.writer.log == "" { // this process has written nothing; another may
		if err := sleep(ctx, settling); err != nil {
			return err
		}
	}
	conn, on := *s.conn.Load(), s.onCluster()
	t := newProjections(rebuilt)
	names := []string{"last_values"}
	for _, b := range newProjections("").all() {
		names = append(names, b.table)
	}
	drop := func(ctx context.Context) (err error) {
		for _, name := range names {
			err = errors.Join(err, conn.Exec(ctx, "DROP TABLE IF EXISTS "+s.local(name+rebuilt)+on))
		}
		return err
	}
	if err := drop(ctx); err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(s.config.ReadTimeout))
		defer cancel()
		err = errors.Join(err, drop(end))
	}()
	for _, name := range names {
		if err := conn.Exec(ctx, "CREATE TABLE "+s.local(name+rebuilt)+on+" AS "+s.local(name)); err != nil {
			return err
		}
	}
	w := &writer{store: s, tables: t, latest: newLatest()}
	if err := w.refill(ctx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, name := range names {
		if err := conn.Exec(context.WithoutCancel(ctx), "EXCHANGE TABLES "+s.local(name)+" AND "+s.local(name+rebuilt)+on); err != nil {
			return err
		}
	}
	return nil
}

// refill reads the ledger and makes its rows, those of one month at a time.
func (w *writer) refill(ctx context.Context) error {
	c, size, month := &cut{}, 0, uint32(0)
	flush := func() error {
		err := w.flush(ctx, c)
		c, size = &cut{}, 0
		w.resetRows()
		return err
	}
	err := w.store.each(ctx, "SELECT toYYYYMM(at), toString(log), seq, toString(leaf), salt, bytes FROM ledger WHERE bytes != '' ORDER BY at, log, seq", func(scan func(...any) error) error {
		var log, leaf, salt, text string
		var of uint32
		e := &journal.Entry{}
		if err := scan(&of, &log, &e.Seq, &leaf, &salt, &text); err != nil {
			return err
		}
		if of != month || len(c.records) == rebuildRecords || size > rebuildBytes {
			if err := flush(); err != nil {
				return err
			}
			month = of
		}
		e.Bytes = []byte(text)
		r, err := w.again(log, e, leaf, salt)
		if err != nil {
			return err
		}
		c.records = append(c.records, *r)
		size += len(e.Bytes)
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// again projects a record of the ledger. One that cannot be projected has no
// rows, as before, if it came so.
func (w *writer) again(log string, e *journal.Entry, leaf, salt string) (*record, error) {
	of, err := w.projected(log, e)
	if err != nil {
		return nil, err
	}
	if of.bare {
		h := sha256.New()
		h.Write([]byte{0})
		h.Write([]byte(salt))
		h.Write(e.Bytes)
		if !bytes.Equal(h.Sum(nil), []byte(leaf)) {
			return nil, fmt.Errorf("log %s: record %d cannot be projected, and its bytes are not those that were written", log, e.Seq)
		}
	}
	return of, nil
}

// flush makes the rows of a run of records and inserts them into the tables in
// the making.
func (w *writer) flush(ctx context.Context, c *cut) error {
	if len(c.records) == 0 {
		return nil
	}
	known, err := w.lookup(ctx, c.records, rebuilt, false)
	if err != nil {
		return err
	}
	w.tables.reset()
	w.latest.reset()
	for i := range c.records {
		h := headOf(&c.records[i].row.Head)
		w.project(&h, &c.records[i], known, func(*block, int) bool { return true })
	}
	known.freshInto(w.latest)
	settings := ch.WithSettings(ch.Settings{"async_insert": 0, "insert_deduplicate": 1, "insert_deduplication_token": rand.Text()})
	for _, b := range append(w.tables.all(), &w.latest.block) {
		if b.rows == 0 {
			continue
		}
		into := b.table
		if b == &w.latest.block {
			into += rebuilt
		}
		if err := b.send(ch.Context(ctx, settings), *w.store.conn.Load(), w.store.local(into)); err != nil {
			return fmt.Errorf("insert %d rows into %s: %w", b.rows, into, err)
		}
	}
	return nil
}
