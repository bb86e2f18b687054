package proof

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/ledger"
)

// CursorName is the keeper's cursor in the journal.
const CursorName = "proof"

// Recorder writes the first record of an epoch, and that of a key's rotation.
type Recorder interface {
	System(s audit.System) (audit.Ticket, error)
	SystemBehind(after uint64, each func(journal.Entry), say func() audit.System) (audit.Ticket, error)
}

// Config is what a Keeper works on. Zero durations and numbers take the
// defaults.
type Config struct {
	Journal  *journal.Journal
	Recorder Recorder
	State    string        // file that holds where the keeper is
	File     string        // file that checkpoints are added to
	Signer   ledger.Signer // signs
	// Next, where set, takes over from Signer; Rotated is told once it has for
	// good, and only then may the old key be removed.
	Next    ledger.Signer
	Rotated func() error

	Epoch  time.Duration // an epoch is at most this long; 24 h
	Every  time.Duration // from one checkpoint to the next; 1 min
	Leaves int           // at most so many leaves behind a checkpoint; 10,000
	// Gather is the pause between two looks at the journal: each costs three
	// syncs. 0: none.
	Gather time.Duration

	Store       audit.CheckpointSink // nil: none
	StoreCursor string               // the store's cursor: a checkpoint follows its records
	Witnesses   []Witness

	Now     func() time.Time // nil: time.Now
	Metrics *metrics.Set
	// Trouble, where set, is told of failures. It must not block.
	Trouble func(error)
}

func (c Config) withDefaults() Config {
	if c.Epoch <= 0 {
		c.Epoch = 24 * time.Hour
	}
	if c.Every <= 0 {
		c.Every = time.Minute
	}
	if c.Leaves <= 0 {
		c.Leaves = 10_000
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Trouble == nil {
		c.Trouble = func(error) {}
	}
	if c.Rotated == nil {
		c.Rotated = func() error { return nil }
	}
	return c
}

// Keeper keeps the proof of one journal. Open and Run are its one goroutine's.
type Keeper struct {
	cfg       Config
	cursor    *journal.Cursor
	state     state
	metrics   keeperMetrics
	leaves    ledger.Leaves
	projector audit.Projector
	rows      audit.Rows

	signedAt  time.Time // when the last checkpoint was made, or the first leaf came behind it
	announced uint64    // record of this keeper's that it has not read yet
	asked     bool      // the key's rotation is written
	book      book
	store     *outbox
	witnesses []*witness
}

// New makes a Keeper. Open and then Run do the work.
func New(cfg Config) *Keeper {
	cfg = cfg.withDefaults()
	k := &Keeper{cfg: cfg, book: book{name: cfg.File}}
	k.metrics = newKeeperMetrics(cfg.Metrics, k)
	if cfg.Store != nil {
		k.store = newOutbox(k)
	}
	for _, w := range cfg.Witnesses {
		k.witnesses = append(k.witnesses, newWitness(w, k))
	}
	return k
}

// Open reads what is durable in the journal and begins an epoch where one is
// due. Nothing else may append meanwhile, so that the first record of a log
// belongs to an epoch. A journal that is damaged, or takes no records, is no
// error of Open: Run says so.
func (k *Keeper) Open(ctx context.Context) error {
	cursor, err := k.cfg.Journal.Cursor(CursorName)
	if err != nil {
		return fmt.Errorf("open the proof's place in the journal: %w", err)
	}
	k.cursor = cursor
	if k.state, err = readState(k.cfg.State); err != nil {
		return fmt.Errorf("read the proof's state: %w", err)
	}
	if k.state.key == "" {
		k.state.key = k.cfg.Signer.Verifier()
	}
	if err := k.takeFile(); err != nil {
		return fmt.Errorf("open the file of checkpoints: %w", err)
	}
	for _, w := range k.witnesses {
		w.restore(&k.state, k.origin(k.state.epoch).String())
	}
	k.signedAt = k.cfg.Now()
	for lag, _ := cursor.Lag(); lag > 0; lag, _ = cursor.Lag() {
		if err := k.follow(ctx); err != nil {
			return ignoreDamage(err)
		}
	}
	if err := k.tend(); err != nil && !unwilling(err) {
		return err
	}
	return nil
}

// ignoreDamage leaves it to Run to fail for damage in the journal.
func ignoreDamage(err error) error {
	var damage *journal.CorruptionError
	if errors.As(err, &damage) {
		return nil
	}
	return err
}

// unwilling says that the journal takes no records now.
func unwilling(err error) bool {
	return errors.Is(err, journal.ErrFull) || errors.Is(err, journal.ErrNotWritable) || errors.Is(err, journal.ErrBacklog) ||
		errors.Is(err, journal.ErrClosed) || errors.Is(err, journal.ErrBehind)
}

// Run follows the journal until ctx ends, makes a last checkpoint, and returns
// nil. An error means that the proof does not go on, for damage in the journal
// for example: its cursor then keeps what it has not read.
func (k *Keeper) Run(ctx context.Context) error {
	sending := k.startSenders()
	defer sending.stop()
	failures := 0
	for ctx.Err() == nil {
		err := k.round(ctx)
		switch {
		case err == nil:
			failures = 0
		case ctx.Err() != nil || errors.Is(err, journal.ErrClosed):
		case errors.As(err, new(*journal.CorruptionError)) || errors.As(err, new(*brokenError)):
			k.metrics.errors.Inc()
			k.metrics.stopped.Set(1)
			return fmt.Errorf("keep the proof: %w", err)
		default:
			k.metrics.errors.Inc()
			failures++
			k.cfg.Trouble(fmt.Errorf("keep the proof: %w", err))
			pause(ctx, min(time.Second<<min(failures, 6), time.Minute))
		}
		if errors.Is(err, journal.ErrClosed) {
			break
		}
	}
	if err := k.checkpoint(); err != nil {
		k.cfg.Trouble(err)
	}
	return nil
}

// round waits for records or for what is due, and does it.
func (k *Keeper) round(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, k.untilDue())
	err := k.follow(waiting)
	cancel()
	if err != nil && !(errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil) {
		return err
	}
	if k.pending() > 0 && (k.pending() >= int64(k.cfg.Leaves) || k.cfg.Now().Sub(k.signedAt) >= k.cfg.Every) {
		if err := k.checkpoint(); err != nil {
			return err
		}
	}
	if err := k.tend(); err != nil {
		if !unwilling(err) {
			return err
		}
		k.metrics.postponed.Inc()
	}
	if k.cfg.Gather > 0 {
		pause(ctx, k.cfg.Gather)
	}
	return nil
}

