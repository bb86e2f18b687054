package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/cwmpgate/cwmpgate/audit/journal"
)

// ShipperConfig is what a Shipper works on. Zero numbers take the defaults.
type ShipperConfig struct {
	Name       string // of the sink, as metrics name it
	Cursor     *journal.Cursor
	Sink       Sink
	MaxRecords int // of one batch; 500
	MaxBytes   int // of one batch; 2 MiB
	// Gather is the pause behind a batch that was not full: each batch costs
	// the store and the cursor syncs of their own, so that fewer are cheaper.
	// 0: none.
	Gather     time.Duration
	MinBackoff time.Duration // after the first failure; 100 ms
	MaxBackoff time.Duration // 30 s
	Metrics    *metrics.Set
	// Trouble, where set, is told of every failure, and with nil that the
	// sink is well again. It must not block.
	Trouble func(error)
	// Quarantine, where set, is given a batch that the sink will never take for
	// what is in it; see Refused. When it has kept it durably the shipper goes on
	// behind it.
	Quarantine func(b *Batch, cause error) error
}

// Shipper brings the journal's records to one sink: a batch is sent again,
// unchanged, until the sink has taken it; then the cursor moves.
type Shipper struct {
	cfg     ShipperConfig
	metrics shipperMetrics
	batch   Batch
}

// NewShipper makes a Shipper. Run does the work.
func NewShipper(cfg ShipperConfig) *Shipper {
	if cfg.MaxRecords <= 0 {
		cfg.MaxRecords = 500
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 2 << 20
	}
	if cfg.MinBackoff <= 0 {
		cfg.MinBackoff = 100 * time.Millisecond
	}
	if cfg.MaxBackoff <= 0 {
		cfg.MaxBackoff = 30 * time.Second
	}
	if cfg.Trouble == nil {
		cfg.Trouble = func(error) {}
	}
	return &Shipper{cfg: cfg, metrics: newShipperMetrics(cfg.Metrics, cfg.Name, cfg.Cursor.Lag)}
}

// StoppedError says that a sink will never take a batch, where that batch is,
// and that the shipper has given up. Nothing was discarded: the journal keeps
// the records, and the sink's cursor stands before them.
type StoppedError struct {
	Sink        string
	Log         string
	First, Last uint64 // of the batch
	Err         error
}

func (e *StoppedError) Error() string {
	return fmt.Sprintf("ship records %d to %d of log %s to %s: %v; the journal keeps them and all that follow, nothing was discarded: "+
		"compare the store with the journal, restore the store from a backup or begin an empty one, and start again (docs/journal.md)",
		e.First, e.Last, e.Log, e.Sink, e.Err)
}

func (e *StoppedError) Unwrap() error { return e.Err }

// Run ships until ctx ends or the journal is closed, and then returns nil. A
// damaged journal stops it with the error that names the place, and a batch
// that the sink says it will never take with a *StoppedError: going on would
// leave out records without a word.
func (s *Shipper) Run(ctx context.Context) error {
	failures := 0
	for {
		err := s.ship(ctx)
		var damage *journal.CorruptionError
		var stopped *StoppedError
		switch {
		case ctx.Err() != nil || errors.Is(err, journal.ErrClosed):
			return nil
		case errors.As(err, &damage) && !isSystem(damage):
			return fmt.Errorf("ship to %s: %w", s.cfg.Name, err)
		case errors.As(err, &stopped):
			s.metrics.errors.Inc()
			s.metrics.stopped.Inc()
			s.cfg.Trouble(err)
			return err
		case err == nil:
			if failures > 0 {
				s.cfg.Trouble(nil)
			}
			failures = 0
			if len(s.batch.Entries) < s.cfg.MaxRecords && s.cfg.Gather > 0 && !pause(ctx, s.cfg.Gather) {
				return nil
			}
			continue
		}
		s.metrics.errors.Inc()
		s.cfg.Trouble(fmt.Errorf("ship to %s: %w", s.cfg.Name, err))
		failures++
		if !pause(ctx, s.backoff(failures)) {
			return nil
		}
	}
}

// isSystem tells a segment that the system does not give now, since its directory
// was moved perhaps, from one whose bytes are wrong.
func isSystem(err error) bool {
	var pe *fs.PathError
	var errno syscall.Errno
	return errors.As(err, &pe) || errors.As(err, &errno)
}

// ship brings one cut into the sink.
func (s *Shipper) ship(ctx context.Context) error {
	cut, err := s.cfg.Cursor.Cut(ctx, s.cfg.MaxRecords, s.cfg.MaxBytes)
	if err != nil {
		return err
	}
	b := &s.batch
	// Their bytes are not held while the next cut is waited for.
	defer func() { clear(b.Entries) }()
	*b = Batch{Log: cut.Log, First: cut.First, Last: cut.Last, Entries: b.Entries[:0]}
	for entry, err := range s.cfg.Cursor.Read(cut) {
		if err != nil {
			return err
		}
		b.Entries = append(b.Entries, entry)
	}
	began := time.Now()
	err = s.cfg.Sink.Write(ctx, b)
	s.metrics.write.Update(time.Since(began).Seconds())
	if refused(err) && s.cfg.Quarantine != nil {
		return s.putAside(cut, err)
	}
	if permanent(err) || refused(err) {
		return &StoppedError{s.cfg.Name, cut.Log, cut.First, cut.Last, err}
	}
	if err != nil {
		return err
	}
	if err := s.cfg.Cursor.Commit(cut); err != nil {
		return err
	}
	s.metrics.batches.Inc()
	s.metrics.records.Add(len(b.Entries))
	s.metrics.rowless.Add(b.Unprojected)
	return nil
}

// putAside keeps a batch where it can be looked at and tried again, and goes on
// behind it. It is not lost sight of: told, counted and kept.
func (s *Shipper) putAside(cut journal.Cut, cause error) error {
	if err := s.cfg.Quarantine(&s.batch, cause); err != nil {
		return fmt.Errorf("put aside records %d to %d of log %s: %w", cut.First, cut.Last, cut.Log, errors.Join(err, cause))
	}
	if err := s.cfg.Cursor.Commit(cut); err != nil {
		return err
	}
	s.metrics.aside.Add(len(s.batch.Entries))
	s.cfg.Trouble(&QuarantinedError{s.cfg.Name, cut.Log, cut.First, cut.Last, cause})
	return nil
}

// refused says whether a sink will never take a batch for what is in it, while
// it may take those behind it.
func refused(err error) bool {
	var r interface{ Refused() bool }
	return errors.As(err, &r) && r.Refused()
}

// permanent says whether a sink's error will be the same at every try.
func permanent(err error) bool {
	var p interface{ Permanent() bool }
	return errors.As(err, &p) && p.Permanent()
}

// backoff doubles with each failure in a row; half of it is left to chance,
// so that many gateways do not come back to one store in step.
func (s *Shipper) backoff(failures int) time.Duration {
	d := s.cfg.MaxBackoff
	if shift := failures - 1; shift < 20 {
		d = min(d, s.cfg.MinBackoff<<shift)
	}
	return d/2 + rand.N(d/2+1)
}

// pause reports false where ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
