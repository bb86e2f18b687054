package sqlite

import (
	"database/sql/driver"
	"unsafe"

	"github.com/cwmpgate/cwmpgate/audit"
)

// projectParameters adds the rows of one record's parameters, but for those
// that tell nothing new.
func (w *writer) projectParameters(log int64, d deviceID, rows []audit.ParameterRow) error {
	if len(rows) == 0 {
		return nil
	}
	w.numbers = w.numbers[:0]
	for i := range rows {
		name, err := w.name(rows[i].Name)
		if err != nil {
			return err
		}
		w.numbers = append(w.numbers, name)
	}
	last, err := w.lastKnown(d.same, rows)
	if err != nil {
		return err
	}
	shared := commonOf(log, d.same, &rows[0])
	var sets []asked
	for i := range rows {
		p := &rows[i]
		changed := true
		switch p.Action {
		case audit.ActionRefused:
			changed = false
		case audit.ActionSet:
			if d.same != 0 {
				sets = append(sets, asked{d.same, w.this(log, i, p)})
			}
		case audit.ActionRead, audit.ActionInformed, audit.ActionReported:
			var write bool
			write, changed = told(last, w.this(log, i, p), p.Action == audit.ActionReported)
			if !write {
				continue
			}
		}
		if err := w.tables.addParameter(&shared, int64(w.numbers[i]), changed, p); err != nil {
			return err
		}
	}
	if last != nil {
		w.keep(d.same, last)
	}
	if len(sets) > 0 {
		w.asked.put(recordKey{log, int64(rows[0].Seq)}, sets, cap(sets)*int(unsafe.Sizeof(asked{})))
	}
	return nil
}

// this is what a row tells.
func (w *writer) this(log int64, i int, p *audit.ParameterRow) known {
	return known{name: w.numbers[i], log: uint32(log), at: p.At.UnixMicro(), seq: int64(p.Seq), value: valueOf(w.seed, p)}
}

// told says of a value that the CPE told, whether it makes a row and whether
// that row tells of a change. What was merely read or informed makes none if
// it is what was known; the first sight of a value is a row but no change,
// unless the CPE itself says that it is one.
func told(all *values, this known, reported bool) (write, changed bool) {
	if all == nil {
		return true, reported
	}
	last, ok := all.get(this.name)
	if ok && last.value.same(this.value) {
		if reported {
			all.put(this)
		}
		return reported, false
	}
	all.put(this)
	return true, ok || reported
}

// lastKnown gives the values known of a device, with those of the parameters
// that the CPE tells in rows, as far as there are any. It is nil for nobody,
// and where rows tell none.
func (w *writer) lastKnown(device int64, rows []audit.ParameterRow) (*values, error) {
	told := false
	for i := range rows {
		told = told || tells(&rows[i])
	}
	if device == 0 || !told {
		return nil, nil
	}
	all, ok := w.known.get(device)
	if !ok {
		all = &values{}
	}
	w.missing = w.missing[:0]
	for _, name := range w.numbers {
		if _, ok := all.get(name); !ok {
			w.missing = append(w.missing, name)
		}
	}
	all.reserve(len(w.missing))
	if all.whole || len(w.missing) == 0 {
		return all, nil
	}
	return all, w.lookupKnown(device, all)
}

func tells(p *audit.ParameterRow) bool {
	return p.Action == audit.ActionRead || p.Action == audit.ActionInformed || p.Action == audit.ActionReported
}

// lookupKnown adds to all what the store knows of the missing parameters.
func (w *writer) lookupKnown(device int64, all *values) error {
	if w.tables.pending(device) {
		if err := w.tables.flushKnown(); err != nil {
			return err
		}
	}
	take := func(row []driver.Value) error {
		all.put(w.knownOf(row))
		return nil
	}
	for left := w.missing; len(left) > 0; {
		n := min(namesPerLookup, len(left))
		q := w.lookups.known
		q.args[0].Value = device
		for i, name := range left[:n] {
			q.args[1+i].Value = int64(name)
		}
		if err := q.query(take); err != nil { // the other arguments are NULL, and find nothing
			return err
		}
		left = left[n:]
	}
	return nil
}

// keep puts what is known of a device back where it is remembered.
func (w *writer) keep(device int64, all *values) { w.known.put(device, all, all.bytes()) }

// accept makes known what a SetParameterValues asked for. A value that the
// CPE has told since then stays: it stands behind the request in the log.
func (w *writer) accept(request recordKey) error {
	sets, ok := w.asked.get(request)
	if ok {
		w.asked.remove(request) // it is answered once
	} else {
		var err error
		if sets, err = w.lookupAsked(request); err != nil {
			return err
		}
	}
	for _, a := range sets {
		all, ok := w.known.get(a.device)
		if !ok {
			continue
		}
		// Of two alike in one request, the latter counts.
		if now, ok := all.get(a.known.name); ok && !a.known.before(now) || !ok && all.whole {
			all.put(a.known)
			w.keep(a.device, all)
		}
	}
	return nil
}

func (w *writer) lookupAsked(request recordKey) (sets []asked, err error) {
	if err := w.tables.flushKnown(); err != nil {
		return nil, err
	}
	w.lookups.asked.set(request.log, request.seq)
	err = w.lookups.asked.query(func(row []driver.Value) error {
		device, _ := row[len(row)-1].(int64)
		sets = append(sets, asked{device, w.knownOf(row)})
		return nil
	})
	return sets, err
}
