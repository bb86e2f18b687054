package admission

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cwmpgate/cwmpgate/configs"
	"github.com/cwmpgate/cwmpgate/cwmp"
)

// TestMeterMemory holds a million devices, and what one takes with its key.
func TestMeterMemory(t *testing.T) {
	const n = 1_000_000
	base := time.Unix(0, 0)
	m := NewMeter(Rate{Mode: ModeEnforce, Count: 1, Per: configs.Duration(time.Hour)}, n, base)
	random := rand.New(rand.NewPCG(1, 2))
	heap := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before := heap()
	for range n {
		m.Take(random.Uint64(), base)
	}
	each := float64(heap()-before) / n
	if got := m.Len(base); got < n*99/100 || got > n {
		t.Errorf("%d of %d are known", got, n)
	}
	if each > 64 {
		t.Errorf("%.1f bytes for each device, want 64 at most", each)
	}
	// A flood of keys takes no more, and what is over is forgotten.
	for range n {
		m.Take(random.Uint64(), base)
	}
	if after := float64(heap()-before) / n; after > each+1 {
		t.Errorf("%.1f bytes for each device after twice as many", after)
	}
	if got := m.Len(base.Add(2 * time.Hour)); got != 0 {
		t.Errorf("%d have something to answer for after two hours", got)
	}
	runtime.KeepAlive(m)
	t.Logf("%.1f bytes for each device", each)
}

// TestMeter holds one key to its rate and burst over a long time, and gives back
// what is refunded.
func TestMeter(t *testing.T) {
	now := time.Unix(0, 0)
	m := NewMeter(Rate{Mode: ModeEnforce, Count: 6, Per: configs.Duration(time.Minute), Burst: 3}, 1000, now)
	took := 0
	for range 600 { // ten minutes
		if m.Take(42, now) == 0 {
			took++
		}
		now = now.Add(time.Second)
	}
	if took < 60 || took > 63 {
		t.Errorf("%d in ten minutes at 6 a minute and a burst of 3", took)
	}
	now = now.Add(time.Hour)
	for range 3 {
		if m.Take(42, now) != 0 {
			t.Error("no burst after an hour")
		}
	}
	if wait := m.Take(42, now); wait != 10*time.Second {
		t.Errorf("wait %v, want 10s", wait)
	}
	m.Refund(42)
	if m.Take(42, now) != 0 {
		t.Error("a refund gave nothing back")
	}
	if m.Take(42, now.Add(-time.Hour)) != 0 {
		t.Error("a clock set back by an hour holds a device for as long")
	}
}

// TestCalendar sends 10,000 away at once: they come back evenly, at the rate,
// whoever they are.
func TestCalendar(t *testing.T) {
	var c calendar
	const rate = 50
	of := map[int64]int{}
	last := int64(0)
	for i := range 10_000 {
		at := c.book(1, rate, 1, uint64(i)*0x9e3779b97f4a7c15)
		of[at]++
		last = max(last, at)
	}
	for at, n := range of {
		if n > rate {
			t.Fatalf("%d come in second %d, at %d a second", n, at, rate)
		}
	}
	if last > 10_000/rate+mostSpread+1 {
		t.Errorf("the last comes after %d s, the rate needs %d", last, 10_000/rate)
	}
	// Seconds that were full for a slow ACS are free again once it is well.
	for range 1000 {
		c.book(1, 1, 1, 0)
	}
	if at := c.book(1, rate, 1, 0); at > 10_000/rate+2*mostSpread {
		t.Errorf("with the rate back one is sent away until %d", at)
	}
	c.advance(1000)
	if at := c.book(1001, rate, 1, 0); at != 1001 {
		t.Errorf("with all come, one is sent away until %d", at)
	}
}

// TestCalendarLeavesRoom expects CPEs that come by themselves, and gives their
// time to no others.
func TestCalendarLeavesRoom(t *testing.T) {
	var c calendar
	for range 1000 {
		c.expect(10, 20, 1) // 100 a second
	}
	for range 2000 {
		if at := c.book(1, 100, 1, 0); at >= 10 && at < 20 {
			t.Fatalf("second %d is taken", at)
		}
	}
	c.advance(calendarSpan * 3)
	if c.level > 1e-6 || c.level < -1e-6 {
		t.Errorf("level %v after all has passed", c.level)
	}
}

// TestHabits learns from who comes when.
func TestHabits(t *testing.T) {
	for _, ignoring := range []int{0, 50, 100} {
		h := newHabits()
		random := rand.New(rand.NewPCG(uint64(ignoring), 1))
		for s := int64(0); s < 2000; s++ {
			h.advance(s)
			device := uint64(s + 1)
			h.sent(promise{device, s + 10, s + 100})
			if s >= 10 && random.IntN(100) < ignoring {
				h.came(device-8, s)
			}
		}
		if got := 100 * h.share; got < float64(ignoring)-15 || got > float64(ignoring)+15 {
			t.Errorf("%d %% ignore it, %.0f %% learnt", ignoring, got)
		}
	}
}

