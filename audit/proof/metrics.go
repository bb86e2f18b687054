package proof

import (
	"fmt"

	"github.com/VictoriaMetrics/metrics"
)

type keeperMetrics struct {
	leaves      *metrics.Counter
	checkpoints *metrics.Counter
	epochs      *metrics.Counter
	postponed   *metrics.Counter
	errors      *metrics.Counter
	stopped     *metrics.Counter
	stored      *metrics.Counter
	dropped     *metrics.Counter
}

func newKeeperMetrics(set *metrics.Set, k *Keeper) keeperMetrics {
	set.GetOrCreateGauge("cwmpgate_proof_lag_records", func() float64 {
		for _, c := range k.cfg.Journal.Stats().Cursors {
			if c.Name == CursorName {
				return float64(c.Records)
			}
		}
		return 0
	})
	return keeperMetrics{
		leaves:      set.GetOrCreateCounter("cwmpgate_proof_leaves_total"),
		checkpoints: set.GetOrCreateCounter("cwmpgate_proof_checkpoints_total"),
		epochs:      set.GetOrCreateCounter("cwmpgate_proof_epochs_total"),
		postponed:   set.GetOrCreateCounter("cwmpgate_proof_postponed_total"),
		errors:      set.GetOrCreateCounter("cwmpgate_proof_errors_total"),
		stopped:     set.GetOrCreateCounter("cwmpgate_proof_stopped_total"),
		stored:      set.GetOrCreateCounter("cwmpgate_proof_stored_total"),
		dropped:     set.GetOrCreateCounter("cwmpgate_proof_dropped_total"),
	}
}

type witnessMetrics struct {
	cosigned  *metrics.Counter
	errors    *metrics.Counter
	conflicts *metrics.Counter
}

func newWitnessMetrics(set *metrics.Set, w *witness) witnessMetrics {
	name := func(metric string) string { return fmt.Sprintf("%s{witness=%q}", metric, w.Key.Name()) }
	set.GetOrCreateGauge(name("cwmpgate_proof_witness_pending"), func() float64 { return float64(w.waiting()) })
	return witnessMetrics{
		cosigned:  set.GetOrCreateCounter(name("cwmpgate_proof_witness_cosigned_total")),
		errors:    set.GetOrCreateCounter(name("cwmpgate_proof_witness_errors_total")),
		conflicts: set.GetOrCreateCounter(name("cwmpgate_proof_witness_conflicts_total")),
	}
}
