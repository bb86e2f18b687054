package cwmptest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	maxHead = 64 << 10  // bytes of a head that a simulator reads
	maxBody = 128 << 20 // bytes of a body that a simulator keeps
)

// wire is one connection, HTTP/1.x written and read by hand: net/http cannot
// leave out Host, split a head from its body or keep the case of a field.
type wire struct {
	net.Conn
	r      *bufio.Reader
	number int  // counted by its owner
	used   bool // a response was read from it
}

func newWire(c net.Conn, number int) *wire {
	return &wire{Conn: c, r: bufio.NewReaderSize(c, 8<<10), number: number}
}

func fieldValue(fields []Field, name string) (string, bool) {
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value, true
		}
	}
	return "", false
}

func fieldValues(fields []Field, name string) []string {
	var values []string
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return values
}

// fieldHas says whether a comma-separated field holds the token.
func fieldHas(fields []Field, name, token string) bool {
	for _, v := range fieldValues(fields, name) {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

func appendHead(dst []byte, start string, fields []Field) []byte {
	dst = append(dst, start...)
	dst = append(dst, "\r\n"...)
	for _, f := range fields {
		dst = append(dst, f.Name...)
		dst = append(dst, ": "...)
		dst = append(dst, f.Value...)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// appendChunks frames body as chunks of at most size bytes.
func appendChunks(dst, body []byte, size int) []byte {
	for len(body) > 0 {
		n := min(size, len(body))
		dst = fmt.Appendf(dst, "%x\r\n", n)
		dst = append(dst, body[:n]...)
		dst = append(dst, "\r\n"...)
		body = body[n:]
	}
	return append(dst, "0\r\n\r\n"...)
}

func (w *wire) readLine(budget *int) (string, error) {
	line, err := w.r.ReadString('\n')
	*budget -= len(line)
	switch {
	case err == io.EOF && line != "":
		return "", io.ErrUnexpectedEOF
	case err != nil:
		return "", err
	case *budget < 0:
		return "", fmt.Errorf("head is over %d bytes", maxHead)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func (w *wire) readHead() (start string, fields []Field, err error) {
	budget := maxHead
	if start, err = w.readLine(&budget); err != nil {
		return "", nil, err
	}
	for {
		line, err := w.readLine(&budget)
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return "", nil, err
		}
		if line == "" {
			return start, fields, nil
		}
		name, value, found := strings.Cut(line, ":")
		if !found {
			return "", nil, fmt.Errorf("header line %q has no colon", line)
		}
		fields = append(fields, Field{Name: name, Value: strings.Trim(value, " \t")})
	}
}

// readBody reads by the framing that fields give; toEnd says that a body
// without framing lasts until the connection closes.
func (w *wire) readBody(fields []Field, toEnd bool) (body []byte, err error) {
	if fieldHas(fields, "Transfer-Encoding", "chunked") {
		return w.readChunks()
	}
	length, framed := fieldValue(fields, "Content-Length")
	switch {
	case framed:
		n, err := strconv.ParseInt(length, 10, 64)
		if err != nil || n < 0 || n > maxBody {
			return nil, fmt.Errorf("Content-Length is %q", length)
		}
		body = make([]byte, n)
		_, err = io.ReadFull(w.r, body)
		return body, noEOF(err)
	case toEnd:
		body, err = io.ReadAll(io.LimitReader(w.r, maxBody+1))
		if len(body) > maxBody {
			return nil, fmt.Errorf("body is over %d bytes", maxBody)
		}
		return body, err
	}
	return nil, nil
}

func (w *wire) readChunks() ([]byte, error) {
	var body bytes.Buffer
	for {
		budget := 4 << 10
		line, err := w.readLine(&budget)
		if err != nil {
			return nil, noEOF(err)
		}
		size, _, _ := strings.Cut(line, ";")
		n, err := strconv.ParseInt(strings.TrimSpace(size), 16, 64)
		if err != nil || n < 0 || int64(body.Len())+n > maxBody {
			return nil, fmt.Errorf("chunk size is %q", line)
		}
		if _, err := io.CopyN(&body, w.r, n); err != nil {
			return nil, noEOF(err)
		}
		end, err := w.readLine(&budget)
		if err != nil {
			return nil, noEOF(err)
		}
		if end != "" {
			return nil, fmt.Errorf("chunk ends with %q", end)
		}
		if n == 0 {
			return body.Bytes(), nil
		}
	}
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readResponse reads the final response to a request of the method; last says
// that the peer closes behind it.
func (w *wire) readResponse(method string) (r Response, last bool, err error) {
	for {
		start, fields, err := w.readHead()
		if err != nil {
			return r, true, err
		}
		proto, rest, _ := strings.Cut(start, " ")
		code, reason, _ := strings.Cut(rest, " ")
		status, err := strconv.Atoi(code)
		if err != nil || !strings.HasPrefix(proto, "HTTP/1.") || status < 100 || status > 999 {
			return r, true, fmt.Errorf("status line is %q", start)
		}
		if status == 100 {
			continue
		}
		r = Response{Status: status, Reason: reason, Header: fields}
		last = fieldHas(fields, "Connection", "close") ||
			proto == "HTTP/1.0" && !fieldHas(fields, "Connection", "keep-alive")
		if method == "HEAD" || status == 204 || status == 304 {
			w.used = true
			return r, last, nil
		}
		_, length := fieldValue(fields, "Content-Length")
		toEnd := !length && !fieldHas(fields, "Transfer-Encoding", "chunked")
		r.Body, err = w.readBody(fields, toEnd)
		w.used = true
		return r, last || toEnd, err
	}
}

// readRequest reads one request; last says that the peer wants no other.
func (w *wire) readRequest() (r Request, last bool, err error) {
	start, fields, err := w.readHead()
	if err != nil {
		return r, true, err
	}
	parts := strings.Split(start, " ")
	if len(parts) != 3 || !strings.HasPrefix(parts[2], "HTTP/1.") {
		return r, true, fmt.Errorf("request line is %q", start)
	}
	if fieldHas(fields, "Expect", "100-continue") {
		if _, err := io.WriteString(w, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return r, true, err
		}
	}
	r = Request{Method: parts[0], Target: parts[1], Header: fields}
	r.Body, err = w.readBody(fields, false)
	return r, fieldHas(fields, "Connection", "close"), err
}

// awaitContinue waits at most d for an interim answer; a final one is left to
// be read, and a peer that says nothing is sent the body all the same (RFC 9110
// section 10.1.1).
func (w *wire) awaitContinue(d time.Duration, until time.Time) error {
	if err := w.SetReadDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	_, err := w.r.Peek(1)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		err = nil
	}
	if err != nil {
		return err
	}
	return w.SetReadDeadline(until)
}
