package chtest

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest/internal/chdb"
)

// nativeQuery is one query packet and what follows from it.
type nativeQuery struct {
	*nativeConn
	proto.Query
	sql      string // Query.Body as the engine gets it
	kind     On
	settings []chdb.Setting
	params   chdb.Params
	frame    *compress.Writer // nil without compression
	start    time.Time
	total    chdb.Result
	blocks   int // that were sent
}

// query serves one query packet. The error it gives ends the connection; those
// of the query go to the client.
func (n *nativeConn) query() error {
	packet, err := n.readQuery()
	if err != nil {
		return err
	}
	q := &nativeQuery{nativeConn: n, Query: packet, params: chdb.Params{}, start: time.Now()}
	drop, err := q.externalTables()
	defer drop()
	if err != nil { // what the client sends next cannot be told
		return errors.Join(err, n.exception(err))
	}
	q.prepare()
	switch err := q.run(); {
	case err == nil:
		return q.end()
	case errors.Is(err, errDropped), gone(err):
		return err
	default:
		return n.exception(err)
	}
}

// externalTables makes the tables that come with the query. drop removes them.
func (q *nativeQuery) externalTables() (drop func(), err error) {
	var names []string
	drop = func() {
		for _, name := range names {
			q.session.Exec("DROP TEMPORARY TABLE IF EXISTS " + name)
		}
	}
	return drop, q.readData(q.compressed(), func(name string, head blockHead, block []byte) error {
		if name == "" {
			return chdb.Errorf(101, "Unexpected block of rows before the query")
		}
		name = chdb.QuoteName(name)
		var columns []string
		for _, c := range head.Columns {
			columns = append(columns, chdb.QuoteName(c.Name)+" "+c.Type)
		}
		if err := q.session.Exec("CREATE TEMPORARY TABLE IF NOT EXISTS " + name + " (" + strings.Join(columns, ", ") + ")"); err != nil {
			return err
		}
		names = append(names, name)
		if head.Rows == 0 {
			return nil
		}
		_, err := insert{target: name, format: "Native"}.run(q.session, block)
		return err
	})
}

func (q *nativeQuery) compressed() bool { return q.Compression == proto.CompressionEnabled }

// prepare takes the query packet apart.
func (q *nativeQuery) prepare() {
	sql, _ := withoutFormat(q.Body)
	q.sql = q.runnable(sql)
	q.kind = kindOf(q.sql)
	method := ""
	for _, s := range q.Settings {
		q.settings = append(q.settings, chdb.Setting{Name: s.Key, Value: s.Value, Optional: !s.Important, Literal: s.Custom})
		if s.Key == "network_compression_method" {
			method = s.Value
		}
	}
	if q.compressed() {
		q.frame = compressor(method)
	}
	for _, p := range q.Parameters {
		q.params[p.Key] = unquoteField(p.Value)
	}
}

func (q *nativeQuery) strike(at At, modes ...Mode) error {
	return q.server.strike(q.drop, occasion{Native, q.kind, q.Body, at}, modes...)
}

// run does what the query asks for, up to the end of its result.
func (q *nativeQuery) run() error {
	if err := q.strike(AtQuery, Close, Error); err != nil {
		return err
	}
	restore, err := q.session.With(q.settings)
	if err != nil {
		return err
	}
	defer restore()
	if ins, ok := parseInsert(q.sql); !ok {
		err = q.read()
	} else if ins.inline == "" || strings.EqualFold(ins.format, "Native") {
		err = q.insert(ins)
	} else {
		q.total, err = ins.run(q.session, []byte(ins.inline))
	}
	if err != nil {
		return err
	}
	if err := q.strike(AtData, Delay); err != nil {
		return err
	}
	return q.strike(AtData, ApplyClose, ApplyError)
}

