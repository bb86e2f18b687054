package clickhouse

import (
	"context"
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"time"
)

// Of a lock: how long it holds without being renewed, so that one whose holder
// died passes, and how long others wait between two looks.
const (
	lockTime  = 2 * time.Minute
	lockPause = 100 * time.Millisecond
)

// lock is a claim on the schema. ClickHouse has no locks: whoever wants this one
// writes a claim down and then reads all that live. Who sees no other holds the
// lock; who sees one takes its own back and tries again. Of two, the one whose
// claim was written second sees the first, whatever their clocks say; times are
// the server's.
type lock struct {
	store  *Store
	holder string
	step   uint32
}

// locked runs f while it holds the lock.
func (s *Store) locked(ctx context.Context, f func(context.Context) error) error {
	l := &lock{store: s, holder: rand.Text()}
	if err := l.take(ctx); err != nil {
		return fmt.Errorf("take the lock of the schema: %w", err)
	}
	held, cancel := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		l.renew(held, cancel)
	}()
	err := f(held)
	if cause := context.Cause(held); cause != nil && ctx.Err() == nil {
		err = cause
	}
	cancel(nil)
	<-renewed
	if rerr := l.release(ctx); rerr != nil && err == nil {
		// It passes by itself; those who wait, wait longer.
		err = fmt.Errorf("give back the lock of the schema: %w", rerr)
	}
	return err
}

func (l *lock) take(ctx context.Context) (err error) {
	defer func() {
		if err != nil { // a claim that was written down, would be waited for
			_ = l.release(ctx)
		}
	}()
	for {
		if err := l.claim(ctx, lockTime); err != nil {
			return err
		}
		others, err := l.others(ctx)
		if err != nil || others == 0 {
			return err
		}
		if err := l.claim(ctx, 0); err != nil {
			return err
		}
		if err := sleep(ctx, lockPause/2+mrand.N(lockPause)); err != nil {
			return err
		}
	}
}

// claim writes down for how long from now the lock is wanted; 0 gives it back.
func (l *lock) claim(ctx context.Context, d time.Duration) error {
	l.step++
	return (*l.store.conn.Load()).Exec(ctx, fmt.Sprintf(
		"INSERT INTO %s (name, holder, step, until) SELECT 'schema', %s, %d, now64(3) + INTERVAL %d SECOND",
		l.store.local("locks"), literal(l.holder), l.step, int(d.Seconds())-1))
}

// release gives the lock back, also where ctx has ended.
func (l *lock) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(l.store.config.ReadTimeout))
	defer cancel()
	return l.claim(ctx, 0)
}

func (l *lock) others(ctx context.Context) (uint64, error) { return l.store.claims(ctx, l.holder) }

// claims is how many claims live beside that of holder.
func (s *Store) claims(ctx context.Context, holder string) (n uint64, err error) {
	err = (*s.conn.Load()).QueryRow(ctx, "SELECT count() FROM (SELECT holder, argMax(until, step) AS last FROM locks WHERE name = 'schema' AND holder != "+
		literal(holder)+" GROUP BY holder HAVING last > now64(3))").Scan(&n)
	return n, err
}

// renew keeps the lock until ctx ends; what it cannot keep ends ctx.
func (l *lock) renew(ctx context.Context, lost context.CancelCauseFunc) {
	for sleep(ctx, lockTime/4) == nil {
		if err := l.claim(ctx, lockTime); err != nil && ctx.Err() == nil {
			lost(fmt.Errorf("keep the lock of the schema: %w", err))
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
