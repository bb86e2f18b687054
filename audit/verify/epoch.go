package verify

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/ledger"
)

// epoch is the tree that the walk is in.
type epoch struct {
	first, last uint64
	tree        ledger.Range
	good, seen  mark   // as far as any checkpoint was right, and one that a witness holds
	found       bool   // something was found behind that: a root that differs is no news
	gaps        []Span // numbers behind that which nobody has, as records say
	lost        bool   // it cannot be recomputed any more
}

// mark is a size that a tree had, and the last record of it.
type mark struct {
	size int64
	last uint64
}

// following is the record that begins the next epoch.
type following struct {
	seq  uint64
	said *audit.Epoch
}

func (w *walk) openEpoch(r *audit.LedgerRecord, said *audit.Epoch) {
	before := w.epoch
	none := mark{0, r.Seq - 1}
	w.epoch = &epoch{first: r.Seq, last: r.Seq - 1, good: none, seen: none}
	w.report.Epochs++
	switch {
	case w.report.Epochs > 1 && said.Previous == 0:
		w.find(r.Seq, r.Seq, Broken, "epoch %d says that there is none before it: what was known of epoch %d was lost, or is to be hidden", r.Seq, before.first)
	case w.report.Epochs == 1 && said.Previous > 0 && w.from == 0:
		last := min(w.report.First, r.Seq) - 1
		w.find(said.Previous, max(said.Previous, last), Missing, "epoch %d is the first one here; of the one before it, %d, the first record is not there", r.Seq, said.Previous)
		w.lacks(said.Previous, max(said.Previous, last))
		w.unproved(last+1, r.Seq-1, "cannot be judged, since their epoch has no beginning")
	case w.report.Epochs == 1 && r.Seq > w.report.First:
		w.unproved(w.report.First, r.Seq-1, "written before the log's first epoch")
	}
	w.epoch.found = false // its own tree is whole so far
}

func (w *walk) unproved(first, last uint64, why string) {
	if first <= last && len(w.report.Unproved) < maxFindings {
		w.report.Unproved = append(w.report.Unproved, Unproved{Span{First: first, Last: last}, why})
	}
}

// checkpoints holds the tree to every checkpoint of its size.
func (w *walk) checkpoints() error {
	e := w.epoch
	for len(w.witness) > 0 {
		s := w.witness[0]
		if s.tree.Origin.Epoch > e.first || s.tree.Origin.Epoch == e.first && s.tree.Size > e.tree.End() {
			break
		}
		w.witness = w.witness[1:]
		if s.tree.Origin.Epoch < w.from {
			continue
		}
		if _, ok := w.opened(s.note, "the witness holds", w.keysFor(s.tree.Origin.Epoch, s.tree.Size)); !ok {
			continue
		}
		if s.tree.Origin.Epoch < e.first || s.tree.Size < e.tree.End() {
			w.behind(s.tree, "the witness's checkpoint")
		} else if w.hold(s.tree, "the witness's checkpoint", &e.seen) {
			w.report.Witnessed++
		}
	}
	for {
		c, err := w.peek()
		if err != nil {
			return err
		}
		if c == nil || c.Epoch > e.first || c.Epoch == e.first && c.Size > e.tree.End() {
			break
		}
		w.ahead = nil
		tree, ok := w.opened(c.Note, "the store has", w.keysFor(c.Epoch, c.Size))
		switch {
		case !ok:
		case tree.Origin.Epoch != c.Epoch || tree.Size != c.Size:
			w.find(e.last, e.last, Altered, "a checkpoint of epoch %d and %d leaves stands in the store as one of epoch %d and %d leaves", tree.Origin.Epoch, tree.Size, c.Epoch, c.Size)
		case c.Epoch < e.first || c.Size < e.tree.End():
			w.behind(tree, "a checkpoint in the store")
		default:
			w.hold(tree, "a checkpoint in the store", &e.good)
		}
	}
	return nil
}

// peek gives the store's next checkpoint.
func (w *walk) peek() (*audit.Checkpoint, error) {
	for w.ahead == nil {
		c, err, ok := w.stored()
		if !ok {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the checkpoints: %w", err)
		}
		if c.Epoch >= w.from {
			w.ahead = &c
		}
	}
	return w.ahead, nil
}

