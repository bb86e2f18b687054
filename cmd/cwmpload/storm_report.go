package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// newRetries are the Informs of an event by RetryCount.
func newRetries(event string) (all []template) {
	id := cwmptest.Identity{Manufacturer: "Example Networks", OUI: "00005E", ProductClass: "Load", Serial: serialMark}
	now := time.Now().UTC().Format("2006-01-02T15:04:05Z")
	for retries := range 11 {
		all = append(all, fit(informSize, func(list []cwmptest.Parameter) string {
			return cwmptest.InformRPC(id, []cwmptest.Event{{Code: event}}, retries, now, list)
		}))
	}
	return all
}

// stormReport is what came of a storm. Times are seconds.
type stormReport struct {
	CPEs         int            `json:"cpes"`
	Served       int            `json:"served"`
	LowerBound   float64        `json:"lower_bound"`
	Until99      float64        `json:"until_99"` // 0: not reached
	Factor       float64        `json:"factor"`
	Urgent       int            `json:"urgent"`
	UrgentServed int            `json:"urgent_served"`
	UrgentIn30   int            `json:"urgent_in_30"`
	UrgentMost   float64        `json:"urgent_most"`
	Attempts     int64          `json:"attempts"`
	Refused      map[string]int `json:"refused"` // attempts that failed, by what came of them
	RetryAfter   int            `json:"longest_retry_after"`
	ACS          paceReport     `json:"acs"`
	Ended        int64          `json:"acs_sessions_ended"`
	WrongDevice  int64          `json:"wrong_device"`
}

func (s *storm) report(acs *stubACS) *stormReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flags
	r := &stormReport{CPEs: f.cpes, Served: len(s.served), Urgent: f.urgent, UrgentServed: len(s.urgent), Attempts: s.tries.Load(),
		Refused: s.refused, RetryAfter: s.longest, ACS: acs.pace.report(), Ended: acs.counts.ended.Load(), WrongDevice: acs.counts.wrongDevice.Load(),
		LowerBound: float64(f.cpes) / f.acsRate}
	slices.Sort(s.served)
	if need := (99*f.cpes + 99) / 100; len(s.served) >= need {
		r.Until99 = s.served[need-1].Seconds()
		r.Factor = r.Until99 / r.LowerBound
	}
	for _, took := range s.urgent {
		r.UrgentMost = max(r.UrgentMost, took.Seconds())
		if took <= 30*time.Second {
			r.UrgentIn30++
		}
	}
	return r
}

func (r *stormReport) write(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	fmt.Fprintf(w, "%d of %d CPEs served, 99 %% of them after %.1f s: %.3f times the lower bound of %.1f s\n", r.Served, r.CPEs, r.Until99, r.Factor, r.LowerBound)
	fmt.Fprintf(w, "urgent: %d of %d within 30 s, the slowest after %.1f s\n", r.UrgentIn30, r.Urgent, r.UrgentMost)
	fmt.Fprintf(w, "acs: %d Informs, at most %d within a second at a rate of %.0f (%+.1f %%), deviation %.1f, fell over %d times\n",
		r.ACS.Informs, r.ACS.Peak, r.ACS.Rate, 100*(float64(r.ACS.Peak)/r.ACS.Rate-1), r.ACS.Deviation, r.ACS.Falls)
	fmt.Fprintf(w, "%d attempts, longest Retry-After %d s\n", r.Attempts, r.RetryAfter)
	for _, kind := range slices.Sorted(maps.Keys(r.Refused)) {
		fmt.Fprintf(w, "failed with %s: %d\n", kind, r.Refused[kind])
	}
	return nil
}
