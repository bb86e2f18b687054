package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// admin serves /metrics, /healthz and /readyz on a loopback address.
type admin struct {
	address string
	set     *metrics.Set
	ready   func() error // nil: the gateway can take sessions and record them
	net     net.Listener
}

func (a *admin) open(ctx context.Context) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", a.address)
	if err != nil {
		return withHint(fmt.Errorf("open admin.metrics: %w", err), "another gateway may have the address; set admin.metrics")
	}
	a.net = ln
	return nil
}

// run serves until ctx ends.
func (a *admin) run(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		a.set.WritePrometheus(w)
		metrics.WriteProcessMetrics(w)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := a.ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	srv := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() {
		quick, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		srv.Shutdown(quick)
	})
	defer stop()
	if err := srv.Serve(a.net); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve admin.metrics: %w", err)
	}
	return nil
}
