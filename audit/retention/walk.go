package retention

import (
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

// walk goes over the records of one kind in a log and puts those that are too
// old into retentions: of all tenants together where all of them are too old,
// of one tenant where only its own are.
type walk struct {
	policy    *Policy
	log, kind string
	now       time.Time
	epochs    []epoch
	held      []audit.Hold

	ends map[string]time.Time // by tenant: its records are too old before
	last time.Time            // no record is too old from here on

	next   uint64 // first record that stays, not for a hold
	stays  bool   // next is found
	runs   map[string]*run
	due    []audit.Retention
	behind int // epochs that have begun
}

// run is a retention in the making.
type run struct {
	audit.Retention
	digest audit.LeafDigest
	tail   []audit.Leaf // behind Last, removed already
}

// longestTail is how many records that are removed already may lie between two
// that one retention names.
const longestTail = 10_000

func newWalk(p *Policy, log, kind string, now time.Time, epochs []epoch, held []audit.Hold) *walk {
	w := &walk{policy: p, log: log, kind: kind, now: now, epochs: epochs, held: held, ends: map[string]time.Time{}, runs: map[string]*run{}}
	for _, tenant := range p.named() {
		if end := before(p.age(kind, tenant), now, epochs); end.After(w.last) {
			w.last = end
		}
	}
	return w
}

// end is when a tenant's records are too old.
func (w *walk) endOf(tenant string) time.Time {
	end, ok := w.ends[tenant]
	if !ok {
		end = before(w.policy.age(w.kind, tenant), w.now, w.epochs)
		w.ends[tenant] = end
	}
	return end
}

// take takes the next record.
func (w *walk) take(l audit.Leaf) {
	for w.behind < len(w.epochs) && w.epochs[w.behind].seq <= l.Seq {
		w.behind++
		w.close()
	}
	group := ""
	end := w.endOf("")
	if !l.At.Before(end) {
		group = l.Tenant
		end = w.endOf(group)
	}
	switch {
	case l.Removed:
		w.pass(group, l)
	case !l.At.Before(end):
		if !w.stays {
			w.stays, w.next = true, l.Seq
		}
		w.finish(group)
	case on(w.held, audit.Spelling{Tenant: l.Tenant, Device: l.Device}) != nil:
		w.finish(group)
	default:
		w.add(group, end, l)
	}
	if !w.stays {
		w.next = l.Seq + 1
	}
}

// add puts a record into the retention of its group.
func (w *walk) add(group string, end time.Time, l audit.Leaf) {
	r := w.runs[group]
	if r == nil {
		r = &run{Retention: audit.Retention{Log: w.log, Kind: w.kind, Tenant: group, Before: end, First: l.Seq}}
		w.runs[group] = r
	}
	for _, t := range r.tail {
		r.digest.Add(t.Seq, t.Hash)
	}
	r.tail = r.tail[:0]
	r.digest.Add(l.Seq, l.Hash)
	r.Last = l.Seq
}

// pass takes a record that is removed already: between two that a retention
// names it is one of them.
func (w *walk) pass(group string, l audit.Leaf) {
	r := w.runs[group]
	if r == nil {
		return
	}
	if r.tail = append(r.tail, l); len(r.tail) > longestTail {
		w.finish(group)
	}
}

// finish ends the retention of a group.
func (w *walk) finish(group string) {
	r := w.runs[group]
	if r == nil {
		return
	}
	delete(w.runs, group)
	r.Count, r.Digest = r.digest.Count(), r.digest.String()
	w.due = append(w.due, r.Retention)
}

// close ends those of all groups.
func (w *walk) close() {
	for _, group := range sortedKeys(w.runs) {
		w.finish(group)
	}
}

// end gives the retentions that are due.
func (w *walk) end() []audit.Retention {
	w.close()
	return w.due
}
