package retention

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

// What a Request may ask for. The closed list.
const (
	Erase   = "erase"
	Hold    = "hold"
	Release = "release"
)

// Request is a command about one device. Its texts are of a command line.
type Request struct {
	Do     string    `json:"do"`
	Tenant string    `json:"tenant"`
	OUI    string    `json:"oui"`
	Class  string    `json:"class"`
	Serial string    `json:"serial"`
	Reason string    `json:"reason"`
	Until  time.Time `json:"until,omitzero"` // of a hold
}

// Spelling is the device that a request is about.
func (r *Request) Spelling() audit.Spelling {
	return audit.Spelling{Tenant: r.Tenant, Device: audit.Device{OUI: r.OUI, Class: r.Class, Serial: r.Serial}}
}

// Result is what came of a request.
type Result struct {
	Records int    `json:"records"`         // that were removed
	First   uint64 `json:"first"`           // system records that say so
	Last    uint64 `json:"last"`            //
	Error   string `json:"error,omitempty"` // why it was not done, or not to its end
}

// Do carries out a request. An erasure that is recorded but could not be carried
// out to its end is carried out by the next Tidy.
func (k *Keeper) Do(ctx context.Context, r Request) Result {
	var result Result
	err := k.do(ctx, r, &result)
	if err != nil {
		result.Error = err.Error()
	}
	k.metrics.done(result.Records, err)
	return result
}

func (k *Keeper) do(ctx context.Context, r Request, result *Result) error {
	switch {
	case r.Serial == "" || r.Reason == "":
		return errors.New("a device and a reason are wanted")
	case r.Do == Hold || r.Do == Release:
		h := audit.Hold{Spelling: r.Spelling(), Reason: r.Reason, Until: r.Until, Released: r.Do == Release}
		return k.write(ctx, []audit.System{h.System()}, result)
	case r.Do != Erase:
		return fmt.Errorf("%q is nothing that can be done", r.Do)
	}
	if err := k.cfg.Settle(ctx, 0); err != nil {
		return fmt.Errorf("wait for the store: %w", err)
	}
	// This request may have come before, and not to its end.
	var err error
	if result.Records, err = k.carryOut(ctx); err != nil {
		return fmt.Errorf("carry out what is recorded: %w", err)
	}
	f, err := readFacts(ctx, k.cfg.Store)
	if err != nil {
		return fmt.Errorf("read the store's system records: %w", err)
	}
	if h := on(f.held(k.cfg.Now()), r.Spelling()); h != nil {
		return heldError(h)
	}
	erasures, err := k.erasures(ctx, r)
	if errors.Is(err, errNobody) && result.Records > 0 {
		return nil
	}
	if err != nil {
		return err
	}
	var all []audit.System
	for _, e := range erasures {
		all = append(all, e.System())
	}
	k.cfg.Roll()
	if err := k.write(ctx, all, result); err != nil {
		return err
	}
	n, err := k.carryOut(ctx)
	result.Records += n
	if err != nil {
		return fmt.Errorf("the erasure is recorded, but not carried out to its end yet: %w", err)
	}
	return nil
}

// write writes the records of a request.
func (k *Keeper) write(ctx context.Context, all []audit.System, result *Result) error {
	seqs, err := k.record(ctx, all)
	if err != nil {
		return fmt.Errorf("record it: %w", err)
	}
	result.First, result.Last = seqs[0], seqs[len(seqs)-1]
	return nil
}

func heldError(h *audit.Hold) error {
	until := ""
	if !h.Until.IsZero() {
		until = " until " + h.Until.UTC().Format(time.RFC3339)
	}
	return fmt.Errorf("the device is under a legal hold%s (%s): nothing of it is erased before that is released", until, h.Reason)
}

var errNobody = errors.New("the store has no record of this device")

// Holds gives the holds in force, oldest first.
func Holds(ctx context.Context, r audit.Reader, now time.Time) ([]audit.Hold, error) {
	f, err := readFacts(ctx, r)
	if err != nil {
		return nil, err
	}
	return f.held(now), nil
}

// erasures gives the records of erasures that name everything of a device.
func (k *Keeper) erasures(ctx context.Context, r Request) (all []audit.Erasure, err error) {
	subjects, err := audit.FindSubjects(ctx, k.cfg.Store, r.Serial, "")
	if err != nil {
		return nil, fmt.Errorf("look for the device: %w", err)
	}
	i := slices.IndexFunc(subjects, func(s audit.Subject) bool { return s.Same(r.Spelling()) })
	if i < 0 {
		return nil, errNobody
	}
	places := map[string][]uint64{}
	for row, err := range k.cfg.Store.Query(ctx, audit.Filter{View: audit.ViewRecords, Device: r.Serial}) {
		if err != nil {
			return nil, fmt.Errorf("look for the device's records: %w", err)
		}
		if subjects[i].About(row) {
			log := row.Text("log")
			places[log] = append(places[log], uint64(row.Number("seq")))
		}
	}
	for _, log := range sortedKeys(places) {
		for part := range slices.Chunk(spansOf(places[log]), audit.MaxSpans) {
			all = append(all, audit.Erasure{Log: log, Leaves: part, Reason: r.Reason})
		}
	}
	return all, nil
}

// spansOf puts numbers together that follow one another.
func spansOf(seqs []uint64) (spans []audit.Span) {
	slices.Sort(seqs)
	for _, seq := range slices.Compact(seqs) {
		if n := len(spans); n > 0 && spans[n-1].Last+1 == seq {
			spans[n-1].Last = seq
			continue
		}
		spans = append(spans, audit.Span{First: seq, Last: seq})
	}
	return spans
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
