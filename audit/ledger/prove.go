package ledger

import (
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// errApart says that ranges do not make up the tree asked about.
var errApart = errors.New("the ranges do not lie side by side from the first leaf on")

// MaxProof is how many hashes a proof has at the most.
const MaxProof = 63

// ProveInclusion proves that the leaf between two ranges, before and behind it,
// is in the tree of behind.End leaves, as RFC 6962 section 2.1.1 has it.
func ProveInclusion(before *Range, leaf Hash, behind *Range) ([]Hash, error) {
	if before.begin != 0 || behind.begin != before.end+1 {
		return nil, errApart
	}
	index := before.end
	all := subtrees{}
	all.add(before)
	all.nodes = append(all.nodes, node{0, index, leaf})
	all.add(behind)
	return all.path(0, behind.end, index)
}

// ProveConsistency proves that the tree of old.End leaves is the beginning of
// that of added.End, as RFC 6962 section 2.1.2 has it. Between a tree and the
// empty one, and between equal ones, there is nothing to prove.
func ProveConsistency(old, added *Range) ([]Hash, error) {
	if old.begin != 0 || added.begin != old.end {
		return nil, errApart
	}
	if old.end == 0 || old.end == added.end {
		return nil, nil
	}
	all := subtrees{}
	all.add(old)
	all.add(added)
	return all.consistent(0, added.end, old.end, true)
}

// CheckConsistency checks what ProveConsistency proves.
func CheckConsistency(proof []Hash, old int64, oldRoot Hash, size int64, root Hash) error {
	switch {
	case old < 0 || size < old:
		return fmt.Errorf("a tree of %d leaves does not extend one of %d", size, old)
	case old == size && oldRoot != root:
		return errors.New("two trees of one size have different roots")
	case old == 0 || old == size:
		if len(proof) > 0 {
			return errors.New("the proof has hashes where nothing is to be proved")
		}
		return nil
	case len(proof) > MaxProof:
		return errors.New("the proof is too long")
	}
	return tlog.CheckTree(proof, size, root, old, oldRoot)
}

// CheckInclusion checks what ProveInclusion proves.
func CheckInclusion(proof []Hash, index int64, leaf Hash, size int64, root Hash) error {
	if index < 0 || index >= size || len(proof) > MaxProof {
		return fmt.Errorf("no proof shows leaf %d in a tree of %d", index, size)
	}
	return tlog.CheckRecord(proof, size, root, index, leaf)
}

// subtrees are the complete subtrees that ranges side by side consist of.
type subtrees struct{ nodes []node }

func (s *subtrees) add(r *Range) { s.nodes = append(s.nodes, r.nodes...) }

// hash is that of the leaves lo to hi-1, which are a subtree of a proof.
func (s *subtrees) hash(lo, hi int64) (Hash, error) {
	for _, n := range s.nodes {
		if n.index<<n.level == lo && (n.index+1)<<n.level == hi {
			return n.hash, nil
		}
	}
	if hi-lo < 2 {
		return Hash{}, errApart
	}
	k := split(hi - lo)
	left, err := s.hash(lo, lo+k)
	if err != nil {
		return Hash{}, err
	}
	right, err := s.hash(lo+k, hi)
	return tlog.NodeHash(left, right), err
}

// path is the proof of the leaf index within the subtree of lo to hi-1.
func (s *subtrees) path(lo, hi, index int64) ([]Hash, error) {
	if hi-lo == 1 {
		return nil, nil
	}
	k := lo + split(hi-lo)
	if index < k {
		proof, err := s.path(lo, k, index)
		return s.with(proof, err, k, hi)
	}
	proof, err := s.path(k, hi, index)
	return s.with(proof, err, lo, k)
}

// consistent is the proof that the leaves lo to old-1 begin the subtree of lo
// to hi-1. Whole: whoever checks has the hash of the former.
func (s *subtrees) consistent(lo, hi, old int64, whole bool) ([]Hash, error) {
	if old == hi && whole {
		return nil, nil
	}
	if old == hi {
		return s.with(nil, nil, lo, hi)
	}
	k := lo + split(hi-lo)
	if old <= k {
		proof, err := s.consistent(lo, k, old, whole)
		return s.with(proof, err, k, hi)
	}
	proof, err := s.consistent(k, hi, old, false)
	return s.with(proof, err, lo, k)
}

// with adds the hash of a subtree to a proof.
func (s *subtrees) with(proof []Hash, err error, lo, hi int64) ([]Hash, error) {
	if err != nil {
		return nil, err
	}
	h, err := s.hash(lo, hi)
	return append(proof, h), err
}

// split is the largest power of two below n, which is 2 or more.
func split(n int64) int64 { return 1 << (bits.Len64(uint64(n-1)) - 1) }
