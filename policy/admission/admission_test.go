package admission

import (
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/configs"
	"github.com/cwmpgate/cwmpgate/cwmp"
)

func lane(b *bench, rate int) *Lane {
	return b.c.Lane(LaneConfig{Tenant: "isp", ACS: "acs", Informs: enforce(rate)})
}

// TestOrder has one Inform of each class and RetryCount wait, offered in the
// worst order, and served in the right one.
func TestOrder(t *testing.T) {
	b := newBench(t, func(s *Settings) { s.Floor = 0 })
	l := lane(b, 10)
	b.offerAll(l, 1, cwmp.ClassRoutine, 0) // the token that is there
	var want []*Inform
	for c := classes - 1; c >= 0; c-- {
		for _, retries := range []int{0, 3, 12} {
			in := inform(cwmp.EventClass(c), retries)
			if o := l.Offer(in, b.now); o.Verdict != Waits {
				t.Fatalf("class %d: %+v", c, o)
			}
			want = append([]*Inform{in}, want...)
		}
	}
	b.pass(3 * time.Second)
	got, refused := b.take()
	if len(refused) > 0 || len(got) != len(want) {
		t.Fatalf("%d admitted, %d refused of %d", len(got), len(refused), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("place %d: class %v, retries %d; want class %v, retries %d", i, got[i].Class, got[i].Retries, want[i].Class, want[i].Retries)
		}
	}
}

// TestStarvation keeps the most urgent class above the rate for a minute: each
// other class still gets its floor, and gets no more.
func TestStarvation(t *testing.T) {
	b := newBench(t, nil)
	const rate = 100
	l := lane(b, rate)
	of := make([]int, classes)
	for range 60 * 10 {
		for c := range classes {
			_, admitted, _ := b.offerAll(l, 20, cwmp.EventClass(c), 0)
			of[c] += admitted
		}
		b.pass(100 * time.Millisecond)
		admitted, _ := b.take()
		for _, in := range admitted {
			of[in.Class]++
		}
	}
	floor := float64(b.c.set.Floor) / 100 * rate * 60
	for c := 1; c < classes; c++ {
		if got := float64(of[c]); got < 0.9*floor || got > 1.2*floor {
			t.Errorf("class %s: %d admitted in a minute, floor %.0f", cwmp.EventClass(c), of[c], floor)
		}
	}
	total := 0
	for _, n := range of {
		total += n
	}
	if total < rate*60*98/100 || total > rate*60*102/100 {
		t.Errorf("%d admitted in a minute at %d a second", total, rate)
	}
}

// TestFairness has one tenant flood a gateway whose rate both draw on: the other
// one's Informs are served as if it were not there, and memory is shared too.
func TestFairness(t *testing.T) {
	b := newBench(t, func(s *Settings) { s.Informs, s.Queue = enforce(100), 400 })
	loud := b.c.Lane(LaneConfig{Tenant: "loud", ACS: "a"})
	quiet := b.c.Lane(LaneConfig{Tenant: "quiet", ACS: "b"})
	of := map[*Lane]int{}
	refused := 0
	for range 30 * 10 {
		_, admitted, _ := b.offerAll(loud, 100, cwmp.ClassConnectionRequest, 10)
		of[loud] += admitted
		_, admitted, r := b.offerAll(quiet, 4, cwmp.ClassRoutine, 0)
		of[quiet] += admitted
		refused += r
		b.pass(100 * time.Millisecond)
		got, gone := b.take()
		for _, in := range got {
			of[in.lane]++
		}
		for _, in := range gone {
			if in.lane == quiet {
				refused++
			}
		}
	}
	if refused > 0 {
		t.Errorf("%d Informs of the quiet tenant were refused", refused)
	}
	if of[quiet] < 30*40-10 {
		t.Errorf("quiet tenant: %d of %d admitted", of[quiet], 30*40)
	}
	if sum := of[quiet] + of[loud]; sum < 2940 || sum > 3060 {
		t.Errorf("%d admitted in 30 s at 100 a second", sum)
	}
}

