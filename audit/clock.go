package audit

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// clockStep is how far the wall clock must have moved against the monotonic one
// since a step was last told, for one to be told.
const clockStep = time.Second

// Clock reads the wall clock, and how long something has run that nobody sets.
type Clock func() (wall time.Time, running time.Duration)

// systemClock is the system's own two clocks.
func systemClock() Clock {
	began := time.Now()
	return func() (time.Time, time.Duration) {
		now := time.Now()
		return now.Round(0), now.Sub(began)
	}
}

// clockWatch notices that the wall clock was set: the times of records say less
// then than they seem to.
type clockWatch struct {
	read     Clock
	offset   atomic.Int64 // between the two clocks as last told, in nanoseconds
	compared atomic.Bool  // with the time of the journal's last record
	mu       sync.Mutex   // held while one is told
}

func (w *clockWatch) init(read Clock) {
	w.read = read
	w.offset.Store(offsetOf(read()))
}

func offsetOf(wall time.Time, running time.Duration) int64 { return wall.UnixNano() - int64(running) }

// stepped is by how much the wall clock was set since that was last told, 0 for
// less than a second, and what has then been told.
func (w *clockWatch) stepped() (by time.Duration, wall time.Time, offset int64) {
	wall, running := w.read()
	offset = offsetOf(wall, running)
	by = time.Duration(offset - w.offset.Load())
	if by.Abs() < clockStep {
		return 0, wall, offset
	}
	return by, wall, offset
}

// tellStep writes, before the next record, that the wall clock was set. Where
// the journal does not take it the next record tries again.
func (r *Recorder) tellStep() {
	w := &r.clock
	if by, _, _ := w.stepped(); by == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	by, wall, offset := w.stepped()
	if by == 0 {
		return // another record was first
	}
	why := "the clock leapt forward"
	if by < 0 {
		why = "the clock went back"
	}
	if r.putStep(why, by, wall) {
		w.offset.Store(offset)
	}
}

// compareClock looks, at the first record, whether the clock was set back while
// no gateway ran: times of records stand still then until it has caught up.
func (r *Recorder) compareClock(at time.Time) {
	if r.clock.compared.Load() || r.clock.compared.Swap(true) {
		return
	}
	wall, _ := r.clock.read()
	if by := wall.Sub(at); by <= -clockStep {
		r.putStep("the clock is behind the record before", by, wall)
	}
}

func (r *Recorder) putStep(why string, by time.Duration, wall time.Time) bool {
	e := r.encoder()
	defer r.release(e)
	e.system(r.cfg.Node, &System{What: SystemClock, Why: why, Detail: []Pair{
		{"step_us", strconv.FormatInt(by.Microseconds(), 10)},
		{"clock", wall.UTC().Format(timeLayout)},
	}})
	if _, err := r.put(e, KindSystem); err != nil {
		return false
	}
	r.metrics.steps.Inc()
	return true
}
