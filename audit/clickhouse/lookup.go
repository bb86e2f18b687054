package clickhouse

import (
	"context"
	"fmt"
	"maps"
	"slices"
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
	informs map[recordKey][]informed
}

// informed is a value that an Inform told, and what was known before: nil where
// that was nothing.
type informed struct {
	device      *device
	name        string
	now, before *told
}

func newKnowledge() *knowledge {
	return &knowledge{devices: make(map[deviceKey]*device), sets: make(map[recordKey][]asked), informs: make(map[recordKey][]informed)}
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
	var informs []informed
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
		case audit.ActionRead:
			is, changed = d.tell(p, false)
		case audit.ActionInformed, audit.ActionReported:
			var before *told
			if d != nil {
				before = d.known[p.Name]
			}
			is, changed = d.tell(p, p.Action == audit.ActionReported)
			if d != nil && d.known[p.Name] != before {
				informs = append(informs, informed{d, p.Name, d.known[p.Name], before})
			}
		}
		if is {
			write(p, changed, &s)
		}
	}
	if len(sets) > 0 {
		k.sets[recordKey{rows[0].Log, rows[0].Seq}] = sets
	}
	if len(informs) > 0 {
		k.informs[recordKey{rows[0].Log, rows[0].Seq}] = informs
	}
}

