package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// holding is a case under way: connections that are kept open.
type holding struct {
	target *target
	tls    *tls.Config
	most   atomic.Int64 // of the gateway's count of bytes in bodies

	mu     sync.Mutex
	open   []net.Conn
	result memoryCase
}

// watch looks how many bytes of bodies there are, until ctx ends.
func (h *holding) watch(ctx context.Context) {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		h.most.Store(max(h.most.Load(), int64(h.target.scrape(ctx)[bodyBytes])))
		select {
		case <-look.C:
		case <-ctx.Done():
			h.result.Most = h.most.Load()
			return
		}
	}
}

// held takes what is resident now, and what that is for each of n.
func (h *holding) held(n int) error {
	u, err := readUsage(h.target.pids)
	if err != nil {
		return err
	}
	h.result.Held = u.rss
	if n > 0 {
		h.result.Each = (u.rss - h.result.Empty) / int64(n)
	}
	return nil
}

func (h *holding) closeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.open {
		if t, ok := c.(*tls.Conn); ok {
			c = t.NetConn() // without waiting for a peer that may not read
		}
		c.Close()
	}
	h.open = nil
}

// answered counts a status.
func (h *holding) answered(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.result.Answered[status]++
}

// perAddress is how many connections of one address are held: the gateway's
// defaults allow 2,000, and large bodies have their share by address too.
const perAddress = 1000

// dial connects as the n-th CPE, of which few stand behind one address.
func (h *holding) dial(ctx context.Context, n, perAddress int) (net.Conn, error) {
	a := n / perAddress
	dialer := net.Dialer{Timeout: 20 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(a>>8), byte(a+1))}}
	c, err := dialer.DialContext(ctx, "tcp", h.target.address)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(5 * time.Minute))
	s := tls.Client(c, h.tls)
	if err := s.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("tls handshake: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open = append(h.open, s)
	return s, nil
}

// each has n CPEs do something, some at a time.
func each(n, atOnce int, do func(i int) error) error {
	var first error
	var once sync.Once
	var failed atomic.Bool
	var workers sync.WaitGroup
	var next atomic.Int64
	for range min(n, atOnce) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && !failed.Load(); i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					once.Do(func() { first = fmt.Errorf("CPE %d: %w", i, err) })
					failed.Store(true)
				}
			}
		})
	}
	workers.Wait()
	return first
}

// holdIdle opens sessions in which the CPE owes the answer to an RPC: nothing
// happens in them for up to five minutes.
func holdIdle(ctx context.Context, f *memoryFlags, h *holding) error {
	h.result.What = fmt.Sprintf("%d sessions over TLS", f.sessions)
	messages := newMessages(1, []eventShare{{[]cwmptest.Event{{Code: "2 PERIODIC"}}, 1}})
	err := each(f.sessions, 32, func(i int) error {
		c, err := h.dial(ctx, i, perAddress)
		if err != nil {
			return err
		}
		w := &worker{load: &load{}, serial: fmt.Appendf(nil, serialForm, i), head: postHead()}
		w.id = appendID(nil, w.serial, '0')
		w.link = &link{Conn: c, r: bufio.NewReaderSize(c, 4<<10)}
		until := time.Now().Add(time.Minute)
		if err := w.post(ctx, &messages.informs[0], until); err != nil {
			return err
		}
		if err := w.post(ctx, nil, until); err != nil {
			return err
		}
		if w.link == nil || string(rpcName(w.body)) != "GetParameterValues" {
			return fmt.Errorf("the answer to an empty POST is %q", w.body)
		}
		h.answered(200)
		return nil
	})
	if err != nil {
		return err
	}
	if n := h.target.scrape(ctx)["cwmpgate_sessions_open"]; int(n) != f.sessions {
		return fmt.Errorf("%v sessions are open", n)
	}
	return h.held(f.sessions)
}

func postHead() []byte {
	return []byte("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: cwmpload\r\n")
}

