package clickhouse

import (
	"context"
	"fmt"
	"strings"

	"github.com/cwmpgate/cwmpgate/audit"
)

// recordKey is the place of a record.
type recordKey struct {
	log string
	seq uint64
}

// asked is a value that a SetParameterValues asks for; it is known once the
// CPE has accepted it.
type asked struct {
	device *device
	name   string
	told   told
}

// knowledge is what is known of the devices of a run of records while their
// rows are made, one after another.
type knowledge struct {
	devices map[deviceKey]*device
	sets    map[recordKey][]asked
}

// nobody says whether a record is about no device.
func nobody(h *audit.Head) bool {
	return h.Manufacturer == "" && h.OUI == "" && h.Class == "" && h.Serial == ""
}

// device gives the device that a record is about, nil for nobody.
func (k *knowledge) device(h *audit.Head) *device {
	if nobody(h) {
		return nil
	}
	return k.of(deviceKey{h.Tenant, h.Serial, strings.ToLower(h.OUI), h.Class})
}

func (k *knowledge) of(key deviceKey) *device {
	d, ok := k.devices[key]
	if !ok {
		d = &device{key: key, known: make(map[string]*told)}
		k.devices[key] = d
	}
	return d
}

// parameters goes through the rows of one record's parameters and gives those
// that are to be written.
func (k *knowledge) parameters(rows []audit.ParameterRow, write func(p *audit.ParameterRow, changed bool, s *shared)) {
	if len(rows) == 0 {
		return
	}
	d := k.device(&rows[0].Head)
	s := sharedOf(&rows[0])
	var sets []asked
	for i := range rows {
		p := &rows[i]
		is, changed := true, true
		switch p.Action {
		case audit.ActionRefused:
			changed = false
		case audit.ActionSet:
			if d != nil {
				sets = append(sets, asked{d, p.Name, toldBy(p)})
			}
		case audit.ActionRead, audit.ActionInformed, audit.ActionReported:
			is, changed = d.tell(p, p.Action == audit.ActionReported)
		}
		if is {
			write(p, changed, &s)
		}
	}
	if len(sets) > 0 {
		k.sets[recordKey{rows[0].Log, rows[0].Seq}] = sets
	}
}

// accept makes known what a request asked for.
func (k *knowledge) accept(request recordKey) {
	for _, a := range k.sets[request] {
		a.device.accept(a.name, a.told)
	}
}

// freshInto adds what has become known to the rows of last_values.
func (k *knowledge) freshInto(t *latestTable) {
	for _, d := range k.devices {
		for name, v := range d.known {
			if v.fresh {
				t.add(d, name, v)
			}
		}
	}
}

// from is the table to look in: of one in the making, this server's own rows are
// all there are.
func (w *writer) from(table, suffix string) string {
	if suffix == "" {
		return table
	}
	return w.store.local(table + suffix)
}

// namesPerLookup is how many names a lookup lists; beyond that it takes all that
// is known of the devices.
const namesPerLookup = 2000