func TestRetryWindow(t *testing.T) {
	r := DefaultSettings().CPERetry
	for retries, want := range map[int][2]int{0: {5, 10}, 1: {10, 20}, 8: {1280, 2560}, 9: {2560, 5120}, 10: {2560, 5120}, 99: {2560, 5120}} {
		from, to := r.Window(retries)
		if from != time.Duration(want[0])*time.Second || to != time.Duration(want[1])*time.Second {
			t.Errorf("after %d failures: %v to %v, want %v s", retries, from, to, want)
		}
	}
}

// TestAdaptive has an ACS fail, slow down, hang and recover.
func TestAdaptive(t *testing.T) {
	hangs := false
	seconds := func(n int, step func(*follower)) float64 {
		f := newFollower(enforce(100), Adaptive{Floor: 10, Latency: configs.Duration(2 * time.Second)})
		now := time.Unix(0, 0)
		for range n {
			step(&f)
			now = now.Add(time.Second)
			f.step(now, hangs)
		}
		return f.rate
	}
	answers := func(n int, took time.Duration, how Fared) func(*follower) {
		return func(f *follower) {
			for range n {
				f.answered(took, how)
			}
		}
	}
	if got := seconds(60, answers(50, time.Millisecond, Well)); got != 100 {
		t.Errorf("well: %v", got)
	}
	if got := seconds(30, answers(50, time.Millisecond, Ill)); got != 10 {
		t.Errorf("failing: %v", got)
	}
	if got := seconds(4, answers(50, 3*time.Second, Well)); got >= 70 {
		t.Errorf("slow: %v", got)
	}
	hangs = true
	if got := seconds(60, func(*follower) {}); got != 10 {
		t.Errorf("hanging: %v", got)
	}
	hangs = false
	n := 0
	if got := seconds(100, func(f *follower) {
		how := Ill
		if n++; n > 30 {
			how = Well
		}
		answers(50, time.Millisecond, how)(f)
	}); got != 100 {
		t.Errorf("recovered: %v", got)
	}
	if got := seconds(30, answers(1, 3*time.Second, Well)); got != 100 {
		t.Errorf("one slow answer a second: %v", got)
	}
}

// TestQueueOnTheClock has goroutines wait on the real clock's stand-in.
func TestQueueOnTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes atomic.Int64
		q := NewQueue(DefaultSettings(), func(Change) { changes.Add(1) })
		l := q.Lane(LaneConfig{Tenant: "isp", ACS: "acs", Informs: enforce(10)})
		var group sync.WaitGroup
		var mu sync.Mutex
		tally := map[Verdict]int{}
		gaveUp := 0
		for i := range 200 {
			group.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				if i%10 == 0 {
					ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
					defer cancel()
				}
				in := &Inform{Class: cwmp.ClassBoot, Device: uint64(i + 1)}
				o, decided := q.Offer(l, in), true
				if o.Verdict == Waits {
					o, decided = q.Wait(ctx, l, in)
				}
				if o.Verdict == Admitted {
					defer q.Done(l, false)
				}
				mu.Lock()
				defer mu.Unlock()
				if !decided {
					gaveUp++
					return
				}
				tally[o.Verdict]++
			})
		}
		group.Wait()
		if tally[Admitted] < 85 || tally[Admitted] > 105 || tally[Admitted]+tally[Refused]+gaveUp != 200 || gaveUp == 0 {
			t.Errorf("%v, %d gave up", tally, gaveUp)
		}
		time.Sleep(time.Minute) // in the bubble: the limit is told to have stopped
		if n := changes.Load(); n != 2 {
			t.Errorf("%d changes, want one that begins and one that stops", n)
		}
		q.Close()
	})
}

func BenchmarkAdmit(b *testing.B) {
	set := DefaultSettings()
	set.Informs, set.Device = enforce(10_000_000), Rate{Mode: ModeEnforce, Count: 10_000_000, Per: configs.Duration(time.Second)}
	q := NewQueue(set, func(Change) {})
	r := enforce(10_000_000)
	l := q.Lane(LaneConfig{Tenant: "isp", ACS: "acs", Informs: r, OfTenant: r, Sessions: Most{Mode: ModeEnforce, Count: 1000}})
	in := &Inform{Class: cwmp.ClassRoutine}
	var key uint64
	b.ReportAllocs()
	for b.Loop() {
		key += 0x9e3779b97f4a7c15
		in.Device = key % 100_000 << 40
		if o := q.Offer(l, in); o.Verdict != Admitted {
			b.Fatalf("%+v", o)
		}
		q.Done(l, false)
	}
}
