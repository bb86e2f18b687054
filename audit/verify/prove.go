package verify

import (
	"context"
	"fmt"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/ledger"
)

// Proof shows that one record is in a signed tree.
type Proof struct {
	Log        string
	Seq        uint64
	Epoch      uint64
	Index      int64 // of the leaf in the tree
	Size       int64
	Salt       []byte // salt and record are empty where the record was emptied
	Record     []byte
	Leaf       ledger.Hash
	Hashes     []ledger.Hash // inclusion proof, RFC 6962 section 2.1.1
	Checkpoint string
}

// Prove makes the proof of one record from what a store holds. It is for others
// to check: whether the checkpoint is signed by a key that they trust is theirs
// to say.
func Prove(ctx context.Context, store audit.LedgerReader, log string, seq uint64) (*Proof, error) {
	c, err := covering(ctx, store, log, seq)
	if err != nil {
		return nil, err
	}
	tree, err := ledger.ReadTree(c.Note)
	if err != nil {
		return nil, fmt.Errorf("checkpoint of epoch %d and %d leaves: %w", c.Epoch, c.Size, err)
	}
	p := &Proof{Log: log, Seq: seq, Epoch: tree.Origin.Epoch, Index: -1, Size: tree.Size, Checkpoint: c.Note}
	var before, behind ledger.Range
	leaves := int64(0)
	for r, err := range store.Ledger(ctx, log, c.Epoch) {
		if err != nil {
			return nil, err
		}
		if leaves == tree.Size {
			break
		}
		var leaf ledger.Hash
		copy(leaf[:], r.Leaf)
		switch {
		case r.Seq == seq:
			p.Index, p.Leaf, p.Salt, p.Record = leaves, leaf, r.Salt, r.Bytes
			behind = ledger.NewRange(leaves + 1)
		case p.Index < 0:
			before.Append(leaf)
		default:
			behind.Append(leaf)
		}
		leaves++
	}
	if p.Index < 0 || leaves < tree.Size {
		return nil, fmt.Errorf("the store has no such record, or not all %d leaves of epoch %d: run audit verify", tree.Size, c.Epoch)
	}
	if p.Hashes, err = ledger.ProveInclusion(&before, p.Leaf, &behind); err != nil {
		return nil, err
	}
	if err := ledger.CheckInclusion(p.Hashes, p.Index, p.Leaf, tree.Size, tree.Root); err != nil {
		return nil, fmt.Errorf("the records of epoch %d are not those that were signed: run audit verify", c.Epoch)
	}
	return p, nil
}

// covering finds the checkpoint to prove a record by: of its epoch the smallest
// with the most signatures.
func covering(ctx context.Context, store audit.LedgerReader, log string, seq uint64) (best audit.Checkpoint, err error) {
	most := 0
	for c, err := range store.Checkpoints(ctx, log) {
		if err != nil {
			return best, err
		}
		if c.Epoch > seq || c.Last < seq {
			continue
		}
		if n := len(ledger.SignedBy(c.Note)); n > most || c.Epoch > best.Epoch {
			best, most = c, n
		}
	}
	if best.Note == "" {
		return best, fmt.Errorf("no checkpoint in the store covers record %d of log %s: it is new, or from before the first epoch", seq, log)
	}
	return best, nil
}
