// Package verify recomputes the proof of a store: from what the store holds, from
// public keys and, where there is one, from what a witness holds, and from
// nothing else. It tells apart what is right, expired by a recorded retention,
// erased by a recorded erasure, missing, altered and added, and what no
// checkpoint covers.
package verify

import (
	"cmp"
	"slices"

	"github.com/cwmpgate/cwmpgate/audit"
)

// What a finding is. The closed list.
const (
	Altered = audit.Altered
	Missing = audit.Missing
	Added   = audit.Added
	Foreign = "foreign" // signed, but not by one of the keys
	Broken  = "broken"  // epochs do not follow each other
)

// Finding is one thing that is not as it was written.
type Finding struct {
	Log         string
	First, Last uint64 // records
	What        string
	Text        string
}

// Span is a run of records, both ends included.
type Span = audit.Span

// Unproved is a run of records that no checkpoint covers.
type Unproved struct {
	Span
	Why string
}

// LogReport is what was found out about one log.
type LogReport struct {
	Log         string
	First, Last uint64 // records looked at; 0: none
	Records     uint64
	Proved      uint64 // that a checkpoint covers
	Expired     uint64 // of the records: emptied by a recorded retention
	Erased      uint64 // by a recorded erasure
	Epochs      int
	Checkpoints int // whose signature and root are right
	Witnessed   int // of those that a witness holds
	Unproved    []Unproved
	Lacks       []Span // records that are not there and should be
}

// maxFindings is how many are kept; all are counted.
const maxFindings = 1000

// Report is what was found out about a store.
type Report struct {
	Logs     []LogReport
	Findings []Finding // the first so many
	Count    int
	worst    *Finding
	order    map[string]int // of logs
}

// Right says that nothing was found.
func (r *Report) Right() bool { return r.Count == 0 }

// Worst is the finding of the first bad record; nil: there is none.
func (r *Report) Worst() *Finding { return r.worst }

func (r *Report) add(f Finding) {
	r.Count++
	if len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, f)
	}
	if r.worst == nil || r.before(f, *r.worst) {
		r.worst = &f
	}
}

// addConsequence adds what may well come from another finding.
func (r *Report) addConsequence(f Finding) {
	worst := r.worst
	r.add(f)
	if worst != nil {
		r.worst = worst
	}
}

func (r *Report) before(a, b Finding) bool {
	return cmp.Or(cmp.Compare(r.order[a.Log], r.order[b.Log]), cmp.Compare(a.First, b.First)) < 0
}

func (r *Report) sort() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(r.order[a.Log], r.order[b.Log]), cmp.Compare(a.First, b.First))
	})
}
