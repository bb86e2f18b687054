package admission

import (
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/configs"
	"github.com/cwmpgate/cwmpgate/cwmp"
)

// bench is a controller on a clock of its own.
type bench struct {
	t       testing.TB
	now     time.Time
	c       *Controller
	decided []*Inform
}

func newBench(t testing.TB, change func(*Settings)) *bench {
	b := &bench{t: t, now: time.Unix(1_000_000, 0)}
	set := DefaultSettings()
	if change != nil {
		change(&set)
	}
	b.c = New(set, b.now, func(in *Inform) { b.decided = append(b.decided, in) })
	return b
}

func enforce(count int) Rate {
	return Rate{Mode: ModeEnforce, Count: count, Per: configs.Duration(time.Second)}
}

// pass lets d pass, doing all that is due on the way.
func (b *bench) pass(d time.Duration) {
	for end := b.now.Add(d); ; {
		next := b.c.Advance(b.now)
		left := end.Sub(b.now)
		if next == 0 || next >= left {
			b.now = end
			b.c.Advance(b.now)
			return
		}
		b.now = b.now.Add(max(next, LeastNap))
	}
}

// take gives what was decided since it was called last, by verdict.
func (b *bench) take() (admitted, refused []*Inform) {
	for _, in := range b.decided {
		if in.Outcome().Verdict == Admitted {
			admitted = append(admitted, in)
		} else {
			refused = append(refused, in)
		}
	}
	b.decided = nil
	return admitted, refused
}

var devices uint64

func inform(class cwmp.EventClass, retries int) *Inform {
	devices++
	return &Inform{Class: class, Retries: retries, Device: devices, Bytes: 1000}
}

// offerAll offers n Informs at once and counts those admitted and refused there
// and then.
func (b *bench) offerAll(l *Lane, n int, class cwmp.EventClass, retries int) (all []*Inform, admitted, refused int) {
	for range n {
		in := inform(class, retries)
		all = append(all, in)
		switch l.Offer(in, b.now).Verdict {
		case Admitted:
			admitted++
		case Refused:
			refused++
		}
	}
	return all, admitted, refused
}