// keysFor gives the keys that may have signed a checkpoint: of the tree as it is
// now the one in force, of others any of this log.
func (w *walk) keysFor(epoch uint64, size int64) []ledger.Verifier {
	if e := w.epoch; epoch == e.first && size == e.tree.End() && !e.lost {
		return w.keys.at(e.last)
	}
	return w.keys.all()
}

// opened checks who signed a checkpoint.
func (w *walk) opened(signed, whose string, keys []ledger.Verifier) (ledger.Tree, bool) {
	claimed, err := ledger.ReadTree(signed)
	if err != nil {
		w.find(w.last, w.last, Altered, "%s something that is no checkpoint: %v", whose, err)
		return claimed, false
	}
	tree, _, err := ledger.Open(signed, notes(keys)...)
	if err != nil || tree.Origin.Log != w.log {
		by := ledger.SignedBy(signed)
		w.find(w.last, w.last, Foreign, "%s a checkpoint of %s with %d leaves, up to record %d or before, that none of the keys given has signed; it says %v (%v)",
			whose, claimed.Origin, claimed.Size, w.last, by, err)
		return tree, false
	}
	return tree, true
}

// hold compares the tree as it is with what was signed, and says of whoever has
// it how far it was right.
func (w *walk) hold(tree ledger.Tree, what string, so *mark) bool {
	e := w.epoch
	if e.lost {
		return false
	}
	if tree.Root != e.tree.Root() {
		w.differs(what, *so)
		return false
	}
	if e.last > e.good.last {
		w.proved = append(w.proved, Span{First: e.good.last + 1, Last: e.last})
		w.report.Proved += uint64(e.tree.End() - e.good.size)
	}
	*so = mark{e.tree.End(), e.last}
	e.good, e.found, e.gaps = *so, false, nil
	w.report.Checkpoints++
	return true
}

// differs names the records among which something was changed: those behind the
// last checkpoint from the same hands that was right. What the store's own were
// right about counts no more where a witness says otherwise.
func (w *walk) differs(what string, so mark) {
	e := w.epoch
	news := !e.found || so != e.good
	w.unprove(so)
	e.lost = true
	switch first, last := so.last+1, e.last; {
	case !news:
	case len(e.gaps) > 0:
		g := e.gaps[0]
		w.find(g.First, g.Last, Missing, "%s not there; a gap record says that they never were, and %s of epoch %d, which has another root, that they were, or that another of the records %d to %d was altered",
			records(g), what, e.first, first, last)
		w.lacks(g.First, g.Last)
	default:
		w.find(first, last, Altered, "one or more of the records %d to %d were altered, added or exchanged, and their leaves made to fit: %s of epoch %d has another root", first, last, what, e.first)
	}
}

// unprove takes back what was proved of the epoch behind a mark.
func (w *walk) unprove(so mark) {
	e := w.epoch
	w.report.Proved -= uint64(e.good.size - so.size)
	e.good = so
	for i := len(w.proved) - 1; i >= 0 && w.proved[i].Last > so.last; i-- {
		w.proved[i].Last = so.last
		if w.proved[i].First > so.last {
			w.proved = w.proved[:i]
		}
	}
}

// behind names a checkpoint whose tree the walk has passed: no tree here had that
// size.
func (w *walk) behind(tree ledger.Tree, what string) {
	if tree.Origin.Epoch == w.epoch.first && w.epoch.lost || w.isLacking(tree.Origin.Epoch) {
		return // the records themselves are named
	}
	first := w.last
	if tree.Origin.Epoch < w.epoch.first {
		first = tree.Origin.Epoch
	}
	w.find(first, w.last, Missing, "%s is of epoch %d and %d leaves, and the store has no such tree", what, tree.Origin.Epoch, tree.Size)
}

// closeEpoch ends the tree: where the next one says how, or where the log ends.
func (w *walk) closeEpoch(next *following) error {
	e := w.epoch
	if e == nil {
		return nil
	}
	if next != nil && next.said.Previous > 0 {
		w.closeBy(next)
	}
	if err := w.beyond(); err != nil {
		return err
	}
	switch {
	case e.lost && e.last > e.good.last:
		w.unproved(e.good.last+1, e.last, "cannot be judged, since something before or among them is not as it was")
	case e.last > e.good.last && next == nil:
		w.unproved(e.good.last+1, e.last, "written since the last checkpoint")
	case e.last > e.good.last:
		w.unproved(e.good.last+1, e.last, "behind the epoch's last checkpoint")
	}
	return nil
}

