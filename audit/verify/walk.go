package verify

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"golang.org/x/mod/sumdb/note"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/ledger"
)

// walk goes through one log, record by record.
type walk struct {
	cfg     Config
	out     *Report
	facts   *facts
	log     string
	keys    keys
	report  LogReport
	witness []signed

	stored func() (audit.Checkpoint, error, bool) // the store's checkpoints, one by one
	ahead  *audit.Checkpoint

	leaves    ledger.Leaves
	projector audit.Projector
	from      uint64 // first number looked at
	next      uint64 // number due
	last      uint64 // of the record before
	epoch     *epoch
	proved    []Span
	needs     []need // what other records explain

	rows    audit.Rows // that records since tile make
	tile    uint64     // first number whose rows are not checked
	batch   int
	suspect map[uint64]bool // records of this tile that are not what they were
	open    []*retention    // those that the walk is in
	later   []*retention
}

// need is something that is right only if another record is.
type need struct {
	by     source
	about  Span
	reason string
}

func newWalk(cfg Config, out *Report, f *facts, log string, witness []signed) *walk {
	return &walk{
		cfg: cfg, out: out, facts: f, log: log, keys: keysOf(f, log, cfg.Keys), report: LogReport{Log: log},
		witness: witness, later: f.retentions[log], suspect: map[uint64]bool{},
	}
}

func (w *walk) find(first, last uint64, what, format string, args ...any) {
	w.out.add(Finding{w.log, first, last, what, fmt.Sprintf(format, args...)})
	if w.epoch != nil && what != Foreign {
		w.epoch.found = true
	}
}

// lacks notes records that are not there and should be.
func (w *walk) lacks(first, last uint64) {
	if len(w.report.Lacks) < maxFindings {
		w.report.Lacks = append(w.report.Lacks, Span{First: first, Last: last})
	}
}

// isLacking says whether a record was named as one that is not there.
func (w *walk) isLacking(seq uint64) bool { return within(w.report.Lacks, seq) }

func within(spans []Span, seq uint64) bool {
	return slices.ContainsFunc(spans, func(s Span) bool { return s.First <= seq && seq <= s.Last })
}

func (w *walk) run(ctx context.Context) error {
	var err error
	if w.from, err = w.start(ctx); err != nil {
		return err
	}
	next, stop := iter.Pull2(w.cfg.Store.Checkpoints(ctx, w.log))
	defer stop()
	w.stored = next
	w.tile = w.from
	for r, err := range w.cfg.Store.Ledger(ctx, w.log, w.from) {
		if err != nil {
			return fmt.Errorf("read the ledger: %w", err)
		}
		if err := w.record(&r); err != nil {
			return err
		}
		if w.batch >= 500 || len(w.rows.Parameters) > 20_000 {
			if err := w.checkRows(ctx, w.last); err != nil {
				return err
			}
		}
	}
	if err := w.checkRows(ctx, w.last); err != nil {
		return err
	}
	if err := w.strays(ctx); err != nil {
		return err
	}
	if err := w.closeEpoch(nil); err != nil {
		return err
	}
	w.closeRetentions(math.MaxUint64)
	return w.unwalked()
}

// start is the first record to be looked at: that of the epoch in which Since
// lies. That it is old enough is proved with it.
func (w *walk) start(ctx context.Context) (uint64, error) {
	if w.cfg.Since.IsZero() {
		return 0, nil
	}
	var epochs []uint64
	for c, err := range w.cfg.Store.Checkpoints(ctx, w.log) {
		if err != nil {
			return 0, err
		}
		if n := len(epochs); n == 0 || epochs[n-1] != c.Epoch {
			epochs = append(epochs, c.Epoch)
		}
	}
	for _, first := range slices.Backward(epochs) {
		for r, err := range w.cfg.Store.Ledger(ctx, w.log, first) {
			if err != nil {
				return 0, err
			}
			if r.Seq == first && !r.At.After(w.cfg.Since) {
				return first, nil
			}
			break
		}
	}
	return 0, nil
}

// record looks at one row of the ledger.
func (w *walk) record(r *audit.LedgerRecord) error {
	w.report.Records++
	if w.report.First == 0 {
		w.report.First = r.Seq
	}
	w.report.Last = max(w.report.Last, r.Seq)
	if w.last > 0 && r.Seq <= w.last {
		w.find(r.Seq, r.Seq, Added, "record %d is there twice", r.Seq)
		w.suspect[r.Seq] = true
		return nil
	}
	if w.facts.missing(w.log, r.Seq) {
		w.find(r.Seq, r.Seq, Added, "record %d is there, though a gap record says that no record has this number", r.Seq)
		w.suspect[r.Seq] = true
		return nil
	}
	w.hole(r.Seq)
	w.last, w.next = r.Seq, r.Seq+1
	w.batch++

	leaf, said := w.read(r)
	if said.Epoch != nil {
		if err := w.closeEpoch(&following{r.Seq, said.Epoch}); err != nil {
			return err
		}
		w.openEpoch(r, said.Epoch)
	}
	if w.epoch == nil {
		return nil
	}
	w.epoch.tree.Append(leaf)
	w.epoch.last = r.Seq
	w.retain(r)
	return w.checkpoints()
}

// hole names the records between the last one and this. Where a log begins, only
// its epochs say: a journal that was adopted goes on with the numbers of the log
// before.
func (w *walk) hole(seq uint64) {
	first := w.next
	if first == 0 || first >= seq {
		return
	}
	left := w.facts.unexplained(w.log, Span{First: first, Last: seq - 1})
	for _, s := range left {
		w.find(s.First, s.Last, Missing, "%s not there", records(s))
		w.lacks(s.First, s.Last)
	}
	if len(left) == 0 && w.epoch != nil {
		w.epoch.gaps = append(w.epoch.gaps, Span{First: first, Last: seq - 1})
	}
}

