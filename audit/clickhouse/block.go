package clickhouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
)

// block is the rows of one insert, column by column.
type block struct {
	table   string
	names   []string
	columns []column
	rows    int
	place   []uint64 // seq and item of each row, what a token is made of
}

// column is what the columns of a block share.
type column interface {
	all() any
	reset()
}

// of is a column of one Go type: a slice as clickhouse-go takes it.
type of[T any] struct{ rows []T }

func (c *of[T]) add(v T)  { c.rows = append(c.rows, v) }
func (c *of[T]) all() any { return c.rows }

// reset keeps the memory, but not what the rows held.
func (c *of[T]) reset() {
	if cap(c.rows) > keptRows {
		c.rows = nil
		return
	}
	clear(c.rows)
	c.rows = c.rows[:0]
}

// words is a LowCardinality column. Its driver looks each value up as an
// interface, but for nil, which it takes for the empty word: so empty ones are
// nil, and the others are made once.
type words struct {
	of[any]
	made map[string]any
}

// keptWords is how many words of a column are kept, and longestKept how long they
// may be.
const (
	keptWords   = 4096
	longestKept = 256
)

// word is one for the column, of which there are few: most are empty, and of the
// others the same come again and again.
func (c *words) word(s string) {
	if s == "" || len(s) > longestKept {
		c.add(word(s))
		return
	}
	v, ok := c.made[s]
	if !ok {
		if c.made == nil || len(c.made) == keptWords {
			c.made = make(map[string]any)
		}
		s = strings.Clone(s)
		v = s
		c.made[s] = v
	}
	c.add(v)
}

// addWords gives a block one more LowCardinality column.
func addWords(b *block, name string) *words {
	c := &words{}
	b.names, b.columns = append(b.names, name), append(b.columns, c)
	return c
}

// word is one that many columns share.
func word(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// add gives a block one more column.
func add[T any](b *block, name string) *of[T] {
	c := &of[T]{}
	b.names, b.columns = append(b.names, name), append(b.columns, c)
	return c
}

// keptRows is how many rows the memory that is used again is for at the most; a
// message may have 100,000 parameters.
const keptRows = 1 << 15

func (b *block) reset() {
	for _, c := range b.columns {
		c.reset()
	}
	b.rows, b.place = 0, b.place[:0]
}

// end ends a row.
func (b *block) end(seq uint64, item int) {
	b.rows++
	b.place = append(b.place, seq, uint64(item))
}

// send inserts the block's rows as one part, or not at all.
func (b *block) send(ctx context.Context, conn ch.Conn, into string) error {
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO "+into+" ("+strings.Join(b.names, ", ")+")")
	if err != nil {
		return err
	}
	defer batch.Close()
	for i, c := range b.columns {
		if err := batch.Column(i).Append(c.all()); err != nil {
			return &unfitError{fmt.Errorf("column %s of %s: %w", b.names[i], b.table, err)}
		}
	}
	return batch.Send()
}

// Times outside of what the driver can carry would wrap around without a word.
var (
	earliest = time.Unix(0, 0).UTC()
	latest   = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)
)

// nullable is a time for a Nullable column: nil where there is none, or none that
// the column can hold.
func nullable(t time.Time) *time.Time {
	if t.IsZero() || t.Before(earliest) || !t.Before(latest) {
		return nil
	}
	return &t
}

// bounded is a time for a column that cannot be NULL.
func bounded(t time.Time) time.Time {
	switch {
	case t.Before(earliest):
		return earliest
	case !t.Before(latest):
		return latest
	}
	return t
}
