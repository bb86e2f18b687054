package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/ledger"
)

// source is the record that says something.
type source struct {
	log string
	seq uint64
}

func (s source) String() string { return fmt.Sprintf("record %d of log %s", s.seq, s.log) }

type retention struct {
	audit.Retention
	source
	digest audit.LeafDigest
	empty  uint64 // of its records
	late   uint64 // a record of it that is not older than it says; 0: none
}

type erasure struct {
	audit.Erasure
	source
}

type rotation struct {
	audit.KeyRotation
	source
}

// facts are what system records say of other records. They are looked at
// beforehand, since they stand behind what they explain; whether they are proved
// themselves turns out when their turn comes.
type facts struct {
	gaps       map[string][]audit.Span
	retentions map[string][]*retention
	erasures   map[string][]erasure
	rotations  map[string][]rotation
}

func gather(ctx context.Context, store Store, logs []string) (*facts, error) {
	f := &facts{map[string][]audit.Span{}, map[string][]*retention{}, map[string][]erasure{}, map[string][]rotation{}}
	var rows audit.Rows
	for _, log := range logs {
		for row, err := range store.Query(ctx, audit.Filter{View: audit.ViewRecords, Log: log, Kind: audit.KindSystem}) {
			if err != nil {
				return nil, err
			}
			seq, record := uint64(0), ""
			for i, c := range row.Columns {
				switch c {
				case "seq":
					n, _ := row.Values[i].(int64)
					seq = uint64(n)
				case "record":
					record, _ = row.Values[i].(string)
				}
			}
			rows.Reset()
			if audit.Project(log, seq, []byte(record), &rows) != nil || len(rows.System) != 1 {
				continue // the walk names it
			}
			if said, err := audit.ReadFacts(&rows.System[0]); err == nil {
				f.add(source{log, seq}, said)
			}
		}
	}
	for _, list := range f.retentions {
		slices.SortFunc(list, func(a, b *retention) int { return cmp.Compare(a.First, b.First) })
	}
	return f, nil
}

func (f *facts) add(from source, said audit.Facts) {
	switch {
	case said.Gap != nil:
		f.gaps[said.Gap.Log] = append(f.gaps[said.Gap.Log], audit.Span{First: said.Gap.First, Last: said.Gap.Last})
	case said.Retention != nil:
		r := &retention{Retention: *said.Retention, source: from}
		f.retentions[r.Log] = append(f.retentions[r.Log], r)
	case said.Erasure != nil:
		f.erasures[said.Erasure.Log] = append(f.erasures[said.Erasure.Log], erasure{*said.Erasure, from})
	case said.KeyRotation != nil:
		f.rotations[from.log] = append(f.rotations[from.log], rotation{*said.KeyRotation, from})
	}
}

// missing says whether a gap record says that nobody has this number.
func (f *facts) missing(log string, seq uint64) bool {
	return within(f.gaps[log], seq)
}

// unexplained gives what of a hole no gap record explains.
func (f *facts) unexplained(log string, hole audit.Span) (left []audit.Span) {
	at := hole.First
	for at <= hole.Last {
		covered := false
		next := hole.Last + 1
		for _, g := range f.gaps[log] {
			if g.First <= at && at <= g.Last {
				at, covered = g.Last+1, true
				break
			}
			if g.First > at {
				next = min(next, g.First)
			}
		}
		if !covered {
			left = append(left, audit.Span{First: at, Last: next - 1})
			at = next
		}
	}
	return left
}

// erased finds the erasure that names a record.
func (f *facts) erased(log string, seq uint64) (source, bool) {
	for _, e := range f.erasures[log] {
		i, found := slices.BinarySearchFunc(e.Leaves, seq, func(s audit.Span, seq uint64) int {
			switch {
			case s.Last < seq:
				return -1
			case s.First > seq:
				return 1
			}
			return 0
		})
		if found && i < len(e.Leaves) {
			return e.source, true
		}
	}
	return source{}, false
}

// keys are the keys that sign a log, each from a record on.
type keys struct {
	known []ledger.Verifier // where no rotation is recorded: any of these
	from  []uint64
	keys  []ledger.Verifier
}

// keysOf follows the rotations of a log. One key of the chain must be known: the
// old key says which one follows it, the new one which it follows.
func keysOf(f *facts, log string, known []ledger.Verifier) keys {
	k := keys{known: known}
	trusted := false
	for i, r := range f.rotations[log] {
		if ledger.CheckRotation(r.Statement, log, r.Old, r.New) != nil || i > 0 && f.rotations[log][i-1].New != r.Old {
			return keys{known: known}
		}
		from, err := ledger.NewVerifier(r.Old)
		to, err2 := ledger.NewVerifier(r.New)
		if err != nil || err2 != nil {
			return keys{known: known}
		}
		if i == 0 {
			k.from, k.keys = append(k.from, 0), append(k.keys, from)
		}
		k.from, k.keys = append(k.from, r.seq), append(k.keys, to)
		trusted = trusted || isKnown(known, from) || isKnown(known, to)
	}
	if !trusted {
		return keys{known: known}
	}
	return k
}

func isKnown(known []ledger.Verifier, v ledger.Verifier) bool {
	return slices.ContainsFunc(known, func(k ledger.Verifier) bool { return k.Public() == v.Public() })
}

// at gives the keys that may have signed a checkpoint whose last leaf is that
// record.
func (k keys) at(seq uint64) []ledger.Verifier {
	if len(k.keys) == 0 {
		return k.known
	}
	i := len(k.from) - 1
	for k.from[i] > seq {
		i--
	}
	return k.keys[i : i+1]
}

// all gives every key that may have signed something of this log.
func (k keys) all() []ledger.Verifier {
	if len(k.keys) == 0 {
		return k.known
	}
	return k.keys
}