// refuse takes back what an Inform told, where nothing was told since.
func (k *knowledge) refuse(inform recordKey) {
	for _, i := range slices.Backward(k.informs[inform]) {
		now := i.device.known[i.name]
		switch {
		case now == nil || now.log != inform.log || now.seq != inform.seq:
		case now != i.now:
			// It was told in an earlier cut, and stands in last_values.
			again := told{none: true, kind: noneKind}
			if i.before != nil {
				again = *i.before
			}
			again.at, again.log, again.seq, again.item, again.fresh = now.at, now.log, now.seq, restoredItem, true
			i.device.known[i.name] = &again
		case i.before == nil:
			delete(i.device.known, i.name)
		default:
			i.device.known[i.name] = i.before
		}
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
	k := newKnowledge()
	names := make(map[string]bool)
	devices := make(map[[2]string]bool)
	here := make(map[recordKey]bool)    // requests that are among the records
	informs := make(map[recordKey]bool) // likewise
	var missing, refused []string
	for i := range records {
		r := &records[i]
		for n := r.parameters.from; n < r.parameters.to; n++ {
			p := &w.rows.Parameters[n]
			if p.Action == audit.ActionSet {
				here[recordKey{p.Log, p.Seq}] = true
			}
			if p.Action == audit.ActionInformed || p.Action == audit.ActionReported {
				informs[recordKey{p.Log, p.Seq}] = true
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
			} else if refuses(m) && !informs[recordKey{m.Log, m.Answers}] {
				refused = append(refused, fmt.Sprintf("(%s, %d)", literal(m.Log), m.Answers))
			}
		}
	}
	if len(missing) > 0 {
		if err := w.lookupSets(ctx, k, w.from("parameters", suffix), missing); err != nil {
			return nil, err
		}
	}
	if len(refused) > 0 {
		if err := w.lookupInforms(ctx, k, suffix, refused, devices, names); err != nil {
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
		text = w.history("", where, fmt.Sprintf("NOT (log = %s AND seq >= %d)", literal(records[0].row.Log), records[0].row.Seq))
	}
	err := w.eachTold(ctx, text, func(key deviceKey, name string, v *told) {
		if names[name] {
			k.of(key).known[name] = v
		}
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

// history gives what was known by the rows that came before: what a CPE told,
// but not what an Inform told that the ACS answered with a fault, and what it
// accepted.
func (w *writer) history(suffix, where, before string) string {
	parameters, rpcs := w.from("parameters", suffix), w.from("rpcs", suffix)
	return `SELECT tenant, serial, oui, class, name, max(last) AS m FROM (
		SELECT ` + toldColumns + ` FROM ` + parameters + ` WHERE ` + telling + ` AND ` + where + ` AND ` + before + `
			AND NOT (action != 'read' AND (log, seq) IN (SELECT log, answers FROM ` + rpcs + ` WHERE answers > 0 AND message = 'fault' AND to_rpc = 'Inform'
				AND ` + before + `))
		UNION ALL
		SELECT ` + toldColumns + ` FROM ` + parameters + ` WHERE action = 'set' AND ` + where + ` AND ` + before + `
			AND (log, seq) IN (SELECT log, answers FROM ` + rpcs + ` WHERE answers > 0 AND message = 'response' AND to_rpc = 'SetParameterValues'
				AND status IN ('0', '1') AND ` + before + `)
	) GROUP BY tenant, serial, oui, class, name`
}

// lookupInforms finds what Informs of earlier cuts told that this one's records
// refuse, and what was known before. Devices and names are added to those whose
// last values are looked up.
func (w *writer) lookupInforms(ctx context.Context, k *knowledge, suffix string, refused []string, devices map[[2]string]bool, names map[string]bool) error {
	within, those := make(map[[2]string]bool), make(map[string]bool)
	type parameter struct {
		device *device
		name   string
	}
	asked := make(map[parameter][]recordKey)
	in := "(log, seq) IN (" + strings.Join(refused, ", ") + ")"
	err := w.store.each(ctx, "SELECT tenant, serial, lower(oui), class, toString(name), toString(log), seq FROM "+w.from("parameters", suffix)+
		" WHERE action IN ('informed', 'reported') AND serial || oui || class || manufacturer != '' AND "+in, func(scan func(...any) error) error {
		var key deviceKey
		var name string
		var at recordKey
		if err := scan(&key.tenant, &key.serial, &key.oui, &key.class, &name, &at.log, &at.seq); err != nil {
			return err
		}
		within[[2]string{key.tenant, key.serial}], those[name] = true, true
		p := parameter{k.of(key), name}
		asked[p] = append(asked[p], at)
		return nil
	})
	if err != nil {
		return fmt.Errorf("ask what was informed: %w", err)
	}
	if len(asked) == 0 {
		return nil
	}
	maps.Copy(devices, within)
	maps.Copy(names, those)
	before := make(map[parameter]*told)
	err = w.eachTold(ctx, w.history(suffix, "(tenant, serial) IN ("+pairs(within)+") AND name IN ("+list(slices.Collect(maps.Keys(those)))+") AND NOT ("+in+")", "true"),
		func(key deviceKey, name string, v *told) { before[parameter{k.of(key), name}] = v })
	if err != nil {
		return fmt.Errorf("ask what was known before: %w", err)
	}
	for p, all := range asked {
		for _, at := range all {
			k.informs[at] = append(k.informs[at], informed{device: p.device, name: p.name, before: before[p]})
		}
	}
	return nil
}

// eachTold gives what a query finds of the last values known.
func (w *writer) eachTold(ctx context.Context, text string, take func(key deviceKey, name string, v *told)) error {
	return w.store.each(ctx, "SELECT tenant, serial, oui, class, toString(name), m.1, m.2, m.3, m.4, m.5, m.6, m.7, m.8, m.9, m.10 FROM ("+text+")",
		func(scan func(...any) error) error {
			var key deviceKey
			var name string
			v := &told{}
			if err := scan(&key.tenant, &key.serial, &key.oui, &key.class, &name,
				&v.at, &v.log, &v.seq, &v.item, &v.sent, &v.value, &v.secret, &v.kind, &v.cut, &v.sha256); err != nil {
				return err
			}
			v.none = v.kind == noneKind
			take(key, name, v)
			return nil
		})
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
	var accepted, refused []string
	for i := range c.records {
		for n := c.records[i].rpcs.from; n < c.records[i].rpcs.to; n++ {
			switch m := &w.rows.RPCs[n]; {
			case accepts(m):
				accepted = append(accepted, fmt.Sprint(m.Answers))
			case refuses(m):
				refused = append(refused, fmt.Sprintf("(%s, %d)", literal(m.Log), m.Answers))
			}
		}
	}
	if len(refused) > 0 {
		text += " AND (log, seq) NOT IN (" + strings.Join(refused, ", ") + ")"
	}
	if len(accepted) > 0 {
		text += " UNION ALL SELECT " + toldColumns + " FROM parameters WHERE action = 'set' AND serial || oui || class || manufacturer != '' AND log = " +
			literal(c.log) + " AND seq IN (" + strings.Join(accepted, ", ") + ")"
	}
	err := (*w.store.conn.Load()).Exec(ctx, "INSERT INTO "+w.store.local("last_values")+
		" (tenant, serial, oui, class, name, last) SELECT tenant, serial, oui, class, name, max(last) FROM ("+text+") GROUP BY tenant, serial, oui, class, name")
	if err == nil && len(refused) > 0 {
		err = w.healRefused(ctx, c, refused)
	}
	if err != nil {
		return fmt.Errorf("insert into last_values: %w", err)
	}
	return nil
}

// healRefused takes back what stands in last_values of Informs that were refused.
func (w *writer) healRefused(ctx context.Context, c *cut, refused []string) error {
	k, devices, names := newKnowledge(), make(map[[2]string]bool), make(map[string]bool)
	if err := w.lookupInforms(ctx, k, "", refused, devices, names); err != nil || len(devices) == 0 {
		return err
	}
	err := w.eachTold(ctx, "SELECT tenant, serial, oui, class, name, max(last) AS m FROM last_values WHERE (tenant, serial) IN ("+pairs(devices)+
		") AND name IN ("+list(slices.Collect(maps.Keys(names)))+") GROUP BY tenant, serial, oui, class, name",
		func(key deviceKey, name string, v *told) { k.of(key).known[name] = v })
	if err != nil {
		return err
	}
	for inform := range k.informs {
		k.refuse(inform)
	}
	w.latest.reset()
	k.freshInto(w.latest)
	return w.insert(ctx, &w.latest.block, c, 0)
}
