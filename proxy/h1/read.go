package h1

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// A body's phase is extended by what has come: earnStep bytes earn as long as
// they take at the slowest rate that is borne, 16 KB/s.
const (
	earnStep = 256 << 10
	earned   = 16 * time.Second
)

// conn is what both sides have in common: the buffer, the deadlines and the
// body that is being read.
type conn struct {
	net     net.Conn
	raw     *rawConn // of a bare TCP connection, else nil
	limits  Limits
	step    time.Duration // how far ahead a read deadline is set
	set     time.Time     // the read deadline on the connection; zero: none
	want    time.Time     // the read deadline of the phase
	writing time.Duration // the time that a write may take
	until   time.Time     // the write deadline on the connection; zero: none
	one     [1]byte       // the first byte of a message on a connection without raw
	stopped atomic.Bool   // a read that another goroutine ended must not go on
	hurried atomic.Bool   // see hurry

	buffer
	body body
}

func (c *conn) init(nc net.Conn, l Limits, t Timeouts) {
	c.net, c.limits = nc, l.withDefaults()
	c.step, c.writing = min(t.Idle, t.Head, t.Body), t.Write
	c.raw = newRaw(nc, &c.buffer)
	c.body.conn = c
}

// arm makes sure that the next read ends by c.want, or earlier: see retry.
func (c *conn) arm() error {
	if !c.set.IsZero() && !c.set.After(c.want) {
		return nil
	}
	return c.rearm(time.Now())
}

func (c *conn) rearm(now time.Time) error {
	c.set = c.want
	if c.set.Sub(now) > c.step {
		c.set = now.Add(c.step)
	}
	return c.net.SetReadDeadline(c.set)
}

// retry tells whether a read that failed may go on, because the deadline that
// ended it was set early.
func (c *conn) retry(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	now := time.Now()
	if c.stopped.Load() || !now.Before(c.want) || c.rearm(now) != nil {
		return false
	}
	return !c.stopped.Load() // rearm may have undone what stopped came with
}

// read reads at least one byte into p, within the phase's time.
func (c *conn) read(p []byte) (int, error) {
	for {
		if err := c.arm(); err != nil {
			return 0, err
		}
		n, err := c.net.Read(p)
		if n > 0 {
			return n, nil // an error comes again with the next read
		}
		if err == nil {
			err = io.ErrNoProgress
		}
		if !c.retry(err) {
			return 0, err
		}
	}
}

// first waits for the first byte of a message. No buffer is held meanwhile: on
// bare TCP it is taken when there is something to read, else one byte is read
// alone, which costs nothing where TLS has the rest of the record at hand.
func (c *conn) first() error {
	for {
		if err := c.arm(); err != nil {
			return err
		}
		var n int
		var err error
		if c.raw != nil {
			n, err = c.raw.read()
		} else {
			n, err = c.net.Read(c.one[:])
		}
		if n > 0 {
			c.acquire()
			if c.raw == nil {
				c.bytes[0] = c.one[0]
			}
			c.w = n
			return nil
		}
		if err == nil {
			err = io.ErrNoProgress
		}
		if !c.retry(err) {
			return err
		}
	}
}

// fill reads more behind what is in the buffer.
func (c *conn) fill() error {
	if c.r == c.w {
		c.r, c.w = c.floor, c.floor
	}
	if c.w == len(c.bytes) {
		c.slide()
	}
	n, err := c.read(c.bytes[c.w:])
	c.w += n
	return err
}

// head reads on until a whole head is in the buffer and returns it. Its first
// byte must be there, at the front.
func (c *conn) head() ([]byte, *problem, error) {
	var scan headScan
	for {
		n, p := scan.next(c.bytes[:c.w], &c.limits)
		if p != nil {
			return nil, p, nil
		}
		if n > 0 {
			if len(c.bytes)-n < bodyRoom {
				c.grow(c.limits.Head)
			}
			c.r, c.floor = n, n
			return c.bytes[:n], nil, nil
		}
		if c.w == len(c.bytes) {
			c.grow(c.limits.Head)
		}
		if err := c.fill(); err != nil {
			return nil, nil, err
		}
	}
}

// body reads one message's body. It is the io.Reader that Body hands out.
type body struct {
	conn     *conn
	kind     bodyKind
	status   int   // of the Error where the body is wrong; 0: as the reason says
	left     int64 // of the body, or of the chunk
	max      int64 // of the whole body; negative: no limit
	got      int64
	ext      int64 // bytes of chunk extensions
	inChunks bool  // a chunk was read: its CRLF is due
	timeout  time.Duration
	begun    bool // the phase's time is running
	credit   int64
	expect   bool // 100 Continue is due before the first read from the network
	err      error
}

