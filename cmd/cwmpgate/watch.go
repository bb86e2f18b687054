package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/cwmpgate/cwmpgate/proxy"
)

// watch serves the gateway's state on a Unix socket that its owner alone may
// open: it names devices.
type watch struct {
	path  string
	node  string
	state func() proxy.State
	net   net.Listener
}

// stateReport is what the socket tells.
type stateReport struct {
	Node string `json:"node"`
	proxy.State
}

// open takes the path from a gateway that has died. The journal is open: no other
// one of this config lives.
func (w *watch) open(ctx context.Context) error {
	if info, err := os.Lstat(w.path); err == nil && info.Mode()&fs.ModeSocket != 0 {
		os.Remove(w.path)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", w.path)
	if err != nil {
		return fmt.Errorf("open admin.socket: %w", err)
	}
	if err := os.Chmod(w.path, 0o600); err != nil {
		ln.Close()
		return fmt.Errorf("open admin.socket: %w", err)
	}
	w.net = ln
	return nil
}

// close closes what run may not have been there to close.
func (w *watch) close() {
	if w.net != nil {
		w.net.Close()
	}
}

// run serves until ctx ends.
func (w *watch) run(ctx context.Context) error {
	if w.net == nil {
		return nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /state", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		json.NewEncoder(rw).Encode(stateReport{w.node, w.state()}) // a reader that has gone reads no more
	})
	srv := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(w.net); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve admin.socket: %w", err)
	}
	return nil
}
