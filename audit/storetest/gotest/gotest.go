// Package gotest has the suite of stores run by go test.
package gotest

import (
	"testing"

	"github.com/cwmpgate/cwmpgate/audit/storetest"
)

// T is a *testing.T as the suite wants it.
func T(t *testing.T) storetest.T { return wrapped{t} }

type wrapped struct{ *testing.T }

func (w wrapped) Run(name string, f func(storetest.T)) bool {
	return w.T.Run(name, func(t *testing.T) { f(T(t)) })
}
