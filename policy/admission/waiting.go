package admission

import (
	"time"

	"github.com/cwmpgate/cwmpgate/cwmp"
)

// Inform is an Inform that asks to begin a session. The caller fills in the
// upper part and keeps it untouched until the outcome is known; it may then be
// used for another.
type Inform struct {
	Class   cwmp.EventClass
	Retries int    // RetryCount as claimed
	Device  uint64 // key of the device behind its source; 0: unknown, and then no two are alike
	Bytes   int64  // memory that is held while it waits

	lane           *Lane
	rank           int
	arrived        time.Time
	waits          bool
	before, behind *Inform // in its rank
	older, younger *Inform // in the lane
	outcome        Outcome
	ready          chan struct{}
}

// waiting is the Informs of one lane that wait: by class, in a class by
// RetryCount, then as they came. Refusing a device that has failed eight times
// costs it ten minutes, one that never has some seconds.
type waiting struct {
	ranks    [classes][maxRetries + 1]ranked
	of       [classes]int
	n        int
	bytes    int64
	oldest   *Inform
	youngest *Inform
	floor    float64 // share of each class but the most urgent that waits
	credit   [classes]float64
	byDevice map[uint64]*Inform
}

// ranked is the Informs of one class and RetryCount, the next one first.
type ranked struct{ first, last *Inform }

func (w *waiting) push(in *Inform, now time.Time) {
	in.arrived, in.waits, in.rank = now, true, min(max(in.Retries, 0), maxRetries)
	r := &w.ranks[in.Class][in.rank]
	in.before, in.behind = r.last, nil
	if r.last != nil {
		r.last.behind = in
	} else {
		r.first = in
	}
	r.last = in
	in.older, in.younger = w.youngest, nil
	if w.youngest != nil {
		w.youngest.younger = in
	} else {
		w.oldest = in
	}
	w.youngest = in
	w.count(in, 1)
	if in.Device != 0 {
		w.byDevice[in.Device] = in
	}
}

func (w *waiting) count(in *Inform, by int) {
	w.of[in.Class] += by
	w.n += by
	w.bytes += int64(by) * in.Bytes
}

// remove takes in out, wherever it stands.
func (w *waiting) remove(in *Inform) {
	r := &w.ranks[in.Class][in.rank]
	if in.before != nil {
		in.before.behind = in.behind
	} else {
		r.first = in.behind
	}
	if in.behind != nil {
		in.behind.before = in.before
	} else {
		r.last = in.before
	}
	if in.older != nil {
		in.older.younger = in.younger
	} else {
		w.oldest = in.younger
	}
	if in.younger != nil {
		in.younger.older = in.older
	} else {
		w.youngest = in.older
	}
	in.before, in.behind, in.older, in.younger, in.waits = nil, nil, nil, nil, false
	w.count(in, -1)
	if w.byDevice[in.Device] == in {
		delete(w.byDevice, in.Device)
	}
	if w.of[in.Class] == 0 {
		w.credit[in.Class] = 0
	}
}

// pop takes out the one whose turn it is. The most urgent class goes first, but
// every other one that waits earns its floor with each turn, and goes first once
// it has earned a whole one.
func (w *waiting) pop() *Inform {
	turn := -1
	for c := range classes {
		if w.of[c] == 0 {
			continue
		}
		if turn < 0 {
			turn = c
			continue
		}
		w.credit[c] = min(w.credit[c]+w.floor, 2)
	}
	for c := turn + 1; c < classes; c++ {
		if w.of[c] > 0 && w.credit[c] >= 1 {
			w.credit[c]--
			turn = c
			break
		}
	}
	for r := maxRetries; r >= 0; r-- {
		if in := w.ranks[turn][r].first; in != nil {
			w.remove(in)
			return in
		}
	}
	panic("BUG: pop of a class in which none waits")
}

// victim is the one that must go so that in can wait among places; nil where it
// is in itself. Each class keeps the places that its floor gives it.
func (w *waiting) victim(in *Inform, places int) *Inform {
	kept := int(w.floor * float64(places))
	starved := w.of[in.Class] < kept
	for c := classes - 1; c >= 0; c-- {
		switch {
		case c == int(in.Class):
			if v := w.last(c); v != nil && v.rank < min(in.Retries, maxRetries) {
				return v
			}
			if !starved {
				return nil
			}
		case w.of[c] > kept:
			return w.last(c)
		}
	}
	return nil
}

// least is the one whose turn comes last.
func (w *waiting) least() *Inform {
	for c := classes - 1; c >= 0; c-- {
		if w.of[c] > 0 {
			return w.last(c)
		}
	}
	return nil
}

// last is the one of a class whose turn comes last.
func (w *waiting) last(class int) *Inform {
	for r := range w.ranks[class] {
		if in := w.ranks[class][r].last; in != nil {
			return in
		}
	}
	return nil
}

// Outcome is what became of an Inform that waited, once that is decided.
func (in *Inform) Outcome() Outcome { return in.outcome }
