package proof

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

// senders are the goroutines that bring checkpoints to others.
type senders struct {
	closing chan struct{} // nothing more comes: a last try
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// lastTry is how long checkpoints are still sent once the keeper ends.
const lastTry = 2 * time.Second

func (k *Keeper) startSenders() *senders {
	ctx, cancel := context.WithCancel(context.Background())
	s := &senders{closing: make(chan struct{}), cancel: cancel}
	if k.store != nil {
		s.running.Go(func() { k.store.run(ctx, s.closing) })
	}
	for _, w := range k.witnesses {
		s.running.Go(func() { w.run(ctx, s.closing) })
	}
	return s
}

// stop gives them a last try.
func (s *senders) stop() {
	close(s.closing)
	timer := time.AfterFunc(lastTry, s.cancel)
	s.running.Wait()
	timer.Stop()
	s.cancel()
}

// await waits for a reason to look again: false when there is no more to come.
func await(ctx context.Context, wake, closing <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-wake:
	case <-timer.C:
	case <-closing:
		return false
	case <-ctx.Done():
		return false
	}
	return true
}

const (
	maxOutbox  = 4096
	maxBackoff = 5 * time.Minute
	idle       = time.Hour
)

// outbox brings checkpoints to the store, each behind the records that it
// covers. What does not fit any more is dropped, oldest first: the file has it.
type outbox struct {
	k     *Keeper
	wake  chan struct{}
	mu    sync.Mutex
	items []audit.Checkpoint
}

func newOutbox(k *Keeper) *outbox { return &outbox{k: k, wake: make(chan struct{}, 1)} }

func (o *outbox) put(c audit.Checkpoint) {
	o.mu.Lock()
	if len(o.items) == maxOutbox {
		o.items = o.items[1:]
		o.k.metrics.dropped.Inc()
	}
	o.items = append(o.items, c)
	o.mu.Unlock()
	kick(o.wake)
}

func kick(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

func (o *outbox) first() (c audit.Checkpoint, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.items) == 0 {
		return c, false
	}
	return o.items[0], true
}

// taken drops the first one, if it still is that.
func (o *outbox) taken(c audit.Checkpoint) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.items) > 0 && o.items[0] == c {
		o.items = o.items[1:]
	}
}

func (o *outbox) run(ctx context.Context, closing <-chan struct{}) {
	failures := 0
	for {
		c, ok := o.first()
		last := false
		select {
		case <-closing:
			last = true
		case <-ctx.Done():
			return
		default:
		}
		switch {
		case !ok && last:
			return
		case !ok:
			await(ctx, o.wake, closing, idle)
			continue
		case o.committed() < c.Last && !last:
			await(ctx, nil, closing, 100*time.Millisecond)
			continue
		}
		if err := o.k.cfg.Store.AddCheckpoint(ctx, c); err != nil {
			if last {
				return
			}
			failures++
			o.k.metrics.errors.Inc()
			o.k.cfg.Trouble(fmt.Errorf("bring a checkpoint to the store: %w", err))
			await(ctx, nil, closing, backoff(failures))
			continue
		}
		failures = 0
		o.k.metrics.stored.Inc()
		o.taken(c)
	}
}

// committed is the last record that the store has.
func (o *outbox) committed() uint64 {
	for _, c := range o.k.cfg.Journal.Stats().Cursors {
		if c.Name == o.k.cfg.StoreCursor {
			return c.Committed
		}
	}
	return 0
}
