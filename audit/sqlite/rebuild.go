package sqlite

import "context"

// rebuildBatch is how many records of the ledger a rebuild holds at a time.
const rebuildBatch = 500

// Rebuild makes all projections anew from the bytes of the ledger, in the
// order in which the records came. It is one transaction: readers see the old
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
				if err := w.reproject(&records[i]); err != nil {
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
		FROM ledger AS l JOIN logs AS g ON g.id = l.log WHERE l.id > ? ORDER BY l.id LIMIT ?`, id, rebuildBatch)
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

func (w *writer) reproject(r *ledgerRecord) error {
	w.resetRows()
	if err := w.projector.Project(r.log, r.seq, r.bytes, &w.rows); err != nil {
		return err
	}
	d, err := w.device(&w.rows.Records[0].Head)
	if err != nil {
		return err
	}
	return w.project(r.logID, d, &w.rows)
}
