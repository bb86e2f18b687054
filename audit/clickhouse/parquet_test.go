package clickhouse

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest"
	"github.com/cwmpgate/cwmpgate/audit/storetest"
	"github.com/cwmpgate/cwmpgate/configs"
)

// TestExportParquet: the file holds the rows of each view, as the engine reads
// it back.
func TestExportParquet(t *testing.T) {
	e := chtest.Start(t)
	c := newConfig(e, "http")
	s := open(t, c)
	if err := s.Write(t.Context(), storetest.Night().All()); err != nil {
		t.Fatal(err)
	}
	for _, view := range audit.Views() {
		f := audit.Filter{View: view, Device: "T1"}
		var file bytes.Buffer
		if err := s.ExportParquet(t.Context(), f, &file); err != nil {
			t.Fatalf("%s: %v", view, err)
		}
		var want []string
		for row, err := range s.Query(t.Context(), f) {
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprint(row.Number("seq")))
		}
		table := "back_" + string(view)
		askHTTP(t, e, c.Database, "CREATE TABLE "+table+" (log String, seq UInt64, tenant String, serial String) ENGINE = Memory")
		insert(t, e, c.Database, "INSERT INTO "+table+" FORMAT Parquet", file.Bytes())
		got := strings.Fields(askHTTP(t, e, c.Database, "SELECT seq FROM "+table+" WHERE serial = 'T1'"))[1:]
		if strings.Join(got, " ") != strings.Join(want, " ") || len(want) == 0 {
			t.Errorf("%s: records %v, want %v", view, got, want)
		}
		for _, column := range view.Columns() {
			if !bytes.Contains(file.Bytes(), []byte(column)) {
				t.Errorf("%s: the file names no column %s", view, column)
			}
		}
	}
	if err := s.ExportParquet(t.Context(), audit.Filter{View: "nothing"}, io.Discard); err == nil {
		t.Error("a view that is none was exported")
	}
	native := open(t, newConfig(e, "native"))
	if err := native.ExportParquet(t.Context(), audit.Filter{View: audit.ViewRPCs}, io.Discard); err == nil || !strings.Contains(err.Error(), "store.clickhouse.protocol to http") {
		t.Errorf("over the native protocol: %v", err)
	}
}

func insert(t *testing.T, e *chtest.Engine, database, query string, data []byte) {
	t.Helper()
	q := url.Values{"database": {database}, "query": {query}, "input_format_skip_unknown_fields": {"1"}, "input_format_parquet_skip_columns_with_unsupported_types_in_schema_inference": {"1"}}
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+e.HTTP+"/?"+q.Encode(), bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(e.User, e.Password)
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 200 {
		t.Fatalf("%s: %s %s %v", query, res.Status, text, err)
	}
}

// TestBrokenParquet: an answer that is not whole, or none, is an error.
func TestBrokenParquet(t *testing.T) {
	for _, x := range []struct {
		answer http.HandlerFunc
		want   string
	}{
		{func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "PAR1 something PAR1") }, ""},
		{func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "PAR1 something, and then an exception")
		}, "no whole Parquet"},
		{func(w http.ResponseWriter, _ *http.Request) {}, "no whole Parquet"},
		{func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "Code: 241. memory limit", 500) }, "memory limit"},
		{func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, "PAR1")
		}, "read the server's answer"},
	} {
		server := httptest.NewServer(x.answer)
		s := aside(t, server.Listener.Addr().String())
		err := s.post(t.Context(), "SELECT 1", io.Discard)
		server.Close()
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%v, want %q", err, x.want)
		}
	}
	if err := aside(t, "127.0.0.1:1").post(t.Context(), "SELECT 1", io.Discard); err == nil || strings.Count(err.Error(), "connect") < 2 {
		t.Errorf("no server: %v", err)
	}
}

// aside is a store with two servers, the first of which is not there.
func aside(t *testing.T, server string) *Store {
	var c Config
	c.SetDefaults()
	c.Protocol, c.Servers = "http", []configs.Address{"127.0.0.1:1", configs.Address(server)}
	return newStore(t, c)
}
