package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// sample is one target's part in one round.
type sample struct {
	cpu       float64 // microseconds a session
	core      float64 // share of its core that the target used
	rate      float64 // sessions a second
	rss, peak int64   // bytes
	done      float64 // sessions
	failed    int
	syncs     syncs
}

// syncs are those of a gateway's journal.
type syncs struct {
	count, seconds float64
}

func (s syncs) minus(o syncs) syncs { return syncs{s.count - o.count, s.seconds - o.seconds} }

// results are those of one scenario.
type results struct {
	scenario scenario
	names    []string
	samples  map[string][]sample // in the order of the rounds
}

func newResults(s scenario, targets []*target) *results {
	r := &results{scenario: s, samples: map[string][]sample{}}
	for _, t := range targets {
		r.names = append(r.names, t.name)
	}
	return r
}

func (r *results) add(name string, s sample) { r.samples[name] = append(r.samples[name], s) }

// spread is the median of some figures, and their range.
type spread struct{ middle, least, most float64 }

func spreadOf(list []float64) spread {
	if len(list) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	return spread{(sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[0], sorted[n-1]}
}

func (r *results) each(name string, f func(s *sample) float64) (list []float64) {
	for i := range r.samples[name] {
		list = append(list, f(&r.samples[name][i]))
	}
	return list
}

// ratio compares two targets round by round: what disturbs the machine in one
// round disturbs both.
func (r *results) ratio(name, to string) string {
	own, other := r.samples[name], r.samples[to]
	if len(other) == 0 || len(own) != len(other) {
		return "-"
	}
	var list []float64
	for i := range own {
		list = append(list, own[i].cpu/other[i].cpu)
	}
	s := spreadOf(list)
	return fmt.Sprintf("%.2f (%.2f to %.2f)", s.middle, s.least, s.most)
}

func (r *results) write(w io.Writer, sync time.Duration) error {
	fmt.Fprintf(w, "\n%s: %s; fdatasync of the journal's disk p50 %s\n", r.scenario.name, r.scenario.what, sync.Round(10*time.Microsecond))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\tCPU us a %s\tto nginx\tto ReverseProxy\ta second\tcore\tRSS, peak MiB\tsyncs a %s, mean\tfailed\n", r.scenario.unit, r.scenario.unit)
	for _, name := range r.names {
		cpu := spreadOf(r.each(name, func(s *sample) float64 { return s.cpu }))
		rate := spreadOf(r.each(name, func(s *sample) float64 { return s.rate }))
		core := spreadOf(r.each(name, func(s *sample) float64 { return s.core }))
		rss := spreadOf(r.each(name, func(s *sample) float64 { return float64(s.rss) / (1 << 20) }))
		peak := spreadOf(r.each(name, func(s *sample) float64 { return float64(s.peak) / (1 << 20) }))
		failed := 0
		for _, s := range r.samples[name] {
			failed += s.failed
		}
		fmt.Fprintf(t, "%s\t%.1f (%.1f to %.1f)\t%s\t%s\t%.0f\t%.2f\t%.0f, %.0f\t%s\t%d\n", name, cpu.middle, cpu.least, cpu.most,
			r.ratio(name, nameNginx), r.ratio(name, nameReverseProxy), rate.middle, core.middle, rss.middle, peak.most, r.synced(name), failed)
	}
	return t.Flush()
}

func (r *results) synced(name string) string {
	var all syncs
	done := 0.0
	for _, s := range r.samples[name] {
		all.count, all.seconds, done = all.count+s.syncs.count, all.seconds+s.syncs.seconds, done+s.done
	}
	if all.count == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f (%.0f), %.1f ms", all.count/done, all.count, all.seconds/all.count*1000)
}

// syncs reads how often the journal was synced so far; zero where there is none.
func (t *target) syncs(ctx context.Context) syncs {
	m := t.scrape(ctx)
	return syncs{m["cwmpgate_journal_sync_seconds_count"], m["cwmpgate_journal_sync_seconds_sum"]}
}

// settle waits until the store has what is in the journal.
func (t *target) settle(ctx context.Context, d time.Duration) error {
	if t.metrics == "" {
		return nil
	}
	return t.until(ctx, d, "bring its records to the store", func() bool {
		return t.scrape(ctx)[`cwmpgate_audit_sink_lag_records{sink="sqlite"}`] == 0
	})
}

// scrape reads the target's metrics, none where it has none or does not answer.
func (t *target) scrape(ctx context.Context) map[string]float64 {
	if t.metrics == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.metrics, nil)
	if err != nil {
		return nil
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	found := map[string]float64{}
	lines := bufio.NewScanner(io.LimitReader(resp.Body, 16<<20))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			found[name] = n
		}
	}
	return found
}

// syncTime is the median time of a small write with fdatasync in dir.
func syncTime(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, "sync-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 16<<10)
	times := make([]float64, 0, 65)
	for range cap(times) {
		began := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := dataSync(f); err != nil {
			return 0, err
		}
		times = append(times, float64(time.Since(began)))
	}
	return time.Duration(spreadOf(times).middle), nil
}

// fileSystemOf names the file system of a directory, and says where syncing it
// costs nothing.
func fileSystemOf(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "an unknown file system"
	}
	text, _ := os.ReadFile("/proc/mounts")
	kind, at := "an unknown file system", ""
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		if point := fields[1]; len(point) >= len(at) && (dir == point || point == "/" || strings.HasPrefix(dir, point+"/")) {
			kind, at = fields[2], point
		}
	}
	if kind == "tmpfs" {
		kind += " (memory: a sync costs nothing there; --directory names another place)"
	}
	return kind
}
