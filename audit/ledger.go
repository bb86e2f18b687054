package audit

import (
	"context"
	"iter"
	"time"
)

// LedgerRecord is one row of a store's ledger as it stands there, which need
// not be as it was written. Salt and Bytes are both empty where retention or
// an erasure took them; the leaf stays.
type LedgerRecord struct {
	Seq          uint64
	At           time.Time
	Kind, Tenant string
	Leaf         []byte
	Salt, Bytes  []byte
}

// Checkpoint is a signed state of one epoch of a log. Note is what counts; the
// rest says what it is about, so that a store can order and find it.
type Checkpoint struct {
	Log   string
	Epoch uint64 // number of the epoch's first record, by which it is named
	Size  int64  // leaves
	Last  uint64 // number of the record of the last leaf
	Note  string // C2SP tlog-checkpoint with its signatures
}

// LedgerReader is what a proof reads of a store: rows as they stand, in order,
// nothing left out and nothing put right.
type LedgerReader interface {
	// Logs gives every log that has a row in the ledger or a checkpoint.
	Logs(ctx context.Context) ([]string, error)
	// Ledger gives the rows of a log from a number on, by number.
	Ledger(ctx context.Context, log string, from uint64) iter.Seq2[LedgerRecord, error]
	// Checkpoints gives those of a log by epoch and size; of one size there may
	// be several, with more or fewer signatures.
	Checkpoints(ctx context.Context, log string) iter.Seq2[Checkpoint, error]
}

// RowChecker compares what a store projects with what its records say.
type RowChecker interface {
	// CheckRows names each row of the records first to last of a log that is
	// not as in want, is in want but not in the store, or the other way round.
	// want.Records are the ledger's own columns, of which only those wanted are
	// looked at. A parameter that was merely read or informed may be lacking.
	CheckRows(ctx context.Context, log string, first, last uint64, want *Rows) ([]RowFault, error)
}

// CheckpointSink takes checkpoints. The same one may come again, and again with
// more signatures.
type CheckpointSink interface {
	AddCheckpoint(ctx context.Context, c Checkpoint) error
}

// How a row is not as it should be.
const (
	Altered = "altered"
	Missing = "missing"
	Added   = "added"
)

// RowFault is one row of a store that is not what its record says.
type RowFault struct {
	Table  string
	Seq    uint64
	Item   int
	What   string // Altered, Missing, Added
	Column string // the first that differs, of altered
}

// MayLack says whether a store may lack this row, because it told nothing new.
func (p *ParameterRow) MayLack() bool {
	return p.Action == ActionRead || p.Action == ActionInformed
}
