package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/VictoriaMetrics/metrics"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/journal"
)

// tellGaps writes a record of each damaged place that was passed over since the
// last start. Where it ends between the record and the note of it, the next
// start tells it again.
func (g *gate) tellGaps(ctx context.Context) error {
	gaps := g.journal.Gaps()
	for _, gap := range gaps {
		t, err := g.recorder.System(gapRecord(gap))
		if err == nil {
			err = t.Wait(ctx)
		}
		if err != nil {
			return fmt.Errorf("record what is missing in the journal: %w", err)
		}
		g.log.Warn().Msg("journal: passed over: " + describeGap(gap))
	}
	if len(gaps) == 0 || g.journal.Stats().Err != nil {
		return nil // the records passed, but nothing is known to be durable
	}
	return g.journal.Told(gaps)
}

// gaveWay counts and records what the journal removes before its time. It has no
// say in it: the stores have those records.
func (g *gate) gaveWay(set *metrics.Set) func(journal.GaveWay) {
	records := set.NewCounter("cwmpgate_journal_gave_way_records_total")
	return func(gone journal.GaveWay) {
		records.AddInt64(int64(gone.Last - gone.First + 1))
		s := audit.System{What: audit.SystemTrim, Why: "journal.max_size is near", Detail: []audit.Pair{
			{Name: "log", Value: gone.Log},
			{Name: "first", Value: strconv.FormatUint(gone.First, 10)}, {Name: "last", Value: strconv.FormatUint(gone.Last, 10)},
		}}
		if gone.DiskFull {
			s.Why = "the journal's disk is full"
		}
		if _, err := g.recorder.System(s); err != nil {
			g.log.Error().Err(err).Msg("record what gave way in the journal")
		}
	}
}

func gapRecord(g journal.Gap) audit.System {
	s := audit.System{What: audit.SystemGap, Why: "damage in the journal was passed over by command", Detail: []audit.Pair{
		{Name: "segment", Value: g.Segment},
		{Name: "offset", Value: strconv.FormatInt(g.Offset, 10)},
		{Name: "count", Value: strconv.FormatUint(g.Missing(), 10)},
	}}
	if g.Missing() > 0 {
		s.Detail = append(s.Detail, audit.Pair{Name: "log", Value: g.Log},
			audit.Pair{Name: "first", Value: strconv.FormatUint(g.First, 10)}, audit.Pair{Name: "last", Value: strconv.FormatUint(g.Last, 10)})
	}
	if kept := g.Kept(); kept != "" {
		s.Detail = append(s.Detail, audit.Pair{Name: "kept", Value: kept})
	}
	return s
}

// storeStopped says what to do where a store is fed no more.
func storeStopped(err error) string {
	var damage *journal.CorruptionError
	if errors.As(err, &damage) {
		return "the store is not fed any more, the journal keeps everything; " +
			"cwmpgate journal verify names what is damaged, and with the gateway stopped cwmpgate journal skip goes on behind it; see docs/journal.md"
	}
	return "the store is not fed any more; see docs/journal.md"
}