// TestNeverOver offers far more than the rate and looks at every second's width.
func TestNeverOver(t *testing.T) {
	for _, rate := range []int{50, 500, 3000} {
		b := newBench(t, func(s *Settings) { s.Queue = 100_000 })
		l := lane(b, rate)
		var at []time.Time
		for range 1000 {
			_, admitted, _ := b.offerAll(l, rate/10, cwmp.ClassBoot, 0)
			for range admitted {
				at = append(at, b.now)
			}
			b.pass(5 * time.Millisecond)
			got, _ := b.take()
			for range got {
				at = append(at, b.now)
			}
		}
		for i, j := 0, 0; j < len(at); j++ {
			for at[j].Sub(at[i]) >= time.Second {
				i++
			}
			if n := j - i + 1; float64(n) > 1.02*float64(rate)+1 {
				t.Fatalf("rate %d: %d within a second", rate, n)
			}
		}
		if n := len(at); float64(n) < 4.9*float64(rate) {
			t.Errorf("rate %d: only %d in 5 s", rate, n)
		}
	}
}

// TestCancel has those that wait give up: they cost the ACS nothing, and what
// they held is free.
func TestCancel(t *testing.T) {
	b := newBench(t, nil)
	l := lane(b, 10)
	all, admitted, _ := b.offerAll(l, 60, cwmp.ClassBoot, 0)
	for i, in := range all[admitted:] {
		if i%2 == 0 && !l.Cancel(in, b.now) {
			t.Fatal("one that waits could not leave")
		}
	}
	stayed := (60 - admitted) / 2
	b.pass(20 * time.Second)
	got, refused := b.take()
	if len(got) != stayed || len(refused) > 0 {
		t.Errorf("%d admitted, %d refused of the %d that stayed", len(got), len(refused), stayed)
	}
	for _, in := range all {
		if l.Cancel(in, b.now) {
			t.Fatal("one that did not wait could leave")
		}
	}
	if b.c.n != 0 || b.c.bytes != 0 || l.waiting.n != 0 || len(l.waiting.byDevice) != 0 {
		t.Errorf("left behind: %d waiting, %d bytes, %d devices", b.c.n, b.c.bytes, len(l.waiting.byDevice))
	}
	if s := b.c.Stats(b.now)[0]; s.Classes[cwmp.ClassBoot].GaveUp != uint64(60-admitted-stayed) {
		t.Errorf("%d gave up", s.Classes[cwmp.ClassBoot].GaveUp)
	}
}

// TestWaitBound has more wait than can be served in time: none waits longer, and
// who is refused is told when to come back.
func TestWaitBound(t *testing.T) {
	b := newBench(t, nil)
	l := lane(b, 10)
	_, admitted, refused := b.offerAll(l, 500, cwmp.ClassBoot, 0)
	if want := 500 - admitted - 100; refused != want {
		t.Errorf("%d refused at once, want %d: 10 s at 10 a second wait", refused, want)
	}
	b.pass(30 * time.Second)
	got, late := b.take()
	if len(got)+len(late) != 100 || len(late) > 2 {
		t.Errorf("%d admitted, %d refused later", len(got), len(late))
	}
	for _, in := range append(got, late...) {
		if in.Outcome().Waited > 10*time.Second+LeastNap {
			t.Fatalf("one waited %v", in.Outcome().Waited)
		}
	}
}

