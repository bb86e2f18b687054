package chtest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
)

// row has columns of the types that audit tables are made of.
type row struct {
	Tenant string            `ch:"tenant"`
	Seq    uint64            `ch:"seq"`
	Kind   string            `ch:"kind"`
	Old    *string           `ch:"old"`
	At     time.Time         `ch:"at"`
	IP     net.IP            `ch:"ip"`
	Tags   []string          `ch:"tags"`
	Attrs  map[string]string `ch:"attrs"`
	Score  float64           `ch:"score"`
	OK     bool              `ch:"ok"`
	Code   *string           `ch:"code"`
	Fixed  string            `ch:"fixed"`
	Nested [][]*int32        `ch:"nested"`
}

func makeRow(i int) row {
	r := row{
		Tenant: fmt.Sprint("tenant", i%5), Seq: uint64(i), Kind: []string{"create", "update"}[i%2],
		At: time.UnixMicro(1_700_000_000_000_000 + int64(i)).UTC(), IP: net.ParseIP("2001:db8::1"),
		Tags: []string{"a", "b"}[:i%3], Attrs: map[string]string{"k": fmt.Sprint(i)}, Score: float64(i) / 2, OK: i%2 == 0,
		Fixed: fmt.Sprintf("%04d", i%10000), Nested: [][]*int32{},
	}
	if v := int32(i); i%3 == 0 {
		text := fmt.Sprint("old ", i)
		r.Old, r.Code, r.Nested = &text, &r.Kind, [][]*int32{{&v, nil}, {}}
	}
	return r
}

const rowsTable = `CREATE OR REPLACE TABLE rows (
	tenant LowCardinality(String), seq UInt64, kind Enum8('create' = 1, 'update' = 2), old Nullable(String), at DateTime64(6, 'UTC'), ip IPv6,
	tags Array(LowCardinality(String)), attrs Map(String, String), score Float64, ok Bool, code LowCardinality(Nullable(String)), fixed FixedString(4),
	nested Array(Array(Nullable(Int32)))) ENGINE = MergeTree ORDER BY seq`

func TestRoundTrip(t *testing.T) {
	const count = 2000
	ctx := context.Background()
	each(t, func(t *testing.T, e *Engine, db clickhouse.Conn) {
		v, err := db.ServerVersion()
		must(t, err)
		if v.Version.Major < 26 {
			t.Errorf("version %v", v)
		}
		must(t, db.Exec(ctx, rowsTable))
		batch, err := db.PrepareBatch(ctx, "INSERT INTO rows")
		must(t, err)
		for i := range count {
			r := makeRow(i)
			must(t, batch.AppendStruct(&r))
		}
		must(t, batch.Send())
		var got []row
		must(t, db.Select(ctx, &got, "SELECT * FROM rows ORDER BY seq"))
		if len(got) != count {
			t.Fatalf("%d rows", len(got))
		}
		for i := range got {
			if g, w := show(got[i]), show(makeRow(i)); g != w {
				t.Fatalf("row %d\n got %s\nwant %s", i, g, w)
			}
		}
	})
}

// show is a row as text, with what its pointers lead to.
func show(r row) string {
	text := func(p *string) string {
		if p == nil {
			return "NULL"
		}
		return *p
	}
	out := fmt.Sprintf("%s %d %s %s %d %s %q %q %g %t %s %q", r.Tenant, r.Seq, r.Kind, text(r.Old), r.At.UnixMicro(), r.IP, r.Tags, r.Attrs, r.Score, r.OK, text(r.Code), r.Fixed)
	for _, inner := range r.Nested {
		out += " ["
		for _, v := range inner {
			if v == nil {
				out += " NULL"
			} else {
				out += fmt.Sprint(" ", *v)
			}
		}
		out += "]"
	}
	return out
}

