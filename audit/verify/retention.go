package verify

import (
	"slices"

	"github.com/cwmpgate/cwmpgate/audit"
)

// covers says whether a record belongs to what a retention is about.
func (t *retention) covers(r *audit.LedgerRecord) bool {
	return t.First <= r.Seq && r.Seq <= t.Last && t.Kind == r.Kind && (t.Tenant == "" || t.Tenant == r.Tenant)
}

// retain counts a record among those of the retentions that cover it.
func (w *walk) retain(r *audit.LedgerRecord) {
	for len(w.later) > 0 && w.later[0].First <= r.Seq {
		w.open = append(w.open, w.later[0])
		w.later = w.later[1:]
	}
	w.closeRetentions(r.Seq)
	for _, t := range w.open {
		if !t.covers(r) {
			continue
		}
		t.digest.Add(r.Seq, r.Leaf)
		if len(r.Bytes) == 0 {
			t.empty++
		}
		if t.late == 0 && !r.At.Before(t.Before) {
			t.late = r.Seq
		}
	}
}

// closeRetentions judges those that end before a record. One that begins before
// the walk does cannot be recounted.
func (w *walk) closeRetentions(seq uint64) {
	w.open = slices.DeleteFunc(w.open, func(t *retention) bool {
		if t.Last >= seq {
			return false
		}
		switch {
		case t.First < w.from || t.empty == 0:
		case t.digest.Count() != t.Count || t.digest.String() != t.Digest:
			w.find(t.First, t.Last, Altered, "%s says that %d records of kind %s from %d to %d were emptied; the %d that are there now are others, or have other leaves",
				t.source, t.Count, t.Kind, t.First, t.Last, t.digest.Count())
		case t.late > 0:
			w.find(t.late, t.late, Altered, "record %d is not older than %s says", t.late, t.source)
		default:
			w.needs = append(w.needs, need{t.source, Span{First: t.First, Last: t.Last}, "emptied"})
		}
		return true
	})
}