// TestClockJumps sets the clock by an hour either way while Informs wait.
func TestClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{-time.Hour, -time.Second, time.Second, time.Hour} {
		b := newBench(t, func(s *Settings) {
			s.Device = Rate{Mode: ModeEnforce, Count: 1, Per: configs.Duration(10 * time.Second)}
		})
		l := lane(b, 10)
		first := inform(cwmp.ClassBoot, 0)
		l.Offer(first, b.now)
		_, admitted, _ := b.offerAll(l, 50, cwmp.ClassBoot, 0)
		b.now = b.now.Add(jump)
		b.pass(10 * time.Second)
		got, late := b.take()
		// Forward, those who have waited an hour go; backward, nobody waits longer.
		if admitted+len(got)+len(late) != 50 || jump < time.Minute && len(got) < 40 {
			t.Errorf("jump %v: %d admitted, %d refused later of 50", jump, admitted+len(got), len(late))
		}
		if o := l.Offer(first, b.now); o.Verdict != Admitted && o.Verdict != Waits {
			t.Errorf("jump %v: a device is still held to its limit: %+v", jump, o)
		}
		if _, admitted, _ := b.offerAll(l, 5, cwmp.ClassBoot, 0); b.c.n > 5+50 {
			t.Errorf("jump %v: %d wait, %d admitted", jump, b.c.n, admitted)
		}
	}
}

// TestSessions holds an ACS to so many sessions at once: the next begins as one
// ends.
func TestSessions(t *testing.T) {
	b := newBench(t, nil)
	l := b.c.Lane(LaneConfig{Tenant: "isp", ACS: "acs", Sessions: Most{Mode: ModeEnforce, Count: 5}})
	_, admitted, refused := b.offerAll(l, 8, cwmp.ClassBoot, 0)
	if admitted != 5 || refused != 0 {
		t.Fatalf("%d admitted, %d refused", admitted, refused)
	}
	l.Done(false)
	b.c.Advance(b.now)
	if got, _ := b.take(); len(got) != 1 {
		t.Fatalf("%d admitted as one ended", len(got))
	}
	b.pass(time.Minute)
	if _, refused := b.take(); len(refused) != 2 || refused[0].Outcome().Reason != ReasonUpstreamSessions {
		t.Errorf("%d refused", len(refused))
	}
}

// TestWindow has an ACS that stops to answer: it is sent no more than it may have
// to answer at once, and goes on where it left off.
func TestWindow(t *testing.T) {
	b := newBench(t, nil)
	l := b.c.Lane(LaneConfig{Tenant: "isp", ACS: "acs", Informs: enforce(20), Adaptive: Adaptive{Latency: configs.Duration(2 * time.Second)}})
	_, admitted, _ := b.offerAll(l, 100, cwmp.ClassBoot, 0)
	b.pass(5 * time.Second)
	got, _ := b.take()
	if n := admitted + len(got); n != 20 {
		t.Errorf("%d admitted while the ACS answers none, want a second's worth", n)
	}
	for range 20 {
		l.Answered(true, 5*time.Second, Well, b.now)
	}
	b.pass(time.Second)
	if got, _ := b.take(); len(got) < 19 || len(got) > 21 {
		t.Errorf("%d admitted in the second behind", len(got))
	}
	b.pass(10 * time.Second)
	_, refused := b.take()
	if len(refused) == 0 || refused[len(refused)-1].Outcome().Reason != ReasonUpstreamAnswers {
		t.Errorf("%d refused", len(refused))
	}
	for _, in := range refused {
		if after := in.Outcome().RetryAfter; after > 5*time.Minute {
			t.Fatalf("Retry-After %v for an ACS that stood still for some seconds", after)
		}
	}
}

// TestObserve counts what it would refuse, and refuses nothing.
func TestObserve(t *testing.T) {
	b := newBench(t, nil)
	r := enforce(10)
	r.Mode = ModeObserve
	l := b.c.Lane(LaneConfig{Tenant: "isp", ACS: "acs", Informs: r})
	_, admitted, _ := b.offerAll(l, 500, cwmp.ClassBoot, 0)
	if admitted != 500 {
		t.Fatalf("%d of 500 admitted", admitted)
	}
	if got := b.c.Stats(b.now)[0].Classes[cwmp.ClassBoot].Observed; got < 395 || got > 400 {
		t.Errorf("%d counted as over; 10 s at 10 a second would have waited", got)
	}
}

