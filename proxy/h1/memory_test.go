package h1

import (
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
)

// TestIdleMemory: a connection that waits holds no buffer, whatever it read
// before.
func TestIdleMemory(t *testing.T) {
	t.Run("tcp", func(t *testing.T) { idleMemory(t, func(c net.Conn) net.Conn { return c }) })
	t.Run("other", func(t *testing.T) { idleMemory(t, func(c net.Conn) net.Conn { return &counting{Conn: c} }) })
}

func idleMemory(t *testing.T, wrap func(net.Conn) net.Conn) {
	const n = 300
	big := post("Content-Length: 100000\r\nX-A: " + strings.Repeat("a", 20000) + "\r\n\r\n" + strings.Repeat("b", 100000))
	answer := make([]byte, 200000)
	conns := make(chan *ServerConn, n)
	addr := serve(t, nil, func(c net.Conn) {
		s := NewServer(wrap(c), ServerConfig{})
		defer s.Close()
		conns <- s
		(&stub{}).run(s, 1<<20)
	})
	start := heap()
	for range n {
		p := dialPeer(t, addr, nil)
		p.br = nil
		p.send(big)
		if _, err := io.ReadAtLeast(p.Conn, answer, 100000); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		s := <-conns
		waitFor(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.idle })
	}
	waitFor(t, func() bool { return heap()-start < n*8<<10 })
	t.Logf("an idle connection takes %d bytes, both ends and this test's part of it", (heap()-start)/n)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // a pool lets go at the second
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestConnSize(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	made := make([]*ServerConn, 1000)
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	for i := range made {
		made[i] = NewServer(server, ServerConfig{})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := int64(after.HeapAlloc-before.HeapAlloc) / int64(len(made)); each > 1024 {
		t.Errorf("a connection takes %d bytes", each)
	} else {
		t.Logf("a connection takes %d bytes", each)
	}
	runtime.KeepAlive(made)
}
