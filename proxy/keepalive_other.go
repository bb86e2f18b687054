//go:build !linux

package proxy

import "syscall"

const inheritsKeepAlive = false

func keepAliveOnListener(string, string, syscall.RawConn) error { return nil }