// TestFlappingDevice offers one device over and over: it has one place, and its
// limit, and another device does not notice.
func TestFlappingDevice(t *testing.T) {
	b := newBench(t, func(s *Settings) {
		s.Device = Rate{Mode: ModeEnforce, Count: 2, Per: configs.Duration(time.Minute), Burst: 2}
	})
	l := lane(b, 2)
	b.offerAll(l, 1, cwmp.ClassBoot, 0)
	const flaps = 7
	var waits, admitted, refused int
	for range 130 {
		in := &Inform{Class: cwmp.ClassConnectionRequest, Retries: 10, Device: flaps << 40, Bytes: 1}
		switch o := l.Offer(in, b.now); {
		case o.Verdict == Admitted:
			admitted++
		case o.Verdict == Waits:
			waits++
		case o.Reason == ReasonDeviceRate:
			refused++
			if o.RetryAfter < time.Second || o.RetryAfter > time.Minute {
				t.Fatalf("Retry-After %v", o.RetryAfter)
			}
		}
		if n := l.waiting.n; n > 1 {
			t.Fatalf("the device has %d places", n)
		}
		b.pass(250 * time.Millisecond)
		got, _ := b.take()
		admitted += len(got)
	}
	if admitted != 3 { // two at once, one more after 30 s
		t.Errorf("the device was admitted %d times in 32 s", admitted)
	}
	if refused < 100 {
		t.Errorf("%d refused for the device's limit", refused)
	}
}

// TestQueueBounds fills the queue in number and in bytes.
func TestQueueBounds(t *testing.T) {
	b := newBench(t, func(s *Settings) { s.Queue, s.QueueMemory = 20, 1<<20 })
	l := lane(b, 100)
	b.offerAll(l, 500, cwmp.ClassRoutine, 0)
	if b.c.n != 20 {
		t.Errorf("%d wait, bound 20", b.c.n)
	}
	// One more urgent takes a place, of one that is told so.
	in := inform(cwmp.ClassCompletion, 0)
	if o := l.Offer(in, b.now); o.Verdict != Waits || b.c.n != 20 {
		t.Errorf("%+v, %d wait", o, b.c.n)
	}
	if _, gone := b.take(); len(gone) == 0 || gone[len(gone)-1].Outcome().Reason != ReasonQueue {
		t.Error("nobody gave way")
	}
	big := inform(cwmp.ClassCompletion, 0)
	big.Bytes = 2 << 20
	if o := l.Offer(big, b.now); o.Reason != ReasonQueueMemory {
		t.Errorf("%+v", o)
	}
	if b.c.bytes > 1<<20 {
		t.Errorf("%d bytes wait", b.c.bytes)
	}
}

// TestChanges tells of a limit once when it begins and once when it stops.
func TestChanges(t *testing.T) {
	b := newBench(t, nil)
	l := lane(b, 10)
	b.offerAll(l, 5, cwmp.ClassBoot, 0)
	if c := b.c.Changes(); len(c) > 0 {
		t.Fatalf("half a second's wait is no news: %+v", c)
	}
	b.offerAll(l, 200, cwmp.ClassBoot, 0)
	began := b.c.Changes()
	if len(began) != 1 || !began[0].Begins || began[0].Limit != ReasonUpstreamRate || began[0].ACS != "acs" {
		t.Fatalf("%+v", began)
	}
	b.pass(30 * time.Second)
	over := b.c.Changes()
	if len(over) != 1 || over[0].Begins || over[0].Count < 100 {
		t.Fatalf("%+v", over)
	}
}

// TestClose refuses all that wait, and all that come.
func TestClose(t *testing.T) {
	b := newBench(t, nil)
	l := lane(b, 10)
	_, admitted, _ := b.offerAll(l, 20, cwmp.ClassBoot, 0)
	b.c.Close(b.now)
	if _, refused := b.take(); len(refused) != 20-admitted || refused[0].Outcome().Reason != ReasonClosed {
		t.Errorf("%d refused", len(refused))
	}
	if _, _, refused := b.offerAll(l, 1, cwmp.ClassBoot, 0); refused != 1 {
		t.Error("one was taken after the end")
	}
}
