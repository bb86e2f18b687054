package storetest

import (
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/verify"
)

// Hand is whoever can write to a store behind its back. All its methods fail the
// test where they change nothing.
type Hand interface {
	// Take removes the records of a log from one number to another, with every row
	// that was made from them.
	Take(t TB, log string, first, last uint64)
	// Forge gives a record another leaf, salt and bytes, in the ledger alone.
	Forge(t TB, log string, seq uint64, leaf, salt, record []byte)
	// Double adds a record's row of the ledger once more.
	Double(t TB, log string, seq uint64)
	// Alter changes the value of the parameter that a record set, TakeRow removes
	// its row of RPCs, and AddRow gives it one of system events.
	Alter(t TB, log string, seq uint64)
	TakeRow(t TB, log string, seq uint64)
	AddRow(t TB, log string, seq uint64)
	// TakeCheckpoints removes the checkpoints of an epoch with more leaves than
	// these.
	TakeCheckpoints(t TB, log string, epoch uint64, size int64)
}

// evidence is a store with a log of three epochs, and what is known of it.
type evidence struct {
	t     T
	store Ledger
	hand  Hand
	log   *Proved

	oldKey    string
	witness   []string
	epochs    [3]uint64
	set       uint64   // a SetParameterValues of the first epoch
	other     uint64   // one of another device, of the second
	gap       uint64   // a number that nobody has
	late      uint64   // one behind the last checkpoint but the final one of the first epoch
	newest    uint64   // the last of all
	erased    uint64   // a record that an erasure names
	expired   []uint64 // two that a retention is about
	kept      uint64   // one like them that it is not about
	tail      uint64   // the first that no checkpoint covers
	uncovered int      // how many
}

