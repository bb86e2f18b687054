package storetest

import "context"

// TB is what the suite wants of what runs it, as *testing.T and *testing.B have
// it. The program runs the suite, too, and is not to be linked with package
// testing.
type TB interface {
	Helper()
	Name() string
	Context() context.Context
	TempDir() string
	Cleanup(func())
	Log(...any)
	Logf(string, ...any)
	Error(...any)
	Errorf(string, ...any)
	Fatal(...any)
	Fatalf(string, ...any)
}

// T also runs tests within a test; package gotest makes one of a *testing.T.
type T interface {
	TB
	Run(name string, f func(t T)) bool
}
