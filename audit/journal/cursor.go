package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync"
)

// Cut is a run of records of one log, both ends included.
type Cut struct {
	Log         string
	First, Last uint64
}

// Cursor is how far one reader has come, kept in the directory under its
// name. One goroutine at a time drives it: Cut, Read, then Commit.
type Cursor struct {
	j    *Journal
	name string
	wake chan struct{} // of one; the writer puts something in after a commit

	mu sync.Mutex // held by Cut, Commit and while Read goes on
	at place

	// Guarded by the journal's lock, changed with both held.
	committed uint64
	open      Cut // First is 0 where none is
}

func newCursor(j *Journal, name string) *Cursor {
	return &Cursor{j: j, name: name, wake: make(chan struct{}, 1)}
}

func (c *Cursor) notify() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// seen is the last record that the reader was ever given.
func (c *Cursor) seen() uint64 { return max(c.committed, c.open.Last) }

// Cursor gives the cursor of that name: lower-case letters, digits, - and _,
// at most 64. A new one begins with the oldest record there is, and from
// then on keeps records from being trimmed until it has committed them.
func (j *Journal) Cursor(name string) (*Cursor, error) {
	if !validCursorName(name) {
		return nil, fmt.Errorf("journal cursor %q: a name has 1 to 64 of a-z, 0-9, - and _", name)
	}
	c, made, err := j.cursor(name)
	if err != nil || !made {
		return c, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.save(c.committed, c.open); err != nil {
		j.mu.Lock()
		delete(j.cursors, name)
		j.mu.Unlock()
		return nil, err
	}
	return c, nil
}

// cursor finds or makes a cursor, which counts for trimming from here on.
func (j *Journal) cursor(name string) (c *Cursor, made bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.opened || j.closing {
		return nil, false, ErrClosed
	}
	if c := j.cursors[name]; c != nil {
		return c, false, nil
	}
	c = newCursor(j, name)
	if len(j.segments) > 0 {
		c.committed = j.segments[0].first - 1
	}
	j.cursors[name] = c
	return c, true, nil
}

// DropCursor forgets a cursor for good: it keeps nothing from being trimmed
// any more. It must not be in use.
func (j *Journal) DropCursor(name string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	c := j.cursors[name]
	if c == nil {
		return fmt.Errorf("drop journal cursor %s: there is none", name)
	}
	if err := j.fs.Remove(c.path()); err != nil {
		return fmt.Errorf("drop journal cursor: %w", err)
	}
	delete(j.cursors, name)
	return nil
}

func validCursorName(name string) bool {
	return len(name) >= 1 && len(name) <= 64 &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == "" && !strings.ContainsAny(name, "./")
}

func (c *Cursor) path() string { return c.j.path(cursorPrefix + c.name) }

// Cut gives the next run of records, of one log, at most maxRecords and
// maxBytes of them but at least one, and waits while there is none. It is
// durable before it is returned: until it is committed, and after a crash
// too, Cut returns the same again, whatever its bounds are then.
func (c *Cursor) Cut(ctx context.Context, maxRecords, maxBytes int) (Cut, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open.First > 0 {
		return c.open, nil
	}
	to, err := c.await(ctx)
	if err != nil {
		return Cut{}, err
	}
	cut, err := c.measure(to, uint64(max(maxRecords, 1)), maxBytes)
	if err != nil {
		return Cut{}, fmt.Errorf("journal cursor %s: %w", c.name, err)
	}
	if err := c.save(c.committed, cut); err != nil {
		return Cut{}, err
	}
	return cut, nil
}

// await returns the last durable record as soon as there is one to read.
func (c *Cursor) await(ctx context.Context) (uint64, error) {
	for {
		c.j.mu.Lock()
		to, closing := c.j.durable, c.j.closing
		c.j.mu.Unlock()
		switch {
		case ctx.Err() != nil:
			return 0, context.Cause(ctx)
		case closing:
			return 0, ErrClosed
		case to > c.committed:
			return to, nil
		}
		select {
		case <-c.wake:
		case <-c.j.done:
		case <-ctx.Done():
		}
	}
}

func (c *Cursor) measure(to, records uint64, size int) (Cut, error) {
	c.j.mu.Lock()
	log := c.j.logOf(c.committed + 1)
	c.j.mu.Unlock()
	cut := Cut{Log: log.id.String(), First: c.committed + 1}
	durable := min(to, log.last)
	to = min(durable, c.committed+records)
	at := c.at
	err := c.j.walk(cut.First, to, &at, false, func(f frame) bool {
		return f.records(func(e Entry) bool {
			switch {
			case e.Seq < cut.First:
				return true
			case e.Seq > to || cut.Last > 0 && len(e.Bytes) > size:
				return false
			}
			size -= len(e.Bytes)
			cut.Last = e.Seq
			return true
		})
	})
	if cut.Last > 0 {
		// Damage further on is reported when its turn comes.
		return cut, nil
	}
	if g, missing := c.j.gapOf(cut.First); missing && err == nil {
		cut.Last = min(durable, g.Last)
	} else if err == nil {
		panic("BUG: there is nothing in a cut, and nothing is missing")
	}
	return cut, c.lost(err)
}

// lost gives damage its name: what a cursor has not committed is not trimmed.
func (c *Cursor) lost(err error) error {
	if errors.Is(err, errTrimmed) {
		if first := c.j.oldest(); first > c.committed+1 {
			return &CorruptionError{segmentName(first), 0, missingBefore(c.committed+1, first)}
		}
	}
	return err
}

func missingBefore(from, first uint64) error {
	return fmt.Errorf("records %d to %d are missing before it", from, first-1)
}

// Read gives the records of a cut in order. The last pair may be an error,
// *CorruptionError where the journal is damaged.
func (c *Cursor) Read(cut Cut) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.j.mu.Lock()
		durable := c.j.durable
		c.j.mu.Unlock()
		if cut.First == 0 || cut.Last > durable {
			yield(Entry{}, fmt.Errorf("journal cursor %s: records %d to %d are not there to be read", c.name, cut.First, cut.Last))
			return
		}
		c.j.entries(cut.First, cut.Last, &c.at)(func(e Entry, err error) bool { return yield(e, c.lost(err)) })
	}
}