// gather makes a store that is as it should be.
func gather(t T, store Ledger, hand Hand) *evidence {
	e := &evidence{t: t, store: store, hand: hand, log: NewProved(t, "proved")}
	p := e.log
	e.oldKey = p.vkey
	e.epochs[0] = p.first
	p.Start()
	e.set = p.Work(router, "one")
	p.Checkpoint()
	e.gap = p.Gap(3) - 2
	p.Work(modem, "two")
	e.erased = p.Work(router, "three")
	p.Erasure(fmt.Sprint(e.erased))
	expired := p.Refusal("doctype", 1)
	p.Refusal("doctype", 2)
	e.expired = []uint64{expired, expired + 1}
	p.Retention("refusal", expired, expired+1)
	p.Checkpoint()
	e.kept = p.Refusal("doctype", 3)
	e.late = p.Work(modem, "four")
	e.epochs[1] = p.Epoch()
	e.other = p.Work(modem, "five")
	p.Checkpoint()
	p.Rotate()
	p.Work(router, "six")
	p.Checkpoint()
	p.Work(router, "seven")
	e.epochs[2] = p.Epoch()
	p.Work(modem, "eight")
	p.Checkpoint()
	e.newest = p.Work(router, "nine")
	p.Checkpoint()
	e.tail = p.Last() + 1
	p.System("stop", "stopped")
	p.System("start", "started")
	e.uncovered = 2

	write(t, store, p.All())
	for _, c := range p.Checkpoints {
		e.witness = append(e.witness, c.Note)
		if err := store.AddCheckpoint(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	e.empty(append(e.expired, e.erased)...)
	return e
}

func (e *evidence) entry(seq uint64) *journal.Entry {
	e.t.Helper()
	for i := range e.log.Entries {
		if e.log.Entries[i].Seq == seq {
			return &e.log.Entries[i]
		}
	}
	e.t.Fatalf("there is no record %d", seq)
	return nil
}

// empty takes bytes and salts of records, and their rows, as an erasure does.
func (e *evidence) empty(all ...uint64) {
	e.t.Helper()
	for _, seq := range all {
		r := e.entry(seq)
		leaf := leafOf(r.Salt[:], r.Bytes)
		e.hand.Forge(e.t, e.log.ID, seq, leaf[:], nil, nil)
	}
	e.rebuild()
}

func (e *evidence) rebuild() {
	e.t.Helper()
	if err := e.store.Rebuild(e.t.Context()); err != nil {
		e.t.Fatal(err)
	}
}

// forge changes the text of a record and makes its leaf and all rows fit.
func (e *evidence) forge(seq uint64, from, to string) {
	e.t.Helper()
	r := e.entry(seq)
	if !strings.Contains(string(r.Bytes), from) {
		e.t.Fatalf("record %d has no %q: %s", seq, from, r.Bytes)
	}
	r.Bytes = []byte(strings.Replace(string(r.Bytes), from, to, 1))
	leaf := leafOf(r.Salt[:], r.Bytes)
	e.hand.Forge(e.t, e.log.ID, seq, leaf[:], r.Salt[:], r.Bytes)
	e.rebuild()
}

// resign signs the last epoch, as the store has it, with a key of its own choice.
func (e *evidence) resign(private string) {
	e.t.Helper()
	e.hand.TakeCheckpoints(e.t, e.log.ID, e.epochs[2], 0)
	var leaves []tlog.Hash
	for _, r := range e.log.Entries {
		if r.Seq >= e.epochs[2] && r.Seq < e.tail {
			leaves = append(leaves, leafOf(r.Salt[:], r.Bytes))
		}
	}
	for _, behind := range []int{1, 0} { // the first of them of a size that nobody else has seen
		c := e.log.signed(private, e.log.ID, e.epochs[2], leaves[:len(leaves)-behind])
		c.Last = e.tail - 1 - uint64(behind)
		if err := e.store.AddCheckpoint(e.t.Context(), c); err != nil {
			e.t.Fatal(err)
		}
	}
}

func (e *evidence) verify(keys []string, witness []string) *verify.Report {
	e.t.Helper()
	r, err := verify.Run(e.t.Context(), verify.Config{Store: e.store, Keys: Keys(e.t, keys...), Witness: witness})
	if err != nil {
		e.t.Fatal(err)
	}
	return r
}

// finding is what is to be said of the first bad record.
type finding struct {
	what        string
	first, last uint64
}

// RunVerify runs the part of the suite that tampers with a store: whatever is
// done to it is found, by the record that it was done to. open gives a new,
// empty, opened store and a hand on it.
func RunVerify(t T, open func(t T) (Ledger, Hand)) {
	t.Run("right", func(t T) {
		s, h := open(t)
		right(t, gather(t, s, h))
	})
	for _, test := range tamperings {
		t.Run(test.name, func(t T) {
			s, h := open(t)
			e := gather(t, s, h)
			test.tamper(e)
			keys := []string{e.oldKey, e.log.vkey}
			if test.witness {
				if r := e.verify(keys, nil); !r.Right() {
					t.Errorf("without a witness: %+v", r.Findings)
				}
			}
			r := e.verify(keys, e.witness)
			if !test.witness {
				r = e.verify(keys, nil)
			}
			want := test.want(e)
			switch worst := r.Worst(); {
			case worst == nil:
				t.Fatalf("nothing was found: %+v", r.Logs)
			case worst.What != want.what || worst.First != want.first || worst.Last != want.last || worst.Log != e.log.ID:
				t.Errorf("found %+v, want %+v", *worst, want)
			}
			if bad := want.last - want.first + 1; want.what == verify.Altered && bad > 1 && r.Logs[0].Proved > r.Logs[0].Records-bad {
				t.Errorf("%d of %d records are said to be proved, %d are not", r.Logs[0].Proved, r.Logs[0].Records, bad)
			}
			if test.alone && r.Count != 1 {
				t.Errorf("%d findings: %+v", r.Count, r.Findings)
			}
		})
	}
}

// right: a store that nobody touched is said to be right, by either key, with and
// without a witness, and what no checkpoint covers is told.
func right(t T, e *evidence) {
	for name, keys := range map[string][]string{"new key": {e.log.vkey}, "old key": {e.oldKey}, "both": {e.oldKey, e.log.vkey}} {
		for _, witness := range [][]string{nil, e.witness} {
			r := e.verify(keys, witness)
			if !r.Right() || len(r.Logs) != 1 {
				t.Fatalf("%s: %+v", name, r.Findings)
			}
			l := r.Logs[0]
			records := uint64(len(e.log.Entries))
			if l.Records != records || l.Proved != records-uint64(e.uncovered) || l.Erased != 1 || l.Expired != 2 || l.Epochs != 3 || (l.Witnessed > 0) != (witness != nil) {
				t.Errorf("%s: %+v", name, l)
			}
			if len(l.Unproved) != 1 || l.Unproved[0].First != e.tail || l.Unproved[0].Last != e.log.Last() {
				t.Errorf("%s: outside the proof: %+v", name, l.Unproved)
			}
		}
	}
	gone := e.verify([]string{e.log.vkey}, []string{e.log.signed(e.log.skey, strings.Repeat("ab", 16), 1, leavesOf(e.log.Entries)).Note})
	if w := gone.Worst(); w == nil || w.What != verify.Missing || w.Log != strings.Repeat("ab", 16) {
		t.Errorf("a log that only the witness knows: %+v", gone.Findings)
	}
	_, stranger := key(t)
	if r := e.verify([]string{stranger}, nil); r.Right() || r.Worst().What != verify.Foreign {
		t.Errorf("by a key that has nothing to do with it: %+v", r.Findings)
	}
	defer func() {
		e.hand.TakeCheckpoints(t, e.log.ID, e.epochs[2], 0)
		if r := e.verify([]string{e.log.vkey}, nil); !r.Right() || len(r.Logs[0].Unproved) != 1 || r.Logs[0].Unproved[0].First != e.epochs[2] {
			t.Errorf("checkpoints taken away: %+v %+v", r.Findings, r.Logs)
		}
		if r := e.verify([]string{e.log.vkey}, e.witness); !r.Right() || r.Logs[0].Unproved[0].First != e.tail {
			t.Errorf("checkpoints that the witness alone has: %+v %+v", r.Findings, r.Logs)
		}
	}()
	for i, first := range e.epochs {
		r, err := verify.Run(t.Context(), verify.Config{Store: e.store, Keys: Keys(t, e.log.vkey), Witness: e.witness, Since: e.log.At(first)})
		if err != nil || !r.Right() || r.Logs[0].First != first || r.Logs[0].Epochs != 3-i {
			t.Errorf("since epoch %d: %v %+v", first, err, r)
		}
	}
}

var tamperings = []struct {
	name    string
	tamper  func(e *evidence)
	want    func(e *evidence) finding
	witness bool // it takes a witness
	alone   bool // and nothing else is said
}{
	{name: "altered", alone: true, tamper: func(e *evidence) {
		r := e.entry(e.set)
		leaf := leafOf(r.Salt[:], r.Bytes)
		e.hand.Forge(e.t, e.log.ID, e.set, leaf[:], r.Salt[:], []byte(strings.Replace(string(r.Bytes), "192.0.2.1", "192.0.2.9", 1)))
	}, want: func(e *evidence) finding { return finding{verify.Altered, e.set, e.set} }},
	{name: "another salt", alone: true, tamper: func(e *evidence) {
		r := e.entry(e.set)
		leaf := leafOf(r.Salt[:], r.Bytes)
		e.hand.Forge(e.t, e.log.ID, e.set, leaf[:], []byte("another salt of."), r.Bytes)
	}, want: func(e *evidence) finding { return finding{verify.Altered, e.set, e.set} }},
	{name: "altered with its leaf and rows", alone: true, tamper: func(e *evidence) {
		e.forge(e.set, "192.0.2.1", "192.0.2.9")
	}, want: func(e *evidence) finding { return finding{verify.Altered, 1, e.log.Checkpoints[0].Last} }},
	{name: "altered with its leaf, behind a checkpoint", alone: true, tamper: func(e *evidence) {
		e.forge(e.late, "job-four", "job-five")
	}, want: func(e *evidence) finding {
		return finding{verify.Altered, e.log.Checkpoints[1].Last + 1, e.epochs[1] - 1}
	}},
	{name: "deleted", alone: true, tamper: func(e *evidence) {
		e.hand.Take(e.t, e.log.ID, e.set, e.set)
	}, want: func(e *evidence) finding { return finding{verify.Missing, e.set, e.set} }},
	{name: "the end of an epoch deleted", alone: true, tamper: func(e *evidence) {
		e.hand.Take(e.t, e.log.ID, e.epochs[1]-4, e.epochs[1]-1)
		e.hand.TakeCheckpoints(e.t, e.log.ID, e.epochs[0], e.log.Checkpoints[1].Size)
	}, want: func(e *evidence) finding { return finding{verify.Missing, e.epochs[1] - 4, e.epochs[1] - 1} }},
	{name: "the first record of an epoch deleted", alone: true, tamper: func(e *evidence) {
		e.hand.Take(e.t, e.log.ID, e.epochs[1], e.epochs[1])
	}, want: func(e *evidence) finding { return finding{verify.Missing, e.epochs[1], e.epochs[1]} }},
	{name: "the first record of all deleted", alone: true, tamper: func(e *evidence) {
		e.hand.Take(e.t, e.log.ID, e.epochs[0], e.epochs[0])
	}, want: func(e *evidence) finding { return finding{verify.Missing, e.epochs[0], e.epochs[0]} }},
	{name: "a whole epoch deleted", alone: true, tamper: func(e *evidence) {
		e.hand.Take(e.t, e.log.ID, e.epochs[1], e.epochs[2]-1)
		e.hand.TakeCheckpoints(e.t, e.log.ID, e.epochs[1], 0)
	}, want: func(e *evidence) finding { return finding{verify.Missing, e.epochs[1], e.epochs[2] - 1} }},
	{name: "the first epoch deleted", alone: true, tamper: func(e *evidence) {
		e.hand.Take(e.t, e.log.ID, e.epochs[0], e.epochs[1]-1)
		e.hand.TakeCheckpoints(e.t, e.log.ID, e.epochs[0], 0)
	}, want: func(e *evidence) finding { return finding{verify.Missing, e.epochs[0], e.epochs[1] - 1} }},
	{name: "added", alone: true, tamper: func(e *evidence) {
		e.hand.Double(e.t, e.log.ID, e.other)
	}, want: func(e *evidence) finding { return finding{verify.Added, e.other, e.other} }},
	{name: "added where a gap is", alone: true, tamper: func(e *evidence) {
		r := *e.entry(e.set)
		r.Seq = e.gap
		r.Bytes = []byte(strings.Replace(string(r.Bytes), fmt.Sprintf(`"seq":%d,`, e.set), fmt.Sprintf(`"seq":%d,`, e.gap), 1))
		write(e.t, e.store, &audit.Batch{Log: e.log.ID, First: e.gap, Last: e.gap, Entries: []journal.Entry{r}})
	}, want: func(e *evidence) finding { return finding{verify.Added, e.gap, e.gap} }},
	{name: "exchanged between devices", tamper: func(e *evidence) {
		a, b := *e.entry(e.set), *e.entry(e.other)
		x, y := leafOf(a.Salt[:], a.Bytes), leafOf(b.Salt[:], b.Bytes)
		e.hand.Forge(e.t, e.log.ID, e.set, y[:], b.Salt[:], b.Bytes)
		e.hand.Forge(e.t, e.log.ID, e.other, x[:], a.Salt[:], a.Bytes)
	}, want: func(e *evidence) finding { return finding{verify.Altered, e.set, e.set} }},
	{name: "a row altered", alone: true, tamper: func(e *evidence) {
		e.hand.Alter(e.t, e.log.ID, e.set)
	}, want: func(e *evidence) finding { return finding{verify.Altered, e.set, e.set} }},
	{name: "a row taken away", alone: true, tamper: func(e *evidence) {
		e.hand.TakeRow(e.t, e.log.ID, e.other)
	}, want: func(e *evidence) finding { return finding{verify.Missing, e.other, e.other} }},
	{name: "a row added", alone: true, tamper: func(e *evidence) {
		e.hand.AddRow(e.t, e.log.ID, e.other)
	}, want: func(e *evidence) finding { return finding{verify.Added, e.other, e.other} }},
	{name: "emptied without a word", alone: true, tamper: func(e *evidence) {
		e.empty(e.set)
	}, want: func(e *evidence) finding { return finding{verify.Missing, e.set, e.set} }},
	{name: "emptied beyond a retention", alone: true, tamper: func(e *evidence) {
		e.empty(e.kept)
	}, want: func(e *evidence) finding { return finding{verify.Missing, e.kept, e.kept} }},
	{name: "emptied by a retention that was made up", alone: true, tamper: func(e *evidence) {
		e.empty(e.kept)
		seq := e.log.Retention("refusal", e.kept, e.kept)
		write(e.t, e.store, e.log.Batch(seq, seq))
	}, want: func(e *evidence) finding { return finding{verify.Missing, e.kept, e.kept} }},
	{name: "emptied by an erasure that was made up", alone: true, tamper: func(e *evidence) {
		e.empty(e.set)
		seq := e.log.Erasure(fmt.Sprint(e.set))
		write(e.t, e.store, e.log.Batch(seq, seq))
	}, want: func(e *evidence) finding { return finding{verify.Missing, e.set, e.set} }},
	{name: "taken away, and a gap made up", alone: true, tamper: func(e *evidence) {
		e.hand.Take(e.t, e.log.ID, e.set, e.set)
		seq := e.log.add("system", member("what", "gap"), `"detail":`+object(member("log", e.log.ID), number0("first", e.set), number0("last", e.set)))
		write(e.t, e.store, e.log.Batch(seq, seq))
	}, want: func(e *evidence) finding { return finding{verify.Missing, e.set, e.set} }},
	{name: "the end cut off with its checkpoints", witness: true, alone: true, tamper: func(e *evidence) {
		cut := e.log.Checkpoints[len(e.log.Checkpoints)-2]
		e.hand.Take(e.t, e.log.ID, cut.Last+1, e.log.Last())
		e.hand.TakeCheckpoints(e.t, e.log.ID, e.epochs[2], cut.Size)
	}, want: func(e *evidence) finding {
		cut := e.log.Checkpoints[len(e.log.Checkpoints)-2]
		return finding{verify.Missing, cut.Last + 1, e.tail - 1}
	}},
	{name: "the last epoch cut off with its checkpoints", witness: true, alone: true, tamper: func(e *evidence) {
		e.hand.Take(e.t, e.log.ID, e.epochs[2], e.log.Last())
		e.hand.TakeCheckpoints(e.t, e.log.ID, e.epochs[2], 0)
	}, want: func(e *evidence) finding { return finding{verify.Missing, e.epochs[2], e.tail - 1} }},
	{name: "signed anew by another key", tamper: func(e *evidence) {
		e.forge(e.newest, "job-nine", "job-none")
		private, _ := key(e.t)
		e.resign(private)
	}, want: func(e *evidence) finding { return finding{verify.Foreign, e.tail - 2, e.tail - 2} }},
	{name: "signed anew by the key that gave way", tamper: func(e *evidence) {
		// Whoever kept the old key has no say any more.
		e.forge(e.newest, "job-nine", "job-none")
		e.resign(e.log.oldPrivate)
	}, want: func(e *evidence) finding { return finding{verify.Foreign, e.tail - 2, e.tail - 2} }},
	{name: "signed anew by the gateway's key", alone: true, witness: true, tamper: func(e *evidence) {
		e.forge(e.newest, "job-nine", "job-none")
		e.resign(e.log.skey)
	}, want: func(e *evidence) finding {
		return finding{verify.Altered, e.log.Checkpoints[len(e.log.Checkpoints)-2].Last + 1, e.tail - 1}
	}},
}
