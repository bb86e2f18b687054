package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// connectError is a failure before the first byte of HTTP.
type connectError struct {
	tls bool
	err error
}

func (e *connectError) Error() string { return e.err.Error() }
func (e *connectError) Unwrap() error { return e.err }

func (w *worker) connect(ctx context.Context, until time.Time) error {
	began := time.Now()
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	dialer := net.Dialer{LocalAddr: w.from}
	c, err := dialer.DialContext(ctx, "tcp", w.load.cfg.address)
	if err != nil {
		return &connectError{false, err}
	}
	if w.tls != nil {
		secure := tls.Client(c, w.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			c.Close()
			return &connectError{true, fmt.Errorf("tls handshake: %w", err)}
		}
		if secure.ConnectionState().DidResume {
			w.resumed++
		}
		c = secure
	}
	w.connects.Add(time.Since(began))
	c.SetDeadline(until)
	w.reader.Reset(c)
	w.link = &link{Conn: c, r: w.reader, body: w.body[:0]}
	return nil
}

func (w *worker) hangup() {
	if w.link != nil {
		w.link.Close()
		w.link = nil
	}
}

// post sends a message, nil for an empty one, and reads the answer to w.body.
func (w *worker) post(ctx context.Context, t *template, until time.Time) error {
	if w.link == nil {
		if err := w.connect(ctx, until); err != nil {
			return err
		}
	}
	w.posts++
	w.request(t)
	stop := context.AfterFunc(ctx, cutting(w.link.Conn))
	defer stop()
	if _, err := w.link.Write(w.out); err != nil {
		return err
	}
	if err := w.link.readMessage(true); err != nil {
		return err
	}
	w.body = w.link.body
	w.keepCookies(w.link.head.cookies)
	status := w.link.head.status
	w.after = w.link.head.after
	if w.link.head.close {
		w.hangup()
	}
	if status/100 != 2 {
		return statusError(status)
	}
	return nil
}

// cutting ends what is under way on a connection.
func cutting(c net.Conn) func() { return func() { c.SetDeadline(time.Unix(1, 0)) } }

// request writes the POST to w.out.
func (w *worker) request(t *template) {
	w.out = append(w.out[:0], w.head...)
	for i, c := range w.jar {
		if i == 0 {
			w.out = append(w.out, "Cookie: "...)
		} else {
			w.out = append(w.out, "; "...)
		}
		w.out = append(w.out, c...)
	}
	if len(w.jar) > 0 {
		w.out = append(w.out, "\r\n"...)
	}
	if t == nil {
		w.out = append(w.out, "Content-Length: 0\r\n\r\n"...)
		return
	}
	w.out = append(w.out, "Content-Type: text/xml; charset=\"utf-8\"\r\nSOAPAction: \"\"\r\nContent-Length: "...)
	w.out = strconv.AppendInt(w.out, int64(t.size(w.id)), 10)
	w.out = append(w.out, "\r\n\r\n"...)
	w.out = t.append(w.out, w.serial, w.id)
}

// keepCookies replaces cookies by name; a session begins without any.
func (w *worker) keepCookies(set []byte) {
	for len(set) > 0 {
		var pair []byte
		pair, set, _ = bytes.Cut(set, []byte("; "))
		name, _, _ := bytes.Cut(pair, []byte("="))
		kept := false
		for i, c := range w.jar {
			if bytes.HasPrefix(c, name) && len(c) > len(name) && c[len(name)] == '=' {
				w.jar[i] = append(c[:0], pair...)
				kept = true
			}
		}
		if !kept && len(w.jar) < 16 {
			w.jar = append(w.jar, bytes.Clone(pair))
		}
	}
}

// errorKind is the name under which an error is counted.
func errorKind(err error) string {
	var status statusError
	var connect *connectError
	var network net.Error
	switch {
	case errors.Is(err, errWrongDevice):
		return "wrong-device"
	case errors.As(err, &status):
		return "status-" + strconv.Itoa(int(status))
	case errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.As(err, &connect) && connect.tls:
		return "tls"
	case errors.As(err, &connect):
		return "connect"
	case errors.Is(err, errNoInform) || errors.Is(err, errEndless):
		return "protocol"
	}
	return "connection"
}