// informOfSize is an Inform that has about that many bytes, in values of 3 KB:
// 64 MB of short ones would be over limits.parameters.
func informOfSize(size int) template {
	id := cwmptest.Identity{Manufacturer: "Example Networks", OUI: "00005E", ProductClass: "Load", Serial: serialMark}
	note := strings.Repeat("a note of the vendor's. ", 125)
	return fit(size, func(list []cwmptest.Parameter) string {
		for i := range list[1:] {
			list[1+i] = cwmptest.Parameter{Name: fmt.Sprintf("%sX_00005E_Note.%05d.Text", deviceRoot, i), Value: note}
		}
		return cwmptest.InformRPC(id, []cwmptest.Event{{Code: "2 PERIODIC"}}, 0, "2026-11-24T12:00:00Z", list)
	})
}

// pour writes a request with this Inform, of which it holds back the last bytes.
func pour(c net.Conn, t *template, serial []byte, heldBack int) (rest []byte, err error) {
	id := appendID(nil, serial, '0')
	head := fmt.Appendf(postHead(), "Content-Type: text/xml; charset=\"utf-8\"\r\nContent-Length: %d\r\n\r\n", t.size(id))
	before := append(appendPatched(head, t.before, t.inBefore, serial), id...)
	if _, err := c.Write(before); err != nil {
		return nil, err
	}
	// The serial number stands in the first bytes of what follows, and what is
	// long is shared by all.
	start := min(len(t.after)/2, 64<<10)
	for i, at := range t.inAfter {
		if at+len(serialMark) > start {
			return nil, fmt.Errorf("serial number %d is too far behind", i)
		}
	}
	if _, err := c.Write(appendPatched(nil, t.after[:start], t.inAfter, serial)); err != nil {
		return nil, err
	}
	rest = t.after[start:]
	now := max(0, len(rest)-heldBack)
	_, err = c.Write(rest[:now])
	return rest[now:], err
}

// holdSlow sends bodies of which the end comes a byte a second.
func holdSlow(ctx context.Context, f *memoryFlags, h *holding) error {
	h.result.What = fmt.Sprintf("%d bodies of %d KiB, a byte at a time", f.slow, f.slowSize>>10)
	inform := informOfSize(f.slowSize)
	rest := make([][]byte, f.slow)
	conns := make([]net.Conn, f.slow)
	err := each(f.slow, 32, func(i int) (err error) {
		if conns[i], err = h.dial(ctx, i, 125); err == nil {
			rest[i], err = pour(conns[i], &inform, fmt.Appendf(nil, serialForm, i), 8<<10)
		}
		return err
	})
	if err != nil {
		return err
	}
	drip := time.NewTicker(time.Second)
	defer drip.Stop()
	for range 3 {
		if err := each(f.slow, 8, func(i int) error {
			_, err := conns[i].Write(rest[i][:1])
			rest[i] = rest[i][1:]
			return err
		}); err != nil {
			return err
		}
		select {
		case <-drip.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := h.held(f.slow); err != nil {
		return err
	}
	return each(f.slow, 64, func(i int) error {
		if _, err := conns[i].Write(rest[i]); err != nil {
			return err
		}
		return h.answer(conns[i])
	})
}

// answer reads one, and counts it.
func (h *holding) answer(c net.Conn) error {
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	h.answered(resp.StatusCode)
	return err
}

// holdLarge sends one large body alone, which has to pass, and then many at
// once, of which those for which there is no room are to be refused.
func holdLarge(ctx context.Context, f *memoryFlags, h *holding) error {
	h.result.What = fmt.Sprintf("%d bodies of %d MB at once, and one before", f.large, f.largeSize/1_000_000)
	inform := informOfSize(f.largeSize)
	send := func(i int) error {
		c, err := h.dial(ctx, i, 1)
		if err != nil {
			return err
		}
		defer c.Close()
		answered := make(chan error, 1)
		go func() { answered <- h.answer(c) }() // one that is refused is answered early
		_, err = pour(c, &inform, fmt.Appendf(nil, serialForm, i), 0)
		if aerr := <-answered; aerr != nil {
			return errors.Join(aerr, err)
		}
		return nil
	}
	if err := send(0); err != nil {
		return err
	}
	if h.result.Answered[200] != 1 {
		return fmt.Errorf("one body alone was answered %v", h.result.Answered)
	}
	if err := each(f.large, f.large, func(i int) error { return send(1 + i) }); err != nil {
		return err
	}
	if n := h.result.Answered[200] + h.result.Answered[503]; n != f.large+1 {
		return fmt.Errorf("answered: %v", h.result.Answered)
	}
	return h.held(0)
}
