package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

const maxBody = 64 << 20

var errHead = errors.New("head is not HTTP/1.x")

// link is one connection, read with as little work as is correct: the load
// generator shares the machine with what it measures.
type link struct {
	net.Conn
	r    *bufio.Reader
	body []byte // of the last message, valid until the next
	head head
}

// head is what matters of a request's or response's.
type head struct {
	status  int  // of a response
	post    bool // a request that is a POST
	length  int  // -1: none given
	chunked bool
	close   bool   // behind this message
	after   int    // seconds of Retry-After; 0: none given
	cookies []byte // a request's Cookie, or a response's Set-Cookies as pairs "a=b; c=d"
}

func (l *link) readMessage(isResponse bool) error {
	for {
		if err := l.readHead(isResponse); err != nil {
			return err
		}
		if !isResponse || l.head.status != 100 {
			break
		}
	}
	l.body = l.body[:0]
	h := &l.head
	switch {
	case isResponse && (h.status == 204 || h.status == 304):
		return nil
	case h.chunked:
		return l.readChunks()
	case h.length > maxBody:
		return fmt.Errorf("body of %d bytes is over %d", h.length, maxBody)
	case h.length >= 0:
		return l.extend(h.length)
	case isResponse: // until the peer closes
		h.close = true
		rest, err := io.ReadAll(io.LimitReader(l.r, maxBody))
		l.body = append(l.body, rest...)
		return err
	}
	return nil
}

func (l *link) readHead(isResponse bool) error {
	cookies := l.head.cookies[:0]
	l.head = head{length: -1, cookies: cookies}
	line, err := l.r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if err := l.head.startLine(bytes.TrimRight(line, "\r\n"), isResponse); err != nil {
		return err
	}
	for range 200 {
		line, err := l.r.ReadSlice('\n')
		if err != nil {
			return noEOF(err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return nil
		}
		if err := l.head.field(line); err != nil {
			return err
		}
	}
	return errHead
}

func (h *head) startLine(line []byte, isResponse bool) error {
	if !isResponse {
		h.post = bytes.HasPrefix(line, []byte("POST "))
		h.close = bytes.HasSuffix(line, []byte("HTTP/1.0"))
		return nil
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return errHead
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return errHead
	}
	h.status, h.close = status, line[7] == '0'
	return nil
}

func (h *head) field(line []byte) error {
	name, value, found := bytes.Cut(line, []byte(":"))
	if !found {
		return errHead
	}
	value = bytes.TrimSpace(value)
	switch {
	case len(name) == 14 && bytes.EqualFold(name, []byte("Content-Length")):
		n, err := strconv.Atoi(string(value))
		if err != nil || n < 0 {
			return errHead
		}
		h.length = n
	case len(name) == 11 && bytes.EqualFold(name, []byte("Retry-After")):
		h.after, _ = strconv.Atoi(string(value)) // a date is none
	case len(name) == 17 && bytes.EqualFold(name, []byte("Transfer-Encoding")):
		h.chunked = true
	case len(name) == 10 && bytes.EqualFold(name, []byte("Connection")):
		switch {
		case bytes.EqualFold(value, []byte("close")):
			h.close = true
		case bytes.EqualFold(value, []byte("keep-alive")):
			h.close = false
		}
	case len(name) == 6 && bytes.EqualFold(name, []byte("Cookie")):
		h.cookies = append(h.cookies, value...)
	case len(name) == 10 && bytes.EqualFold(name, []byte("Set-Cookie")):
		pair, _, _ := bytes.Cut(value, []byte(";"))
		if len(h.cookies) > 0 {
			h.cookies = append(h.cookies, "; "...)
		}
		h.cookies = append(h.cookies, pair...)
	}
	return nil
}

// extend reads n bytes more of the body.
func (l *link) extend(n int) error {
	at := len(l.body)
	if at+n > maxBody {
		return fmt.Errorf("body is over %d bytes", maxBody)
	}
	for cap(l.body) < at+n {
		l.body = append(l.body[:cap(l.body)], 0)
	}
	l.body = l.body[:at+n]
	_, err := io.ReadFull(l.r, l.body[at:])
	return noEOF(err)
}

func (l *link) readChunks() error {
	for {
		line, err := l.r.ReadSlice('\n')
		if err != nil {
			return noEOF(err)
		}
		size, _, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(";"))
		n, err := strconv.ParseUint(string(size), 16, 31)
		if err != nil {
			return fmt.Errorf("chunk size %q", size)
		}
		if err := l.extend(int(n)); err != nil {
			return err
		}
		if line, err = l.r.ReadSlice('\n'); err != nil || len(bytes.TrimRight(line, "\r\n")) > 0 {
			return errors.Join(errors.New("chunk has no end"), err)
		}
		if n == 0 {
			return nil
		}
	}
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