// lookup asks what is known of all that records tell, at once. last_values has
// the whole of what came before a cut, but where some of the cut itself may be
// there: then the rows before it are asked.
func (w *writer) lookup(ctx context.Context, records []record, suffix string, doubt bool) (*knowledge, error) {
	k := &knowledge{devices: make(map[deviceKey]*device), sets: make(map[recordKey][]asked)}
	names := make(map[string]bool)
	devices := make(map[[2]string]bool)
	here := make(map[recordKey]bool) // requests that are among the records
	var missing []string
	for i := range records {
		r := &records[i]
		for n := r.parameters.from; n < r.parameters.to; n++ {
			p := &w.rows.Parameters[n]
			if p.Action == audit.ActionSet {
				here[recordKey{p.Log, p.Seq}] = true
			}
			if tells(p) && !nobody(&p.Head) {
				names[p.Name] = true
				if n == r.parameters.from {
					devices[[2]string{p.Tenant, p.Serial}] = true
				}
			}
		}
		for n := r.rpcs.from; n < r.rpcs.to; n++ {
			if m := &w.rows.RPCs[n]; accepts(m) && !here[recordKey{m.Log, m.Answers}] {
				missing = append(missing, fmt.Sprintf("(%s, %d)", literal(m.Log), m.Answers))
			}
		}
	}
	if len(missing) > 0 {
		if err := w.lookupSets(ctx, k, w.from("parameters", suffix), missing); err != nil {
			return nil, err
		}
	}
	if len(devices) == 0 {
		return k, nil
	}
	where := "(tenant, serial) IN (" + pairs(devices) + ")"
	if len(names) <= namesPerLookup {
		all := make([]string, 0, len(names))
		for name := range names {
			all = append(all, name)
		}
		where += " AND name IN (" + list(all) + ")"
	}
	text := "SELECT tenant, serial, oui, class, name, max(last) AS m FROM " + w.from("last_values", suffix) + " WHERE " + where + " GROUP BY tenant, serial, oui, class, name"
	if doubt {
		text = history(where, fmt.Sprintf("NOT (log = %s AND seq >= %d)", literal(records[0].row.Log), records[0].row.Seq))
	}
	err := w.store.each(ctx, "SELECT tenant, serial, oui, class, name, m.1, m.2, m.3, m.4, m.5, m.6, m.7, m.8, m.9, m.10 FROM ("+text+")",
		func(scan func(...any) error) error {
			var key deviceKey
			var name string
			v := &told{}
			if err := scan(&key.tenant, &key.serial, &key.oui, &key.class, &name,
				&v.at, &v.log, &v.seq, &v.item, &v.sent, &v.value, &v.secret, &v.kind, &v.cut, &v.sha256); err != nil {
				return err
			}
			if names[name] {
				k.of(key).known[name] = v
			}
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("ask what is known: %w", err)
	}
	return k, nil
}

func pairs(all map[[2]string]bool) string {
	texts := make([]string, 0, len(all))
	for p := range all {
		texts = append(texts, "("+literal(p[0])+", "+literal(p[1])+")")
	}
	return strings.Join(texts, ", ")
}

// toldColumns is a parameter's row as last_values has it.
const toldColumns = `tenant, serial, lower(oui) AS oui, class, name,
	tuple(at, toString(log), seq, item, value IS NOT NULL, ifNull(value, ''), secret, toString(type), cut, sha256) AS last`

// telling is the rows by which a CPE tells a value, of a device that is known.
const telling = `action IN ('reported', 'informed', 'read') AND NOT (manufacturer = '' AND oui = '' AND class = '' AND serial = '')`

// history gives what was known by the rows that came before.
func history(where, before string) string {
	return `SELECT tenant, serial, oui, class, name, max(last) AS m FROM (
		SELECT ` + toldColumns + ` FROM parameters WHERE ` + telling + ` AND ` + where + ` AND ` + before + `
		UNION ALL
		SELECT ` + toldColumns + ` FROM parameters WHERE action = 'set' AND ` + where + ` AND ` + before + `
			AND (log, seq) IN (SELECT log, answers FROM rpcs WHERE answers > 0 AND message = 'response' AND to_rpc = 'SetParameterValues'
				AND status IN ('0', '1') AND ` + before + `)
	) GROUP BY tenant, serial, oui, class, name`
}

// lookupSets finds what requests of earlier cuts asked for.
func (w *writer) lookupSets(ctx context.Context, k *knowledge, table string, requests []string) error {
	err := w.store.each(ctx, `SELECT tenant, serial, lower(oui), class, toString(name), at, toString(log), seq, item, value IS NOT NULL, ifNull(value, ''), secret, toString(type), cut, sha256
		FROM `+table+` WHERE action = 'set' AND serial || oui || class || manufacturer != '' AND (log, seq) IN (`+strings.Join(requests, ", ")+`) ORDER BY log, seq, item`,
		func(scan func(...any) error) error {
			var key deviceKey
			a := asked{}
			v := &a.told
			if err := scan(&key.tenant, &key.serial, &key.oui, &key.class, &a.name,
				&v.at, &v.log, &v.seq, &v.item, &v.sent, &v.value, &v.secret, &v.kind, &v.cut, &v.sha256); err != nil {
				return err
			}
			a.device = k.of(key)
			at := recordKey{v.log, v.seq}
			k.sets[at] = append(k.sets[at], a)
			return nil
		})
	if err != nil {
		return fmt.Errorf("ask what was set: %w", err)
	}
	return nil
}

// healLatest makes last_values tell what the rows of a cut do, after a cut that
// may have been broken off between the two. To tell it twice changes nothing.
func (w *writer) healLatest(ctx context.Context, c *cut) error {
	text := "SELECT " + toldColumns + " FROM parameters WHERE " + telling + " AND " + c.between(c.first())
	var requests []string
	for i := range c.records {
		for n := c.records[i].rpcs.from; n < c.records[i].rpcs.to; n++ {
			if m := &w.rows.RPCs[n]; accepts(m) {
				requests = append(requests, fmt.Sprint(m.Answers))
			}
		}
	}
	if len(requests) > 0 {
		text += " UNION ALL SELECT " + toldColumns + " FROM parameters WHERE action = 'set' AND serial || oui || class || manufacturer != '' AND log = " +
			literal(c.log) + " AND seq IN (" + strings.Join(requests, ", ") + ")"
	}
	err := (*w.store.conn.Load()).Exec(ctx, "INSERT INTO "+w.store.local("last_values")+
		" (tenant, serial, oui, class, name, last) SELECT tenant, serial, oui, class, name, max(last) FROM ("+text+") GROUP BY tenant, serial, oui, class, name")
	if err != nil {
		return fmt.Errorf("insert into last_values: %w", err)
	}
	return nil
}
