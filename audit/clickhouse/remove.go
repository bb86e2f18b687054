package clickhouse

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

// Leaves gives the leaves of one kind of a log's records, from a number on and
// older than before.
func (s *Store) Leaves(ctx context.Context, log, kind string, from uint64, before time.Time) iter.Seq2[audit.Leaf, error] {
	return rowsOf(s, ctx, fmt.Sprintf(`SELECT seq, at, tenant, leaf, bytes = '', manufacturer, oui, class, serial FROM ledger
		WHERE log = %s AND kind = %s AND seq >= %d AND at < %s ORDER BY seq, bytes = '' LIMIT 1 BY seq`, literal(log), literal(kind), from, moment(before)),
		func(scan func(...any) error) (f audit.Leaf, err error) {
			var leaf string
			var removed uint8
			d := &f.Device
			err = scan(&f.Seq, &f.At, &f.Tenant, &leaf, &removed, &d.Manufacturer, &d.OUI, &d.Class, &d.Serial)
			f.At, f.Hash, f.Removed = f.At.UTC(), []byte(leaf), removed != 0
			return f, err
		})
}

// Removed says whether a removal was carried out in this database.
func (s *Store) Removed(ctx context.Context, log string, seq uint64) (bool, error) {
	if s.conn.Load() == nil {
		return false, s.describe("read", errNotOpen)
	}
	n, err := s.count(ctx, "removals", fmt.Sprintf("log = %s AND seq = %d", literal(log), seq))
	return n > 0, s.describe("read", err)
}

func (s *Store) count(ctx context.Context, table, where string) (n uint64, err error) {
	err = (*s.conn.Load()).QueryRow(ctx, "SELECT count() FROM "+table+" WHERE "+where).Scan(&n)
	return n, err
}

// Remove carries removals out and gives the number of the records that it found
// to empty. It can be done again at any time; system records it leaves alone.
//
// Which device a record is about stands in the ledger's sorting key, which no
// mutation changes. So each record that is emptied is written once more, without
// what goes, and then the one before it is deleted; of one that stands there in
// both forms the removal is done again. Projections go first: while they are not
// all gone, the records are still there to be found. Mutations write parts anew:
// the server drops the old ones some minutes later (old_parts_lifetime). Writers
// wait meanwhile, and the journal keeps what they could not write.
func (s *Store) Remove(ctx context.Context, all []audit.Removal) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(ctx); err != nil {
		return 0, s.describe("remove from", err)
	}
	for _, r := range all {
		for _, part := range partsOf(r) {
			more, err := s.removePart(ctx, r, part)
			n += more
			if err != nil {
				return n, s.describe("remove from", fmt.Errorf("records of log %s: %w", r.Of, err))
			}
		}
		err := s.exec(ctx, fmt.Sprintf("INSERT INTO %s (log, seq) SELECT %s, %d", s.local("removals"), literal(r.Log), r.Seq))
		if err != nil {
			return n, s.describe("remove from", err)
		}
	}
	return n, nil
}

// removeAtOnce is how many numbers one mutation lists.
const removeAtOnce = 50_000

// partsOf gives the numbers of a removal's records as conditions on seq. Those of
// a kind are a few spans; those of a device are many, and listed.
func partsOf(r audit.Removal) (parts []string) {
	if r.Kind != "" {
		for _, p := range r.Spans {
			parts = append(parts, fmt.Sprintf("BETWEEN %d AND %d", p.First, p.Last))
		}
		return parts
	}
	var numbers []string
	flush := func() {
		if len(numbers) > 0 {
			parts = append(parts, "IN ("+strings.Join(numbers, ", ")+")")
			numbers = nil
		}
	}
	for _, p := range r.Spans {
		for seq := p.First; seq <= p.Last; seq++ {
			if numbers = append(numbers, fmt.Sprint(seq)); len(numbers) == removeAtOnce {
				flush()
			}
		}
	}
	flush()
	return parts
}

// madeOf says which rows of which tables are made from records of a kind.
var madeOf = map[string]map[string]string{
	audit.KindMessage:  {"rpcs": "true", "parameters": "true", "transfers": "step != 'bytes'"},
	audit.KindTransfer: {"transfers": "step = 'bytes'"},
	audit.KindSession:  {"sessions": "true"},
	audit.KindRefusal:  {"refusals": "true"},
	audit.KindSecurity: {"security": "true"},
	audit.KindDecision: {"decisions": "true"},
	"": {
		"rpcs": "true", "parameters": "true", "transfers": "true", "sessions": "true", "refusals": "true", "security": "true", "decisions": "true",
	},
}

