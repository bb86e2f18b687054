package main

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// TestHandshakeLimits: who does not get on with its handshake, silently or byte
// by byte, is cut off in time, and keeps out its own neighbours at most.
func TestHandshakeLimits(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	r := start(t, plan{acs: acs.Addr(), tls: true, sections: "limits: {handshakes: 8, handshakes_per_address: 4}\ntimeouts: {handshake: 3s, drain: 1s}\n"})
	var conns []net.Conn
	var dribbling sync.WaitGroup
	for i := range 6 {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		conns = append(conns, c)
		if i%2 == 1 {
			dribbling.Go(func() { dribble(c) })
		}
	}
	await(t, "all are open", func() bool { return r.metrics()["cwmpgate_connections_open"] == 6 })
	// Four of them have the places of their address; another address has its own.
	dialer := tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}, Config: trust(t, r.dir)}
	c, err := dialer.DialContext(t.Context(), "tcp", r.addr)
	if err != nil {
		t.Fatalf("another address: %v", err)
	}
	c.Close()
	for i, c := range conns {
		if _, err := io.Copy(io.Discard, c); isTimeout(err) {
			t.Errorf("connection %d is still open: %v", i, err)
		}
	}
	dribbling.Wait()
	await(t, "all are closed", func() bool { return r.metrics()["cwmpgate_connections_open"] == 0 })
	m := r.metrics()
	// A place may become free a moment before who waits for it is over time, too.
	late, refused := m[`cwmpgate_tls_handshake_failures_total{reason="time-out"}`], m[`cwmpgate_connections_refused_total{reason="too-many-handshakes"}`]
	if late < 4 || late+refused != 6 {
		t.Errorf("%v handshakes were over time, %v got no turn", late, refused)
	}
	if got := m["cwmpgate_tls_handshakes_total"]; got != 1 {
		t.Errorf("%v handshakes came to their end", got)
	}
	if err := visit(t, r, "H1"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

// dribble sends the head of a ClientHello that would be 16 KiB long, then one
// byte at a time, until the other side has had enough.
func dribble(c net.Conn) {
	text := []byte{22, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xfb, 3, 3}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range patience / (5 * time.Millisecond) {
		if _, err := c.Write(text); err != nil {
			return
		}
		text = []byte{0}
		<-tick.C
	}
}
