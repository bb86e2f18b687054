package retention

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/cwmpgate/cwmpgate/audit"
)

// Store is what is asked of a store.
type Store interface {
	audit.Reader
	Logs(ctx context.Context) ([]string, error)
	// Leaves gives those of one kind of a log's records, by number, from one on
	// and older than before; removed ones too.
	Leaves(ctx context.Context, log, kind string, from uint64, before time.Time) iter.Seq2[audit.Leaf, error]
	// Removed says whether what a system record has it remove is removed.
	Removed(ctx context.Context, log string, seq uint64) (bool, error)
	// Remove empties records, but for system records, removes what was made from
	// them, and remembers the system records that had it do so. Done in part, it
	// can be done again. A record that comes once more must not fill it again.
	Remove(ctx context.Context, all []audit.Removal) (n int, err error)
}

// Recorder writes system records.
type Recorder interface {
	System(s audit.System) (audit.Ticket, error)
}

// Config is what a Keeper works on.
type Config struct {
	Policy   Policy
	Store    Store
	Recorder Recorder
	// Settle returns when the store has everything that is durable now, and the
	// records up to a number, 0 for none.
	Settle func(ctx context.Context, upTo uint64) error
	// Roll, where set, begins a new segment of the journal, so that the old one,
	// which holds what was removed, can go when nothing else keeps it.
	Roll    func()
	Now     func() time.Time // nil: time.Now
	Metrics *metrics.Set
}

// Keeper removes what is to be removed. One goroutine uses it.
type Keeper struct {
	cfg     Config
	metrics keeperMetrics
	next    map[place]uint64 // first record of a log and kind that was left, not for a hold
	held    []audit.Hold     // when next was found
}

type place struct{ log, kind string }

// New makes a Keeper and does nothing.
func New(c Config) *Keeper {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Roll == nil {
		c.Roll = func() {}
	}
	return &Keeper{cfg: c, metrics: newKeeperMetrics(c.Metrics), next: map[place]uint64{}}
}

// Tidy carries out what is recorded and not done yet, then records what has
// become too old since, and removes that. It is done at a start, and daily.
func (k *Keeper) Tidy(ctx context.Context) (n int, err error) {
	defer func() { k.metrics.done(n, err) }()
	if err := k.cfg.Settle(ctx, 0); err != nil {
		return 0, fmt.Errorf("wait for the store: %w", err)
	}
	n, err = k.carryOut(ctx)
	if err != nil || !k.cfg.Policy.Tidies() {
		return n, err
	}
	defer func() {
		if err != nil {
			clear(k.next) // what was found may not be recorded
		}
	}()
	expired, err := k.expired(ctx)
	if err != nil {
		return n, fmt.Errorf("look for records that are too old: %w", err)
	}
	var all []audit.System
	for _, r := range expired {
		all = append(all, r.System())
	}
	// What has gone from the store is to go from the journal too.
	k.cfg.Roll()
	if _, err := k.record(ctx, all); err != nil {
		return n, fmt.Errorf("record a retention: %w", err)
	}
	more, err := k.carryOut(ctx)
	return n + more, err
}

// record writes system records down, durably and into the store, and gives
// their numbers.
func (k *Keeper) record(ctx context.Context, all []audit.System) (seqs []uint64, err error) {
	if len(all) == 0 {
		return nil, nil
	}
	var tickets []audit.Ticket
	for _, s := range all {
		t, err := k.cfg.Recorder.System(s)
		if err != nil {
			return nil, err
		}
		tickets = append(tickets, t)
		seqs = append(seqs, t.Seq())
	}
	for _, t := range tickets {
		if err := t.Wait(ctx); err != nil {
			return nil, err
		}
		if t.Seq() == 0 {
			return nil, errors.New("the journal takes no records")
		}
	}
	if err := k.cfg.Settle(ctx, seqs[len(seqs)-1]); err != nil {
		return nil, fmt.Errorf("wait for the store: %w", err)
	}
	return seqs, nil
}

// carryOut removes what recorded removals name and the store still has.
func (k *Keeper) carryOut(ctx context.Context) (n int, err error) {
	f, err := readFacts(ctx, k.cfg.Store)
	if err != nil {
		return 0, fmt.Errorf("read the store's system records: %w", err)
	}
	var open []audit.Removal
	for _, r := range f.removals {
		done, err := k.cfg.Store.Removed(ctx, r.Log, r.Seq)
		if err != nil {
			return 0, err
		}
		if !done {
			open = append(open, r)
		}
	}
	if len(open) == 0 {
		return 0, nil
	}
	return k.cfg.Store.Remove(ctx, open)
}

// expired gives the retentions that are due.
func (k *Keeper) expired(ctx context.Context) (due []audit.Retention, err error) {
	f, err := readFacts(ctx, k.cfg.Store)
	if err != nil {
		return nil, err
	}
	now := k.cfg.Now()
	held := f.held(now)
	if !slices.Equal(held, k.held) {
		// What was left for a hold may go now, wherever it stands.
		clear(k.next)
		k.held = held
	}
	logs, err := k.cfg.Store.Logs(ctx)
	if err != nil {
		return nil, err
	}
	for _, log := range logs {
		for _, kind := range audit.Kinds() {
			w := newWalk(&k.cfg.Policy, log, kind, now, f.epochs[log], held)
			if w.last.IsZero() {
				continue
			}
			at := place{log, kind}
			w.next = k.next[at]
			for leaf, err := range k.cfg.Store.Leaves(ctx, log, kind, w.next, w.last) {
				if err != nil {
					return nil, err
				}
				w.take(leaf)
			}
			due = append(due, w.end()...)
			k.next[at] = w.next
		}
	}
	return due, nil
}

type keeperMetrics struct{ removed, failures *metrics.Counter }

func newKeeperMetrics(set *metrics.Set) keeperMetrics {
	return keeperMetrics{
		removed:  set.NewCounter("cwmpgate_audit_removed_records_total"),
		failures: set.NewCounter("cwmpgate_audit_removal_errors_total"),
	}
}

func (m *keeperMetrics) done(n int, err error) {
	m.removed.Add(n)
	if err != nil {
		m.failures.Inc()
	}
}
