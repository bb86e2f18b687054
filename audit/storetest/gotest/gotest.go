// Package gotest has the suite of stores run by go test.
package gotest

import (
	"os"
	"strconv"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit/storetest"
)

// T is a *testing.T as the suite wants it.
func T(t *testing.T) storetest.T { return wrapped{t} }

type wrapped struct{ *testing.T }

func (w wrapped) Run(name string, f func(storetest.T)) bool {
	return w.T.Run(name, func(t *testing.T) { f(T(t)) })
}

// Seeds is how many seeds a long run tries, as CWMPGATE_SEEDS says. Others, who
// have those of the suite, skip the test.
func Seeds(t *testing.T) uint64 {
	text := os.Getenv("CWMPGATE_SEEDS")
	if text == "" {
		t.Skip("without CWMPGATE_SEEDS the seeds of the suite are enough")
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		t.Fatalf("CWMPGATE_SEEDS=%s is not a number", text)
	}
	return n
}
