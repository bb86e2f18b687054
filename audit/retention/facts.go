package retention

import (
	"context"
	"fmt"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

// facts is what the system records of a store say.
type facts struct {
	removals []audit.Removal // oldest first
	epochs   map[string][]epoch
	holds    []audit.Hold // the last word on each device
}

// epoch is where a tree of the proof begins.
type epoch struct {
	seq uint64
	at  time.Time
}

// readFacts reads them.
func readFacts(ctx context.Context, r audit.Reader) (*facts, error) {
	f := &facts{epochs: map[string][]epoch{}}
	var p audit.Projector
	var rows audit.Rows
	for row, err := range r.Query(ctx, audit.Filter{View: audit.ViewRecords, Kind: audit.KindSystem}) {
		if err != nil {
			return nil, err
		}
		log, seq := row.Text("log"), uint64(row.Number("seq"))
		rows.Reset()
		if err := p.Project(log, seq, []byte(row.Text("record")), &rows); err != nil || len(rows.System) != 1 {
			continue // of a later version, which has not removed anything here
		}
		s := &rows.System[0]
		said, err := audit.ReadFacts(s)
		if err != nil {
			return nil, fmt.Errorf("log %s, record %d: %w", log, seq, err)
		}
		switch {
		case said.Epoch != nil:
			f.epochs[log] = append(f.epochs[log], epoch{seq, s.At})
		case said.Retention != nil:
			f.removals = append(f.removals, said.Retention.Removal(log, seq))
		case said.Erasure != nil:
			f.removals = append(f.removals, said.Erasure.Removal(log, seq))
		case said.Hold != nil:
			f.hold(*said.Hold)
		}
	}
	return f, nil
}

// hold takes the last word on a device.
func (f *facts) hold(h audit.Hold) {
	for i := range f.holds {
		if f.holds[i].Same(h.Spelling) {
			f.holds[i] = h
			return
		}
	}
	f.holds = append(f.holds, h)
}

// held are the holds in force.
func (f *facts) held(now time.Time) (held []audit.Hold) {
	for _, h := range f.holds {
		if !h.Released && (h.Until.IsZero() || h.Until.After(now)) {
			held = append(held, h)
		}
	}
	return held
}

// on gives the hold that a device is under, nil where it is under none.
func on(held []audit.Hold, s audit.Spelling) *audit.Hold {
	for i := range held {
		if held[i].Covers(s) {
			return &held[i]
		}
	}
	return nil
}
