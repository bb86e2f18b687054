package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// report is the outcome of a run, as --json prints it. Times are in
// microseconds, sizes in bytes.
type report struct {
	Target         string            `json:"target"`
	Mode           string            `json:"mode"` // "sessions", "informs"
	Sessions       int               `json:"sessions"`
	Failed         int               `json:"failed"`
	Seconds        float64           `json:"seconds"`
	PerSecond      float64           `json:"sessions_per_second"`
	Posts          int               `json:"posts"`
	Resumed        int               `json:"tls_resumed"`
	Session        percentiles       `json:"session_us"`
	Connect        percentiles       `json:"connect_us"`
	Inform         percentiles       `json:"inform_us"`
	Errors         map[string]int    `json:"errors"`
	Examples       map[string]string `json:"error_examples,omitempty"`
	Process        *processReport    `json:"process,omitempty"`
	GeneratorCPU   int64             `json:"generator_cpu_us_per_session"`
	StubACS        string            `json:"acs,omitempty"`
	ACSWrongDevice int64             `json:"acs_wrong_device"`
}

type percentiles struct {
	N    int   `json:"n"`
	P50  int64 `json:"p50"`
	P90  int64 `json:"p90"`
	P99  int64 `json:"p99"`
	P999 int64 `json:"p999"`
	Max  int64 `json:"max"`
}

type processReport struct {
	PIDs          []int `json:"pids"`
	CPUPerSession int64 `json:"cpu_us_per_session"`
	CPU           int64 `json:"cpu_us"`
	RSS           int64 `json:"rss"`
	Peak          int64 `json:"rss_peak"`
}

func percentilesOf(l *cwmptest.Latencies) percentiles {
	us := func(d time.Duration) int64 { return d.Microseconds() }
	return percentiles{l.N(), us(l.Percentile(.5)), us(l.Percentile(.9)), us(l.Percentile(.99)), us(l.Percentile(.999)), us(l.Max())}
}

func newReport(t *tally) *report {
	r := &report{Mode: "sessions", Sessions: t.sessions.N(), Seconds: t.took.Seconds(), Posts: t.posts, Resumed: t.resumed,
		Session: percentilesOf(&t.sessions), Connect: percentilesOf(&t.connects), Inform: percentilesOf(&t.firsts),
		Errors: t.errors, Examples: t.examples}
	for _, n := range t.errors {
		r.Failed += n
	}
	r.Sessions += r.Failed
	if r.Seconds > 0 {
		r.PerSecond = float64(r.Sessions-r.Failed) / r.Seconds
	}
	return r
}

// measured adds what the processes and the generator itself have used.
func (r *report) measured(pids []int, before, after, ownBefore, ownAfter usage) {
	n := int64(max(r.Sessions, 1))
	r.GeneratorCPU = (ownAfter.cpu - ownBefore.cpu).Microseconds() / n
	if len(pids) > 0 {
		cpu := (after.cpu - before.cpu).Microseconds()
		r.Process = &processReport{PIDs: pids, CPUPerSession: cpu / n, CPU: cpu, RSS: after.rss, Peak: after.peak}
	}
}

func (r *report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func (r *report) writeText(w io.Writer) error {
	fmt.Fprintf(w, "%d %s in %.2f s, %d failed: %.1f a second\n", r.Sessions, r.Mode, r.Seconds, r.Failed, r.PerSecond)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "milliseconds\tn\tp50\tp90\tp99\tp99.9\tmax\t")
	for _, row := range []struct {
		name string
		p    percentiles
	}{{"connect", r.Connect}, {"inform", r.Inform}, {"session", r.Session}} {
		ms := func(us int64) float64 { return float64(us) / 1000 }
		fmt.Fprintf(t, "%s\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t\n", row.name, row.p.N, ms(row.p.P50), ms(row.p.P90), ms(row.p.P99), ms(row.p.P999), ms(row.p.Max))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Errors)) {
		fmt.Fprintf(w, "error %s: %d (last: %s)\n", kind, r.Errors[kind], r.Examples[kind])
	}
	if r.Resumed > 0 {
		fmt.Fprintf(w, "tls sessions resumed: %d\n", r.Resumed)
	}
	if p := r.Process; p != nil {
		fmt.Fprintf(w, "process %v: %d us of CPU a session, %.1f MiB resident, %.1f MiB at most\n",
			p.PIDs, p.CPUPerSession, float64(p.RSS)/(1<<20), float64(p.Peak)/(1<<20))
	}
	fmt.Fprintf(w, "this generator: %d us of CPU a session", r.GeneratorCPU)
	if r.StubACS != "" {
		fmt.Fprintf(w, ", its ACS with it\nacs: %s", r.StubACS)
	}
	_, err := fmt.Fprintln(w)
	return err
}
