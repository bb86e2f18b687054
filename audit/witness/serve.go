package witness

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/VictoriaMetrics/metrics"

	"github.com/cwmpgate/cwmpgate/audit/ledger"
)

// atOnce is how many requests are looked at at once; more are told to come again.
const atOnce = 64

// Handler serves POST /add-checkpoint, and of what is held GET /checkpoints, all
// of it or of one site or log, /healthz and /metrics.
func (w *Witness) Handler() http.Handler {
	turns := make(chan struct{}, atOnce)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", w.serveAdd)
	mux.HandleFunc("GET /checkpoints", w.serveHeld)
	mux.HandleFunc("GET /healthz", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, "ok") })
	mux.HandleFunc("GET /metrics", func(rw http.ResponseWriter, _ *http.Request) { w.cfg.Metrics.WritePrometheus(rw) })
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
			mux.ServeHTTP(rw, req)
		default:
			w.metrics.refused("busy").Inc()
			rw.Header().Set("Retry-After", "10")
			http.Error(rw, "too many requests at once", http.StatusServiceUnavailable)
		}
	})
}

func (w *Witness) serveAdd(rw http.ResponseWriter, req *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(rw, req.Body, ledger.MaxRequest))
	if err != nil {
		status := http.StatusBadRequest
		if errors.As(err, new(*http.MaxBytesError)) {
			status = http.StatusRequestEntityTooLarge
		}
		w.metrics.refused("malformed").Inc()
		http.Error(rw, err.Error(), status)
		return
	}
	line, no := w.add(string(text))
	switch {
	case no == nil:
		w.metrics.cosigned.Inc()
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(rw, line)
	case no.status == http.StatusConflict:
		w.metrics.refused(no.reason).Inc()
		rw.Header().Set("Content-Type", "text/x.tlog.size")
		rw.WriteHeader(no.status)
		fmt.Fprintf(rw, "%d\n", no.size)
	default:
		w.metrics.refused(no.reason).Inc()
		http.Error(rw, no.err.Error(), no.status)
	}
}

// serveHeld writes notes one behind the other, a blank line between two.
func (w *Witness) serveHeld(rw http.ResponseWriter, req *http.Request) {
	site, log := req.URL.Query().Get("site"), req.URL.Query().Get("log")
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, note := range w.Held() {
		tree, err := ledger.ReadTree(note)
		if err != nil || site != "" && tree.Origin.Site != site || log != "" && tree.Origin.Log != log {
			continue
		}
		if _, err := io.WriteString(rw, note+"\n"); err != nil {
			return
		}
	}
}

type witnessMetrics struct {
	cosigned *metrics.Counter
	refused  func(reason string) *metrics.Counter
}

func newWitnessMetrics(set *metrics.Set, w *Witness) witnessMetrics {
	set.GetOrCreateGauge("cwmpgate_witness_trees", func() float64 { return float64(w.trees()) })
	return witnessMetrics{
		cosigned: set.GetOrCreateCounter("cwmpgate_witness_cosigned_total"),
		refused: func(reason string) *metrics.Counter {
			return set.GetOrCreateCounter(fmt.Sprintf("cwmpgate_witness_refused_total{reason=%q}", reason))
		},
	}
}
