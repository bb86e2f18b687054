package h1

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// ClientConfig is what the connections to one ACS have in common. Of Timeouts,
// Body and Write are used.
type ClientConfig struct {
	Limits   Limits
	Timeouts Timeouts
}

const (
	maxContinues = 4                // 100 Continue before one answer
	answerGrace  = time.Second      // for the rest of a request that was answered early
	lookTime     = time.Millisecond // of a peek on a connection that has none
)

// ClientConn is the client's side of one connection. One goroutine uses it;
// Close alone may be called from another.
type ClientConn struct {
	conn
	timeouts Timeouts
	under    *rawConn // the TCP connection below TLS, else nil
	response Response
	used     bool // a request was sent
	waiting  bool // for an answer
	broken   bool // nothing more may be sent
}

// NewClient speaks over c, where nothing has been sent or read yet but a TLS
// handshake.
func NewClient(c net.Conn, cfg ClientConfig) *ClientConn {
	cc := &ClientConn{timeouts: cfg.Timeouts.withDefaults()}
	cc.init(c, cfg.Limits, cc.timeouts)
	if t, ok := c.(*tls.Conn); ok {
		cc.under = newRaw(t.NetConn(), nil)
	}
	return cc
}

// Reusable tells whether another request may be sent: the last answer was read
// to its end, nothing stands behind it and the ACS did not announce a close.
func (c *ClientConn) Reusable() bool {
	return !c.broken && !c.waiting && c.body.done() && c.body.err == nil && c.buffered() == 0
}

// Peek looks whether the connection is still open and silent. A byte that came
// unasked would be taken for the next answer, so it ends the connection just as
// a close does.
func (c *ClientConn) Peek() error {
	if !c.Reusable() {
		return ErrNotReusable
	}
	switch {
	case c.raw != nil:
		return c.verdict(c.raw.silent())
	case c.under != nil:
		// What lies in the socket is seen by looking at it, what TLS holds back
		// by a read that cannot touch the socket.
		return c.verdict(c.under.silent() && c.nothingBy(time.Unix(1, 0)))
	}
	return c.verdict(c.nothingBy(time.Now().Add(lookTime)))
}

func (c *ClientConn) verdict(silent bool) error {
	if silent {
		return nil
	}
	c.broken = true
	return fmt.Errorf("%w: closed by the peer, or bytes that nobody asked for", ErrNotReusable)
}

// nothingBy reads until the deadline and tells whether nothing came.
func (c *ClientConn) nothingBy(deadline time.Time) bool {
	if c.net.SetReadDeadline(deadline) != nil {
		return false
	}
	n, err := c.net.Read(c.one[:])
	c.set = time.Time{}
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.net.SetReadDeadline(c.set) == nil
}

// begin checks that a request may be sent.
func (c *ClientConn) begin() error {
	if c.used {
		if err := c.Peek(); err != nil {
			return err
		}
	}
	if !c.Reusable() {
		return ErrNotReusable
	}
	c.response = Response{}
	c.release()
	return nil
}

// sent notes what became of a request of which n bytes were written. An answer
// that came although the request could not be written whole is kept for Receive.
func (c *ClientConn) sent(n int64, err error) (wrote bool, _ error) {
	c.used = c.used || n > 0
	c.waiting = n > 0
	if err == nil {
		return true, nil
	}
	c.broken = true
	if n > 0 && c.answered() {
		return true, nil
	}
	c.waiting = false
	return n > 0, fmt.Errorf("write request: %w", err)
}

// answered tells whether an answer has begun to come. What came before a reset
// can still be read.
func (c *ClientConn) answered() bool {
	if c.buffered() > 0 {
		return true
	}
	c.want = time.Now().Add(answerGrace)
	return c.first() == nil
}

// Send sends a request with a whole body; fields holds Host. The framing and
// Connection are ours and left out of fields. wrote tells whether a byte of it
// may have left: if not, it may be sent on another connection. An answer that
// comes early, behind which the peer reads no further, is no error: Receive
// returns it.
func (c *ClientConn) Send(method, target []byte, fields []Field, body []byte) (wrote bool, err error) {
	if err := c.begin(); err != nil {
		return false, err
	}
	buf := smallBuffers.Get().(*small)
	defer smallBuffers.Put(buf)
	head, err := appendRequest(buf.bytes[:0], method, target, fields, int64(len(body)))
	if err != nil {
		return false, err
	}
	if len(head)+len(body) <= smallBuffer {
		n, err := c.write(append(head, body...))
		return c.sent(int64(n), err)
	}
	var n int
	watched := c.watch()
	n, err = c.send(head, body)
	watched.stop()
	return c.sent(int64(n), err)
}

// SendStream is Send with a body of length bytes, or chunked where that is
// negative. An error of body's leaves the request incomplete: wrote is true.
func (c *ClientConn) SendStream(method, target []byte, fields []Field, length int64, body io.Reader) (wrote bool, err error) {
	if err := c.begin(); err != nil {
		return false, err
	}
	buf := smallBuffers.Get().(*small)
	defer smallBuffers.Put(buf)
	length = max(length, lengthChunked)
	head, err := appendRequest(buf.bytes[:0], method, target, fields, length)
	if err != nil {
		return false, err
	}
	m, err := c.write(head)
	n := int64(m)
	if err != nil {
		return c.sent(n, err)
	}
	watched := c.watch()
	m64, srcErr, err := c.stream(length, body)
	watched.stop()
	if srcErr != nil {
		c.used, c.broken = true, true
		return true, fmt.Errorf("read body to stream: %w", srcErr)
	}
	return c.sent(n+m64, err)
}