// pending is how many leaves no checkpoint covers.
func (k *Keeper) pending() int64 { return k.state.tree.End() - k.state.signed }

// untilDue is how long nothing is to do but to read records. Clocks may be set,
// so that it looks again now and then.
func (k *Keeper) untilDue() time.Duration {
	const look = time.Minute
	now, due := k.cfg.Now(), look
	if k.pending() > 0 {
		due = min(due, k.signedAt.Add(k.cfg.Every).Sub(now))
	}
	if k.state.epoch > 0 {
		due = min(due, k.state.began.Add(k.cfg.Epoch).Sub(now))
	}
	return max(due, time.Millisecond)
}

// Of one look at the journal.
const (
	cutRecords = 2000
	cutBytes   = 8 << 20
)

// follow takes the next records into the tree.
func (k *Keeper) follow(ctx context.Context) error {
	records := cutRecords
	if left := int64(k.cfg.Leaves) - k.pending(); left > 0 {
		records = int(min(left, cutRecords))
	}
	cut, err := k.cursor.Cut(ctx, records, cutBytes)
	if err != nil {
		return err
	}
	if err := k.change(cut.Log); err != nil {
		return err
	}
	if k.state.epoch > 0 && cut.First > k.state.seq+1 {
		return &brokenError{cut.First, fmt.Errorf("the proof's state in %s ends with record %d, the journal has passed it: the file is an older copy; "+
			"remove it, and a new epoch begins at the next start", k.cfg.State, k.state.seq)}
	}
	for e, err := range k.cursor.Read(cut) {
		if err != nil {
			return err
		}
		if e.Seq <= k.state.seq {
			continue // the state was saved, and the cursor was not
		}
		if err := k.take(e); err != nil {
			return err
		}
	}
	// Numbers that a gap misses are passed too.
	k.state.seq = max(k.state.seq, cut.Last)
	if err := k.save(); err != nil {
		return err
	}
	if err := k.cursor.Commit(cut); err != nil {
		return err
	}
	return k.retire()
}

// change goes over to another log, where a journal was adopted.
func (k *Keeper) change(log string) error {
	if k.state.log == log {
		return nil
	}
	if err := k.checkpoint(); err != nil {
		return err
	}
	k.state = state{log: log, seq: k.state.seq, key: k.state.key}
	return nil
}

