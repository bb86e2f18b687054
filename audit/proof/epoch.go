package proof

import (
	"errors"
	"fmt"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/ledger"
)

// tend writes the records that the proof itself needs: the first of an epoch,
// where none is open or the open one is old enough, and that of a new key. What
// they mean happens when they are read.
func (k *Keeper) tend() error {
	if k.announced > k.state.seq {
		return nil // it is on its way
	}
	switch {
	case k.state.log != k.cfg.Journal.ID():
		// Nothing of this log has been read. Whatever an earlier one's tree
		// covers, its own checkpoints say.
		if err := k.change(k.cfg.Journal.ID()); err != nil {
			return err
		}
		fallthrough
	case k.state.epoch == 0:
		return k.begin("the first epoch of this log")
	case k.cfg.Now().Sub(k.state.began) >= k.cfg.Epoch:
		return k.begin(fmt.Sprintf("the epoch before is %s old", k.cfg.Epoch))
	case k.cfg.Next != nil && !k.asked && k.state.key == k.cfg.Signer.Verifier():
		return k.announceKey()
	}
	return nil
}

// tries is how often one call of begin reads on to the journal's end. The
// journal gets ahead only by a commit within the moment from the last look to
// the lock, so that a few do.
const tries = 100

// begin appends the record that begins an epoch. Between the final checkpoint in
// it and the record itself no other can fall: the last records before it, which
// are not durable yet, are hashed while nobody can append.
func (k *Keeper) begin(why string) error {
	tree, read := k.state.tree.Clone(), k.state.seq
	add := func(e journal.Entry) {
		tree.Append(k.leaves.Leaf(e.Salt[:], e.Bytes))
	}
	previous := audit.Epoch{Previous: k.state.epoch}
	s := k.signer()
	if s == nil {
		return errors.New("the key that signs this log is not at hand")
	}
	for range tries {
		if durable := k.cfg.Journal.Stats().Durable; durable > read {
			for e, err := range k.cursor.Read(journal.Cut{Log: k.state.log, First: read + 1, Last: durable}) {
				if err != nil {
					return err
				}
				add(e)
			}
			read = durable
		}
		var signing error
		ticket, err := k.cfg.Recorder.SystemBehind(read, add, func() audit.System {
			if previous.Previous > 0 {
				final := ledger.Tree{Origin: k.origin(k.state.epoch), Size: tree.End(), Root: tree.Root()}
				previous.Checkpoint, signing = ledger.Sign(final, s)
			}
			return previous.System(why)
		})
		if errors.Is(err, journal.ErrBehind) {
			continue
		}
		if err = errors.Join(err, signing); err != nil {
			return fmt.Errorf("begin an epoch: %w", err)
		}
		k.announced = ticket.Seq()
		return nil
	}
	return fmt.Errorf("begin an epoch: %w", journal.ErrBehind)
}

// turn closes the open epoch, where there is one, and opens the next.
func (k *Keeper) turn(seq uint64, said *audit.Epoch) error {
	if k.state.epoch > 0 {
		if err := k.finish(seq, said); err != nil {
			return err
		}
	}
	k.state.epoch, k.state.began = seq, k.state.at
	k.state.tree, k.state.signed, k.state.marks = ledger.Range{}, 0, nil
	k.metrics.epochs.Inc()
	return nil
}

// finish publishes the final checkpoint of the open epoch: the one that the
// first record of the next one has. That it names another tree than the journal
// makes can only be a mistake, and what is signed cannot be taken back.
func (k *Keeper) finish(seq uint64, said *audit.Epoch) error {
	tree, err := ledger.ReadTree(said.Checkpoint)
	if err != nil || said.Previous != k.state.epoch || tree != k.tree() {
		return &brokenError{seq, fmt.Errorf("it says that epoch %d ends as %v (%v), the journal ends it as %v", said.Previous, tree, err, k.tree())}
	}
	return k.publish(tree, said.Checkpoint)
}

// announceKey writes down that the next key takes over.
func (k *Keeper) announceKey() error {
	statement, err := ledger.SignRotation(k.state.log, k.cfg.Signer, k.cfg.Next)
	if err != nil {
		return fmt.Errorf("sign the key's rotation: %w", err)
	}
	rotation := audit.KeyRotation{Old: k.cfg.Signer.Verifier(), New: k.cfg.Next.Verifier(), Statement: statement}
	ticket, err := k.cfg.Recorder.System(rotation.System())
	if err != nil {
		return fmt.Errorf("record the key's rotation: %w", err)
	}
	k.asked, k.announced = true, ticket.Seq()
	return nil
}

// rotate lets another key sign from here on.
func (k *Keeper) rotate(seq uint64, r *audit.KeyRotation) error {
	if r.Old != k.state.key {
		return &brokenError{seq, fmt.Errorf("a key gives way that does not sign: %s", r.Old)}
	}
	if err := ledger.CheckRotation(r.Statement, k.state.log, r.Old, r.New); err != nil {
		return &brokenError{seq, fmt.Errorf("the key's rotation: %w", err)}
	}
	if err := k.checkpoint(); err != nil { // by the old key, as long as it is there
		return err
	}
	k.state.key = r.New
	return nil
}

// retire lets the old key go once the state no longer needs it.
func (k *Keeper) retire() error {
	if k.cfg.Next == nil || k.state.key != k.cfg.Next.Verifier() {
		return nil
	}
	if err := k.cfg.Rotated(); err != nil {
		return fmt.Errorf("put the new key in its place: %w", err)
	}
	k.cfg.Signer, k.cfg.Next = k.cfg.Next, nil
	return nil
}