// appendRequest writes the head. An empty body of a method that has none by
// custom is not announced.
func appendRequest(dst, method, target []byte, fields []Field, length int64) ([]byte, error) {
	if len(method) == 0 || !all(method, isToken) || len(target) == 0 || !all(target, isTarget) {
		return dst, fmt.Errorf("write request: %q %q is no request line", excerpt(method), excerpt(target))
	}
	dst = append(dst, method...)
	dst = append(dst, ' ')
	dst = append(dst, target...)
	dst = append(dst, " HTTP/1.1\r\n"...)
	dst, err := appendFields(dst, fields)
	if length == 0 && !isName(method, "post") && !isName(method, "put") && !isName(method, "patch") {
		length = lengthUntilClose
	}
	return appendFraming(dst, length, false), err
}

// Receive waits until deadline for the head of the answer to the request just
// sent, whose method says whether a body follows. 100 Continue is skipped. An
// *Error is an answer that cannot be trusted; anything else, such as io.EOF or
// os.ErrDeadlineExceeded, says that none came.
func (c *ClientConn) Receive(method []byte, deadline time.Time) (*Response, error) {
	if !c.waiting {
		return nil, ErrNotReusable
	}
	c.want = deadline
	if c.buffered() == 0 {
		if err := c.first(); err != nil {
			c.broken = true
			return nil, fmt.Errorf("wait for the answer: %w", err)
		}
	}
	head := string(method) == "HEAD"
	for range maxContinues + 1 {
		text, p, err := c.head()
		if err != nil {
			return nil, c.cutOff(err)
		}
		var length int64
		if p == nil {
			length, p = parseResponse(text, &c.response, c.fields(), head)
		}
		if p != nil {
			return nil, c.refuse(p)
		}
		switch {
		case c.response.Status >= 200:
			c.waiting = false
			c.broken = c.broken || !c.response.KeepAlive
			c.body.start(length, 502, c.timeouts.Body)
			return &c.response, nil
		case c.response.Status != 100:
			return nil, c.refuse(bad(ReasonInterim, "interim response %d", c.response.Status))
		}
		c.floor = 0
		c.slide()
		if c.w == 0 {
			if err := c.fill(); err != nil {
				return nil, c.cutOff(err)
			}
		}
	}
	return nil, c.refuse(bad(ReasonInterim, "more than %d interim responses", maxContinues))
}

func (c *ClientConn) refuse(p *problem) error {
	c.broken, c.waiting = true, false
	return &Error{p.reason, 502, p.detail}
}

func (c *ClientConn) cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return c.refuse(bad(ReasonCutOff, "head of the answer ends after %d bytes", c.buffered()))
	}
	c.broken, c.waiting = true, false
	return fmt.Errorf("read the answer: %w", err)
}

// ReadBody appends the answer's whole body to dst, at most max bytes of it. An
// *Error has status 502.
func (c *ClientConn) ReadBody(dst []byte, max int64) ([]byte, error) {
	return c.body.readAll(dst, max)
}

// Body returns the answer's body to be read as it comes; it is valid until the
// next Send.
func (c *ClientConn) Body() io.Reader { return &c.body }

// Release gives the buffers back while the connection waits for its next
// request: the response and its slices are no longer valid.
func (c *ClientConn) Release() {
	if c.Reusable() || c.broken && c.body.done() {
		c.response = Response{}
		c.release()
	}
}

// Close closes the connection. A read or write under way in another goroutine
// fails.
func (c *ClientConn) Close() error { return c.net.Close() }

// watcher reads the answer's head while the request is still being written: an
// ACS that refuses a large body may stop reading it, and would leave us writing
// for ever.
type watcher struct {
	c    *ClientConn
	done chan struct{}
}

func (c *ClientConn) watch() watcher {
	w := watcher{c, make(chan struct{})}
	c.want = time.Now().Add(24 * time.Hour) // the writes have deadlines, this ends with them
	c.set = c.want
	c.net.SetReadDeadline(c.set)
	go func() {
		defer close(w.done)
		if c.early() {
			c.hurry() // the peer may yet read the rest, which keeps the connection good
		}
	}()
	return w
}

// early reads until the head of a final answer is in the buffer, or until the
// watch is stopped.
func (c *ClientConn) early() bool {
	if c.first() != nil {
		return false
	}
	for range maxContinues {
		var scan headScan
		for {
			n, p := scan.next(c.bytes[:c.w], &c.limits)
			if p != nil {
				return true // Receive will refuse it
			}
			if n > 0 {
				if !isContinue(c.bytes[:n]) {
					return true
				}
				c.r = n
				c.slide()
				break
			}
			if c.w == len(c.bytes) {
				c.grow(c.limits.Head)
			}
			if c.fill() != nil {
				return false
			}
		}
		if c.w == 0 && c.fill() != nil {
			return false
		}
	}
	return true
}

func isContinue(head []byte) bool {
	var r Response
	line, _ := cutLine(head)
	return parseStatusLine(line, &r) == nil && r.Status == 100
}

// stop ends the watch and leaves the deadlines to be set anew.
func (w watcher) stop() {
	w.c.stopped.Store(true)
	w.c.net.SetReadDeadline(time.Unix(1, 0))
	<-w.done
	w.c.stopped.Store(false)
	w.c.hurried.Store(false)
	w.c.set, w.c.until = time.Time{}, time.Time{}
}
