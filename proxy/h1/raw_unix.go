//go:build unix

package h1

import (
	"io"
	"net"
	"os"
	"syscall"
)

// rawConn reads from a TCP socket in ways that net.Conn has no words for: it
// waits for a first byte without holding a buffer, and looks without taking.
type rawConn struct {
	conn   syscall.RawConn
	into   *buffer
	readFn func(fd uintptr) bool
	peekFn func(fd uintptr)
	n      int
	err    error
}

// newRaw returns nil where c is no bare TCP connection. A type that embeds one
// may do more than its socket, so it does not count.
func newRaw(c net.Conn, into *buffer) *rawConn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	conn, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	r := &rawConn{conn: conn, into: into}
	r.readFn, r.peekFn = r.tryRead, r.look
	return r
}

// read fills the buffer with what there is, once there is something.
func (r *rawConn) read() (int, error) {
	r.n, r.err = 0, nil
	if err := r.conn.Read(r.readFn); err != nil {
		return 0, err
	}
	if r.err == nil && r.n == 0 {
		return 0, io.EOF
	}
	return r.n, r.err
}

func (r *rawConn) tryRead(fd uintptr) bool {
	r.into.acquire()
	n, err := ignoringEINTR(func() (int, error) { return syscall.Read(int(fd), r.into.bytes) })
	if n > 0 {
		r.n = n
		return true
	}
	r.into.release()
	if err == syscall.EAGAIN {
		return false
	}
	if err != nil {
		r.err = os.NewSyscallError("read", err)
	}
	return true
}

// silent tells whether the peer has neither sent a byte nor closed.
func (r *rawConn) silent() bool {
	r.err = nil
	return r.conn.Control(r.peekFn) == nil && r.err == syscall.EAGAIN
}

func (r *rawConn) look(fd uintptr) {
	var b [1]byte
	_, r.err = ignoringEINTR(func() (int, error) {
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return n, err
	})
}

func ignoringEINTR(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != syscall.EINTR {
			return n, err
		}
	}
}
