package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// mutator makes streams of requests of which some are not as they should be.
type mutator struct {
	*rand.Rand
	serial string
	nonce  string // stands in every request
}

// pick draws one of a list.
func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// request is one as it should be.
func (m *mutator) request() []byte {
	body := informBody(m.serial)
	nonce := "X-Nonce: " + m.nonce
	switch m.IntN(13) {
	case 0:
		return []byte(chunked("POST /acs", body, nonce, m.Rand))
	case 1, 2:
		return []byte(post("", nonce))
	case 3:
		return []byte("GET /fw.bin?token=7 HTTP/1.1\r\nHost: acs.example.test\r\n" + nonce + "\r\n\r\n")
	case 4:
		return []byte("HEAD /fw.bin HTTP/1.1\r\nHost: acs.example.test\r\n" + nonce + "\r\n\r\n")
	case 5:
		return fmt.Appendf(nil, "PUT /up HTTP/1.1\r\nHost: acs.example.test\r\n%s\r\nContent-Length: 11\r\n\r\nhello there", nonce)
	case 6:
		return []byte(chunked("PUT /up", strings.Repeat("a line of a file\r\n", pick(m.Rand, 20, 20, 20, 2000)), nonce, m.Rand))
	case 7:
		return []byte(post(string(cwmptest.Envelope{ID: "q", RPC: "<cwmp:GetRPCMethods></cwmp:GetRPCMethods>"}.Append(nil)), nonce))
	case 8:
		return []byte(post(gzipped(body), nonce, "Content-Encoding: gzip"))
	case 9:
		return []byte(post(body, nonce, "Cookie: a=b; cg=0123456789abcdefghijkl; c=d", "X-Forwarded-For: 192.0.2.9", "Forwarded: for=192.0.2.9"))
	case 10:
		return bytes.Replace([]byte(post(body, nonce, "Connection: keep-alive")), []byte("HTTP/1.1"), []byte("HTTP/1.0"), 1)
	case 11: // a request stands in the body: cut short it is one
		inner := "<!-- \r\n\r\n" + post("", "X-Inner: yes") + " -->"
		return []byte(post(strings.Replace(body, "<", inner+"<", 2)[len(inner):], nonce))
	}
	return []byte(post(body, nonce))
}

func chunked(line, body, field string, r *rand.Rand) string {
	var b strings.Builder
	b.WriteString(line + " HTTP/1.1\r\nHost: acs.example.test\r\nContent-Type: text/xml\r\n" + field + "\r\nTransfer-Encoding: chunked\r\n\r\n")
	for len(body) > 0 {
		n := min(1+r.IntN(len(body)/4+400), len(body))
		fmt.Fprintf(&b, "%x%s\r\n%s\r\n", n, pick(r, "", "", ";a=b"), body[:n])
		body = body[n:]
	}
	b.WriteString("0\r\n\r\n")
	return b.String()
}

// oddLines are fields that frame, route or vouch, right and wrong.
var oddLines = []string{
	"Content-Length: 0", "Content-Length: 5", "Content-Length: +5", "Content-Length: 0x5", "Content-Length: 5, 5", "Content-Length: 005",
	"Content-Length: 99999999999999999999", "Content-Length : 5", "Content-Length:", "Content_Length: 5", "content-length:\t7",
	"Transfer-Encoding: chunked", "Transfer-Encoding: Chunked", "Transfer-Encoding: \x0bchunked", "Transfer-Encoding: chunked, identity",
	"Transfer-Encoding: identity", "Transfer-Encoding: xchunked", "Transfer-Encoding : chunked", "Transfer-Encoding:\r\n chunked",
	"Transfer_Encoding: chunked", "Transfer-Encoding: gzip, chunked", "X: y\nTransfer-Encoding: chunked", "X: y\rTransfer-Encoding: chunked",
	"Host: other.example.test", "Host: a b", "Host:", "Connection: close", "Connection: Content-Length", "Connection: X-Forwarded-For, Host",
	"Connection: X-Nonce", "Upgrade: websocket", "Upgrade: h2c", "Expect: 100-continue", "Expect: nothing", "Trailer: X", "TE: trailers",
	"Keep-Alive: timeout=5", "X_Forwarded_For: 192.0.2.9", "X-Forwarded-For: 192.0.2.9", "X-Real-IP: 192.0.2.9", "Forwarded: for=192.0.2.9",
	"Content-Encoding: gzip", "Content-Encoding: br", "Cookie: cg=zzzzzzzzzzzzzzzzzzzzzz", "Content-Type: text/xml; charset=utf-16",
	" folded", "\tfolded", "no colon", ": no name", "Na me: x", "X: \x00", "X: \x7f", "X: \xff", "SOAPAction: \"\"",
	"GET /inner HTTP/1.1\r\nHost: inner.example.test\r\n", "\r\nPOST /inner HTTP/1.1\r\nHost: inner.example.test\r\nContent-Length: 0\r\n",
}

