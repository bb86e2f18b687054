package ledger

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// hashes is a tree as tlog stores it whole.
type hashes []Hash

func (h hashes) ReadHashes(at []int64) (out []Hash, err error) {
	for _, i := range at {
		out = append(out, h[i])
	}
	return out, nil
}

func leafOf(i int64) Hash { return Leaf([]byte("salt"), fmt.Appendf(nil, "record %d", i)) }

// TestProofs holds what is computed from ranges alone to what tlog computes
// from all hashes of a tree, for every size, leaf and old size up to 70.
func TestProofs(t *testing.T) {
	const most = 70
	var all hashes
	var whole Range
	for size := int64(1); size <= most; size++ {
		stored, err := tlog.StoredHashesForRecordHash(size-1, leafOf(size-1), all)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, stored...)
		whole.Append(leafOf(size - 1))
		root, err := tlog.TreeHash(size, all)
		if err != nil {
			t.Fatal(err)
		}
		if whole.Root() != root || whole.End() != size {
			t.Fatalf("size %d: root %v, want %v", size, whole.Root(), root)
		}
		for i := range size {
			before, behind := span(0, i), span(i+1, size)
			got, err := ProveInclusion(&before, leafOf(i), &behind)
			want, _ := tlog.ProveRecord(size, i, all)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("leaf %d of %d: %v %v, want %v", i, size, got, err, want)
			}
			if err := CheckInclusion(got, i, leafOf(i), size, root); err != nil {
				t.Fatal(err)
			}
			if CheckInclusion(got, i, leafOf(i+1), size, root) == nil {
				t.Fatalf("leaf %d of %d: another leaf passes", i, size)
			}
		}
		for old := int64(1); old <= size; old++ {
			before, added := span(0, old), span(old, size)
			got, err := ProveConsistency(&before, &added)
			want, _ := tlog.ProveTree(size, old, all)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%d to %d: %v %v, want %v", old, size, got, err, want)
			}
			oldRoot, _ := tlog.TreeHash(old, all)
			if err := CheckConsistency(got, old, oldRoot, size, root); err != nil {
				t.Fatal(err)
			}
			if CheckConsistency(got, old, leafOf(99), size, root) == nil {
				t.Fatalf("%d to %d: another old root passes", old, size)
			}
		}
	}
}

func span(begin, end int64) Range {
	r := NewRange(begin)
	for i := begin; i < end; i++ {
		r.Append(leafOf(i))
	}
	return r
}

// TestRangeRestart: a range made from its hashes goes on as the one they are of.
func TestRangeRestart(t *testing.T) {
	for begin := range int64(20) {
		for end := begin; end < 40; end++ {
			r := span(begin, end)
			again, err := ReadRange(begin, end, r.Hashes())
			if err != nil {
				t.Fatalf("%d to %d: %v", begin, end, err)
			}
			r.Append(leafOf(end))
			again.Append(leafOf(end))
			if !slices.Equal(r.Hashes(), again.Hashes()) {
				t.Fatalf("%d to %d: goes another way", begin, end)
			}
			if _, err := ReadRange(begin, end+1, make([]Hash, len(r.Hashes())+1)); err == nil {
				t.Fatalf("%d to %d: too many hashes pass", begin, end)
			}
		}
	}
	if _, err := ReadRange(0, 7, make([]Hash, 2)); err == nil {
		t.Fatal("too few hashes pass")
	}
}

// TestRangesApart: no proof is made from ranges that leave something out.
func TestRangesApart(t *testing.T) {
	a, b := span(0, 4), span(6, 9)
	if _, err := ProveConsistency(&a, &b); err == nil {
		t.Error("consistency over a hole")
	}
	if _, err := ProveInclusion(&a, leafOf(4), &b); err == nil {
		t.Error("inclusion over a hole")
	}
	if err := CheckConsistency(nil, 3, leafOf(1), 2, leafOf(2)); err == nil {
		t.Error("a smaller tree extends a larger one")
	}
	if err := CheckConsistency(nil, 3, leafOf(1), 3, leafOf(2)); err == nil {
		t.Error("two roots of one size")
	}
}

func BenchmarkLeaf(b *testing.B) {
	record := make([]byte, 700)
	salt := make([]byte, 16)
	var l Leaves
	var r Range
	b.ReportAllocs()
	for b.Loop() {
		r.Append(l.Leaf(salt, record))
	}
}