func TestManyBlocksAndNone(t *testing.T) {
	const count = 150000
	ctx := context.Background()
	each(t, func(t *testing.T, e *Engine, db clickhouse.Conn) {
		rows, err := db.Query(ctx, "SELECT number, toString(number) FROM numbers(150000)")
		must(t, err)
		defer rows.Close()
		var n uint64
		for ; rows.Next(); n++ {
			var number uint64
			var text string
			must(t, rows.Scan(&number, &text))
			if number != n || text != fmt.Sprint(n) {
				t.Fatalf("row %d is %d, %s", n, number, text)
			}
		}
		must(t, rows.Err())
		if n != count {
			t.Errorf("%d rows", n)
		}
		none, err := db.Query(ctx, `SELECT number, CAST('a', 'Enum8(\'a\' = 1)') AS e FROM numbers(1) WHERE number > 5`)
		must(t, err)
		defer none.Close()
		if none.Next() {
			t.Error("a row")
		}
		if overNative(t) && (len(none.Columns()) != 2 || none.ColumnTypes()[1].DatabaseTypeName() != "Enum8('a' = 1)") {
			t.Errorf("columns %q of a result without rows", none.Columns())
		}
	})
}

// Types whose layout has to be understood to find their end.
func TestTypes(t *testing.T) {
	ctx := context.Background()
	each(t, func(t *testing.T, e *Engine, db clickhouse.Conn) {
		for _, sql := range []string{
			"SELECT [1, NULL, 3], NULL, map('a', [map(1, 'x')]), (1, 'a')::Tuple(a UInt8, b String)",
			"SELECT toIntervalDay(3), toDecimal256('1.5', 10), toInt256(-5), toUInt128(7), 1::BFloat16, ''::FixedString(3)",
			"SELECT (1.5, 2.5)::Point, [[(1.5, 2.5)]]::Polygon, now64(9), today(), toDate32('1930-01-01'), generateUUIDv4(), toIPv4('1.2.3.4')",
			"SELECT toLowCardinality(toNullable('x')), [toLowCardinality('a'), 'b'], 'a'::Enum16('a' = 1, 'b,)' = 2)",
			`SELECT '{"a": {"b": 1}, "c": [1, "x"]}'::JSON, '{"a": 1}'::JSON(a UInt32), 5::Dynamic, 'a'::Variant(UInt64, String)`,
			"SELECT arrayJoin([1::Dynamic, 'a'::Dynamic, [1]::Dynamic])",
			"SELECT arrayJoin([1::UInt64::Variant(UInt64, String), 'a'::Variant(UInt64, String), NULL])",
			"SHOW TABLES", "SHOW DATABASES LIKE 'nothing%'", "EXPLAIN SELECT 1", "DESCRIBE TABLE system.one", "EXISTS TABLE nothing",
		} {
			rows, err := db.Query(ctx, sql)
			if err != nil {
				t.Errorf("%s: %v", sql, err)
				continue
			}
			for rows.Next() {
			}
			if err := rows.Err(); err != nil {
				t.Errorf("%s: %v", sql, err)
			}
		}
	})
}

func TestParametersAndSettings(t *testing.T) {
	each(t, func(t *testing.T, e *Engine, db clickhouse.Conn) {
		ctx := clickhouse.Context(context.Background(), clickhouse.WithParameters(clickhouse.Parameters{"n": "42", "s": "it's", "a": "['x','y']"}))
		var n uint64
		var s string
		var a []string
		must(t, db.QueryRow(ctx, "SELECT {n:UInt64}, {s:String}, {a:Array(String)}").Scan(&n, &s, &a))
		if n != 42 || s != "it's" || len(a) != 2 {
			t.Errorf("parameters %d, %q, %q", n, s, a)
		}
		ctx = clickhouse.Context(context.Background(), clickhouse.WithSettings(clickhouse.Settings{"max_threads": 7, "max_block_size": "1000"}))
		var threads, block uint64
		must(t, db.QueryRow(ctx, "SELECT toUInt64(getSetting('max_threads')), toUInt64(getSetting('max_block_size'))").Scan(&threads, &block))
		if threads != 7 || block != 1000 {
			t.Errorf("settings %d, %d", threads, block)
		}
		if number(t, db, "SELECT toUInt64(getSetting('max_block_size'))") == 1000 {
			t.Error("the setting outlived its query")
		}
		err := db.Exec(clickhouse.Context(context.Background(), clickhouse.WithSettings(clickhouse.Settings{"no_such_setting": 1})), "SELECT 1")
		wantCode(t, err, 115)
	})
}

