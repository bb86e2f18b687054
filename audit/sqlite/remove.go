package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

// removeAtOnce is how many records one transaction of a removal takes; others
// write between them.
const removeAtOnce = 2000

// Leaves gives the leaves of one kind of a log's records, from a number on and
// older than before.
func (s *Store) Leaves(ctx context.Context, log, kind string, from uint64, before time.Time) iter.Seq2[audit.Leaf, error] {
	const text = `SELECT l.seq, l.at, l.tenant, l.leaf, length(l.bytes) = 0,
			coalesce(d.manufacturer, ''), coalesce(d.oui, ''), coalesce(d.class, ''), coalesce(d.serial, '')
		FROM logs AS g CROSS JOIN ledger AS l ON l.log = g.id LEFT JOIN devices AS d ON d.id = l.device
		WHERE g.log = ? AND l.kind = ? AND l.seq >= ? AND l.at < ? ORDER BY l.seq`
	return each(s, ctx, func(rows *sql.Rows) (f audit.Leaf, err error) {
		var seq, at int64
		d := &f.Device
		err = rows.Scan(&seq, &at, &f.Tenant, &f.Hash, &f.Removed, &d.Manufacturer, &d.OUI, &d.Class, &d.Serial)
		f.Seq, f.At = uint64(seq), time.UnixMicro(at).UTC()
		return f, err
	}, text, log, kind, int64(from), before.UnixMicro())
}

// Removed says whether a removal was carried out in this file.
func (s *Store) Removed(ctx context.Context, log string, seq uint64) (done bool, err error) {
	db := s.read.Load()
	if db == nil {
		return false, s.describe("read", errNotOpen)
	}
	err = db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM removals AS r JOIN logs AS g ON g.id = r.log WHERE g.log = ? AND r.seq = ?)`,
		log, int64(seq)).Scan(&done)
	return done, s.describe("read", err)
}

// Remove carries removals out and gives the number of the records that it found
// to empty. When it returns without an error, nothing that an erasure names is
// in the file or in its log: the file is written anew, for which there must be
// room twice. What a retention names is overwritten where it stood; a copy that
// SQLite left behind when it moved rows may stay in the unused part of a page
// until that is used again. It can be done again at any time; system records it
// leaves alone.
func (s *Store) Remove(ctx context.Context, all []audit.Removal) (n int, err error) {
	for _, r := range all {
		for spans := r.Spans; len(spans) > 0; {
			var more int
			more, spans, err = s.removeSome(ctx, r, spans)
			n += more
			if err != nil {
				return n, s.describe("remove from", err)
			}
		}
	}
	return n, s.describe("remove from", s.endRemoval(ctx, all))
}

// removeSome empties the next records of the spans, and gives the spans that are
// left.
func (s *Store) removeSome(ctx context.Context, r audit.Removal, spans []audit.Span) (n int, left []audit.Span, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writer == nil {
		return 0, nil, errClosed
	}
	w := s.writer
	err = w.transact(ctx, func() error {
		log, err := w.log(r.Of)
		if err != nil {
			return err
		}
		var seqs []int64
		for left = spans; len(left) > 0; left = left[1:] {
			if seqs, err = w.full(ctx, log, r, left[0], seqs); err != nil {
				return err
			}
			if len(seqs) == removeAtOnce {
				break // there may be more in it
			}
		}
		if n = len(seqs); n == 0 {
			return nil
		}
		return w.empty(ctx, log, array(seqs))
	})
	if err != nil {
		n = 0
	}
	return n, left, err
}

// full adds the records of a span that are to be emptied and are not, as far as
// one transaction takes them.
func (w *writer) full(ctx context.Context, log int64, r audit.Removal, span audit.Span, seqs []int64) ([]int64, error) {
	rows, err := w.conn.QueryContext(ctx, `SELECT seq FROM ledger
		WHERE log = ?1 AND seq BETWEEN ?2 AND ?3 AND kind <> 'system' AND (?4 = '' OR kind = ?4) AND (?5 = '' OR tenant = ?5)
			AND length(bytes) > 0 ORDER BY seq LIMIT ?6`,
		log, int64(span.First), int64(span.Last), r.Kind, r.Tenant, removeAtOnce-len(seqs))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq); err != nil {
			return nil, err
		}
		seqs = append(seqs, seq)
	}
	return seqs, rows.Err()
}

// empty takes what the records of a list hold, and all rows made from them.
func (w *writer) empty(ctx context.Context, log int64, list string) error {
	// What the caches know may have been told by them.
	w.forget()
	for _, table := range projections {
		_, err := w.conn.ExecContext(ctx, "DELETE FROM "+table+" WHERE log = ? AND seq IN (SELECT value FROM json_each(?))", log, list)
		if err != nil {
			return err
		}
	}
	_, err := w.conn.ExecContext(ctx, `UPDATE ledger SET device = NULL, session = '', n = 0, identity = '', salt = x'', bytes = x''
		WHERE log = ? AND seq IN (SELECT value FROM json_each(?))`, log, list)
	return err
}

// errReader says that a reader still sees the file as it was.
var errReader = errors.New("a reader of the store has been at work all the while, so the removed bytes are still in the file's log; it is tried again")

// endRemoval drops the names that nothing has any more, sees that no old page is
// left, and notes that the removals were carried out.
func (s *Store) endRemoval(ctx context.Context, all []audit.Removal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writer == nil {
		return errClosed
	}
	w := s.writer
	erasure := slices.ContainsFunc(all, func(r audit.Removal) bool { return r.Kind == "" })
	err := w.transact(ctx, func() error {
		w.forget()
		_, err := w.conn.ExecContext(ctx, `DELETE FROM devices WHERE NOT EXISTS (SELECT 1 FROM ledger AS l WHERE l.device = devices.id)`)
		if err != nil || !erasure {
			return err
		}
		// Names hold what a device calls its objects.
		_, err = w.conn.ExecContext(ctx, `DELETE FROM names WHERE id NOT IN (SELECT name FROM parameters)`)
		return err
	})
	if err == nil && erasure {
		err = w.vacuum(ctx)
	}
	if err == nil {
		err = w.truncateLog(ctx)
	}
	if err != nil {
		return err
	}
	return w.transact(ctx, func() error {
		for _, r := range all {
			log, err := w.log(r.Log)
			if err != nil {
				return err
			}
			_, err = w.conn.ExecContext(ctx, `INSERT OR REPLACE INTO removals (log, seq, at) VALUES (?, ?, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))`,
				log, int64(r.Seq))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// vacuum writes the file anew. Its parts stand in a temporary file meanwhile,
// since a store may be larger than memory.
func (w *writer) vacuum(ctx context.Context) (err error) {
	if _, err := w.conn.ExecContext(ctx, `PRAGMA temp_store = file`); err != nil {
		return err
	}
	_, err = w.conn.ExecContext(ctx, `VACUUM`)
	if err != nil {
		err = fmt.Errorf("write the file anew: %w", err)
	}
	_, back := w.conn.ExecContext(context.WithoutCancel(ctx), `PRAGMA temp_store = memory`)
	return errors.Join(err, back)
}

// truncateLog brings everything from the write-ahead log into the file and makes
// the log empty: old pages stand there as they were.
func (w *writer) truncateLog(ctx context.Context) error {
	var busy, frames, done int
	if err := w.conn.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &done); err != nil {
		return fmt.Errorf("empty the file's log: %w", err)
	}
	if busy != 0 {
		return errReader
	}
	return nil
}
