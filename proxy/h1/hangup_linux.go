package h1

import (
	"crypto/tls"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// WatchHangup calls gone, once, if the client closes its side of the connection
// before stop is called. Nothing is read: what the client has sent meanwhile is
// still there. It is for a request that was read whole and waits for its answer;
// stop must be called before the connection is used again, and returns when
// gone is not called any more.
func (s *ServerConn) WatchHangup(gone func()) (stop func()) {
	under := s.net
	if t, ok := under.(*tls.Conn); ok {
		under = t.NetConn()
	}
	tcp, ok := under.(*net.TCPConn)
	if !ok {
		return func() {}
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return func() {}
	}
	tcp.SetReadDeadline(time.Time{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if raw.Read(hungUp) == nil {
			gone()
		}
	}()
	return func() {
		tcp.SetReadDeadline(time.Unix(1, 0))
		<-ended
		tcp.SetReadDeadline(time.Time{})
		s.set = time.Time{} // the deadline that was set is gone
	}
}

// hungUp tells whether the peer has closed its side, or the connection is broken.
// The poller wakes the reader for every change, so that false waits for the next.
func hungUp(fd uintptr) bool {
	of := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	_, err := ignoringEINTR(func() (int, error) { return unix.Poll(of, 0) })
	return err == nil && of[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0 || err == syscall.EBADF
}
