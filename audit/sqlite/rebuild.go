package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
)

// rebuildBatch is how many records of the ledger a rebuild holds at a time.
const rebuildBatch = 500

// Rebuild makes all projections anew from the bytes of the ledger, in the
// order in which the records came; what has lost its bytes has no rows. It is one transaction: readers see the old
// rows until it is done, and if it fails or is interrupted they stay. Writers
// wait meanwhile, up to their BusyTimeout, and the journal keeps what they
// could not write.
func (s *Store) Rebuild(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writer == nil {
		return s.describe("rebuild", errClosed)
	}
	w := s.writer
	return s.describe("rebuild", w.transact(ctx, func() error {
		for _, table := range projections {
			if _, err := w.conn.ExecContext(ctx, "DELETE FROM "+table); err != nil {
				return err
			}
		}
		w.known.clear()
		w.asked.clear()
		for id := int64(0); ; {
			records, err := w.ledgerFrom(ctx, id)
			if err != nil || len(records) == 0 {
				return err
			}
			for i := range records {
				if err := w.reproject(ctx, &records[i]); err != nil {
					return err
				}
			}
			id = records[len(records)-1].id
		}
	}))
}

type ledgerRecord struct {
	id    int64
	logID int64
	log   string
	seq   uint64
	bytes []byte
}

func (w *writer) ledgerFrom(ctx context.Context, id int64) (all []ledgerRecord, err error) {
	rows, err := w.conn.QueryContext(ctx, `SELECT l.id, l.log, g.log, l.seq, l.bytes
		FROM ledger AS l JOIN logs AS g ON g.id = l.log WHERE l.id > ? AND length(l.bytes) > 0 ORDER BY l.id LIMIT ?`, id, rebuildBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r ledgerRecord
		if err := rows.Scan(&r.id, &r.logID, &r.log, &r.seq, &r.bytes); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

func (w *writer) reproject(ctx context.Context, r *ledgerRecord) error {
	w.resetRows()
	if err := w.projector.Project(r.log, r.seq, r.bytes, &w.rows); err != nil {
		if kept(err) == nil {
			return err
		}
		return w.checkLeaf(ctx, r, err)
	}
	d, err := w.device(&w.rows.Records[0].Head)
	if err != nil {
		return err
	}
	return w.project(r.logID, d, &w.rows)
}

// checkLeaf sees of a record that cannot be projected whether it came so: then
// it has no rows, as before.
func (w *writer) checkLeaf(ctx context.Context, r *ledgerRecord, cause error) error {
	var leaf, salt []byte
	if err := w.conn.QueryRowContext(ctx, `SELECT leaf, salt FROM ledger WHERE id = ?`, r.id).Scan(&leaf, &salt); err != nil {
		return err
	}
	var sum [sha256.Size]byte
	hashLeaf(sha256.New(), &sum, salt, r.bytes)
	if !bytes.Equal(sum[:], leaf) {
		return fmt.Errorf("%w; its bytes are not those that were written", cause)
	}
	return nil
}