// Commit moves the cursor behind its open cut. On an error it has not moved
// and Commit may be called again.
func (c *Cursor) Commit(cut Cut) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cut != c.open || cut.First == 0 {
		return fmt.Errorf("journal cursor %s: records %d to %d are not its open cut", c.name, cut.First, cut.Last)
	}
	if err := c.save(cut.Last, Cut{}); err != nil {
		return err
	}
	c.j.mu.Lock()
	c.j.noteAcked()
	c.j.mu.Unlock()
	return nil
}

// save writes the cursor's file, then moves the cursor.
func (c *Cursor) save(committed uint64, open Cut) error {
	if err := replaceFile(c.j.fs, c.path(), formatCursor(committed, open)); err != nil {
		return fmt.Errorf("write journal cursor %s: %w", c.name, err)
	}
	c.j.mu.Lock()
	c.committed, c.open = committed, open
	c.j.mu.Unlock()
	return nil
}

// Lag is what the cursor has not committed yet. Bytes are those of whole
// segments and of the frames behind the last one read.
func (c *Cursor) Lag() (records uint64, bytes int64) {
	c.j.mu.Lock()
	defer c.j.mu.Unlock()
	return c.lag()
}

func (c *Cursor) lag() (records uint64, bytes int64) {
	records = c.j.durable - min(c.j.durable, c.committed)
	if records == 0 {
		return 0, 0
	}
	for i := len(c.j.segments) - 1; i >= 0; i-- {
		s := c.j.segments[i]
		bytes += s.size - min(s.size, headerSize)
		if s.first <= c.committed+1 {
			break
		}
	}
	return records, bytes
}

const cursorTitle = "cwmpgate journal cursor 1"

func formatCursor(committed uint64, open Cut) []byte {
	lines := []string{cursorTitle, "committed " + strconv.FormatUint(committed, 10)}
	if open.First > 0 {
		lines = append(lines, fmt.Sprintf("cut %s %d %d", open.Log, open.First, open.Last))
	}
	return sealText(lines...)
}

func parseCursor(text []byte) (committed uint64, open Cut, err error) {
	lines, err := openText(text, cursorTitle)
	if err != nil {
		return 0, Cut{}, err
	}
	for i, w := range lines {
		switch {
		case i == 0 && w[0] == "committed" && len(w) == 2:
			committed, err = strconv.ParseUint(w[1], 10, 64)
		case i == 1 && w[0] == "cut" && len(w) == 4:
			open, err = parseCut(w[1:])
		}
		if err != nil {
			return 0, Cut{}, err
		}
	}
	if open.First > 0 && (open.First != committed+1 || open.Last < open.First) {
		return 0, Cut{}, errors.New("has a cut that does not follow what is committed")
	}
	// Stricter than any grammar, and it covers what was passed over above.
	if !bytes.Equal(formatCursor(committed, open), text) {
		return 0, Cut{}, errors.New("is not written as version 1 has it")
	}
	return committed, open, nil
}

func parseCut(w []string) (cut Cut, err error) {
	if _, err := parseLogID(w[0]); err != nil {
		return Cut{}, err
	}
	cut.Log = w[0]
	if cut.First, err = strconv.ParseUint(w[1], 10, 64); err != nil {
		return Cut{}, err
	}
	cut.Last, err = strconv.ParseUint(w[2], 10, 64)
	return cut, err
}
