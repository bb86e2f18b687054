package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"

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
	log, err := w.log(ctx, b.Log)
	if err != nil {
		return err
	}
	first, last := b.Entries[0].Seq, b.Entries[len(b.Entries)-1].Seq
	there, err := w.existing(ctx, log, first, last)
	if err != nil {
		return err
	}
	var rows audit.Rows
	leaf := sha256.New()
	var sum [sha256.Size]byte
	for i := range b.Entries {
		e := &b.Entries[i]
		if i > 0 && e.Seq <= b.Entries[i-1].Seq {
			return fmt.Errorf("log %s: record %d stands behind record %d in its batch", b.Log, e.Seq, b.Entries[i-1].Seq)
		}
		// RFC 6962: a leaf begins with 0x00, so that none can be read as a node.
		leaf.Reset()
		leaf.Write([]byte{0})
		leaf.Write(e.Salt[:])
		leaf.Write(e.Bytes)
		leaf.Sum(sum[:0])
		if old, ok := there[e.Seq]; ok {
			if !bytes.Equal(old, sum[:]) {
				return &DiffersError{b.Log, e.Seq}
			}
			continue
		}
		rows.Reset()
		if err := audit.Project(b.Log, e.Seq, e.Bytes, &rows); err != nil {
			return err
		}
		if err := w.addRecord(ctx, log, &rows, sum, e.Salt, e.Bytes); err != nil {
			return fmt.Errorf("log %s: record %d: %w", b.Log, e.Seq, err)
		}
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
func (w *writer) existing(ctx context.Context, log int64, first, last uint64) (map[uint64][]byte, error) {
	rows, err := w.lookups.existing.QueryContext(ctx, log, int64(first), int64(last))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var there map[uint64][]byte
	for rows.Next() {
		var seq int64
		var leaf []byte
		if err := rows.Scan(&seq, &leaf); err != nil {
			return nil, err
		}
		if there == nil {
			there = make(map[uint64][]byte)
		}
		there[uint64(seq)] = leaf
	}
	return there, rows.Err()
}

func (w *writer) addRecord(ctx context.Context, log int64, rows *audit.Rows, leaf [sha256.Size]byte, salt [16]byte, record []byte) error {
	if len(rows.Records) != 1 {
		panic("BUG: a record projects to one row of the ledger")
	}
	r := &rows.Records[0]
	d, err := w.device(ctx, &r.Head)
	if err != nil {
		return err
	}
	err = w.tables.ledger.add(ctx, log, int64(r.Seq), r.At.UnixMicro(), r.Kind, r.Node, r.Tenant, number(d.id), r.Session, r.N, r.Identity,
		leaf[:], salt[:], record)
	if err != nil {
		return err
	}
	return w.project(ctx, log, d, rows)
}

// project adds the rows of one record to the projections.
func (w *writer) project(ctx context.Context, log int64, d deviceID, rows *audit.Rows) error {
	for i := range rows.RPCs {
		r := &rows.RPCs[i]
		if err := w.tables.addRPC(ctx, log, r); err != nil {
			return err
		}
		if r.To == "SetParameterValues" && r.Message == "response" && r.Answers != 0 {
			if err := w.accept(ctx, recordKey{log, int64(r.Answers)}); err != nil {
				return err
			}
		}
	}
	if err := w.projectParameters(ctx, log, d, rows.Parameters); err != nil {
		return err
	}
	for i := range rows.Transfers {
		if err := w.tables.addTransfer(ctx, log, d.same, &rows.Transfers[i]); err != nil {
			return err
		}
	}
	for i := range rows.Sessions {
		if err := w.tables.addSession(ctx, log, d.same, &rows.Sessions[i]); err != nil {
			return err
		}
	}
	for i := range rows.Refusals {
		if err := w.tables.addRefusal(ctx, log, &rows.Refusals[i]); err != nil {
			return err
		}
	}
	for i := range rows.Security {
		if err := w.tables.addSecurity(ctx, log, &rows.Security[i]); err != nil {
			return err
		}
	}
	for i := range rows.System {
		if err := w.tables.addSystem(ctx, log, &rows.System[i]); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) projectParameters(ctx context.Context, log int64, d deviceID, rows []audit.ParameterRow) error {
	var sets []asked
	for i := range rows {
		p := &rows[i]
		name, err := w.name(ctx, p.Name)
		if err != nil {
			return err
		}
		key := parameterKey{d.same, name}
		this := known{place{p.At.UnixMicro(), log, int64(p.Seq), int32(p.Item)}, valueOf(w.seed, p)}
		changed := true
		switch p.Action {
		case audit.ActionRefused:
			changed = false
		case audit.ActionSet:
			sets = append(sets, asked{key, this})
		case audit.ActionRead, audit.ActionInformed, audit.ActionReported:
			write, differs, err := w.told(ctx, key, this, p.Action == audit.ActionReported)
			if err != nil {
				return err
			}
			if !write {
				continue
			}
			changed = differs
		}
		if err := w.tables.addParameter(ctx, log, d.same, name, changed, p); err != nil {
			return err
		}
	}
	if len(sets) > 0 && len(sets) <= askedPerBatch && d.same != 0 {
		w.asked.put(recordKey{log, int64(rows[0].Seq)}, sets)
	}
	return nil
}

// told says of a value that the CPE told, whether it makes a row and whether
// that row tells of a change. What was merely read or informed makes none if
// it is what was known; the first sight of a value is a row but no change,
// unless the CPE itself says that it is one.
func (w *writer) told(ctx context.Context, k parameterKey, this known, reported bool) (write, changed bool, err error) {
	if k.device == 0 {
		return true, reported, nil
	}
	last, ok, err := w.lastKnown(ctx, k)
	if err != nil {
		return false, false, err
	}
	if ok && last.value.same(this.value) {
		if reported {
			w.known.put(k, this)
		}
		return reported, false, nil
	}
	w.known.put(k, this)
	return true, ok || reported, nil
}