func TestExceptions(t *testing.T) {
	ctx := context.Background()
	each(t, func(t *testing.T, e *Engine, db clickhouse.Conn) {
		ex := wantCode(t, db.Exec(ctx, "SELECT * FROM no_such_table"), 60)
		if !strings.Contains(ex.Message, "no_such_table") || ex.Name != "DB::Exception" {
			t.Errorf("%#v", ex)
		}
		wantCode(t, db.Exec(ctx, "SELEC 1"), 62)
		_, err := db.PrepareBatch(ctx, "INSERT INTO no_such_table")
		wantCode(t, err, 60)
		must(t, db.Exec(ctx, eventsTable))
		if _, err = db.PrepareBatch(ctx, "INSERT INTO events (seq, nonsense)"); err == nil {
			t.Error("an unknown column was accepted")
		}
		// In the middle of a result.
		rows, err := db.Query(ctx, "SELECT throwIf(number = 200000, 'boom') FROM numbers(300000) SETTINGS max_block_size = 1000, max_threads = 1")
		if err == nil {
			for rows.Next() {
			}
			err = rows.Err()
		}
		if err == nil || !strings.Contains(err.Error(), "boom") {
			t.Errorf("error %v in the middle of a result", err)
		}
		must(t, db.Ping(ctx))
	})
}

func TestInserts(t *testing.T) {
	ctx := context.Background()
	each(t, func(t *testing.T, e *Engine, db clickhouse.Conn) {
		must(t, db.Exec(ctx, "CREATE OR REPLACE TABLE small (a UInt64, b String DEFAULT 'd', c UInt64 MATERIALIZED a * 2) ENGINE = MergeTree ORDER BY a"))
		must(t, db.Exec(ctx, "INSERT INTO small VALUES (1, 'x'), (2, 'y;)')"))
		must(t, db.Exec(ctx, "INSERT INTO small (a) SELECT number FROM numbers(10, 3)"))
		batch, err := db.PrepareBatch(ctx, "INSERT INTO small (b, a) VALUES")
		must(t, err)
		must(t, batch.Append("z", uint64(20)))
		if overNative(t) { // HTTP has no parts of a batch
			must(t, batch.Flush())
		}
		must(t, batch.Append("z", uint64(21)))
		must(t, batch.Send())
		must(t, db.Exec(clickhouse.Context(ctx, clickhouse.WithAsync(true)), "INSERT INTO small (a) VALUES (99)"))
		empty, err := db.PrepareBatch(ctx, "INSERT INTO small (a)")
		must(t, err)
		must(t, empty.Send())
		var got string
		must(t, db.QueryRow(ctx, "SELECT arrayStringConcat(groupArray(concat(toString(a), b)), ',') FROM (SELECT * FROM small ORDER BY a)").Scan(&got))
		if want := "1x,2y;),10d,11d,12d,20z,21z,99d"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		// A token is what makes two batches one.
		must(t, db.Exec(ctx, eventsTable))
		for i, token := range []string{"one", "one", "two"} {
			tokened := clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"insert_deduplication_token": token}))
			must(t, insertEvents(tokened, db, i*100, 100))
		}
		wantNumber(t, db, 200, "SELECT count() FROM events")
	})
}

