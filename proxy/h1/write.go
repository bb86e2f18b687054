package h1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// A write may take longer by one second for each so many bytes: the slowest
// peer that is borne.
const slowestWrite = 16 << 10

// Timeouts bound the phases of a connection. What is zero has its default.
type Timeouts struct {
	Idle  time.Duration // to the first byte of a request; 60 s
	Head  time.Duration // from then to the end of the head; 30 s
	Body  time.Duration // from the first read to the end of the body, which earns 1 s more with each 16 KB; 30 s
	Write time.Duration // for one write, and 1 s more for each 16 KB; 30 s. It may end when half of it is over.
}

func (t Timeouts) withDefaults() Timeouts {
	set := func(v *time.Duration, def time.Duration) {
		if *v <= 0 {
			*v = def
		}
	}
	set(&t.Idle, 60*time.Second)
	set(&t.Head, 30*time.Second)
	set(&t.Body, 30*time.Second)
	set(&t.Write, 30*time.Second)
	return t
}

// write writes p. A write that timed out cannot be gone on with under TLS, so
// the deadline is never set early; it is moved when less than half is left.
func (c *conn) write(p []byte) (int, error) {
	limit := c.writing + time.Duration(len(p)/slowestWrite)*time.Second
	now := time.Now()
	if c.until.Sub(now) < limit/2 && !c.hurried.Load() {
		c.until = now.Add(limit)
		if err := c.net.SetWriteDeadline(c.until); err != nil {
			return 0, err
		}
		if c.hurried.Load() {
			c.hurry() // which has just been undone
		}
	}
	return c.net.Write(p)
}

// hurry leaves little time for what is still being written, because it has been
// answered already. Another goroutine than the writing one may call it.
func (c *conn) hurry() {
	c.hurried.Store(true)
	c.net.SetWriteDeadline(time.Now().Add(answerGrace))
}

// send writes head, which stands at the front of a pooled buffer, and body: as
// one where they fit, else one after the other.
func (c *conn) send(head, body []byte) (n int, err error) {
	if len(head)+len(body) <= smallBuffer {
		return c.write(append(head, body...))
	}
	if n, err = c.write(head); err != nil {
		return n, err
	}
	m, err := c.write(body)
	return n + m, err
}

var crlf = []byte("\r\n")

// appendFields writes the fields that the caller gives, but those that frame
// the message or speak of the connection, which are ours to write.
func appendFields(dst []byte, fields []Field) ([]byte, error) {
	for i := range fields {
		f := &fields[i]
		if isName(f.Name, "content-length") || isName(f.Name, "transfer-encoding") || isName(f.Name, "connection") {
			continue
		}
		if len(f.Name) == 0 || !all(f.Name, isToken) {
			return dst, fmt.Errorf("write field: illegal name %q", excerpt(f.Name))
		}
		// What would end the line would begin a field of the sender's choice.
		if bytes.IndexByte(f.Value, '\n') >= 0 || bytes.IndexByte(f.Value, '\r') >= 0 || bytes.IndexByte(f.Value, 0) >= 0 {
			return dst, fmt.Errorf("write field %s: value with a line end or NUL", f.Name)
		}
		dst = append(dst, f.Name...)
		dst = append(dst, ": "...)
		dst = append(dst, f.Value...)
		dst = append(dst, crlf...)
	}
	return dst, nil
}

// appendFraming ends a head. length is as in Response.
func appendFraming(dst []byte, length int64, closes bool) []byte {
	switch {
	case length >= 0:
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, length, 10)
		dst = append(dst, crlf...)
	case length == lengthChunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	if closes {
		dst = append(dst, "Connection: close\r\n"...)
	}
	return append(dst, crlf...)
}

// appendStatusLine writes the reason phrase of the ACS, or ours where there is
// none.
func appendStatusLine(dst []byte, status int, reason []byte) ([]byte, error) {
	if status < 200 || status > 599 {
		return dst, fmt.Errorf("write response: status is %d", status)
	}
	for _, c := range reason {
		if classes[c]&isControl != 0 {
			return dst, errors.New("write response: control character in the reason phrase")
		}
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	if len(reason) > 0 {
		dst = append(dst, reason...)
	} else {
		dst = append(dst, phrase(status)...)
	}
	return append(dst, crlf...), nil
}

// phrase is the text of the statuses that a gateway answers by itself.
func phrase(status int) string {
	switch status {
	case 200:
		return "OK"
	case 204:
		return "No Content"
	case 307:
		return "Temporary Redirect"
	case 400:
		return "Bad Request"
	case 401:
		return "Unauthorized"
	case 403:
		return "Forbidden"
	case 404:
		return "Not Found"
	case 405:
		return "Method Not Allowed"
	case 408:
		return "Request Timeout"
	case 413:
		return "Content Too Large"
	case 414:
		return "URI Too Long"
	case 415:
		return "Unsupported Media Type"
	case 417:
		return "Expectation Failed"
	case 421:
		return "Misdirected Request"
	case 431:
		return "Request Header Fields Too Large"
	case 500:
		return "Internal Server Error"
	case 502:
		return "Bad Gateway"
	case 503:
		return "Service Unavailable"
	case 505:
		return "HTTP Version Not Supported"
	}
	return ""
}

// stream copies a body of the given length out: chunked, or as it is. It
// returns how many bytes of the body were written. srcErr is body's, err the
// connection's.
func (c *conn) stream(length int64, body io.Reader) (written int64, srcErr, err error) {
	s := smallBuffers.Get().(*small)
	defer smallBuffers.Put(s)
	const prefix = 8 // of a chunk: up to 6 digits and CRLF
	for length != 0 {
		room := s.bytes[prefix : len(s.bytes)-len(crlf)]
		if length > 0 && int64(len(room)) > length {
			room = room[:length]
		}
		n, rerr := body.Read(room)
		if n > 0 {
			out := room[:n]
			if length == lengthChunked {
				out = frame(s.bytes[:], prefix, n)
			}
			if _, err := c.write(out); err != nil {
				return written, nil, err
			}
			written += int64(n)
			if length > 0 {
				length -= int64(n)
			}
		}
		switch {
		case rerr == io.EOF && length > 0:
			return written, fmt.Errorf("%d bytes are missing: %w", length, io.ErrUnexpectedEOF), nil
		case rerr == io.EOF:
			if length == lengthChunked {
				_, err = c.write([]byte("0\r\n\r\n"))
			}
			return written, nil, err
		case rerr != nil:
			return written, rerr, nil
		}
	}
	return written, nil, nil
}

// frame puts a chunk's line before, and its line end behind, the n bytes at
// b[prefix:].
func frame(b []byte, prefix, n int) []byte {
	var digits [8]byte
	line := append(strconv.AppendInt(digits[:0], int64(n), 16), crlf...)
	start := prefix - len(line)
	copy(b[start:], line)
	copy(b[prefix+n:], crlf)
	return b[start : prefix+n+len(crlf)]
}
