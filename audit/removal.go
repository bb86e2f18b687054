package audit

import "time"

// Removal is what a system record of retention or erasure has a store do: the
// bytes and the salts of the records that it names go, with all that was made
// from them; their numbers, times, kinds, tenants and leaf hashes stay.
type Removal struct {
	Log string // of the system record
	Seq uint64 // its number

	Of           string // log of the records
	Spans        []Span
	Kind, Tenant string // only records of these; empty: of any
}

// Removal gives what an erasure at this place has a store do.
func (e *Erasure) Removal(log string, seq uint64) Removal {
	return Removal{Log: log, Seq: seq, Of: e.Log, Spans: e.Leaves}
}

// Removal gives what a retention at this place has a store do.
func (r *Retention) Removal(log string, seq uint64) Removal {
	return Removal{Log: log, Seq: seq, Of: r.Log, Spans: []Span{{r.First, r.Last}}, Kind: r.Kind, Tenant: r.Tenant}
}

// Leaf is what a store's ledger keeps of every record, and whom it is about, as
// long as that is known.
type Leaf struct {
	Seq     uint64
	At      time.Time
	Tenant  string
	Device  Device // zero where it is of none, or was removed
	Hash    []byte
	Removed bool // bytes and salt are gone
}
