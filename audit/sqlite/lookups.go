package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"

	"github.com/cwmpgate/cwmpgate/audit"
)

// namesPerLookup is how many parameters of a device one query looks up; what
// is asked for more is looked up by more queries.
const namesPerLookup = 32

// lookups are the statements by which the writer finds what it does not
// remember.
type lookups struct {
	version, existing          *prepared
	log, newLog, name, newName *prepared
	device, newDevice          *prepared
	known, asked               *prepared
}

type lookup struct {
	into      **prepared
	arguments int
	text      string
}

func (l *lookups) each() []lookup {
	return []lookup{
		{&l.version, 0, `PRAGMA data_version`},
		{&l.existing, 3, `SELECT seq, leaf FROM ledger WHERE log = ? AND seq BETWEEN ? AND ?`},
		{&l.log, 1, `SELECT id FROM logs WHERE log = ?`},
		{&l.newLog, 1, `INSERT INTO logs (log) VALUES (?) RETURNING id`},
		{&l.name, 1, `SELECT id FROM names WHERE name = ?`},
		{&l.newName, 1, `INSERT INTO names (name) VALUES (?) RETURNING id`},
		{&l.device, 5, `SELECT id, same FROM devices WHERE serial = ? AND tenant = ? AND oui = ? AND class = ? AND manufacturer = ?`},
		{&l.newDevice, 5, `INSERT INTO devices (serial, tenant, oui, class, manufacturer, same)
			VALUES (?1, ?2, ?3, ?4, ?5, coalesce(
				(SELECT min(same) FROM devices WHERE serial = ?1 AND tenant = ?2 AND oui = ?3 COLLATE NOCASE AND class = ?4),
				(SELECT coalesce(max(id), 0) + 1 FROM devices)))
			RETURNING id, same`},
		{&l.known, 1 + namesPerLookup, `WITH wanted(name) AS (VALUES (?2)` + strings.Repeat(", (?)", namesPerLookup-1) + knownIn},
		{&l.asked, 2, `SELECT ` + parameterColumns + `, k.device FROM parameters AS k
			WHERE k.log = ? AND k.seq = ? AND k.action = 'set' AND k.device IS NOT NULL ORDER BY k.item`},
	}
}

// knownIn gives the last values known of parameters of a device, wanted, by one
// search of an index for each. What a CPE told and what it accepted is known, but
// not what an Inform told that the ACS answered with a fault; the same condition
// stands in view_changes, for any moment.
const knownIn = `)
	SELECT ` + parameterColumns + ` FROM wanted CROSS JOIN parameters AS k ON (k.log, k.seq, k.item) =
		(SELECT p.log, p.seq, p.item FROM parameters AS p
		WHERE p.device = ?1 AND p.name = wanted.name
			AND CASE p.action
				WHEN 'read' THEN true
				WHEN 'set' THEN EXISTS (SELECT 1 FROM rpcs AS b INDEXED BY rpcs_answers
					WHERE b.log = p.log AND b.answers = p.seq AND b.message = 'response' AND b.status IN ('0', '1'))
				WHEN 'reported' THEN NOT EXISTS (SELECT 1 FROM rpcs AS b INDEXED BY rpcs_answers
					WHERE b.log = p.log AND b.answers = p.seq AND b.message = 'fault')
				WHEN 'informed' THEN NOT EXISTS (SELECT 1 FROM rpcs AS b INDEXED BY rpcs_answers
					WHERE b.log = p.log AND b.answers = p.seq AND b.message = 'fault')
				END
		ORDER BY p.at DESC, p.log DESC, p.seq DESC, p.item DESC LIMIT 1)`

// parameterColumns are what parameterOf reads.
const parameterColumns = `k.at, k.log, k.seq, k.name, k.value, k.secret, k.type, k.cut, k.sha256`

func (w *writer) knownOf(row []driver.Value) known {
	number := func(i int) int64 { n, _ := row[i].(int64); return n }
	var p audit.ParameterRow
	if text, ok := row[4].(string); ok {
		p.Value = &text
	}
	p.Secret, _ = row[5].(string)
	p.Type, _ = row[6].(string)
	p.Cut = number(7)
	p.SHA256, _ = row[8].(string)
	return known{name: uint32(number(3)), log: uint32(number(1)), at: number(0), seq: number(2), value: valueOf(w.seed, &p)}
}

func (l *lookups) prepare(ctx context.Context, conn *sql.Conn) error {
	for _, q := range l.each() {
		s, err := prepare(ctx, conn, q.text, q.arguments)
		if err != nil {
			return err
		}
		*q.into = s
	}
	return nil
}

func (l *lookups) close() {
	for _, q := range l.each() {
		(*q.into).close()
	}
}
