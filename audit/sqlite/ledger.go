package sqlite

import (
	"context"
	"database/sql"
	"iter"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

// Logs gives every log that has a row in the ledger or a checkpoint, in the
// order in which they came.
func (s *Store) Logs(ctx context.Context) (logs []string, err error) {
	db := s.read.Load()
	if db == nil {
		return nil, s.describe("read", errNotOpen)
	}
	rows, err := db.QueryContext(ctx, `SELECT log FROM logs AS g
		WHERE EXISTS (SELECT 1 FROM ledger AS l WHERE l.log = g.id) OR EXISTS (SELECT 1 FROM checkpoints AS c WHERE c.log = g.id) ORDER BY id`)
	if err != nil {
		return nil, s.describe("read", err)
	}
	defer rows.Close()
	for rows.Next() {
		var log string
		if err := rows.Scan(&log); err != nil {
			return nil, s.describe("read", err)
		}
		logs = append(logs, log)
	}
	return logs, s.describe("read", rows.Err())
}

// Ledger gives the rows of a log from a number on, by number.
func (s *Store) Ledger(ctx context.Context, log string, from uint64) iter.Seq2[audit.LedgerRecord, error] {
	const text = `SELECT l.seq, l.at, l.kind, l.tenant, l.leaf, l.salt, l.bytes FROM logs AS g
		CROSS JOIN ledger AS l ON l.log = g.id WHERE g.log = ? AND l.seq >= ? ORDER BY l.seq, l.id`
	return each(s, ctx, func(rows *sql.Rows) (r audit.LedgerRecord, err error) {
		var seq, at int64
		err = rows.Scan(&seq, &at, &r.Kind, &r.Tenant, &r.Leaf, &r.Salt, &r.Bytes)
		r.Seq, r.At = uint64(seq), time.UnixMicro(at).UTC()
		return r, err
	}, text, log, int64(from))
}

// Checkpoints gives those of a log by epoch and size.
func (s *Store) Checkpoints(ctx context.Context, log string) iter.Seq2[audit.Checkpoint, error] {
	const text = `SELECT c.epoch, c.size, c.last, c.note FROM logs AS g
		CROSS JOIN checkpoints AS c ON c.log = g.id WHERE g.log = ? ORDER BY c.epoch, c.size, length(c.note), c.note`
	return each(s, ctx, func(rows *sql.Rows) (c audit.Checkpoint, err error) {
		var epoch, last int64
		err = rows.Scan(&epoch, &c.Size, &last, &c.Note)
		c.Log, c.Epoch, c.Last = log, uint64(epoch), uint64(last)
		return c, err
	}, text, log)
}

// each gives what a query finds, one by one.
func each[T any](s *Store, ctx context.Context, scan func(*sql.Rows) (T, error), text string, args ...any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		fail := func(err error) { yield(zero, s.describe("read", err)) }
		db := s.read.Load()
		if db == nil {
			fail(errNotOpen)
			return
		}
		rows, err := db.QueryContext(ctx, text, args...)
		if err != nil {
			fail(err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			v, err := scan(rows)
			if err != nil {
				fail(err)
				return
			}
			if !yield(v, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			fail(err)
		}
	}
}

// AddCheckpoint keeps a checkpoint; the same one again changes nothing.
func (s *Store) AddCheckpoint(ctx context.Context, c audit.Checkpoint) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writer == nil {
		return s.describe("write to", errClosed)
	}
	w := s.writer
	return s.describe("write to", w.transact(ctx, func() error {
		log, err := w.log(c.Log)
		if err != nil {
			return err
		}
		_, err = w.conn.ExecContext(ctx, `INSERT OR IGNORE INTO checkpoints (log, epoch, size, last, note) VALUES (?, ?, ?, ?, ?)`,
			log, int64(c.Epoch), c.Size, int64(c.Last), c.Note)
		return err
	}))
}