type bodyKind uint8

const (
	bodyDone bodyKind = iota // also where there is none
	bodyLength
	bodyChunked
	bodyUntilClose
)

// start begins a body of the length that a head gives.
func (b *body) start(length int64, status int, timeout time.Duration) {
	*b = body{conn: b.conn, status: status, max: -1, timeout: timeout}
	switch {
	case length == lengthChunked:
		b.kind = bodyChunked
	case length == lengthUntilClose:
		b.kind = bodyUntilClose
	case length > 0:
		b.kind, b.left = bodyLength, length
	}
}

func (b *body) done() bool { return b.kind == bodyDone }

func (b *body) fail(p *problem) error {
	status := b.status
	if status == 0 {
		status = statusOf(p.reason)
	}
	b.err = &Error{p.reason, status, p.detail}
	return b.err
}

// broken makes what the network said of a body into what it means.
func (b *body) broken(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return b.fail(bad(ReasonCutOff, "body ends after %d bytes", b.got))
	case b.status == 0 && errors.Is(err, os.ErrDeadlineExceeded):
		return b.fail(bad(ReasonBodyTimeout, "%d bytes of the body came in time", b.got))
	}
	b.err = fmt.Errorf("read body: %w", err)
	return b.err
}

func (b *body) over() error {
	return b.fail(bad(ReasonBodyTooLarge, "body is over %d bytes", b.max))
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	switch {
	case b.err != nil:
		return 0, b.err
	case b.kind == bodyDone:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	case b.kind == bodyChunked && b.left == 0:
		if err := b.nextChunk(); err != nil {
			return 0, err
		}
		if b.kind == bodyDone {
			return 0, io.EOF
		}
	}
	if b.kind != bodyUntilClose && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.some(p)
	if err != nil {
		if b.kind == bodyUntilClose && errors.Is(err, io.EOF) {
			b.kind = bodyDone
			return 0, io.EOF
		}
		return 0, b.broken(err)
	}
	b.got += int64(n)
	switch b.kind {
	case bodyUntilClose:
		if b.max >= 0 && b.got > b.max {
			return 0, b.over()
		}
	case bodyLength:
		if b.left -= int64(n); b.left == 0 {
			b.kind = bodyDone
		}
	default:
		b.left -= int64(n)
	}
	return n, nil
}

// some takes bytes from the buffer, or straight from the network where it is
// empty, so that nothing behind the body is read with it. A small piece of a
// chunked body is read through the buffer, together with the lines around it.
func (b *body) some(p []byte) (int, error) {
	c := b.conn
	if c.buffered() == 0 {
		if err := b.ready(); err != nil {
			return 0, err
		}
		if b.kind == bodyLength || len(p) >= bodyRoom {
			n, err := c.read(p)
			b.earn(n)
			return n, err
		}
		if err := b.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.bytes[c.r:c.w])
	c.r += n
	return n, nil
}

func (b *body) fill() error {
	if err := b.ready(); err != nil {
		return err
	}
	c := b.conn
	before := c.buffered()
	err := c.fill()
	b.earn(c.buffered() - before)
	return err
}

// ready is called before each read from the network. The client that waits for
// 100 Continue is told to go on, unless its body has begun to come.
func (b *body) ready() error {
	if b.expect {
		b.expect = false
		if b.got == 0 && b.conn.buffered() == 0 {
			if _, err := b.conn.write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
				return err
			}
		}
	}
	if !b.begun {
		b.begun = true
		b.conn.want = time.Now().Add(b.timeout)
	}
	return nil
}

func (b *body) earn(n int) {
	for b.credit += int64(n); b.credit >= earnStep; b.credit -= earnStep {
		b.conn.want = b.conn.want.Add(earned)
	}
}

// readAll appends the whole body to dst. A length over max is refused before
// anything is read; memory is taken as the bytes come, not as they are announced.
func (b *body) readAll(dst []byte, limit int64) ([]byte, error) {
	if b.err != nil {
		return dst, b.err
	}
	b.max = limit
	if b.kind == bodyLength && b.left > limit {
		return dst, b.fail(bad(ReasonBodyTooLarge, "body is %d bytes, over %d", b.left, limit))
	}
	for b.kind != bodyDone {
		if len(dst) == cap(dst) {
			dst = grown(dst, b)
		}
		n, err := b.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// grown gives dst more capacity: all that is announced where that is little,
// else as much again as has come.
func grown(dst []byte, b *body) []byte {
	more := max(smallBuffer, len(dst))
	if b.kind == bodyLength {
		more = int(min(b.left, int64(max(largeBuffer, len(dst)))))
	}
	out := make([]byte, len(dst), len(dst)+more)
	copy(out, dst)
	return out
}