// insert asks for rows and applies them.
func (q *nativeQuery) insert(ins insert) error {
	columns, err := ins.wanted(q.session)
	if err != nil {
		return err
	}
	if err := q.data(headerBlock(columns, q.version), q.frame); err != nil {
		return err
	}
	var rows [][]byte
	var count, size int
	err = q.readData(q.compressed(), func(_ string, head blockHead, block []byte) error {
		if head.Rows > 0 {
			rows, count, size = append(rows, block), count+head.Rows, size+len(block)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := q.strike(AtData, Close, Error); err != nil {
		return err
	}
	if len(rows) == 0 {
		return nil
	}
	ins.format = "Native"
	if q.total, err = ins.run(q.session, rows...); err == nil && q.total.WrittenRows == 0 {
		q.total.WrittenRows, q.total.WrittenBytes = uint64(count), uint64(size)
	}
	return err
}

// read runs a statement without rows of the client's and sends its result.
func (q *nativeQuery) read() (err error) {
	sql, done := q.watch()
	if streams(sql) {
		err = q.session.Stream(sql, "Native", q.params, func(r chdb.Result) error {
			q.total.ResultRows += r.ResultRows
			q.total.ResultBytes += r.ResultBytes
			if err := q.send(r.Data); err != nil {
				return err
			}
			return q.progress(r)
		})
	} else if q.total, err = q.session.Query(sql, "Native", q.params); err == nil {
		err = q.send(q.total.Data)
	}
	done()
	if err != nil {
		return err
	}
	if q.blocks == 0 && answersRows(q.sql) {
		// The engine says nothing of the columns of an empty result in this format.
		out, err := q.session.Query(q.sql, "TSVWithNamesAndTypes", q.params)
		if err != nil {
			return err
		}
		return q.data(headerBlock(columnsOf(out.Data), q.version), q.frame)
	}
	if firstWord(q.sql) == "SET" {
		q.session.Remember(q.sql)
	}
	return nil
}

// send sends what the engine gave in FORMAT Native. Before the first block goes
// one without rows, as servers do it.
func (q *nativeQuery) send(native []byte) error {
	in := bytes.NewReader(native)
	for in.Len() > 0 {
		t := transcoder{in: in, out: make([]byte, 0, in.Len()+256)}
		head, err := t.block(0, q.version)
		if err != nil {
			return err
		}
		if q.blocks++; q.blocks == 1 {
			if err := q.data(headerBlock(head.Columns, q.version), q.frame); err != nil {
				return err
			}
		}
		halved := func(f *Fault) {
			proto.ServerCodeData.Encode(&q.w)
			q.w.PutString("")
			q.w.PutRaw(t.out[:len(t.out)/2])
			q.flush()
			q.drop(f)
		}
		if err := q.server.strike(halved, occasion{Native, q.kind, q.Body, AtData}, Cut); err != nil {
			return err
		}
		if err := q.data(t.out, q.frame); err != nil {
			return err
		}
	}
	return nil
}

func (q *nativeQuery) progress(r chdb.Result) error {
	rows, bytes := r.ReadRows, r.ReadBytes
	if rows == 0 {
		rows, bytes = r.ResultRows, r.ResultBytes
	}
	return q.sendProgress(proto.Progress{Rows: rows, Bytes: bytes})
}

func (q *nativeQuery) sendProgress(p proto.Progress) error {
	p.ElapsedNs = uint64(time.Since(q.start))
	proto.ServerCodeProgress.Encode(&q.w)
	p.EncodeAware(&q.w, q.version)
	return q.flush()
}

// end sends what comes after the result.
func (q *nativeQuery) end() error {
	buf := &q.w
	rows := q.kind == OnSelect
	if rows {
		proto.Profile{Rows: q.total.ResultRows, Blocks: uint64(q.blocks), Bytes: q.total.ResultBytes}.EncodeAware(buf, q.version)
	}
	err := q.sendProgress(proto.Progress{
		Rows: q.total.ReadRows, Bytes: q.total.ReadBytes, WroteRows: q.total.WrittenRows, WroteBytes: q.total.WrittenBytes,
	})
	if err == nil && rows {
		err = q.data(headerBlock(nil, q.version), q.frame)
	}
	if err != nil {
		return err
	}
	proto.ServerCodeEndOfStream.Encode(buf)
	return q.flush()
}

// watch marks a query that answers with rows, and kills it when the client
// cancels or goes. done must be called when the query has ended.
func (q *nativeQuery) watch() (sql string, done func()) {
	if !answersRows(q.sql) {
		return q.sql, func() {}
	}
	sql, kill := q.mark(q.sql)
	ended, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		b, err := q.raw.Peek(1)
		select {
		case <-ended:
			return
		default:
		}
		if err != nil || proto.ClientCode(b[0]) == proto.ClientCodeCancel {
			kill()
		}
	}()
	return sql, func() {
		close(ended)
		q.conn.SetReadDeadline(time.Unix(1, 0))
		<-stopped
		q.conn.SetReadDeadline(time.Time{})
	}
}
