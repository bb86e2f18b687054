package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cwmpgate/cwmpgate/cwmp"
)

// goldenRecords are the records in testdata, which Project must go on reading
// whatever the encoder writes later.
func goldenRecords(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/records/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatal("no golden records", err)
	}
	records := make(map[string][]byte)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		records[strings.TrimSuffix(filepath.Base(path), ".json")] = bytes.TrimSuffix(text, []byte("\n"))
	}
	return records
}

func TestProjectGolden(t *testing.T) {
	for name, record := range goldenRecords(t) {
		t.Run(name, func(t *testing.T) {
			var rows Rows
			if err := Project(testLog, 42, record, &rows); err != nil {
				t.Fatal(err)
			}
			out, err := json.MarshalIndent(withoutEmpty(rows), "", " ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "rows/"+name+".json", append(out, '\n'))
		})
	}
}

// withoutEmpty turns rows into maps that hold what is set, for short golden
// files.
func withoutEmpty(v any) any {
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Pointer:
		return r.Elem().Interface()
	case reflect.Slice:
		if r.Len() == 0 || r.Index(0).Kind() != reflect.Struct {
			return v
		}
		list := make([]any, r.Len())
		for i := range list {
			list[i] = withoutEmpty(r.Index(i).Interface())
		}
		return list
	case reflect.Struct:
		if _, ok := v.(time.Time); ok {
			return v
		}
		m := make(map[string]any)
		for i := range r.NumField() {
			field := r.Type().Field(i)
			if r.Field(i).IsZero() || field.Name == "Head" && r.Type() != reflect.TypeFor[RecordRow]() {
				continue
			}
			m[field.Name] = withoutEmpty(r.Field(i).Interface())
		}
		return m
	}
	return v
}

// TestProjectRefuses: what is cut off, follows, or says that it is another
// record gives an error, no rows and no panic.
func TestProjectRefuses(t *testing.T) {
	for name, record := range goldenRecords(t) {
		rows := Rows{System: []SystemRow{{What: "kept"}}}
		want := rows
		for i := range record {
			if err := Project(testLog, 42, record[:i], &rows); err == nil {
				t.Fatalf("%s: its first %d bytes are taken for a record", name, i)
			}
		}
		for _, wrong := range [][]byte{
			append(bytes.Clone(record), '}'),
			append(bytes.Clone(record), '\n'),
			bytes.Replace(record, []byte(`{"v":1`), []byte(`{"v":2`), 1),
			bytes.Replace(record, []byte(`"seq":42`), []byte(`"seq":43`), 1),
			bytes.Replace(record, []byte(`"log":"5d`), []byte(`"log":"5e`), 1),
		} {
			if err := Project(testLog, 42, wrong, &rows); err == nil {
				t.Errorf("%s: taken for a record: %s", name, wrong)
			}
		}
		if !reflect.DeepEqual(rows.lengths(), want.lengths()) {
			t.Errorf("%s: rows of refused records stay: %+v", name, rows)
		}
	}
}

// TestProjectSkipsTheUnknown: a kind or a member of a later time is read over.
func TestProjectSkipsTheUnknown(t *testing.T) {
	var rows Rows
	record := `{"v":1,"log":"` + testLog + `","seq":1,"at":"2026-11-24T12:00:00.123456Z","kind":"decision","tenant":"isp","rule":"r","x":{"a":[1,"b",{"c":true}]}}`
	if err := Project(testLog, 1, []byte(record), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows.Records) != 1 || rows.Records[0].Kind != "decision" || rows.Records[0].Tenant != "isp" || !rows.Records[0].At.Equal(noon) {
		t.Errorf("rows: %+v", rows)
	}
}

func TestParseMoment(t *testing.T) {
	cases := []struct{ text, want string }{
		{"2026-11-24T11:00:00Z", "2026-11-24T11:00:00Z"},
		{"2026-11-24T11:00:00.1234567+01:00", "2026-11-24T10:00:00.123456Z"},
		{"0001-01-01T00:00:00Z", ""},
		{"0001-01-01T00:10:00", ""}, // relative
		{"2026-11-24T11:00:00", ""},
		{"2026-11-24T11:54::14", ""},
		{"1969-12-31T23:59:59Z", ""},
		{"1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"},
		{"2262-04-11T23:47:16Z", "2262-04-11T23:47:16Z"},
		{"2262-04-12T00:00:00Z", ""},
		{"9999-12-31T23:59:59Z", ""},
		{"", ""},
	}
	for _, c := range cases {
		got := parseMoment(c.text)
		if got.Text != c.text || got.Known() != (c.want != "") || got.Known() && got.Time.Format(time.RFC3339Nano) != c.want {
			t.Errorf("%q is %v, want %q", c.text, got.Time, c.want)
		}
	}
}

