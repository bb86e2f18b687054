package main

import (
	"github.com/VictoriaMetrics/metrics"

	"github.com/cwmpgate/cwmpgate/audit/journal"
)

// syncedMetrics counts the journal's commits.
func syncedMetrics(set *metrics.Set) func(journal.Commit) {
	took := set.NewPrometheusHistogram("cwmpgate_journal_sync_seconds")
	records := set.NewCounter("cwmpgate_journal_records_total")
	bytes := set.NewCounter("cwmpgate_journal_bytes_total")
	failures := set.NewCounter("cwmpgate_journal_failures_total")
	return func(c journal.Commit) {
		took.Update(c.Took.Seconds())
		if c.Err != nil {
			failures.Inc()
			return
		}
		records.Add(c.Records)
		bytes.Add(c.Bytes)
	}
}

// journalMetrics tells the journal's state.
func journalMetrics(set *metrics.Set, j *journal.Journal, c journalConfig) {
	gauge := func(name string, f func(journal.Stats) float64) {
		set.NewGauge(name, func() float64 { return f(j.Stats()) })
	}
	gauge("cwmpgate_journal_size_bytes", func(s journal.Stats) float64 { return float64(s.Bytes) })
	gauge("cwmpgate_journal_held_bytes", func(s journal.Stats) float64 { return float64(held(s, c)) })
	gauge("cwmpgate_journal_max_size_bytes", func(journal.Stats) float64 { return float64(c.MaxSize) })
	if _, known := diskFree("."); known {
		set.NewGauge("cwmpgate_journal_disk_free_bytes", func() float64 {
			free, _ := diskFree(string(c.Directory))
			return float64(free)
		})
	}
	gauge("cwmpgate_journal_segments", func(s journal.Stats) float64 { return float64(s.Segments) })
	gauge("cwmpgate_journal_writable", func(s journal.Stats) float64 {
		if s.Err != nil || s.Full {
			return 0
		}
		return 1
	})
	gauge("cwmpgate_journal_sync_unfinished_seconds", func(s journal.Stats) float64 { return s.Unfinished.Seconds() })
}