func (s *Store) removePart(ctx context.Context, r audit.Removal, seqs string) (n int, err error) {
	where := fmt.Sprintf("log = %s AND seq %s", literal(r.Of), seqs)
	if r.Tenant != "" {
		where += " AND tenant = " + literal(r.Tenant)
	}
	records := where + " AND kind != 'system'"
	if r.Kind != "" {
		records += " AND kind = " + literal(r.Kind)
	}
	full, err := s.count(ctx, "ledger", records+" AND bytes != ''")
	if err != nil || full == 0 {
		return 0, err
	}
	err = s.locked(ctx, func(ctx context.Context) error {
		for table, which := range madeOf[r.Kind] {
			if err := s.delete(ctx, table, where+" AND "+which); err != nil {
				return err
			}
		}
		if r.Kind == "" || r.Kind == audit.KindMessage {
			if err := s.forget(ctx, r, seqs); err != nil {
				return err
			}
		}
		return s.empty(ctx, records)
	})
	if err != nil {
		return 0, err
	}
	return int(full), nil
}

// empty leaves of records what a proof needs.
func (s *Store) empty(ctx context.Context, records string) error {
	there := " AND seq IN (SELECT seq FROM ledger WHERE " + records + " AND bytes = '')"
	err := s.exec(ctx, `INSERT INTO `+s.local("ledger")+` (log, seq, at, kind, node, tenant, leaf)
		SELECT log, seq, at, kind, node, tenant, leaf FROM ledger WHERE `+records+` AND bytes != '' AND NOT (true`+there+`)`)
	if err != nil {
		return fmt.Errorf("write emptied records: %w", err)
	}
	left, err := s.count(ctx, "ledger", records+" AND bytes != '' AND NOT (true"+there+")")
	if err == nil && left > 0 {
		err = fmt.Errorf("the server says that it took %d emptied records, but does not have them; nothing of these was deleted", left)
	}
	if err != nil {
		return err
	}
	return s.delete(ctx, "ledger", records+" AND bytes != ''")
}

// delete has the server write anew every part that has such a row, and waits for
// it.
func (s *Store) delete(ctx context.Context, table, where string) error {
	n, err := s.count(ctx, table, where)
	if err != nil || n == 0 {
		return err
	}
	if err := s.exec(ctx, "ALTER TABLE "+s.local(table)+s.onCluster()+" DELETE WHERE "+where+" SETTINGS mutations_sync = 2"); err != nil {
		return fmt.Errorf("delete %d rows of %s: %w", n, table, err)
	}
	return nil
}

// forgetAtOnce is how many devices one statement lists.
const forgetAtOnce = 2000

// forget makes last_values tell what the rows that are left do.
func (s *Store) forget(ctx context.Context, r audit.Removal, seqs string) error {
	where := fmt.Sprintf("tupleElement(last, 'log') = %s AND tupleElement(last, 'seq') %s", literal(r.Of), seqs)
	if r.Tenant != "" {
		where += " AND tenant = " + literal(r.Tenant)
	}
	var devices []map[[2]string]bool
	err := s.each(ctx, "SELECT DISTINCT toString(tenant), serial FROM last_values WHERE "+where, func(scan func(...any) error) error {
		var d [2]string
		err := scan(&d[0], &d[1])
		if n := len(devices); n == 0 || len(devices[n-1]) == forgetAtOnce {
			devices = append(devices, map[[2]string]bool{})
		}
		devices[len(devices)-1][d] = true
		return err
	})
	if err != nil {
		return fmt.Errorf("ask what is known: %w", err)
	}
	if err := s.delete(ctx, "last_values", where); err != nil {
		return err
	}
	for _, some := range devices {
		err := s.exec(ctx, "INSERT INTO "+s.local("last_values")+" (tenant, serial, oui, class, name, last) SELECT tenant, serial, oui, class, name, m FROM ("+
			s.writer.history("", "(tenant, serial) IN ("+pairs(some)+")", "true")+")")
		if err != nil {
			return fmt.Errorf("insert into last_values: %w", err)
		}
	}
	return nil
}
