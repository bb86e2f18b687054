package clickhouse

import (
	"context"
	"fmt"
	"iter"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/cwmpgate/cwmpgate/audit"
)

var _ audit.LedgerReader = (*Store)(nil)
var _ audit.CheckpointSink = (*Store)(nil)

// Logs gives every log that has a row in the ledger or a checkpoint, by name.
func (s *Store) Logs(ctx context.Context) (logs []string, err error) {
	if s.conn.Load() == nil {
		return nil, s.describe("read", errNotOpen)
	}
	err = s.each(ctx, "SELECT DISTINCT log FROM (SELECT toString(log) AS log FROM ledger GROUP BY log UNION ALL SELECT toString(log) FROM checkpoints) ORDER BY log",
		func(scan func(...any) error) error {
			var log string
			err := scan(&log)
			logs = append(logs, log)
			return err
		})
	return logs, s.describe("read", err)
}

// sortMemory is what the server sorts in memory; the rest of a ledger, which
// stands by device, it sorts on its disk.
const sortMemory = 256 << 20

// Ledger gives the rows of a log from a number on, by number. Each reading is one
// pass of the server over the whole log.
func (s *Store) Ledger(ctx context.Context, log string, from uint64) iter.Seq2[audit.LedgerRecord, error] {
	ctx = ch.Context(ctx, ch.WithSettings(ch.Settings{"max_bytes_before_external_sort": sortMemory}))
	return rowsOf(s, ctx, fmt.Sprintf("SELECT seq, at, kind, tenant, leaf, salt, bytes FROM ledger WHERE log = %s AND seq >= %d ORDER BY seq, length(bytes)", literal(log), from),
		func(scan func(...any) error) (r audit.LedgerRecord, err error) {
			var leaf, salt, text string
			err = scan(&r.Seq, &r.At, &r.Kind, &r.Tenant, &leaf, &salt, &text)
			r.At, r.Leaf, r.Salt, r.Bytes = r.At.UTC(), []byte(leaf), []byte(salt), []byte(text)
			return r, err
		})
}

// Checkpoints gives those of a log by epoch and size.
func (s *Store) Checkpoints(ctx context.Context, log string) iter.Seq2[audit.Checkpoint, error] {
	return rowsOf(s, ctx, "SELECT epoch, size, max(last), note FROM checkpoints WHERE log = "+literal(log)+" GROUP BY epoch, size, note ORDER BY epoch, size, length(note), note",
		func(scan func(...any) error) (audit.Checkpoint, error) {
			c := audit.Checkpoint{Log: log}
			err := scan(&c.Epoch, &c.Size, &c.Last, &c.Note)
			return c, err
		})
}

// rowsOf gives what a query finds, one by one.
func rowsOf[T any](s *Store, ctx context.Context, text string, take func(scan func(...any) error) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		if s.conn.Load() == nil {
			yield(zero, s.describe("read", errNotOpen))
			return
		}
		rows, err := (*s.conn.Load()).Query(ctx, text)
		if err != nil {
			yield(zero, s.describe("read", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			v, err := take(rows.Scan)
			if err != nil {
				yield(zero, s.describe("read", err))
				return
			}
			if !yield(v, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(zero, s.describe("read", err))
		}
	}
}

// AddCheckpoint keeps a checkpoint; the same one again changes nothing.
func (s *Store) AddCheckpoint(ctx context.Context, c audit.Checkpoint) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.open(ctx)
	if err == nil {
		err = s.exec(ctx, fmt.Sprintf("INSERT INTO %s (log, epoch, size, last, note) SELECT %s, %d, %d, %d, %s",
			s.local("checkpoints"), literal(c.Log), c.Epoch, c.Size, c.Last, literal(c.Note)))
	}
	return s.describe("write to", err)
}

// exec runs a statement that writes. What it inserts is not held against what
// was inserted before: it may have been removed since.
func (s *Store) exec(ctx context.Context, text string) error {
	settings := ch.Settings{"async_insert": 0, "insert_deduplicate": 0}
	s.quorum(settings)
	return (*s.conn.Load()).Exec(ch.Context(ctx, ch.WithSettings(settings)), text)
}
