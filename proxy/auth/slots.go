package auth

import (
	"context"
	"errors"
	"time"
)

// errBusy is a check that could not begin in time.
var errBusy = errors.New("too many logins are being checked")

// slots bounds what goes on at once.
type slots struct {
	free chan struct{}
	wait time.Duration
}

func newSlots(n int, wait time.Duration) *slots { return &slots{make(chan struct{}, n), wait} }

func (s *slots) enter(ctx context.Context) error {
	select {
	case s.free <- struct{}{}:
		return nil
	default:
	}
	t := time.NewTimer(s.wait)
	defer t.Stop()
	select {
	case s.free <- struct{}{}:
		return nil
	case <-t.C:
		return errBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *slots) leave() { <-s.free }
