package cwmptest

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// post sends one message (nil: an empty one) and returns the response that
// counts, with challenges answered and redirects followed (TR-069 3.4.3: at
// most five).
func (v *visit) post(body []byte) (Response, error) {
	challenged := 0
	for redirects := 0; ; {
		r, err := v.exchange(body)
		if err != nil {
			return r, err
		}
		switch {
		case r.Status == 401 && challenged < 2 && !v.d.cfg.Quirks.GiveUpOn4xx && v.login.learn(r.Header):
			challenged++
			if v.d.cfg.Quirks.ReconnectAfter401 {
				v.drop()
			}
		case r.Status == 415 && v.d.cfg.Gzip && !v.d.plain:
			v.d.plain = true
		case (r.Status == 302 || r.Status == 307) && redirects < 5:
			redirects++
			if err := v.redirect(r); err != nil {
				return r, err
			}
		default:
			return r, nil
		}
	}
}

func (v *visit) redirect(r Response) error {
	location, _ := fieldValue(r.Header, "Location")
	next, err := v.d.target.Parse(location)
	if err != nil || next.Host == "" {
		return fmt.Errorf("redirect to %q", location)
	}
	if next.Host != v.d.target.Host || next.Scheme != v.d.target.Scheme {
		v.drop()
	}
	v.d.target = next
	return nil
}

func (v *visit) drop() {
	if v.wire != nil {
		v.wire.Close()
		v.wire = nil
	}
}

// exchange sends the message once and reads the answer.
func (v *visit) exchange(body []byte) (Response, error) {
	d := v.d
	if v.wire == nil && d.kept != nil {
		v.wire, d.kept = d.kept, nil
	}
	if v.wire == nil {
		w, err := d.connect(v.ctx, d.target)
		if err != nil {
			return Response{}, err
		}
		v.wire = w
		v.report.Connections++
	}
	request := v.request(body)
	v.report.Posts++
	r, last, err := roundTrip(v.ctx, v.wire, request, d.cfg.Quirks.HTTP10, d.cfg.Timeout)
	if err != nil {
		v.drop()
		return r, err
	}
	v.report.Status = r.Status
	if d.cfg.KeepExchanges > 0 {
		d.keep(Exchange{Request: request, Response: r})
	}
	if last || d.cfg.Quirks.ReconnectEachPost {
		v.drop()
	}
	for _, raw := range fieldValues(r.Header, "Set-Cookie") {
		d.jar = setCookie(d.jar, raw)
	}
	if coding, _ := fieldValue(r.Header, "Content-Encoding"); strings.EqualFold(coding, "gzip") {
		r.Body, err = gunzip(r.Body)
	}
	return r, err
}

func (d *Device) keep(e Exchange) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if over := len(d.truth.exchanges) + 1 - d.cfg.KeepExchanges; over > 0 {
		d.truth.exchanges = append(d.truth.exchanges[:0:0], d.truth.exchanges[over:]...)
	}
	d.truth.exchanges = append(d.truth.exchanges, e)
}

// request builds the head as the device's character wants it.
func (v *visit) request(body []byte) Request {
	d, q := v.d, v.d.cfg.Quirks
	r := Request{Method: "POST", Target: d.target.RequestURI()}
	add := func(name, value string) {
		if q.LowercaseHeaders {
			name = strings.ToLower(name)
		}
		r.Header = append(r.Header, Field{Name: name, Value: value})
	}
	if !q.NoHost {
		add("Host", d.target.Host)
	}
	if q.HTTP10 {
		add("Connection", "keep-alive")
	}
	add("User-Agent", "cwmptest")
	if len(body) > 0 || q.TypedEmptyPost {
		charset := "utf-8"
		if q.Latin1 {
			charset = "iso-8859-1"
		}
		add("Content-Type", `text/xml; charset="`+charset+`"`)
		add("SOAPAction", `""`)
	}
	if c := q.cookieHeader(d.jar); c != "" {
		add("Cookie", c)
	}
	if a := v.login.authorization("POST", r.Target); a != "" {
		add("Authorization", a)
	}
	r.Body = body
	if d.cfg.Gzip && !d.plain && len(body) > 0 {
		add("Content-Encoding", "gzip")
		r.Body = compress(body)
	}
	if d.cfg.Chunked && len(body) > 0 && !q.HTTP10 {
		add("Transfer-Encoding", "chunked")
	} else {
		add("Content-Length", strconv.Itoa(len(r.Body)))
	}
	if d.cfg.ExpectContinue && len(body) > 0 && !q.HTTP10 {
		add("Expect", "100-continue")
	}
	return r
}

// roundTrip writes a request as its fields frame it and reads the response.
func roundTrip(ctx context.Context, w *wire, r Request, http10 bool, limit time.Duration) (Response, bool, error) {
	until := time.Now().Add(limit)
	if d, ok := ctx.Deadline(); ok && d.Before(until) {
		until = d
	}
	if err := w.SetDeadline(until); err != nil {
		return Response{}, true, err
	}
	stop := context.AfterFunc(ctx, func() { w.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	version := " HTTP/1.1"
	if http10 {
		version = " HTTP/1.0"
	}
	text := appendHead(make([]byte, 0, 1024+len(r.Body)), r.Method+" "+r.Target+version, r.Header)
	if fieldHas(r.Header, "Expect", "100-continue") {
		if _, err := w.Write(text); err != nil {
			return Response{}, true, fmt.Errorf("write request: %w", err)
		}
		if err := w.awaitContinue(time.Second, until); err != nil {
			return Response{}, true, fmt.Errorf("await 100 Continue: %w", err)
		}
		text = text[:0]
	}
	if fieldHas(r.Header, "Transfer-Encoding", "chunked") {
		text = appendChunks(text, r.Body, 1000)
	} else {
		text = append(text, r.Body...)
	}
	if _, err := w.Write(text); err != nil {
		return Response{}, true, fmt.Errorf("write request: %w", err)
	}
	answer, last, err := w.readResponse(r.Method)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return answer, true, fmt.Errorf("read response: %w", err)
	}
	return answer, last, nil
}

// connect opens a connection to the URL's host, with TLS where it says so.
func (d *Device) connect(ctx context.Context, u *url.URL) (*wire, error) {
	address := d.cfg.Dial
	if address == "" || u.Host != d.target.Host {
		address = hostPort(u)
	}
	d.wires++
	return dialWire(ctx, address, u, d.cfg.TLS, d.cfg.Timeout, d.wires)
}

func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	if u.Scheme == "https" {
		return net.JoinHostPort(u.Hostname(), "443")
	}
	return net.JoinHostPort(u.Hostname(), "80")
}

func dialWire(ctx context.Context, address string, u *url.URL, cfg *tls.Config, limit time.Duration, number int) (*wire, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "https" {
		if cfg == nil {
			cfg = &tls.Config{}
		}
		if cfg.ServerName == "" && !cfg.InsecureSkipVerify {
			cfg = cfg.Clone()
			cfg.ServerName = u.Hostname()
		}
		secure := tls.Client(c, cfg)
		if err := secure.HandshakeContext(ctx); err != nil {
			c.Close()
			return nil, fmt.Errorf("tls handshake with %s: %w", address, err)
		}
		c = secure
	}
	return newWire(c, number), nil
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(body) // a bytes.Buffer takes everything
	w.Close()
	return b.Bytes()
}

func gunzip(body []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("read gzip: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(r, maxBody))
	if err != nil {
		return nil, fmt.Errorf("read gzip: %w", err)
	}
	return text, nil
}
