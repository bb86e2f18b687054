package h1

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// ServerConfig is what the connections of one listener have in common.
type ServerConfig struct {
	Limits      Limits
	Timeouts    Timeouts
	AllowNoHost bool   // HTTP/1.1 without Host passes, with an empty Request.Host
	Scheme      string // "http" or "https": what an absolute-form target must name; empty: either
}

// What is read and dropped behind an early answer, so that the peer can read
// the answer: closing with bytes unread would reset the connection.
const (
	lingerBytes = 32 << 20
	lingerTime  = 3 * time.Second
)

// ServerConn is the server's side of one connection. One goroutine uses it;
// Drain alone may be called from another.
type ServerConn struct {
	conn
	cfg      *ServerConfig
	timeouts Timeouts
	request  Request
	last     bool // the answer closes the connection, or something was refused
	dirty    bool // there may be bytes of the peer's that nobody will read

	mu       sync.Mutex // guards the two below against Drain
	idle     bool
	draining bool
}

// NewServer serves c, on which a TLS handshake has been made or will be made
// with the first read.
func NewServer(c net.Conn, cfg ServerConfig) *ServerConn {
	s := &ServerConn{cfg: &cfg, timeouts: cfg.Timeouts.withDefaults()}
	s.init(c, cfg.Limits, s.timeouts)
	return s
}

// SetIdle changes how long Next waits for the first byte of a request: within a
// CWMP session a CPE may be silent for longer than on an idle connection.
func (s *ServerConn) SetIdle(d time.Duration) { s.timeouts.Idle = d }

// Next waits for the next request and returns its head. The error is io.EOF
// where the peer, or the answer before, closed the connection; ErrIdle where no
// request began in time; an *Error where what came was refused: answer with its
// Status and Close. Anything else is the network's.
func (s *ServerConn) Next() (*Request, error) {
	s.request = Request{}
	if s.last {
		return nil, io.EOF
	}
	if !s.body.done() {
		// The answer did not wait for the body, and WriteResponse was not told.
		s.last, s.dirty = true, true
		return nil, io.EOF
	}
	s.restart()
	if s.buffered() == 0 {
		if err := s.wait(); err != nil {
			return nil, err
		}
	}
	s.want = time.Now().Add(s.timeouts.Head)
	if !isTokenByte(s.bytes[0]) && s.bytes[0] != '\r' && s.bytes[0] != '\n' {
		// Garbage, such as TLS on a plain listener, may never have a line end.
		return nil, s.refuse(bad(ReasonRequestLine, "request begins with 0x%02x", s.bytes[0]))
	}
	head, p, err := s.head()
	if err != nil {
		return nil, s.cutOff(err)
	}
	if p == nil {
		p = parseRequest(head, &s.request, s.fields(), s.cfg)
	}
	if p != nil {
		return nil, s.refuse(p)
	}
	s.body.start(s.request.ContentLength, 0, s.timeouts.Body)
	s.body.expect = s.request.ExpectContinue
	return &s.request, nil
}

func isTokenByte(c byte) bool { return classes[c]&isToken != 0 }

// wait waits for a request's first byte.
func (s *ServerConn) wait() error {
	s.want = time.Now().Add(s.timeouts.Idle)
	if err := s.arm(); err != nil {
		return fmt.Errorf("wait for a request: %w", err)
	}
	if !s.setIdle(true) {
		return ErrIdle
	}
	err := s.first()
	s.setIdle(false)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrIdle
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return io.EOF
	case err != nil:
		return fmt.Errorf("wait for a request: %w", err)
	}
	return nil
}

// setIdle tells whether the connection may wait on.
func (s *ServerConn) setIdle(idle bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = idle
	if s.draining {
		s.stopped.Store(false)
		s.set = time.Time{} // Drain may have moved the deadline
	}
	return !s.draining
}

// Drain ends a wait for the next request, now and from now on: Next returns
// ErrIdle. A request that has begun is not disturbed. It may be called from any
// goroutine.
func (s *ServerConn) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	if s.idle {
		s.stopped.Store(true)
		s.net.SetReadDeadline(time.Unix(1, 0))
	}
}

// refuse makes p the end of the connection.
func (s *ServerConn) refuse(p *problem) error {
	s.last, s.dirty = true, true
	s.body.kind = bodyDone
	return &Error{p.reason, statusOf(p.reason), p.detail}
}

func (s *ServerConn) cutOff(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return s.refuse(bad(ReasonHeadTimeout, "%d bytes of the head came in time", s.buffered()))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return s.refuse(bad(ReasonCutOff, "head ends after %d bytes", s.buffered()))
	}
	s.last = true
	return fmt.Errorf("read head: %w", err)
}