func TestNativeSession(t *testing.T) {
	ctx := context.Background()
	db := connect(t, Start(t), clickhouse.Native, func(o *clickhouse.Options) { o.MaxOpenConns = 1 })
	must(t, db.Exec(ctx, "SET max_block_size = 777"))
	must(t, db.Exec(clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"max_block_size": 5})), "SELECT 1"))
	wantNumber(t, db, 777, "SELECT toUInt64(getSetting('max_block_size'))")
	must(t, db.Exec(ctx, "CREATE TEMPORARY TABLE mine (a UInt8)"))
	must(t, db.Exec(ctx, "INSERT INTO mine VALUES (1)"))
	wantNumber(t, db, 1, "SELECT count() FROM mine")

	outside, err := ext.NewTable("outside", ext.Column("id", "UInt64"), ext.Column("name", "String"))
	must(t, err)
	must(t, outside.Append(uint64(3), "three"))
	must(t, outside.Append(uint64(4), "four"))
	var sum uint64
	must(t, db.QueryRow(clickhouse.Context(ctx, clickhouse.WithExternalTable(outside)), "SELECT sum(id) FROM outside").Scan(&sum))
	if sum != 7 {
		t.Errorf("the external table's sum is %d", sum)
	}
	wantCode(t, db.Exec(ctx, "SELECT * FROM outside"), 60)

	var read, written, profiled uint64
	watched := clickhouse.Context(ctx,
		clickhouse.WithProgress(func(p *clickhouse.Progress) { read += p.Rows; written += p.WroteRows }),
		clickhouse.WithProfileInfo(func(p *clickhouse.ProfileInfo) { profiled += p.Rows }))
	rows, err := db.Query(watched, "SELECT number FROM numbers(200000)")
	must(t, err)
	for rows.Next() {
	}
	must(t, rows.Close())
	must(t, db.Exec(ctx, eventsTable))
	must(t, insertEvents(watched, db, 0, 1))
	if read < 200000 || profiled != 200000 || written != 1 {
		t.Errorf("%d rows read, %d profiled, %d written", read, profiled, written)
	}
}

// A query ends when its client gives up. Over HTTP it goes on, as a server's does
// unless cancel_http_readonly_queries_on_client_close is set.
func TestCancel(t *testing.T) {
	e := Start(t)
	watch := connect(t, e, clickhouse.HTTP, nil)
	running := func() bool {
		return number(t, watch, "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64%' AND query NOT LIKE '%processes%'") > 0
	}
	db := connect(t, e, clickhouse.Native, nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error)
	go func() {
		var n uint64
		ended <- db.QueryRow(ctx, "SELECT count() FROM numbers(100000000000) WHERE sipHash64(number) = 1").Scan(&n)
	}()
	await(t, "the query runs", running)
	cancel()
	if err := <-ended; err == nil {
		t.Error("it came to an end")
	}
	await(t, "the query has ended", func() bool { return !running() })
}

// Nothing of one HTTP request may show in the next, unless they share a session.
func TestHTTPRequests(t *testing.T) {
	e := Start(t, WithUser("audit", "secret"))
	for _, c := range []struct{ parameters, body, want string }{
		{"", "SET max_block_size = 99", ""},
		{"", "USE system", ""},
		{"", "SELECT currentDatabase(), getSetting('max_block_size') = 99", "default\t0"},
		{"session_id=s", "SET max_block_size = 99", ""},
		{"session_id=s", "CREATE TEMPORARY TABLE tt AS SELECT 5 AS x", ""},
		{"session_id=s", "SELECT x, getSetting('max_block_size') FROM tt FORMAT CSV", "5,99"},
		{"param_x=7&max_threads=3", "SELECT {x:UInt8} + 1, getSetting('max_threads')", "8\t3"},
		{"", "CREATE TABLE lines (a UInt8, b String) ENGINE = MergeTree ORDER BY a", ""},
		{"query=INSERT+INTO+lines+FORMAT+JSONEachRow", `{"a": 1, "b": "x"}`, ""},
		{"", "INSERT INTO lines FORMAT CSV\n2,\"y\"\n", ""},
		{"query=INSERT+INTO+lines+VALUES", "(3, 'z')", ""},
		{"", "SELECT groupArray((a, b)) FROM (SELECT * FROM lines ORDER BY a)", "[(1,'x'),(2,'y'),(3,'z')]"},
		{"", "SELECT 1 AS a FORMAT JSONEachRow", `{"a":1}`},
		{"", "DROP TABLE lines SYNC", ""},
	} {
		answer, err := http.Post("http://"+e.HTTP+"/?user=audit&password=secret&"+c.parameters, "text/plain", strings.NewReader(c.body))
		must(t, err)
		got, err := io.ReadAll(answer.Body)
		must(t, err)
		answer.Body.Close()
		if strings.TrimSpace(string(got)) != c.want || answer.StatusCode != http.StatusOK {
			t.Errorf("%s %s: %d %s, want %s", c.parameters, c.body, answer.StatusCode, got, c.want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
