package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"hash/maphash"

	"github.com/cwmpgate/cwmpgate/audit"
)

// How much the writer remembers, in entries of one half of a cache. A value
// takes about 80 bytes, so 20 MB at the most.
const (
	knownValues   = 1 << 17
	knownDevices  = 1 << 14
	knownNames    = 1 << 15
	askedRecords  = 1 << 10
	askedPerBatch = 64 // of one SetParameterValues; what has more is looked up
)

// writer is the one connection that writes, its prepared statements, and what
// it remembers between records. All of its memory may be dropped at any time:
// what is not there is looked up.
type writer struct {
	conn    *sql.Conn
	version int64 // of the file, as others change it
	tables  tables
	lookups lookups
	seed    maphash.Seed

	logs    map[string]int64
	devices *cache[deviceKey, deviceID]
	names   *cache[string, int64]
	known   *cache[parameterKey, known]
	asked   *cache[recordKey, []asked]
}

type deviceKey struct{ tenant, manufacturer, oui, class, serial string }

// deviceID is 0, 0 for nobody.
type deviceID struct{ id, same int64 }

func openWriter(ctx context.Context, db *sql.DB) (_ *writer, err error) {
	w := &writer{
		seed:    maphash.MakeSeed(),
		logs:    make(map[string]int64),
		devices: newCache[deviceKey, deviceID](knownDevices),
		names:   newCache[string, int64](knownNames),
		known:   newCache[parameterKey, known](knownValues),
		asked:   newCache[recordKey, []asked](askedRecords),
	}
	if w.conn, err = db.Conn(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	all, err := embedded()
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, w.conn, all); err != nil {
		return nil, err
	}
	if err := w.tables.prepare(ctx, w.conn); err != nil {
		return nil, err
	}
	if err := w.lookups.prepare(ctx, w.conn); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *writer) close() error {
	w.tables.close()
	w.lookups.close()
	return w.conn.Close()
}

// forget drops all memory: after a transaction that did not come to its end,
// and when another process has written.
func (w *writer) forget() {
	clear(w.logs)
	w.devices.clear()
	w.names.clear()
	w.known.clear()
	w.asked.clear()
	w.tables.drop()
}

// transact runs f in a transaction, at the end of which all rows are written.
func (w *writer) transact(ctx context.Context, f func() error) error {
	err := transact(ctx, w.conn, func() error {
		var version int64
		if err := w.lookups.version.QueryRowContext(ctx).Scan(&version); err != nil {
			return err
		}
		if version != w.version {
			w.forget()
			w.version = version
		}
		if err := f(); err != nil {
			return err
		}
		return w.tables.flush(ctx)
	})
	if err != nil {
		w.forget()
	}
	return err
}

// log gives the number of a log, a new one where there is none.
func (w *writer) log(ctx context.Context, log string) (int64, error) {
	if id, ok := w.logs[log]; ok {
		return id, nil
	}
	id, err := find(ctx, w.lookups.log, w.lookups.newLog, log)
	if err == nil {
		w.logs[log] = id
	}
	return id, err
}

// name gives the number of a parameter's name.
func (w *writer) name(ctx context.Context, name string) (int64, error) {
	if id, ok := w.names.get(name); ok {
		return id, nil
	}
	id, err := find(ctx, w.lookups.name, w.lookups.newName, name)
	if err == nil {
		w.names.put(name, id)
	}
	return id, err
}

// find looks a number up, or makes it.
func find(ctx context.Context, lookup, add *sql.Stmt, args ...any) (id int64, err error) {
	err = lookup.QueryRowContext(ctx, args...).Scan(&id)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	err = add.QueryRowContext(ctx, args...).Scan(&id)
	return id, err
}

// device gives the numbers of the device that a record is about.
func (w *writer) device(ctx context.Context, h *audit.Head) (deviceID, error) {
	k := deviceKey{h.Tenant, h.Manufacturer, h.OUI, h.Class, h.Serial}
	if k.manufacturer == "" && k.oui == "" && k.class == "" && k.serial == "" {
		return deviceID{}, nil
	}
	if d, ok := w.devices.get(k); ok {
		return d, nil
	}
	var d deviceID
	err := w.lookups.device.QueryRowContext(ctx, k.serial, k.tenant, k.oui, k.class, k.manufacturer).Scan(&d.id, &d.same)
	if errors.Is(err, sql.ErrNoRows) {
		err = w.lookups.newDevice.QueryRowContext(ctx, k.serial, k.tenant, k.oui, k.class, k.manufacturer).Scan(&d.id, &d.same)
	}
	if err == nil {
		w.devices.put(k, d)
	}
	return d, err
}

