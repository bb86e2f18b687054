package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"time"
)

// Epoch is what the first record of an epoch says: docs/record.md.
type Epoch struct {
	Previous   uint64 // the epoch before, by its first record; 0: none
	Checkpoint string // its final one
}

// System makes the record.
func (e Epoch) System(why string) System {
	s := System{What: SystemEpoch, Why: why, exact: true}
	if e.Previous > 0 {
		s.Detail = []Pair{{"previous", decimal(e.Previous)}, {"checkpoint", e.Checkpoint}}
	}
	return s
}

// KeyRotation says which key signs from this record on.
type KeyRotation struct {
	Old, New  string // verifier keys
	Statement string // that the old key's holder says so, signed by both
}

// System makes the record.
func (k KeyRotation) System() System {
	return System{What: SystemKeyRotation, Why: "proof rotate", exact: true, Detail: []Pair{
		{"old", k.Old}, {"new", k.New}, {"statement", k.Statement},
	}}
}

// Retention says that all records of a kind and tenant between two numbers have
// lost their bytes and salts, since they were old enough.
type Retention struct {
	Log, Kind, Tenant string
	Before            time.Time // each of them is older
	First, Last       uint64
	Count             uint64
	Digest            string // see LeafDigest, over all of them
}

// System makes the record.
func (r Retention) System() System {
	detail := []Pair{{"log", r.Log}, {"kind", r.Kind}}
	if r.Tenant != "" {
		detail = append(detail, Pair{"tenant", r.Tenant})
	}
	return System{What: SystemRetention, Why: "older than is kept", exact: true, Detail: append(detail, []Pair{
		{"before", r.Before.UTC().Format(timeLayout)},
		{"first", decimal(r.First)}, {"last", decimal(r.Last)}, {"count", decimal(r.Count)}, {"digest", r.Digest},
	}...)}
}

// Span is a run of records, both ends included.
type Span struct{ First, Last uint64 }

// Erasure says that records have lost their bytes and salts by command.
type Erasure struct {
	Log    string
	Leaves []Span
	Reason string
}

// System makes the record. So many spans do not fit into one that it would be
// cut: see MaxSpans.
func (e Erasure) System() System {
	if len(e.Leaves) > MaxSpans {
		panic("BUG: more spans than one record of an erasure holds")
	}
	return System{What: SystemErasure, Why: "audit erase", exact: true, Detail: []Pair{
		{"log", e.Log}, {"leaves", formatSpans(e.Leaves)}, {"reason", clip(e.Reason, longestName)},
	}}
}

// MaxSpans is how many spans one erasure names; an erasure of more has several
// records.
const MaxSpans = 1000

// MissingRecords is what a gap record says of numbers that no record has.
type MissingRecords struct {
	Log         string
	First, Last uint64
}

// Facts is what a system record says that a proof or a removal must know; nil where it says
// none of that.
type Facts struct {
	Epoch       *Epoch
	KeyRotation *KeyRotation
	Retention   *Retention
	Erasure     *Erasure
	Gap         *MissingRecords
	Hold        *Hold
}

// ReadFacts reads them from a projected row.
func ReadFacts(row *SystemRow) (f Facts, err error) {
	var detail map[string]string
	if row.Detail != "" {
		if err := json.Unmarshal([]byte(row.Detail), &detail); err != nil {
			return f, fmt.Errorf("%s record: detail: %w", row.What, err)
		}
	}
	d := reader{detail: detail}
	switch row.What {
	case SystemEpoch:
		e := &Epoch{Checkpoint: detail["checkpoint"]}
		if _, ok := detail["previous"]; ok {
			e.Previous = d.number("previous")
		}
		f.Epoch = e
	case SystemKeyRotation:
		f.KeyRotation = &KeyRotation{Old: detail["old"], New: detail["new"], Statement: detail["statement"]}
	case SystemRetention:
		f.Retention = &Retention{Log: detail["log"], Kind: detail["kind"], Tenant: detail["tenant"], Before: d.moment("before"),
			First: d.number("first"), Last: d.number("last"), Count: d.number("count"), Digest: detail["digest"]}
	case SystemErasure:
		f.Erasure = &Erasure{Log: detail["log"], Leaves: d.spans("leaves"), Reason: detail["reason"]}
	case SystemHold, SystemRelease:
		f.Hold = d.hold(row.What == SystemRelease)
	case SystemGap:
		if detail["first"] != "" {
			f.Gap = &MissingRecords{Log: detail["log"], First: d.number("first"), Last: d.number("last")}
		}
	}
	if d.err != nil {
		return Facts{}, fmt.Errorf("%s record: %w", row.What, d.err)
	}
	return f, nil
}

// reader reads details and keeps the first error.
type reader struct {
	detail map[string]string
	err    error
}

func (d *reader) fail(name string) {
	if d.err == nil {
		d.err = fmt.Errorf("%s %q cannot be read", name, d.detail[name])
	}
}

func (d *reader) number(name string) uint64 {
	n, err := strconv.ParseUint(d.detail[name], 10, 64)
	if err != nil || decimal(n) != d.detail[name] {
		d.fail(name)
	}
	return n
}

func (d *reader) moment(name string) time.Time {
	t, err := time.Parse(timeLayout, d.detail[name])
	if err != nil {
		d.fail(name)
	}
	return t
}

func (d *reader) spans(name string) []Span {
	spans, ok := parseSpans(d.detail[name])
	if !ok {
		d.fail(name)
	}
	return spans
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// formatSpans writes runs of numbers as 5-9,12.
func formatSpans(spans []Span) string {
	var b strings.Builder
	for i, s := range spans {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(decimal(s.First))
		if s.Last > s.First {
			b.WriteByte('-')
			b.WriteString(decimal(s.Last))
		}
	}
	return b.String()
}

// parseSpans reads what formatSpans writes: rising, and no two overlap.
func parseSpans(text string) (spans []Span, ok bool) {
	var before uint64
	for part := range strings.SplitSeq(text, ",") {
		first, last, run := strings.Cut(part, "-")
		var s Span
		var err, err2 error
		s.First, err = strconv.ParseUint(first, 10, 64)
		s.Last = s.First
		if run {
			s.Last, err2 = strconv.ParseUint(last, 10, 64)
		}
		if err != nil || err2 != nil || s.First <= before || s.Last < s.First {
			return nil, false
		}
		before = s.Last
		spans = append(spans, s)
	}
	return spans, formatSpans(spans) == text
}

// LeafDigest is a SHA-256 over records and their leaves: for each its number in
// eight bytes, big-endian, and the 32 bytes of its leaf, in the order of the
// numbers. The zero value is one over none.
type LeafDigest struct {
	hash  hash.Hash
	count uint64
}

// Add takes the next record.
func (d *LeafDigest) Add(seq uint64, leaf []byte) {
	if d.hash == nil {
		d.hash = sha256.New()
	}
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], seq)
	d.hash.Write(n[:])
	d.hash.Write(leaf)
	d.count++
}

// Count is how many were taken.
func (d *LeafDigest) Count() uint64 { return d.count }

// String is the digest as a retention record has it: lower-case hex.
func (d *LeafDigest) String() string {
	if d.hash == nil {
		d.hash = sha256.New()
	}
	return hex.EncodeToString(d.hash.Sum(nil))
}
