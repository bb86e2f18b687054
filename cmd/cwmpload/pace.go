package main

import (
	"math"
	"sync"
	"time"
)

// pace is what makes a stub ACS as frail as real ones: it serves so many
// sessions a second, one after the other, slows down as more than a second's
// worth wait, and falls over at five: all connections that wait are closed, and
// new ones for a while.
type pace struct {
	rate float64

	mu      sync.Mutex
	free    time.Time // when it is through with those that wait
	down    time.Time
	fell    chan struct{} // closed at the next fall
	falls   int
	began   time.Time
	recent  []time.Time // Informs within the last second
	peak    int
	seconds []int
}

const (
	paceSlows   = time.Second
	paceFalls   = 5 * time.Second
	paceRestart = 30 * time.Second
)

func newPace(rate float64) *pace {
	return &pace{rate: rate, fell: make(chan struct{}), began: time.Now()}
}

// inform serves one Inform. It is false where the ACS has fallen.
func (p *pace) inform() bool {
	p.mu.Lock()
	now := time.Now()
	p.count(now)
	if now.Before(p.down) {
		p.mu.Unlock()
		return false
	}
	behind := max(0, p.free.Sub(now))
	if behind > paceFalls {
		p.falls++
		p.down, p.free = now.Add(paceRestart), now
		close(p.fell)
		p.fell = make(chan struct{})
		p.mu.Unlock()
		return false
	}
	slower := max(1, float64(behind)/float64(paceSlows))
	p.free = now.Add(behind + time.Duration(slower/p.rate*float64(time.Second)))
	timer, fell := time.NewTimer(p.free.Sub(now)), p.fell
	p.mu.Unlock()
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-fell:
		return false
	}
}

func (p *pace) count(now time.Time) {
	i := 0
	for i < len(p.recent) && now.Sub(p.recent[i]) >= time.Second {
		i++
	}
	p.recent = append(p.recent[i:], now)
	p.peak = max(p.peak, len(p.recent))
	for s := int(now.Sub(p.began) / time.Second); len(p.seconds) <= s; {
		p.seconds = append(p.seconds, 0)
	}
	p.seconds[now.Sub(p.began)/time.Second]++
}

// paceReport is what the ACS has been through.
type paceReport struct {
	Rate      float64 `json:"rate"`
	Informs   int     `json:"informs"`
	Falls     int     `json:"falls"`
	Peak      int     `json:"peak"`      // Informs within any second
	Deviation float64 `json:"deviation"` // of the Informs in a second, between the first and the last
}

func (p *pace) report() paceReport {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := paceReport{Rate: p.rate, Falls: p.falls, Peak: p.peak}
	load := p.seconds
	for len(load) > 0 && load[0] == 0 {
		load = load[1:]
	}
	squares := 0.0
	for _, n := range load {
		r.Informs += n
		squares += float64(n) * float64(n)
	}
	if n := float64(len(load)); n > 0 {
		mean := float64(r.Informs) / n
		r.Deviation = math.Sqrt(max(0, squares/n-mean*mean))
	}
	return r
}
