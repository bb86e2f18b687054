//go:build !unix

package h1

import "net"

// rawConn is not to be had here: a first byte is read alone, and a peek is a
// read with a short deadline.
type rawConn struct{}

func newRaw(net.Conn, *buffer) *rawConn { return nil }
func (*rawConn) read() (int, error)     { panic("BUG: no raw connection") }
func (*rawConn) silent() bool           { panic("BUG: no raw connection") }
