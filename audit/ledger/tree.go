package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is the hash of a leaf or node.
type Hash = tlog.Hash

// Leaf is the hash of a record: SHA-256(0x00 ‖ salt ‖ bytes). Without the salt
// nobody can try what an erased record may have said.
func Leaf(salt, record []byte) Hash {
	var l Leaves
	return l.Leaf(salt, record)
}

// leafMark is what a leaf begins with, so that none can be read as a node.
var leafMark = []byte{0}

// Leaves hashes one record after another with the same memory. The zero value
// is ready.
type Leaves struct {
	hash hash.Hash
	sum  Hash
}

// Leaf does what the function Leaf does.
func (l *Leaves) Leaf(salt, record []byte) Hash {
	if l.hash == nil {
		l.hash = sha256.New()
	}
	l.hash.Reset()
	l.hash.Write(leafMark)
	l.hash.Write(salt)
	l.hash.Write(record)
	l.hash.Sum(l.sum[:0])
	return l.sum
}

// node is a complete subtree: leaves from index<<level to (index+1)<<level - 1.
type node struct {
	level int
	index int64
	hash  Hash
}

// Range is a run of a tree's leaves from Begin to End - 1, kept as the fewest
// complete subtrees: some forty hashes for a day's leaves. One that begins with 0
// is the whole tree, and is what must be kept to go on with it. The zero value
// is the empty tree.
type Range struct {
	begin, end int64
	nodes      []node
}

// NewRange is an empty run of leaves that begins with the one of that index.
func NewRange(begin int64) Range { return Range{begin: begin, end: begin} }

// ReadRange makes a run of leaves from what Hashes gave.
func ReadRange(begin, end int64, hashes []Hash) (Range, error) {
	r := Range{begin: begin, end: end}
	if begin < 0 || end < begin {
		return Range{}, fmt.Errorf("no tree has leaves %d to %d", begin, end-1)
	}
	for at := begin; at < end; {
		level := bits.Len64(uint64(end-at)) - 1
		if at > 0 {
			level = min(level, bits.TrailingZeros64(uint64(at)))
		}
		if len(r.nodes) == len(hashes) {
			return Range{}, errors.New("there are too few hashes")
		}
		r.nodes = append(r.nodes, node{level, at >> level, hashes[len(r.nodes)]})
		at += 1 << level
	}
	if len(r.nodes) != len(hashes) {
		return Range{}, errors.New("there are too many hashes")
	}
	return r, nil
}

// Begin and End bound the leaves; End is the size where Begin is 0.
func (r *Range) Begin() int64 { return r.begin }
func (r *Range) End() int64   { return r.end }

// Hashes are those of the subtrees, from left to right.
func (r *Range) Hashes() []Hash {
	all := make([]Hash, len(r.nodes))
	for i, n := range r.nodes {
		all[i] = n.hash
	}
	return all
}

// Clone is a copy that goes its own way.
func (r *Range) Clone() Range {
	return Range{r.begin, r.end, append([]node(nil), r.nodes...)}
}

// Append adds the next leaf.
func (r *Range) Append(leaf Hash) {
	n := node{0, r.end, leaf}
	r.end++
	for last := len(r.nodes) - 1; last >= 0; last-- {
		left := r.nodes[last]
		if left.level != n.level || left.index^1 != n.index || n.index&1 == 0 {
			break
		}
		n = node{n.level + 1, n.index >> 1, tlog.NodeHash(left.hash, n.hash)}
		r.nodes = r.nodes[:last]
	}
	r.nodes = append(r.nodes, n)
}

// Root is the hash of the whole tree of a range that begins with 0.
func (r *Range) Root() Hash {
	if r.begin != 0 {
		panic("BUG: the root of a tree whose beginning is not known")
	}
	if r.end == 0 {
		return sha256.Sum256(nil)
	}
	root := r.nodes[len(r.nodes)-1].hash
	for i := len(r.nodes) - 2; i >= 0; i-- {
		root = tlog.NodeHash(r.nodes[i].hash, root)
	}
	return root
}