// TestValueChangeMakesReported: the events are a set, and only 4 VALUE CHANGE
// makes of informed parameters reported ones.
func TestValueChangeMakesReported(t *testing.T) {
	inform := testInform()
	for code, want := range map[string]string{"4 VALUE CHANGE": ActionReported, "2 PERIODIC": ActionInformed} {
		inform.Event[0].EventCode = cwmp.T(code)
		record := encode(newEncoder(64<<10, newKeyless()), testOrigin(t), sample{message: say("Inform", "1", inform), from: cwmp.PartyCPE}, Pass, 1)
		var rows Rows
		if err := Project(testLog, 1, record, &rows); err != nil {
			t.Fatal(err)
		}
		if len(rows.Parameters) != 4 || rows.Parameters[0].Action != want {
			t.Errorf("%s: %+v", code, rows.Parameters)
		}
		if absent, empty := rows.Parameters[2].Value, rows.Parameters[3].Value; absent != nil || empty == nil || *empty != "" {
			t.Errorf("a value not sent is %v, an empty one %v", absent, empty)
		}
	}
}

// TestProjectorKeepsItsRows: rows made before stay as they are, whatever is
// projected after them.
func TestProjectorKeepsItsRows(t *testing.T) {
	var p Projector
	var all, want Rows
	records := goldenRecords(t)
	for range 3 {
		for _, name := range slices.Sorted(maps.Keys(records)) {
			record := bytes.Clone(records[name])
			if err := p.Project(testLog, 42, record, &all); err != nil {
				t.Fatal(err)
			}
			clear(record) // the rows are not part of it
			if err := Project(testLog, 42, records[name], &want); err != nil {
				t.Fatal(err)
			}
			if err := p.Project(testLog, 42, records[name][:len(records[name])/2], &all); err == nil {
				t.Fatal("half a record was taken")
			}
		}
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("rows (-each by a projector of its own, +all by one):\n%s", diff)
	}
}

func BenchmarkProject(b *testing.B) {
	record := encode(newEncoder(64<<10, newKeyless()), testOrigin(b), sample{message: say("Inform", "1", testInform()), from: cwmp.PartyCPE}, Pass, 1)
	var p Projector
	var rows Rows
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	for b.Loop() {
		if len(rows.Records) == 512 {
			rows.Reset()
		}
		if err := p.Project(testLog, 1, record, &rows); err != nil {
			b.Fatal(err)
		}
	}
}

// TestDeepMessages: whatever depth of elements may be configured, its record
// can be projected.
func TestDeepMessages(t *testing.T) {
	limits := cwmp.DefaultLimits()
	limits.Depth = 1000
	d := cwmp.NewDecoder(limits)
	e := newEncoder(64<<10, newKeyless())
	deepest := 0
	for n := 90; ; n++ {
		body := `<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:cwmp="urn:dslforum-org:cwmp-1-0"><soap:Header>` +
			`<cwmp:ID soap:mustUnderstand="1">1</cwmp:ID></soap:Header><soap:Body><cwmp:X_00005E_Do>` +
			strings.Repeat("<a>", n) + "x" + strings.Repeat("</a>", n) + `</cwmp:X_00005E_Do></soap:Body></soap:Envelope>`
		m, err := d.Decode([]byte(body), "")
		if err != nil {
			break
		}
		deepest = n
		var rows Rows
		record := encode(e, testOrigin(t), sample{message: m, from: cwmp.PartyCPE}, Pass, 1)
		if err := Project(testLog, 1, record, &rows); err != nil || len(rows.RPCs) != 1 {
			t.Fatalf("%d levels: %v", n, err)
		}
	}
	if deepest < 990 {
		t.Errorf("the deepest message has %d levels", deepest)
	}
}

// TestProjectErrors: the head of a record that cannot be projected comes with
// the error, if it is the head of that record.
func TestProjectErrors(t *testing.T) {
	const head = `{"v":1,"log":"` + testLog + `","seq":42,"at":"2026-11-24T12:00:00.123456Z","kind":"message","node":"gw-1","tenant":"isp","session":"c1k9","n":4`
	want := &RecordRow{Head{Log: testLog, Seq: 42, At: noon, Node: "gw-1", Tenant: "isp", Session: "c1k9", N: 4}, KindMessage}
	for _, test := range []struct {
		name, record string
		seq          uint64
		want         *RecordRow
	}{
		{"body", head + `,"from":"cpe","body":{"X":nothing}}`, 42, want},
		{"depth", head + `,"body":{"X":` + strings.Repeat(`{"X":[`, 1<<20), 42, want},
		{"end", head + `,"from":"cpe"} `, 42, want},
		{"cut", head + `,"from":"cp`, 42, want},
		{"version", strings.Replace(head, `"v":1`, `"v":2`, 1) + `,"from":"cpe"}`, 42, want},
		{"another place", head + `,"from":"cpe"} `, 41, nil},
		{"cut head", head[:len(head)-1], 42, nil},
		{"no kind", strings.Replace(head, `"kind":"message",`, "", 1) + `,"from":"cpe"} `, 42, nil},
		{"nothing", "", 42, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows := Rows{RPCs: make([]RPCRow, 1)}
			var failed *ProjectError
			if err := Project(testLog, test.seq, []byte(test.record), &rows); !errors.As(err, &failed) || !permanent(err) {
				t.Fatalf("the error is %v", err)
			}
			if diff := cmp.Diff(test.want, failed.Record); diff != "" {
				t.Error(diff)
			}
			if rows.lengths() != [9]int{2: 1} {
				t.Errorf("there are rows: %v", rows.lengths())
			}
		})
	}
}