func records(s Span) string {
	if s.First == s.Last {
		return fmt.Sprintf("record %d is", s.First)
	}
	return fmt.Sprintf("records %d to %d are", s.First, s.Last)
}

// read says which leaf a row stands for, and what it says.
func (w *walk) read(r *audit.LedgerRecord) (leaf ledger.Hash, said audit.Facts) {
	if len(r.Leaf) == len(leaf) {
		copy(leaf[:], r.Leaf)
	}
	if len(r.Bytes) == 0 && len(r.Salt) == 0 {
		w.emptied(r)
		return leaf, said
	}
	if made := w.leaves.Leaf(r.Salt, r.Bytes); made != leaf {
		w.find(r.Seq, r.Seq, Altered, "record %d is not what its leaf was made from: its bytes, its salt or its leaf were changed", r.Seq)
		w.suspect[r.Seq] = true
		return leaf, said
	}
	before := len(w.rows.System)
	err := w.projector.Project(w.log, r.Seq, r.Bytes, &w.rows)
	if p := (*audit.ProjectError)(nil); errors.As(err, &p) {
		if p.Record == nil {
			w.find(r.Seq, r.Seq, Altered, "record %d is not what stands in its place: %v", r.Seq, p.Err)
			w.suspect[r.Seq] = true
			return leaf, said
		}
		w.rows.Records = append(w.rows.Records, *p.Record)
		return leaf, said
	}
	if n := len(w.rows.System); n > before {
		if said, err = audit.ReadFacts(&w.rows.System[n-1]); err != nil {
			w.find(r.Seq, r.Seq, Broken, "record %d: %v", r.Seq, err)
		}
	}
	return leaf, said
}

// emptied looks for what took the bytes of a record.
func (w *walk) emptied(r *audit.LedgerRecord) {
	if by, ok := w.facts.erased(w.log, r.Seq); ok {
		w.report.Erased++
		w.needs = append(w.needs, need{by, Span{First: r.Seq, Last: r.Seq}, "erased"})
		return
	}
	for _, t := range w.facts.retentions[w.log] {
		if t.covers(r) {
			w.report.Expired++
			return
		}
	}
	w.find(r.Seq, r.Seq, Missing, "the bytes of record %d are gone, and no retention and no erasure says so", r.Seq)
	w.lacks(r.Seq, r.Seq)
}

// checkRows compares the rows of the records since the last time.
func (w *walk) checkRows(ctx context.Context, last uint64) error {
	if last < w.tile {
		return nil
	}
	faults, err := w.cfg.Store.CheckRows(ctx, w.log, w.tile, last, &w.rows)
	if err != nil {
		return fmt.Errorf("check the rows: %w", err)
	}
	w.rowFaults(faults)
	w.rows.Reset()
	clear(w.suspect)
	w.tile, w.batch = last+1, 0
	return nil
}

func (w *walk) rowFaults(faults []audit.RowFault) {
	slices.SortStableFunc(faults, func(a, b audit.RowFault) int { return int(int64(a.Seq) - int64(b.Seq)) })
	for _, f := range faults {
		if w.suspect[f.Seq] {
			continue // the record itself is named
		}
		where := fmt.Sprintf("table %s, row %d of record %d", f.Table, f.Item, f.Seq)
		text := where + " is not there, though the record makes it"
		switch f.What {
		case audit.Altered:
			text = where + ": " + f.Column + " is not what the record says"
		case audit.Added:
			text = where + " is there, though the record does not make it"
		}
		w.out.add(Finding{w.log, f.Seq, f.Seq, f.What, text + "; audit rebuild makes the tables anew from the ledger"})
	}
}

// strays names rows of records behind the last one, but for those that have come
// in the meantime.
func (w *walk) strays(ctx context.Context) error {
	faults, err := w.cfg.Store.CheckRows(ctx, w.log, w.last+1, math.MaxInt64, &audit.Rows{})
	if err != nil || len(faults) == 0 {
		return err
	}
	for r, err := range w.cfg.Store.Ledger(ctx, w.log, w.last+1) {
		if err != nil {
			return err
		}
		faults = slices.DeleteFunc(faults, func(f audit.RowFault) bool { return f.Seq == r.Seq })
	}
	w.rowFaults(faults)
	return nil
}

// explain sees that what explains something is proved itself. Of records that
// are not proved there is nothing more to say.
func (w *walk) explain(walks map[string]*walk) {
	for _, n := range w.needs {
		if !w.isProved(n.about.First) && !w.isProved(n.about.Last) {
			continue
		}
		if by := walks[n.by.log]; by == nil || n.by.seq >= by.from && !by.isProved(n.by.seq) {
			w.out.addConsequence(Finding{w.log, n.about.First, n.about.Last, Missing,
				fmt.Sprintf("%s %s by %s alone, which no checkpoint covers; if that is new, verify again in a minute", records(n.about), n.reason, n.by)})
		}
	}
	slices.SortFunc(w.report.Lacks, func(a, b Span) int { return int(int64(a.First) - int64(b.First)) })
}

func (w *walk) isProved(seq uint64) bool { return within(w.proved, seq) }

func notes(keys []ledger.Verifier) []note.Verifier {
	all := make([]note.Verifier, len(keys))
	for i, k := range keys {
		all[i] = k
	}
	return all
}
