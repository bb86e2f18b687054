package upstream

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/cwmpgate/cwmpgate/proxy/h1"
)

// ErrClosed is returned when a lease was closed from outside, because its
// session was superseded or the gateway stops.
var ErrClosed = errors.New("lease closed")

// Lease is one session's exclusive way to the ACS: at most one connection at a
// time, made when it is first needed. One request at a time; Close may come
// from another goroutine.
type Lease struct {
	node *Node

	mu     sync.Mutex
	conn   *h1.ClientConn
	closed bool
}

// Lease returns a way to the ACS that nobody else uses.
func (n *Node) Lease() *Lease { return &Lease{node: n} }

// Node is where the lease leads to.
func (l *Lease) Node() *Node { return l.node }

// Connect makes the connection before anything is sent, so that it is known
// whether the ACS can be reached.
func (l *Lease) Connect(ctx context.Context) error {
	_, err := l.ready(ctx, false)
	return err
}

// Move has the lease lead to another node. It is for who sends over it, and
// only after Connect has failed.
func (l *Lease) Move(n *Node) { l.node = n }

// Request is what is sent to the ACS. Body is sent with its length; where
// Stream is set, Length bytes of it are (chunked where Length is -1).
type Request struct {
	Method, Target []byte
	Fields         []h1.Field
	Body           []byte
	Stream         io.Reader
	Length         int64
}

// RoundTrip sends r and returns the head of the answer. A connection that the
// ACS closed while it was idle is replaced before anything is sent; once a byte
// may have left, nothing is sent twice.
func (l *Lease) RoundTrip(ctx context.Context, r *Request) (*h1.ClientConn, *h1.Response, error) {
	conn, err := l.ready(ctx, false)
	if err != nil {
		return nil, nil, err
	}
	send := func(c *h1.ClientConn) (bool, error) {
		if r.Stream != nil {
			return c.SendStream(r.Method, r.Target, r.Fields, r.Length, r.Stream)
		}
		return c.Send(r.Method, r.Target, r.Fields, r.Body)
	}
	wrote, err := send(conn)
	if err != nil && !wrote && ctx.Err() == nil {
		l.drop(conn)
		if conn, err = l.ready(ctx, true); err != nil {
			return nil, nil, err
		}
		_, err = send(conn)
	}
	if err != nil {
		l.drop(conn)
		return nil, nil, l.failed(err)
	}
	resp, err := conn.Receive(r.Method, time.Now().Add(l.node.opt.Answer))
	if err != nil {
		l.drop(conn)
		return nil, nil, l.failed(err)
	}
	return conn, resp, nil
}

// failed says what an error on the connection means for the session.
func (l *Lease) failed(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	return err
}

// ready returns the lease's connection, or another where it has none: one that
// waits for a session, or with anew one that is made now.
func (l *Lease) ready(ctx context.Context, anew bool) (*h1.ClientConn, error) {
	l.mu.Lock()
	conn, closed := l.conn, l.closed
	l.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	if conn != nil {
		return conn, nil // Send looks whether it is still usable
	}
	if !anew {
		conn = l.node.take()
	}
	if conn == nil {
		var err error
		if conn, err = l.node.dial(ctx); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		conn.Close()
		return nil, ErrClosed
	}
	l.conn = conn
	return conn, nil
}

// Done is called when an answer was read to its end: a connection that cannot
// carry another request is closed at once.
func (l *Lease) Done(conn *h1.ClientConn) {
	if !conn.Reusable() {
		l.drop(conn)
	}
}

func (l *Lease) drop(conn *h1.ClientConn) {
	conn.Close()
	l.mu.Lock()
	if l.conn == conn {
		l.conn = nil
	}
	l.mu.Unlock()
}

// Rest gives the connection's buffers back while no request is under way: a CPE
// may be silent for minutes, and thousands at once. What the last answer's head
// said is no longer valid.
func (l *Lease) Rest() {
	l.mu.Lock()
	conn := l.conn
	l.mu.Unlock()
	if conn != nil {
		conn.Release()
	}
}

// Close ends the lease and its connection. A request under way fails with
// ErrClosed.
func (l *Lease) Close() {
	l.mu.Lock()
	conn := l.conn
	l.conn, l.closed = nil, true
	l.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

// Return ends the lease after a session that ended as it should; where the
// node allows it the connection waits for another session.
func (l *Lease) Return() {
	l.mu.Lock()
	conn := l.conn
	l.conn, l.closed = nil, true
	l.mu.Unlock()
	switch {
	case conn == nil:
	case l.node.reuse && conn.Reusable():
		conn.Release()
		l.node.keep(conn)
	default:
		conn.Close()
	}
}