// take takes one record.
func (k *Keeper) take(e journal.Entry) error {
	f, err := k.facts(e)
	if err != nil {
		return err
	}
	if f.Epoch != nil {
		if err := k.turn(e.Seq, f.Epoch); err != nil {
			return err
		}
	}
	if f.KeyRotation != nil {
		if err := k.rotate(e.Seq, f.KeyRotation); err != nil {
			return err
		}
	}
	k.state.seq = e.Seq
	if k.state.epoch == 0 {
		return nil // written before the first epoch
	}
	if k.pending() == 0 {
		k.signedAt = k.cfg.Now()
	}
	leaf := k.leaves.Leaf(e.Salt[:], e.Bytes)
	k.state.tree.Append(leaf)
	for _, m := range k.state.marks {
		m.added.Append(leaf)
	}
	k.metrics.leaves.Inc()
	return nil
}

// kindSystem stands within the first bytes of a system record: only numbers of
// known length stand before it.
var kindSystem = []byte(`"kind":"system"`)

const kindWithin = 192

// facts reads what a system record says of the proof, of other records nothing.
func (k *Keeper) facts(e journal.Entry) (f audit.Facts, err error) {
	if !bytes.Contains(e.Bytes[:min(len(e.Bytes), kindWithin)], kindSystem) {
		return f, nil
	}
	k.rows.Reset()
	if err := k.projector.Project(k.state.log, e.Seq, e.Bytes, &k.rows); err != nil || len(k.rows.System) != 1 {
		return f, nil // of a later version; it is a leaf like any other
	}
	s := &k.rows.System[0]
	if s.What != audit.SystemEpoch && s.What != audit.SystemKeyRotation {
		return f, nil
	}
	k.state.at = s.At
	if f, err = audit.ReadFacts(s); err != nil {
		return f, &brokenError{e.Seq, err}
	}
	return f, nil
}

// brokenError says that a record about the proof is not what it must be.
type brokenError struct {
	seq uint64
	err error
}

func (b *brokenError) Error() string { return fmt.Sprintf("record %d: %v", b.seq, b.err) }
func (b *brokenError) Unwrap() error { return b.err }

// checkpoint signs the tree as it is, where that is more than was signed.
func (k *Keeper) checkpoint() error {
	if k.state.epoch == 0 || k.pending() == 0 {
		return nil
	}
	s := k.signer()
	if s == nil {
		return nil // the key is gone, the next record says which one follows
	}
	note, err := ledger.Sign(k.tree(), s)
	if err != nil {
		return fmt.Errorf("sign a checkpoint: %w", err)
	}
	return k.publish(k.tree(), note)
}

// tree is the open epoch's as it is.
func (k *Keeper) tree() ledger.Tree {
	return ledger.Tree{Origin: k.origin(k.state.epoch), Size: k.state.tree.End(), Root: k.state.tree.Root()}
}

func (k *Keeper) origin(epoch uint64) ledger.Origin {
	site, err := ledger.Site(k.cfg.Signer.Name())
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return ledger.Origin{Site: site, Log: k.state.log, Epoch: epoch}
}

// signer is the key in force, nil where it is not at hand.
func (k *Keeper) signer() ledger.Signer {
	for _, s := range []ledger.Signer{k.cfg.Signer, k.cfg.Next} {
		if s != nil && s.Verifier() == k.state.key {
			return s
		}
	}
	return nil
}

// publish hands a checkpoint of the open epoch out. It is in the file before
// anybody else has it.
func (k *Keeper) publish(t ledger.Tree, note string) error {
	c := audit.Checkpoint{Log: t.Origin.Log, Epoch: t.Origin.Epoch, Size: t.Size, Last: k.state.seq, Note: note}
	if err := k.book.add(note); err != nil {
		return fmt.Errorf("write a checkpoint to %s: %w", k.cfg.File, err)
	}
	k.state.signed, k.signedAt = t.Size, k.cfg.Now()
	k.metrics.checkpoints.Inc()
	// What the claim may make a witness hold must be in the state before.
	var made claim
	if len(k.witnesses) > 0 {
		var err error
		if made, err = k.claim(t, c); err != nil {
			return err
		}
	}
	if err := k.save(); err != nil {
		return err
	}
	for _, w := range k.witnesses {
		w.offer(made)
	}
	if k.store != nil {
		k.store.put(c)
	}
	return nil
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
