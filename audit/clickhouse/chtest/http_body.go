package chtest

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/klauspost/compress/zstd"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest/internal/chdb"
)

// readBody gives the request's body without its compression.
func (q *httpQuery) readBody() ([]byte, error) {
	in := io.Reader(q.r.Body)
	var err error
	switch coding := q.r.Header.Get("Content-Encoding"); coding {
	case "", "identity":
	case "gzip":
		in, err = gzip.NewReader(in)
	case "deflate":
		in, err = zlib.NewReader(in)
	case "zstd":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(in); err == nil {
			defer z.Close()
			in = z
		}
	default:
		err = chdb.Errorf(48, "Unknown compression method %s", coding)
	}
	if err != nil {
		return nil, err
	}
	if q.url.Get("decompress") == "1" {
		in = compress.NewReader(in)
	}
	var b bytes.Buffer
	if _, err := io.Copy(&b, in); err != nil && !errors.Is(err, io.EOF) { // the frame reader wraps the end of its input
		return nil, err
	}
	return b.Bytes(), nil
}

// summarize says what the query did, as long as nothing of the result is sent.
func (q *httpQuery) summarize() {
	if q.started {
		return
	}
	t := &q.total
	q.w.Header().Set("X-ClickHouse-Summary", fmt.Sprintf(
		`{"read_rows":"%d","read_bytes":"%d","written_rows":"%d","written_bytes":"%d","total_rows_to_read":"0","result_rows":"%d","result_bytes":"%d"}`,
		t.ReadRows, t.ReadBytes, t.WrittenRows, t.WrittenBytes, t.ResultRows, t.ResultBytes))
}

// send sends a part of the result.
func (q *httpQuery) send(out []byte) error {
	if len(out) == 0 {
		return nil
	}
	if q.revision > 0 {
		in := bytes.NewReader(out)
		t := transcoder{in: in, out: make([]byte, 0, len(out)+256)}
		for in.Len() > 0 {
			if _, err := t.block(0, q.revision); err != nil {
				return err
			}
		}
		out = t.out
	}
	q.started = true
	halved := func(f *Fault) {
		q.w.Write(out[:len(out)/2])
		http.NewResponseController(q.w).Flush()
		q.drop(f)
	}
	if err := q.server.strike(halved, occasion{HTTP, q.kind, q.sql, AtData}, Cut); err != nil {
		return err
	}
	write := func(b []byte) error {
		_, err := q.w.Write(b)
		return err
	}
	if q.frame == nil {
		return write(out)
	}
	return frames(q.frame, out, write)
}

// fail answers with an exception.
func (q *httpQuery) fail(err error) {
	e := chdb.AsException(err)
	text := e.Error() + " (version " + q.engine.Version + ")\n"
	if q.started { // the status has gone out as 200
		io.WriteString(q.w, "\r\n__exception__\r\n"+text)
		http.NewResponseController(q.w).Flush()
		panic(http.ErrAbortHandler) // leaves the chunked encoding without its end
	}
	q.w.Header().Set("X-ClickHouse-Exception-Code", strconv.Itoa(e.Code))
	q.w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	q.w.WriteHeader(httpStatus(e.Code))
	io.WriteString(q.w, text)
}

// httpStatus is the status that goes with an exception.
func httpStatus(code int) int {
	switch code {
	case 194: // REQUIRED_PASSWORD
		return http.StatusUnauthorized
	case 192, 193, 195, 497, 516: // UNKNOWN_USER, WRONG_PASSWORD, IP_ADDRESS_NOT_ALLOWED, ACCESS_DENIED, AUTHENTICATION_FAILED
		return http.StatusForbidden
	case 6, 26, 27, 33, 38, 41, 53, 62, 69, 70, 72, 117, 457: // bad values and bad syntax
		return http.StatusBadRequest
	case 46, 47, 50, 56, 60, 78, 81, 115: // something unknown
		return http.StatusNotFound
	case 48: // NOT_IMPLEMENTED
		return http.StatusNotImplemented
	case 159: // TIMEOUT_EXCEEDED
		return http.StatusRequestTimeout
	}
	return http.StatusInternalServerError
}

func contentType(format string) string {
	switch {
	case strings.HasPrefix(format, "JSONEachRow"):
		return "application/x-ndjson; charset=UTF-8"
	case strings.HasPrefix(format, "JSON"):
		return "application/json; charset=UTF-8"
	case strings.HasPrefix(format, "TabSeparated"), strings.HasPrefix(format, "TSV"):
		return "text/tab-separated-values; charset=UTF-8"
	case strings.HasPrefix(format, "CSV"):
		return "text/csv; charset=UTF-8"
	}
	return "application/octet-stream"
}
