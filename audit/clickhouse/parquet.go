package clickhouse

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

// ExportParquet writes the rows of a view as one Parquet file, which the server
// makes. It needs the HTTP protocol.
func (s *Store) ExportParquet(ctx context.Context, f audit.Filter, w io.Writer) error {
	if s.config.Protocol != "http" {
		return errors.New("a Parquet file comes over ClickHouse's HTTP interface: set store.clickhouse.protocol to http and store.clickhouse.servers to its port")
	}
	if f.View.Columns() == nil {
		return fmt.Errorf("view %q is not one of %v", f.View, audit.Views())
	}
	if s.conn.Load() == nil {
		return s.describe("export from", errNotOpen)
	}
	text, err := s.statement(ctx, f)
	if err == nil {
		err = s.post(ctx, text+"\nFORMAT Parquet", w)
	}
	return s.describe("export from", err)
}

// post has a server answer a query, and writes what it says. The server has the
// whole answer before it says whether it is one.
func (s *Store) post(ctx context.Context, query string, w io.Writer) error {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: s.tls, DisableKeepAlives: true}}
	scheme := "http"
	if s.tls != nil {
		scheme = "https"
	}
	settings := url.Values{"database": {s.config.Database}, "wait_end_of_query": {"1"}, "join_use_nulls": {"0"}, "max_query_size": {fmt.Sprint(64 << 20)}}
	var errs []error
	for _, server := range s.config.Servers {
		req, err := http.NewRequestWithContext(ctx, "POST", scheme+"://"+server.String()+"/?"+settings.Encode(), strings.NewReader(query))
		if err != nil {
			return err
		}
		req.SetBasicAuth(cmp.Or(s.config.User.Reveal(), "default"), s.config.Password.Reveal())
		res, err := client.Do(req)
		if err != nil {
			errs = append(errs, err)
			continue // another server may be there
		}
		defer res.Body.Close()
		return s.take(res, w)
	}
	return errors.Join(errs...)
}

// parquetMagic begins and ends a Parquet file.
var parquetMagic = []byte("PAR1")

func (s *Store) take(res *http.Response, w io.Writer) error {
	if res.StatusCode != http.StatusOK {
		why, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
		return errors.Join(fmt.Errorf("the server says %s: %s", res.Status, bytes.TrimSpace(why)), err)
	}
	body := &patient{body: res.Body, limit: time.Duration(s.config.ReadTimeout)}
	body.timer = time.AfterFunc(body.limit, func() { res.Body.Close() })
	defer body.timer.Stop()
	end := &tail{w: w}
	if _, err := io.Copy(end, body); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	if !bytes.Equal(end.last, parquetMagic) {
		return errors.New("the server's answer is no whole Parquet file")
	}
	return nil
}

// patient reads a body that must go on, and may be long.
type patient struct {
	body  io.Reader
	limit time.Duration
	timer *time.Timer
}

func (p *patient) Read(b []byte) (int, error) {
	p.timer.Reset(p.limit)
	return p.body.Read(b)
}

// tail remembers the last bytes that were written.
type tail struct {
	w    io.Writer
	last []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.last = append(t.last, b[max(0, len(b)-len(parquetMagic)):]...)
	t.last = t.last[max(0, len(t.last)-len(parquetMagic)):]
	return t.w.Write(b)
}