// oddBytes are those that parsers differ over.
const oddBytes = "\x00\t\n\v\f\r :;,/\\\"'%#?0159afAFxX+-_.\x1f\x7f\x80\x85\xa0\xff"

// mutate changes a request in one place.
func (m *mutator) mutate(q []byte) []byte {
	head := max(bytes.Index(q, []byte("\r\n\r\n")), 1)
	at := m.IntN(head)
	if m.IntN(4) == 0 {
		at = m.IntN(len(q)) // chunk sizes stand in the body
	}
	switch m.IntN(12) {
	case 0:
		return slices.Insert(q, at, oddBytes[m.IntN(len(oddBytes))])
	case 1:
		q[at] = oddBytes[m.IntN(len(oddBytes))]
		return q
	case 2:
		return slices.Delete(q, at, min(at+1+m.IntN(3), len(q)))
	case 3: // another end of a line
		return replaceNth(q, "\r\n", pick(m.Rand, "\n", "\r", "\r\r\n", "\r\n ", "\n\r", "\r\n\r\n", ""), m.IntN(12))
	case 4, 5, 6: // a line more
		return replaceNth(q, "\r\n", "\r\n"+pick(m.Rand, oddLines...)+"\r\n", m.IntN(5))
	case 7: // a line again, or one less
		lines := bytes.SplitAfter(q[:head+2], []byte("\r\n"))
		i := m.IntN(len(lines))
		if m.IntN(2) == 0 {
			lines = slices.Insert(lines, m.IntN(len(lines)), lines[i])
		} else {
			lines = slices.Delete(lines, i, i+1)
		}
		return append(bytes.Join(lines, nil), q[min(head+2, len(q)):]...)
	case 8: // the request line
		end := max(bytes.Index(q, []byte("\r\n")), 0)
		line := pick(m.Rand, "POST http://acs.example.test/acs HTTP/1.1", "POST http://other.example.test/ HTTP/1.1", "POST  /acs HTTP/1.1",
			"POST /acs HTTP/1.2", "POST /acs HTTP/2.0", "POST /acs", "post /acs HTTP/1.1", "CONNECT a.example.test:443 HTTP/1.1", "OPTIONS * HTTP/1.1",
			"POST /a b HTTP/1.1", "POST /acs?x=\x00 HTTP/1.1", "POST /%00%0d%0a HTTP/1.1", "POST //acs HTTP/1.1", "POST /acs#f HTTP/1.1",
			"POST\t/acs HTTP/1.1", "POST /acs HTTP/1.1 ", "PUT /acs HTTP/1.1", "GET /acs HTTP/1.1", "PRI * HTTP/2.0")
		return append([]byte(line), q[end:]...)
	case 9: // a length that is a little off
		if i := bytes.Index(q, []byte("Content-Length: ")); i > 0 && i+17 < len(q) {
			digit := i + 16 + m.IntN(3)
			q[min(digit, len(q)-1)] = "0123456789 +-"[m.IntN(13)]
		}
		return q
	case 10: // cut short
		return q[:at]
	}
	other := m.request() // another one in the middle of it
	return slices.Insert(q, at, other[:m.IntN(len(other))]...)
}

// replaceNth replaces the n-th place of a text, or the last where there are
// fewer.
func replaceNth(q []byte, old, by string, n int) []byte {
	at := -1
	for ; n >= 0; n-- {
		i := bytes.Index(q[at+1:], []byte(old))
		if i < 0 {
			break
		}
		at += 1 + i
	}
	if at < 0 {
		return q
	}
	return append(append(slices.Clone(q[:at]), by...), q[at+len(old):]...)
}

// stream is a few requests behind one another; count is how many it was made of.
func (m *mutator) stream() (text []byte, count int) {
	count = 1 + m.IntN(6)
	for range count {
		q := m.request()
		if m.IntN(3) == 0 {
			for range 1 + m.IntN(2) {
				if len(q) > 0 {
					q = m.mutate(q)
				}
			}
		}
		text = append(text, q...)
	}
	return text, count
}