// ReadBody appends the request's whole body to dst, at most max bytes of it,
// and sends 100 Continue where the client waits for it. An *Error says what was
// wrong: a body over max is 413, and refused before it is read.
func (s *ServerConn) ReadBody(dst []byte, max int64) ([]byte, error) {
	return s.body.readAll(dst, max)
}

// Body returns the request's body to be read as it comes; it is valid until the
// next Next.
func (s *ServerConn) Body() io.Reader { return &s.body }

// keep settles whether the connection goes on behind this answer. A body that
// nobody read must be skipped to find the next request: only what has come
// already is.
func (s *ServerConn) keep(keepAlive bool) bool {
	if s.body.err == nil && !s.body.done() && !s.body.skipBuffered() || s.body.err != nil {
		s.dirty = true
		keepAlive = false
	}
	s.last = s.last || !keepAlive || !s.request.KeepAlive
	return !s.last
}

// skipBuffered drops what is left of the body if all of it is in the buffer.
func (b *body) skipBuffered() bool {
	if b.kind == bodyLength && b.left <= int64(b.conn.buffered()) {
		b.conn.r += int(b.left)
		b.kind = bodyDone
		return true
	}
	return false
}

// bodyless tells whether the answer to this request has no body.
func (s *ServerConn) bodyless(status int) bool {
	return status == 204 || status == 304 || string(s.request.Method) == "HEAD"
}

// WriteResponse answers with a whole message. An empty reason is filled in.
// Content-Length, Transfer-Encoding and Connection are ours and left out of
// fields. The connection ends behind it where keepAlive is false, in HTTP/1.0,
// where the client asked for it, or where the request was not read to its end.
func (s *ServerConn) WriteResponse(status int, reason []byte, fields []Field, body []byte, keepAlive bool) error {
	length := int64(len(body))
	if s.bodyless(status) {
		if length == 0 || status == 204 {
			length = lengthUntilClose // no length is said
		}
		body = nil
	}
	return s.respond(status, reason, fields, length, body, keepAlive)
}

func (s *ServerConn) respond(status int, reason []byte, fields []Field, length int64, body []byte, keepAlive bool) error {
	keepAlive = s.keep(keepAlive)
	buf := smallBuffers.Get().(*small)
	defer smallBuffers.Put(buf)
	out, err := appendStatusLine(buf.bytes[:0], status, reason)
	if err == nil {
		out, err = appendFields(out, fields)
	}
	if err != nil {
		return err
	}
	if _, err = s.send(appendFraming(out, length, !keepAlive), body); err != nil {
		s.last = true
		return fmt.Errorf("write response: %w", err)
	}
	return nil
}

// WriteStream answers with a body of length bytes, or of unknown length where
// that is negative: chunked, or until close in HTTP/1.0. It returns how much of
// the body was written; after an error the connection must be closed, so that
// the client sees that the body is incomplete. Where no body may follow (HEAD,
// 204, 304) body is not read, and length is what the head says.
func (s *ServerConn) WriteStream(status int, reason []byte, fields []Field, length int64, body io.Reader, keepAlive bool) (int64, error) {
	bodyless := s.bodyless(status)
	switch {
	case bodyless && (length < 0 || status == 204):
		length = lengthUntilClose
	case length < 0 && s.request.Minor == 1:
		length = lengthChunked
	case length < 0:
		length, keepAlive = lengthUntilClose, false
	}
	if err := s.respond(status, reason, fields, length, nil, keepAlive); err != nil || bodyless {
		return 0, err
	}
	n, srcErr, err := s.stream(length, body)
	switch {
	case srcErr != nil:
		s.last = true
		return n, fmt.Errorf("read body to stream: %w", srcErr)
	case err != nil:
		s.last = true
		return n, fmt.Errorf("write response: %w", err)
	}
	return n, nil
}

// Release gives the buffers back before the next Next does, unless the client
// has sent more: the request and its slices are no longer valid.
func (s *ServerConn) Release() {
	if s.body.done() && s.buffered() == 0 {
		s.request = Request{}
		s.release()
	}
}

// Close closes the connection and gives the buffers back. Behind an early
// answer it reads on for a while, so that the peer can read the answer.
func (s *ServerConn) Close() error {
	if s.dirty || s.buffered() > 0 {
		s.linger()
	}
	s.last = true
	s.request = Request{}
	s.release()
	return s.net.Close()
}

// linger ends our half and drops what the peer still sends. Under TLS the bytes
// are dropped as they are: nobody wants to know what they say.
func (s *ServerConn) linger() {
	s.dirty = false
	under := s.net
	if t, ok := under.(*tls.Conn); ok {
		if t.CloseWrite() != nil {
			return
		}
		under = t.NetConn()
	}
	half, ok := under.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if under.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	buf := smallBuffers.Get().(*small)
	defer smallBuffers.Put(buf)
	for left := lingerBytes; left > 0; {
		n, err := under.Read(buf.bytes[:])
		if err != nil {
			return
		}
		left -= n
	}
}
