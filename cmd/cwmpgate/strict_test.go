package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// strictMessage is an HTTP/1.1 message as the strictest of servers reads it.
type strictMessage struct {
	first  string // the request line or status line
	fields [][2]string
	body   []byte
}

// errCutBody is a body that ends early, behind a head that was right.
var errCutBody = errors.New("body cut short")

func (m *strictMessage) values(name string) (all []string) {
	for _, f := range m.fields {
		if strings.EqualFold(f[0], name) {
			all = append(all, f[1])
		}
	}
	return all
}

// readStrict reads one message and shares no code with the gateway: it takes
// nothing that another server could take for something else. io.EOF: there is
// none.
func readStrict(b *bufio.Reader) (*strictMessage, error) {
	first, err := strictLine(b)
	if err != nil {
		return nil, err
	}
	m := &strictMessage{first: first}
	for {
		line, err := strictLine(b)
		if err != nil {
			return m, noEOF(err)
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) {
			return m, fmt.Errorf("field line %q", line)
		}
		m.fields = append(m.fields, [2]string{name, strings.Trim(value, " \t")})
	}
	lengths, codings := m.values("Content-Length"), m.values("Transfer-Encoding")
	switch {
	case len(lengths)+len(codings) > 1:
		return m, fmt.Errorf("framed by lengths %q and codings %q", lengths, codings)
	case len(codings) == 1 && codings[0] == "chunked":
		m.body, err = strictChunks(b)
	case len(codings) == 1:
		return m, fmt.Errorf("coding %q", codings[0])
	case len(lengths) == 1:
		n, perr := strconv.ParseUint(lengths[0], 10, 31)
		if perr != nil || strconv.FormatUint(n, 10) != lengths[0] {
			return m, fmt.Errorf("Content-Length %q", lengths[0])
		}
		m.body, err = strictBytes(b, int(n))
	}
	return m, err
}

// strictLine is a line of visible characters, spaces and tabs that ends with CR
// LF.
func strictLine(b *bufio.Reader) (string, error) {
	line, err := b.ReadString('\n')
	if err == io.EOF && line == "" {
		return "", io.EOF
	}
	if err != nil {
		return "", fmt.Errorf("line %.60q: %w", line, noEOF(err))
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return "", fmt.Errorf("line %q", line)
	}
	return text, nil
}

func strictBytes(b *bufio.Reader, n int) ([]byte, error) {
	body := make([]byte, n)
	if _, err := io.ReadFull(b, body); err != nil {
		return nil, errCutBody
	}
	return body, nil
}

func strictChunks(b *bufio.Reader) (body []byte, err error) {
	for {
		line, err := b.ReadString('\n')
		if err != nil {
			return nil, errCutBody
		}
		digits, ok := strings.CutSuffix(line, "\r\n")
		n, perr := strconv.ParseUint(digits, 16, 31)
		if !ok || perr != nil || strings.ContainsAny(digits, "+-_xX") {
			return nil, fmt.Errorf("chunk size %q", line)
		}
		chunk, err := strictBytes(b, int(n))
		if err != nil {
			return nil, err
		}
		end, err := strictBytes(b, 2)
		if err != nil {
			return nil, err
		}
		if string(end) != "\r\n" {
			return nil, fmt.Errorf("chunk ends with %q", end)
		}
		if n == 0 {
			return body, nil
		}
		body = append(body, chunk...)
	}
}

func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// checkArrived is what is wrong with a request that came out of the gateway.
func checkArrived(m *strictMessage, method, target string) error {
	if !slices.Contains([]string{"POST", "GET", "HEAD", "PUT"}, method) || !strings.HasPrefix(target, "/") {
		return fmt.Errorf("request line %q", m.first)
	}
	if strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' }) {
		return fmt.Errorf("target %q", target)
	}
	if host := m.values("Host"); len(host) != 1 || strings.ContainsAny(host[0], " ,/@") {
		return fmt.Errorf("hosts %q", host)
	}
	// What a CPE says of where it comes from does not get through.
	for _, f := range m.fields {
		switch name := strings.ReplaceAll(strings.ToLower(f[0]), "_", "-"); name {
		case "x-forwarded-for":
			if f[1] != "127.0.0.1" || len(m.values("X-Forwarded-For")) != 1 {
				return fmt.Errorf("%s: %s", f[0], f[1])
			}
		case "forwarded", "x-real-ip", "remote-user", "client-cert", "upgrade", "trailer", "te", "keep-alive":
			return fmt.Errorf("%s: %s", f[0], f[1])
		}
	}
	return nil
}
