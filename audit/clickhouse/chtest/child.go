package chtest

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest/internal/chdb"
)

// planVariable tells the test binary to be an engine, and which.
const planVariable = "CWMPGATE_CHTEST"

// leashFile is the pipe by which an engine's process sees the end of whoever
// started it.
const leashFile = 3

// plan is what an engine's process is told.
type plan struct {
	Library, Data    string
	Addresses        addresses
	Certificate, Key string
	Users            map[string]string // name to password
	SingleNode       bool
}

// addresses are where an engine listens; nowhere for an empty one.
type addresses struct{ Native, HTTP, NativeTLS, HTTPS string }

// Main is for TestMain to call before anything else. In a process that Start
// has started it runs the engine and never returns, otherwise it does nothing.
func Main() {
	text := os.Getenv(planVariable)
	if text == "" {
		return
	}
	// Whoever started the engine holds the other end, and lets go of it when it
	// dies. Nothing is left to do then, and the engine's threads need no goodbye.
	go func() {
		io.Copy(io.Discard, os.NewFile(leashFile, "leash"))
		if self, err := os.FindProcess(os.Getpid()); err == nil {
			self.Kill()
		}
	}()
	var p plan
	err := json.Unmarshal([]byte(text), &p)
	if err == nil {
		err = p.run(os.Stdout)
	}
	log.Fatalf("engine: %v", err)
}

// run serves until a listener fails. It writes the addresses when all is ready.
func (p *plan) run(ready io.Writer) error {
	engine, err := chdb.Open(p.Library, p.Data)
	if err != nil {
		return err
	}
	srv := &server{engine: engine, faults: &faults{}, users: p.Users, singleNode: p.SingleNode}
	var secure *tls.Config
	if p.Certificate != "" {
		c, err := tls.LoadX509KeyPair(p.Certificate, p.Key)
		if err != nil {
			return fmt.Errorf("load the certificate: %w", err)
		}
		secure = &tls.Config{Certificates: []tls.Certificate{c}}
	}
	serveHTTP := func(l net.Listener) error { return http.Serve(l, srv.handler()) }
	failed := make(chan error)
	for _, l := range []struct {
		addr   *string
		config *tls.Config
		serve  func(net.Listener) error
	}{
		{&p.Addresses.Native, nil, srv.serveNative},
		{&p.Addresses.HTTP, nil, serveHTTP},
		{&p.Addresses.NativeTLS, secure, srv.serveNative},
		{&p.Addresses.HTTPS, secure, serveHTTP},
	} {
		if *l.addr == "" {
			continue
		}
		listener, err := net.Listen("tcp", *l.addr)
		if err != nil {
			return err
		}
		*l.addr = listener.Addr().String()
		if l.config != nil {
			listener = tls.NewListener(listener, l.config)
		}
		go func() { failed <- l.serve(listener) }()
	}
	if err := json.NewEncoder(ready).Encode(p.Addresses); err != nil {
		return err
	}
	return <-failed
}
