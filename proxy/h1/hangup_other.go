//go:build !linux

package h1

// WatchHangup does not watch here: a client that has gone is noticed when it is
// answered.
func (s *ServerConn) WatchHangup(func()) (stop func()) { return func() {} }