// lastKnown gives the last value known of a parameter.
func (w *writer) lastKnown(ctx context.Context, k parameterKey) (known, bool, error) {
	if v, ok := w.known.get(k); ok {
		return v, true, nil
	}
	if err := w.tables.flush(ctx); err != nil {
		return known{}, false, err
	}
	var v known
	p, err := scanParameter(w.lookups.known.QueryRowContext(ctx, k.device, k.name), &v.place)
	if errors.Is(err, sql.ErrNoRows) {
		return known{}, false, nil
	}
	if err != nil {
		return known{}, false, err
	}
	v.value = valueOf(w.seed, &p)
	w.known.put(k, v)
	return v, true, nil
}

// accept makes known what a SetParameterValues asked for. A value that the
// CPE has told since then stays: it stands behind the request in the log.
func (w *writer) accept(ctx context.Context, request recordKey) error {
	all, ok := w.asked.get(request)
	if !ok {
		var err error
		if all, err = w.lookupAsked(ctx, request); err != nil {
			return err
		}
	}
	for _, a := range all {
		if now, ok := w.known.get(a.key); ok && a.known.place.after(now.place) {
			w.known.put(a.key, a.known)
		}
	}
	return nil
}

func (w *writer) lookupAsked(ctx context.Context, request recordKey) (all []asked, err error) {
	if err := w.tables.flush(ctx); err != nil {
		return nil, err
	}
	rows, err := w.lookups.asked.QueryContext(ctx, request.log, request.seq)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var a asked
		p, err := scanParameter(rows, &a.known.place, &a.key.device, &a.key.name)
		if err != nil {
			return nil, err
		}
		a.known.value = valueOf(w.seed, &p)
		all = append(all, a)
	}
	return all, rows.Err()
}

// scanParameter reads what parameterColumns names, and what stands behind it.
func scanParameter(row interface{ Scan(...any) error }, at *place, more ...any) (p audit.ParameterRow, err error) {
	var text, secret, kind, sum sql.NullString
	var cut sql.NullInt64
	into := append([]any{&at.at, &at.log, &at.seq, &at.item, &text, &secret, &kind, &cut, &sum}, more...)
	if err := row.Scan(into...); err != nil {
		return p, err
	}
	if text.Valid {
		p.Value = &text.String
	}
	p.Secret, p.Type, p.Cut, p.SHA256 = secret.String, kind.String, cut.Int64, sum.String
	return p, nil
}

const parameterColumns = `k.at, k.log, k.seq, k.item, k.value, k.secret, k.type, k.cut, k.sha256`

// lookups are the statements by which the writer finds what it does not
// remember.
type lookups struct {
	version, existing          *sql.Stmt
	log, newLog, name, newName *sql.Stmt
	device, newDevice          *sql.Stmt
	known, asked               *sql.Stmt
}

func (l *lookups) each() map[string]**sql.Stmt {
	return map[string]**sql.Stmt{
		`PRAGMA data_version`: &l.version,
		`SELECT seq, leaf FROM ledger WHERE log = ? AND seq BETWEEN ? AND ?`: &l.existing,

		`SELECT id FROM logs WHERE log = ?`:                &l.log,
		`INSERT INTO logs (log) VALUES (?) RETURNING id`:   &l.newLog,
		`SELECT id FROM names WHERE name = ?`:              &l.name,
		`INSERT INTO names (name) VALUES (?) RETURNING id`: &l.newName,
		`SELECT id, same FROM devices WHERE serial = ? AND tenant = ? AND oui = ? AND class = ? AND manufacturer = ?`: &l.device,
		`INSERT INTO devices (serial, tenant, oui, class, manufacturer, same)
			VALUES (?1, ?2, ?3, ?4, ?5, coalesce(
				(SELECT min(same) FROM devices WHERE serial = ?1 AND tenant = ?2 AND oui = ?3 COLLATE NOCASE AND class = ?4),
				(SELECT coalesce(max(id), 0) + 1 FROM devices)))
			RETURNING id, same`: &l.newDevice,

		// What a CPE told and what it accepted is known. The same condition
		// stands in view_changes, for any moment.
		`SELECT ` + parameterColumns + ` FROM parameters AS k
			WHERE k.device = ? AND k.name = ?
				AND (k.action IN ('reported', 'informed', 'read') OR k.action = 'set' AND EXISTS
					(SELECT 1 FROM rpcs AS b INDEXED BY rpcs_answers WHERE b.log = k.log AND b.answers = k.seq AND b.message = 'response'))
			ORDER BY k.at DESC, k.log DESC, k.seq DESC, k.item DESC LIMIT 1`: &l.known,
		`SELECT ` + parameterColumns + `, k.device, k.name FROM parameters AS k
			WHERE k.log = ? AND k.seq = ? AND k.action = 'set' AND k.device IS NOT NULL ORDER BY k.item`: &l.asked,
	}
}

func (l *lookups) prepare(ctx context.Context, conn *sql.Conn) error {
	for text, into := range l.each() {
		stmt, err := conn.PrepareContext(ctx, text)
		if err != nil {
			return err
		}
		*into = stmt
	}
	return nil
}

func (l *lookups) close() {
	for _, stmt := range l.each() {
		if *stmt != nil {
			_ = (*stmt).Close()
		}
	}
}