// closeBy holds the tree to the final checkpoint in the next epoch's first
// record.
func (w *walk) closeBy(next *following) {
	e := w.epoch
	tree, _, err := ledger.Open(next.said.Checkpoint, notes(w.keys.at(e.last))...)
	switch {
	case err != nil:
		w.find(next.seq, next.seq, Foreign, "record %d has a final checkpoint of the epoch before that none of the keys given has signed; it says %v (%v)",
			next.seq, ledger.SignedBy(next.said.Checkpoint), err)
	case tree.Origin.Log != w.log || tree.Origin.Epoch != next.said.Previous:
		w.find(next.seq, next.seq, Broken, "record %d names epoch %d and has a checkpoint of %s", next.seq, next.said.Previous, tree.Origin)
	case tree.Origin.Epoch != e.first && w.isLacking(tree.Origin.Epoch):
	case tree.Origin.Epoch != e.first:
		w.find(next.seq, next.seq, Broken, "epoch %d follows epoch %d, and not %d, which is before it here", next.seq, next.said.Previous, e.first)
	case tree.Size != e.tree.End() && !e.lost:
		if e.found {
			e.lost = true
			return
		}
		e.lost = true
		w.find(e.good.last+1, next.seq-1, Missing, "epoch %d ended with %d leaves, here are %d: records behind %d were taken away or added", e.first, tree.Size, e.tree.End(), e.good.last)
		w.lacks(e.good.last+1, next.seq-1)
	default:
		w.hold(tree, fmt.Sprintf("the final checkpoint in record %d", next.seq), &e.good)
	}
}

// beyond names checkpoints of more leaves than the epoch has here.
func (w *walk) beyond() error {
	e := w.epoch
	var most int64
	var who string
	for {
		c, err := w.peek()
		if err != nil {
			return err
		}
		if c == nil || c.Epoch != e.first {
			break
		}
		w.ahead = nil
		if tree, ok := w.opened(c.Note, "the store has", w.keys.all()); ok && tree.Size > most {
			most, who = tree.Size, "a checkpoint in the store"
		}
	}
	for len(w.witness) > 0 && w.witness[0].tree.Origin.Epoch == e.first {
		s := w.witness[0]
		w.witness = w.witness[1:]
		if _, ok := w.opened(s.note, "the witness holds", w.keys.all()); ok && s.tree.Size > most {
			most, who = s.tree.Size, "the witness's checkpoint"
		}
	}
	if most <= e.tree.End() || e.lost {
		return nil
	}
	w.find(e.last+1, e.last+uint64(most-e.tree.End()), Missing, "%s of epoch %d has %d leaves, here are %d: %d records behind record %d are not there",
		who, e.first, most, e.tree.End(), most-e.tree.End(), e.last)
	w.lacks(e.last+1, e.last+uint64(most-e.tree.End()))
	return nil
}

// unwalked names checkpoints of epochs that never came, and records of no epoch.
func (w *walk) unwalked() error {
	if w.epoch == nil && w.report.Records > 0 {
		w.unproved(w.report.First, w.report.Last, "written before the log's first epoch")
	}
	gone := map[uint64]ledger.Tree{}
	who := map[uint64]string{}
	note := func(tree ledger.Tree, whose string) {
		if tree.Size > gone[tree.Origin.Epoch].Size {
			gone[tree.Origin.Epoch], who[tree.Origin.Epoch] = tree, whose
		}
	}
	for {
		c, err := w.peek()
		if err != nil {
			return err
		}
		if c == nil {
			break
		}
		w.ahead = nil
		if tree, ok := w.opened(c.Note, "the store has", w.keys.all()); ok {
			note(tree, "the store has a checkpoint")
		}
	}
	for _, s := range w.witness {
		if _, ok := w.opened(s.note, "the witness holds", w.keys.all()); ok {
			note(s.tree, "the witness holds a checkpoint")
		}
	}
	for _, first := range slices.Sorted(maps.Keys(gone)) {
		last := first + uint64(gone[first].Size) - 1
		w.find(first, last, Missing, "%s of epoch %d with %d leaves: the store has no record of it", who[first], first, gone[first].Size)
		w.lacks(first, last)
	}
	return nil
}
