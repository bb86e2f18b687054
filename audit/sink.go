package audit

import (
	"context"

	"github.com/cwmpgate/cwmpgate/audit/journal"
)

// Batch is one cut of a log on its way to a sink. Entries are the records
// from First to Last in order; where the journal has a gap, a number is
// missing. The bytes are valid until Write returns.
type Batch struct {
	Log         string
	First, Last uint64
	Entries     []journal.Entry
	// Unprojected is for Write to say how many records it kept without rows, as
	// they cannot be projected.
	Unprojected int
}

// Sink takes batches. Write must be idempotent by (log, seq): the same batch
// comes again after every doubt, and must then change nothing. A record that
// cannot be projected does not hold up those behind it: see ProjectError.
type Sink interface {
	Write(ctx context.Context, b *Batch) error
	Close() error
}
