package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"strings"
	"unsafe"

	"github.com/cwmpgate/cwmpgate/audit"
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
	names   *cache[string, uint32]
	known   *cache[int64, *values] // by deviceID.same
	asked   *cache[recordKey, []asked]

	// Memory that is used again, of one record.
	projector audit.Projector
	rows      audit.Rows
	numbers   []uint32 // of its parameters' names
	missing   []uint32
}

// keptRows is how many rows of parameters the memory used again is for at the
// most; a message may have 100,000 parameters.
const keptRows = 1 << 10

func (w *writer) resetRows() {
	if cap(w.rows.Parameters) <= keptRows {
		w.rows.Reset()
		return
	}
	w.rows, w.numbers, w.missing = audit.Rows{}, nil, nil
}

type deviceKey struct{ tenant, manufacturer, oui, class, serial string }

func (k deviceKey) bytes() int {
	return int(unsafe.Sizeof(k)) + len(k.tenant) + len(k.manufacturer) + len(k.oui) + len(k.class) + len(k.serial)
}

// clone is the same key with texts of its own: others are part of a record,
// which is not to stay for their sake.
func (k deviceKey) clone() deviceKey {
	return deviceKey{strings.Clone(k.tenant), strings.Clone(k.manufacturer), strings.Clone(k.oui), strings.Clone(k.class), strings.Clone(k.serial)}
}

// deviceID is 0, 0 for nobody.
type deviceID struct{ id, same int64 }

// openWriter makes a writer that remembers about so many bytes.
func openWriter(ctx context.Context, db *sql.DB, memory int) (_ *writer, err error) {
	w := &writer{
		seed:    maphash.MakeSeed(),
		logs:    make(map[string]int64),
		devices: newCache[deviceKey, deviceID](memory / 16 * 2),
		names:   newCache[string, uint32](memory / 16 * 4),
		known:   newCache[int64, *values](memory / 16 * 9),
		asked:   newCache[recordKey, []asked](memory / 16),
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
		if _, err := w.lookups.version.integers(&version); err != nil {
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
func (w *writer) log(log string) (int64, error) {
	if id, ok := w.logs[log]; ok {
		return id, nil
	}
	id, err := find(w.lookups.log, w.lookups.newLog, log)
	if err == nil {
		w.logs[log] = id
	}
	return id, err
}

// name gives the number of a parameter's name.
func (w *writer) name(name string) (uint32, error) {
	if id, ok := w.names.get(name); ok {
		return id, nil
	}
	id, err := find(w.lookups.name, w.lookups.newName, name)
	switch {
	case err != nil:
		return 0, err
	case id < 1 || id > math.MaxUint32:
		return 0, fmt.Errorf("name %q has the number %d, which is out of range", name, id)
	}
	// name is part of its record, which is not to stay for its sake.
	w.names.put(strings.Clone(name), uint32(id), len(name))
	return uint32(id), nil
}

// find looks a number up, or makes it.
func find(lookup, add *prepared, text string) (id int64, err error) {
	lookup.set(text)
	found, err := lookup.integers(&id)
	if found || err != nil {
		return id, err
	}
	add.set(text)
	_, err = add.integers(&id)
	return id, err
}

// device gives the numbers of the device that a record is about.
func (w *writer) device(h *audit.Head) (d deviceID, err error) {
	k := deviceKey{h.Tenant, h.Manufacturer, h.OUI, h.Class, h.Serial}
	if k.manufacturer == "" && k.oui == "" && k.class == "" && k.serial == "" {
		return deviceID{}, nil
	}
	if d, ok := w.devices.get(k); ok {
		return d, nil
	}
	w.lookups.device.set(k.serial, k.tenant, k.oui, k.class, k.manufacturer)
	found, err := w.lookups.device.integers(&d.id, &d.same)
	if err != nil {
		return d, err
	}
	if !found {
		w.lookups.newDevice.set(k.serial, k.tenant, k.oui, k.class, k.manufacturer)
		if _, err := w.lookups.newDevice.integers(&d.id, &d.same); err != nil {
			return d, err
		}
		if d.id == d.same { // nor is it an old one under another spelling
			w.keep(d.same, &values{whole: true})
		}
	}
	w.devices.put(k.clone(), d, k.bytes())
	return d, nil
}
