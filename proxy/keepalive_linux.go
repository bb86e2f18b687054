package proxy

import (
	"syscall"
	"time"
)

// On Linux a connection inherits these options from its listener, which saves
// four system calls for each.
const inheritsKeepAlive = true

func keepAliveOnListener(_, _ string, c syscall.RawConn) error {
	var err error
	set := func(fd uintptr, level, option, value int) {
		if err == nil {
			err = syscall.SetsockoptInt(int(fd), level, option, value)
		}
	}
	cerr := c.Control(func(fd uintptr) {
		set(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1)
		set(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, int(keepAlive.Idle/time.Second))
		set(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, int(keepAlive.Interval/time.Second))
		set(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, keepAlive.Count)
	})
	if cerr != nil {
		return cerr
	}
	return err
}
