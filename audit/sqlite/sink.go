package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"errors"
	"fmt"
	"hash"

	"github.com/cwmpgate/cwmpgate/audit"
)

// Write adds the records of a cut and their projections, all or nothing, in
// one transaction. It asks the ledger which of them are there and adds only
// what is missing. A record that is there with other bytes or another salt is
// an error that names it, and nothing of the cut is written.
func (s *Store) Write(ctx context.Context, b *audit.Batch) error {
	if len(b.Entries) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writer == nil {
		return s.describe("write to", errClosed)
	}
	return s.describe("write to", s.writer.transact(ctx, func() error {
		return s.writer.write(ctx, b)
	}))
}

func (w *writer) write(ctx context.Context, b *audit.Batch) error {
	log, err := w.log(b.Log)
	if err != nil {
		return err
	}
	first, last := b.Entries[0].Seq, b.Entries[len(b.Entries)-1].Seq
	there, err := w.existing(log, first, last)
	if err != nil {
		return err
	}
	leaf := sha256.New()
	var sum [sha256.Size]byte
	b.Unprojected = 0
	for i := range b.Entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := &b.Entries[i]
		if i > 0 && e.Seq <= b.Entries[i-1].Seq {
			return fmt.Errorf("log %s: record %d stands behind record %d in its batch", b.Log, e.Seq, b.Entries[i-1].Seq)
		}
		hashLeaf(leaf, &sum, e.Salt[:], e.Bytes)
		if old, ok := there[e.Seq]; ok {
			if !bytes.Equal(old, sum[:]) {
				return &DiffersError{b.Log, e.Seq}
			}
			continue
		}
		w.resetRows()
		if err := w.projector.Project(b.Log, e.Seq, e.Bytes, &w.rows); err != nil {
			record := kept(err)
			if record == nil {
				return err
			}
			w.rows.Records = append(w.rows.Records, *record)
			b.Unprojected++
		}
		if err := w.addRecord(log, &w.rows, sum, e.Salt, e.Bytes); err != nil {
			return fmt.Errorf("log %s: record %d: %w", b.Log, e.Seq, err)
		}
	}
	return nil
}

// hashLeaf puts the leaf hash of a record into sum. RFC 6962: a leaf begins
// with 0x00, so that none can be read as a node.
func hashLeaf(h hash.Hash, sum *[sha256.Size]byte, salt, record []byte) {
	h.Reset()
	h.Write([]byte{0})
	h.Write(salt)
	h.Write(record)
	h.Sum(sum[:0])
}

// kept is the row of the ledger for a record that could not be projected, nil
// where that is not known either.
func kept(err error) *audit.RecordRow {
	var p *audit.ProjectError
	if errors.As(err, &p) {
		return p.Record
	}
	return nil
}

// DiffersError says that the ledger holds a record whose bytes or salt are
// not those that came. Trying again does not help.
type DiffersError struct {
	Log string
	Seq uint64
}

func (e *DiffersError) Error() string {
	return fmt.Sprintf("log %s: record %d is in the ledger with other bytes or another salt; it was left as it is", e.Log, e.Seq)
}

// Permanent says that the batch will never be taken.
func (e *DiffersError) Permanent() bool { return true }

// existing gives the leaf hashes of a run of records, as far as they are there.
func (w *writer) existing(log int64, first, last uint64) (there map[uint64][]byte, err error) {
	w.lookups.existing.set(log, int64(first), int64(last))
	err = w.lookups.existing.query(func(row []driver.Value) error {
		seq, _ := row[0].(int64)
		leaf, _ := row[1].([]byte)
		if there == nil {
			there = make(map[uint64][]byte)
		}
		there[uint64(seq)] = leaf
		return nil
	})
	return there, err
}

func (w *writer) addRecord(log int64, rows *audit.Rows, leaf [sha256.Size]byte, salt [16]byte, record []byte) error {
	if len(rows.Records) != 1 {
		panic("BUG: a record projects to one row of the ledger")
	}
	r := &rows.Records[0]
	d, err := w.device(&r.Head)
	if err != nil {
		return err
	}
	err = w.tables.ledger.add(log, int64(r.Seq), r.At.UnixMicro(), r.Kind, r.Node, r.Tenant, number(d.id), r.Session, int64(r.N), r.Identity,
		leaf[:], salt[:], record)
	if err != nil {
		return err
	}
	return w.project(log, d, rows)
}

// project adds the rows of one record to the projections.
func (w *writer) project(log int64, d deviceID, rows *audit.Rows) error {
	for i := range rows.RPCs {
		r := &rows.RPCs[i]
		// Whoever answers with no valid Status did nobody knows what.
		accepts := r.To == "SetParameterValues" && r.Message == "response" && r.Answers != 0 && (r.Status == "0" || r.Status == "1")
		refuses := r.To == "Inform" && r.Message == "fault" && r.Answers != 0
		if accepts || refuses {
			w.tables.rpcs.tells(d.same)
		}
		if err := w.tables.addRPC(log, r); err != nil {
			return err
		}
		if accepts {
			if err := w.accept(recordKey{log, int64(r.Answers)}); err != nil {
				return err
			}
		}
		if refuses {
			w.known.remove(d.same) // what it told is not known; what was known before is looked up
		}
	}
	if err := w.projectParameters(log, d, rows.Parameters); err != nil {
		return err
	}
	for i := range rows.Transfers {
		if err := w.tables.addTransfer(log, d.same, &rows.Transfers[i]); err != nil {
			return err
		}
	}
	for i := range rows.Sessions {
		if err := w.tables.addSession(log, d.same, &rows.Sessions[i]); err != nil {
			return err
		}
	}
	return w.tables.addEvents(log, rows)
}
