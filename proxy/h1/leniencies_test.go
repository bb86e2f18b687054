package h1

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
)

const second = "POST /second HTTP/1.1\r\nHost: example.net\r\nContent-Length: 2\r\n\r\nok"

// post is a request line and Host with more lines behind them.
func post(lines string) string { return "POST /acs HTTP/1.1\r\nHost: example.net\r\n" + lines }

// leniencies are the requests that servers are known to differ on. Each is
// followed at once by a second request, which must be answered where the first
// was taken, and never where it was refused.
var leniencies = []struct {
	name   string
	wire   string
	reason Reason // empty: accepted
	answer string // of an accepted one
	config ServerConfig
}{
	{name: "length-and-transfer-encoding", wire: post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), reason: ReasonLengthAndEncoding},
	{name: "transfer-encoding-and-length", wire: post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"), reason: ReasonLengthAndEncoding},
	{name: "two-equal-lengths", wire: post("Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi"), reason: ReasonRepeatedLength},
	{name: "two-different-lengths", wire: post("Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!"), reason: ReasonRepeatedLength},
	{name: "length-list", wire: post("Content-Length: 5, 5\r\n\r\nhello"), reason: ReasonContentLength},
	{name: "length-plus", wire: post("Content-Length: +5\r\n\r\nhello"), reason: ReasonContentLength},
	{name: "length-hex", wire: post("Content-Length: 0x5\r\n\r\nhello"), reason: ReasonContentLength},
	{name: "length-negative", wire: post("Content-Length: -1\r\n\r\nhello"), reason: ReasonContentLength},
	{name: "length-empty", wire: post("Content-Length:\r\n\r\nhello"), reason: ReasonContentLength},
	{name: "length-over-2^63", wire: post("Content-Length: 9223372036854775808\r\n\r\n"), reason: ReasonContentLength},
	{name: "length-over-2^64", wire: post("Content-Length: 18446744073709551621\r\n\r\nhello"), reason: ReasonContentLength},
	{name: "length-leading-zero", wire: post("Content-Length: 05\r\n\r\nhello"), answer: "POST /acs example.net hello"},
	{name: "encoding-gzip-chunked", wire: post("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), reason: ReasonTransferEncoding},
	{name: "encoding-xchunked", wire: post("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), reason: ReasonTransferEncoding},
	{name: "encoding-twice", wire: post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), reason: ReasonTransferEncoding},
	{name: "encoding-chunked-chunked", wire: post("Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"), reason: ReasonTransferEncoding},
	{name: "encoding-empty", wire: post("Transfer-Encoding:\r\n\r\n0\r\n\r\n"), reason: ReasonTransferEncoding},
	{name: "encoding-vertical-tab", wire: post("Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"), reason: ReasonControl},
	{name: "encoding-identity-with-length", wire: post("Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nhi"), reason: ReasonLengthAndEncoding},
	{name: "encoding-identity", wire: post("Transfer-Encoding: identity\r\n\r\n"), reason: ReasonTransferEncoding},
	{name: "encoding-odd-case", wire: post("transfer-ENCODING: Chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"), answer: "POST /acs example.net hi"},
	{name: "http-1.0-with-encoding", wire: "POST /acs HTTP/1.0\r\nHost: example.net\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", reason: ReasonEncodingVersion},

	{name: "bare-lf-all-lines", wire: "POST /acs HTTP/1.1\nHost: example.net\nContent-Length: 0\n\n", reason: ReasonBareLF},
	{name: "bare-lf-one-line", wire: post("X-A: b\nContent-Length: 0\r\n\r\n"), reason: ReasonBareLF},
	{name: "bare-lf-last-line", wire: post("Content-Length: 0\r\n\n"), reason: ReasonBareLF},
	{name: "bare-cr-all-lines", wire: "POST /acs HTTP/1.1\rHost: example.net\rContent-Length: 0\r\r", reason: ReasonBareCR},
	{name: "bare-cr-in-value", wire: post("X-A: b\rc\r\nContent-Length: 0\r\n\r\n"), reason: ReasonBareCR},
	{name: "bare-lf-chunk-size", wire: chunked("2\nhi\r\n0\r\n\r\n"), reason: ReasonBareLF},
	{name: "bare-lf-chunk-end", wire: chunked("2\r\nhi\n0\r\n\r\n"), reason: ReasonBareLF},
	{name: "bare-lf-chunk-extension", wire: chunked("2;a\nhi\r\n0\r\n\r\n"), reason: ReasonBareLF},
	{name: "bare-cr-chunk-extension", wire: chunked("2;a\rb\r\nhi\r\n0\r\n\r\n"), reason: ReasonBareCR},
	{name: "bare-lf-last-chunk", wire: chunked("2\r\nhi\r\n0\n\r\n"), reason: ReasonBareLF},
	{name: "bare-lf-after-last-chunk", wire: chunked("2\r\nhi\r\n0\r\n\n"), reason: ReasonBareLF},
	{name: "chunk-size-0x5", wire: chunked("0x5\r\nhello\r\n0\r\n\r\n"), reason: ReasonChunkSize},
	{name: "chunk-size-plus", wire: chunked("+5\r\nhello\r\n0\r\n\r\n"), reason: ReasonChunkSize},
	{name: "chunk-size-negative", wire: chunked("-5\r\nhello\r\n0\r\n\r\n"), reason: ReasonChunkSize},
	{name: "chunk-size-empty", wire: chunked("\r\nhello\r\n0\r\n\r\n"), reason: ReasonChunkSize},
	{name: "chunk-size-over-2^64", wire: chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"), reason: ReasonChunkSize},
	{name: "chunk-size-2^62", wire: chunked("4000000000000000\r\nhello\r\n0\r\n\r\n"), reason: ReasonChunkSize},
	{name: "chunk-size-space-behind", wire: chunked("2 \r\nhi\r\n0\r\n\r\n"), reason: ReasonChunkSize},
	{name: "chunk-size-space-before", wire: chunked(" 2\r\nhi\r\n0\r\n\r\n"), reason: ReasonChunkSize},
	{name: "chunk-size-leading-zeros", wire: chunked("0002\r\nhi\r\n000\r\n\r\n"), answer: "POST /acs example.net hi"},
	{name: "chunk-too-long", wire: chunked("2\r\nhi!!\r\n0\r\n\r\n"), reason: ReasonChunkEnd},
	{name: "chunk-too-short", wire: chunked("4\r\nhi\r\n0\r\n\r\n"), reason: ReasonChunkEnd},
	{name: "chunk-extension", wire: chunked("2;name=\"va;l\\\"ue\"\r\nhi\r\n0;last\r\n\r\n"), answer: "POST /acs example.net hi"},
	{name: "chunk-extension-nul", wire: chunked("2;a\x00\r\nhi\r\n0\r\n\r\n"), reason: ReasonControl},
	{name: "chunk-extension-long", wire: chunked("2;" + strings.Repeat("a", 300) + "\r\nhi\r\n0\r\n\r\n"), reason: ReasonChunkExtension},
	{name: "chunk-extensions-many", wire: chunked(strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\n-\r\n", 30) + "0\r\n\r\n"), reason: ReasonChunkExtension},
	{name: "trailer", wire: chunked("2\r\nhi\r\n0\r\nX-A: b\r\n\r\n"), reason: ReasonTrailer},
	{name: "trailer-content-length", wire: chunked("2\r\nhi\r\n0\r\nContent-Length: 5\r\n\r\n"), reason: ReasonTrailer},

	{name: "obs-fold", wire: post("X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n"), reason: ReasonFold},
	{name: "obs-fold-tab", wire: post("X-A: b\r\n\tc\r\nContent-Length: 0\r\n\r\n"), reason: ReasonFold},
	{name: "obs-fold-first-line", wire: "POST /acs HTTP/1.1\r\n Host: example.net\r\nHost: example.net\r\n\r\n", reason: ReasonFold},
	{name: "obs-fold-blank-line", wire: post("X-A: b\r\n \r\nContent-Length: 0\r\n\r\n"), reason: ReasonFold},
	{name: "space-before-colon", wire: post("Content-Length : 0\r\n\r\n"), reason: ReasonSpaceBeforeColon},
	{name: "tab-before-colon", wire: post("Content-Length\t: 0\r\n\r\n"), reason: ReasonSpaceBeforeColon},
	{name: "no-colon", wire: post("Content-Length 0\r\n\r\n"), reason: ReasonNoColon},
	{name: "empty-name", wire: post(": 0\r\n\r\n"), reason: ReasonFieldName},
	{name: "illegal-name", wire: post("X(: 0\r\n\r\n"), reason: ReasonFieldName},
	{name: "space-in-name", wire: post("X A: 0\r\n\r\n"), reason: ReasonFieldName},
	{name: "nul-in-name", wire: post("X\x00A: 0\r\n\r\n"), reason: ReasonFieldName},
	{name: "high-byte-in-name", wire: post("X\xe9: 0\r\n\r\n"), reason: ReasonFieldName},
	{name: "nul-in-value", wire: post("X-A: b\x00c\r\n\r\n"), reason: ReasonNUL},
	{name: "0x01-in-value", wire: post("X-A: b\x01c\r\n\r\n"), reason: ReasonControl},
	{name: "del-in-value", wire: post("X-A: b\x7fc\r\n\r\n"), reason: ReasonControl},
	{name: "0xe9-in-value", wire: post("X-A: caf\xe9\tb\r\n\r\n"), answer: "POST /acs example.net "},

	{name: "two-hosts", wire: post("Host: example.com\r\n\r\n"), reason: ReasonRepeatedHost},
	{name: "two-equal-hosts", wire: post("Host: example.net\r\n\r\n"), reason: ReasonRepeatedHost},
	{name: "no-host", wire: "POST /acs HTTP/1.1\r\nContent-Length: 0\r\n\r\n", reason: ReasonNoHost},
	{name: "no-host-allowed", wire: "POST /acs HTTP/1.1\r\nContent-Length: 0\r\n\r\n", answer: "POST /acs  ", config: ServerConfig{AllowNoHost: true}},
	{name: "two-hosts-never-allowed", wire: post("Host: example.net\r\n\r\n"), reason: ReasonRepeatedHost, config: ServerConfig{AllowNoHost: true}},
	{name: "empty-host", wire: "POST /acs HTTP/1.1\r\nHost:\r\nContent-Length: 0\r\n\r\n", reason: ReasonNoHost},
	{name: "host-with-space", wire: "POST /acs HTTP/1.1\r\nHost: a b\r\n\r\n", reason: ReasonHost},
	{name: "host-with-at-and-path", wire: "POST /acs HTTP/1.1\r\nHost: a@b/c\r\n\r\n", reason: ReasonHost},
	{name: "host-with-comma", wire: "POST /acs HTTP/1.1\r\nHost: a,b\r\n\r\n", reason: ReasonHost},
	{name: "host-with-bad-port", wire: "POST /acs HTTP/1.1\r\nHost: a:8x\r\n\r\n", reason: ReasonHost},
	{name: "host-ipv6", wire: "POST /acs HTTP/1.1\r\nHost: [2001:db8::1]:7547\r\n\r\n", answer: "POST /acs [2001:db8::1]:7547 "},
	{name: "absolute-other-host", wire: "POST http://example.com/acs HTTP/1.1\r\nHost: example.net\r\n\r\n", reason: ReasonAbsoluteForm},
	{name: "absolute-other-port", wire: "POST http://example.net:81/acs HTTP/1.1\r\nHost: example.net\r\n\r\n", reason: ReasonAbsoluteForm},
	{name: "absolute-other-scheme", wire: "POST https://example.net/acs HTTP/1.1\r\nHost: example.net\r\n\r\n", reason: ReasonAbsoluteForm, config: ServerConfig{Scheme: "http"}},
	{name: "absolute-user", wire: "POST http://u@example.net/acs HTTP/1.1\r\nHost: example.net\r\n\r\n", reason: ReasonAbsoluteForm},
	{name: "absolute-unknown-scheme", wire: "POST ftp://example.net/acs HTTP/1.1\r\nHost: example.net\r\n\r\n", reason: ReasonAbsoluteForm},
	{name: "absolute-no-host", wire: "POST http://example.net/acs HTTP/1.1\r\n\r\n", reason: ReasonNoHost},
	{name: "absolute-own-host", wire: "POST HTTP://Example.net:80/acs?x=1 HTTP/1.1\r\nHost: example.net\r\n\r\n", answer: "POST /acs?x=1 Example.net:80 "},
	{name: "absolute-own-host-no-path", wire: "POST http://example.net HTTP/1.1\r\nHost: example.net\r\n\r\n", answer: "POST / example.net "},
	{name: "absolute-own-host-query", wire: "POST http://example.net?a=/b HTTP/1.1\r\nHost: example.net\r\n\r\n", answer: "POST /?a=/b example.net "},
	{name: "target-no-slash", wire: "POST acs HTTP/1.1\r\nHost: example.net\r\n\r\n", reason: ReasonTarget},
	{name: "target-star", wire: "POST * HTTP/1.1\r\nHost: example.net\r\n\r\n", reason: ReasonTarget},
	{name: "options-star", wire: "OPTIONS * HTTP/1.1\r\nHost: example.net\r\n\r\n", answer: "OPTIONS * example.net "},
	{name: "target-fragment", wire: "POST /acs#x HTTP/1.1\r\nHost: example.net\r\n\r\n", reason: ReasonTarget},

	{name: "second-space", wire: "POST  /acs HTTP/1.1\r\nHost: example.net\r\n\r\n", reason: ReasonRequestLine},
	{name: "space-at-end", wire: "POST /acs HTTP/1.1 \r\nHost: example.net\r\n\r\n", reason: ReasonRequestLine},
	{name: "space-in-target", wire: "POST /a cs HTTP/1.1\r\nHost: example.net\r\n\r\n", reason: ReasonRequestLine},
	{name: "tab-in-request-line", wire: "POST\t/acs HTTP/1.1\r\nHost: example.net\r\n\r\n", reason: ReasonRequestLine},
	{name: "0x01-in-request-line", wire: "POST /a\x01cs HTTP/1.1\r\nHost: example.net\r\n\r\n", reason: ReasonRequestLine},
	{name: "nul-in-request-line", wire: "POST /a\x00cs HTTP/1.1\r\nHost: example.net\r\n\r\n", reason: ReasonRequestLine},
	{name: "no-version", wire: "POST /acs\r\nHost: example.net\r\n\r\n", reason: ReasonRequestLine},
	{name: "http-1.9", wire: "POST /acs HTTP/1.9\r\nHost: example.net\r\n\r\n", reason: ReasonVersion},
	{name: "http-2.0", wire: "POST /acs HTTP/2.0\r\nHost: example.net\r\n\r\n", reason: ReasonVersion},
	{name: "http-2-preface", wire: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", reason: ReasonVersion},
	{name: "http-lower-case", wire: "POST /acs http/1.1\r\nHost: example.net\r\n\r\n", reason: ReasonRequestLine},
	{name: "http-1.10", wire: "POST /acs HTTP/1.10\r\nHost: example.net\r\n\r\n", reason: ReasonRequestLine},
	{name: "crlf-before-request-line", wire: "\r\n" + post("Content-Length: 0\r\n\r\n"), reason: ReasonEmptyLine},
	{name: "lf-before-request-line", wire: "\n" + post("Content-Length: 0\r\n\r\n"), reason: ReasonBareLF},
	{name: "tls-on-plain-listener", wire: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", reason: ReasonRequestLine},
	{name: "expect-other", wire: post("Expect: other\r\nContent-Length: 2\r\n\r\nhi"), reason: ReasonExpect},
	{name: "expect-twice", wire: post("Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"), reason: ReasonExpect},
	{name: "expect-empty", wire: post("Expect:\r\nContent-Length: 2\r\n\r\nhi"), reason: ReasonExpect},
	{name: "expect-100-continue", wire: post("Expect: 100-Continue\r\nContent-Length: 2\r\n\r\nhi"), answer: "POST /acs example.net hi"},
	{name: "connect", wire: "CONNECT example.net:443 HTTP/1.1\r\nHost: example.net:443\r\n\r\n", reason: ReasonConnect},
	{name: "connect-path", wire: "CONNECT / HTTP/1.1\r\nHost: example.net\r\n\r\n", reason: ReasonConnect},
	{name: "upgrade", wire: post("Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"), reason: ReasonUpgrade},
	{name: "connection-names-length", wire: post("Connection: close, content-length\r\nContent-Length: 2\r\n\r\nhi"), reason: ReasonConnection},
	{name: "connection-names-host", wire: post("Connection: Host\r\n\r\n"), reason: ReasonConnection},
	{name: "connection-names-encoding", wire: post("Connection: keep-alive,Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), reason: ReasonConnection},
	{name: "connection-names-other", wire: post("Connection: X-Hop,, keep-alive\r\nX-Hop: 1\r\n\r\n"), answer: "POST /acs example.net "},

	{name: "head-12-kb", wire: post("X-A: " + strings.Repeat("a", 12<<10) + "\r\n\r\n"), answer: "POST /acs example.net "},
	{name: "head-30-kb", wire: post("X-A: " + strings.Repeat("a", 30<<10) + "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"), answer: "POST /acs example.net hi"},
	{name: "head-60-kb", wire: post("X-A: " + strings.Repeat("a", 60<<10) + "\r\n\r\n"), reason: ReasonHeadTooLarge},
	{name: "head-60-kb-allowed", wire: post("X-A: " + strings.Repeat("a", 63<<10) + "\r\n\r\n"), answer: "POST /acs example.net ", config: ServerConfig{Limits: Limits{Head: 128 << 10}}},
	{name: "head-1.1-mb", wire: post("X-A: " + strings.Repeat("a", 1100<<10) + "\r\n\r\n"), reason: ReasonHeadTooLarge},
	{name: "2000-fields", wire: post(strings.Repeat("X-A: b\r\n", 2000) + "\r\n"), reason: ReasonTooManyFields},
	{name: "100-fields", wire: post(strings.Repeat("X-A: b\r\n", 99) + "\r\n"), answer: "POST /acs example.net "},
	{name: "101-fields", wire: post(strings.Repeat("X-A: b\r\n", 100) + "\r\n"), reason: ReasonTooManyFields},
	{name: "request-line-too-long", wire: "POST /" + strings.Repeat("a", 9000) + " HTTP/1.1\r\nHost: example.net\r\n\r\n", reason: ReasonLineTooLong},
	{name: "body-too-large", wire: post("Content-Length: 1048577\r\n\r\n"), reason: ReasonBodyTooLarge},
	{name: "chunk-too-large", wire: chunked("100001\r\n"), reason: ReasonBodyTooLarge},
}

func chunked(body string) string { return post("Transfer-Encoding: chunked\r\n\r\n" + body) }

func TestHTTPLeniencies(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range leniencies {
		if seen[c.name] {
			t.Fatalf("%s is there twice", c.name)
		}
		seen[c.name] = true
		for kind, tc := range map[string]*tls.Config{"tcp": nil, "tls": testTLS()} {
			t.Run(c.name+"/"+kind, func(t *testing.T) {
				s := newStub(t, c.config, tc)
				p := s.dial(t)
				go p.Write([]byte(c.wire + second))
				method, _, _ := strings.Cut(c.wire, " ")
				r, body := p.receive(method)
				if c.reason == "" {
					if r.StatusCode != 200 || body != c.answer || r.Close {
						t.Errorf("answered %d %q, close %v; want 200 %q", r.StatusCode, body, r.Close, c.answer)
					}
					if r, body := p.receive("POST"); r.StatusCode != 200 || body != "POST /second example.net ok" {
						t.Errorf("the second request was answered %d %q", r.StatusCode, body)
					}
					return
				}
				if body != string(c.reason) || r.StatusCode != statusOf(c.reason) || !r.Close {
					t.Errorf("answered %d %q, close %v; want %d %q", r.StatusCode, body, r.Close, statusOf(c.reason), c.reason)
				}
				p.ended()
				if got := fmt.Sprint(s.reasons()); got != fmt.Sprint([]Reason{c.reason}) {
					t.Errorf("refused for %s", got)
				}
			})
		}
	}
}

// TestReasons holds that each reason of a request has a case of its own above,
// or another test.
func TestReasons(t *testing.T) {
	elsewhere := map[Reason]bool{
		ReasonStatusLine: true, ReasonInterim: true, // of responses
		ReasonCutOff: true, ReasonHeadTimeout: true, ReasonBodyTimeout: true,
	}
	tested := map[Reason]bool{}
	for _, c := range leniencies {
		tested[c.reason] = true
	}
	seen := map[Reason]bool{}
	for _, r := range Reasons() {
		if seen[r] {
			t.Errorf("%s stands in the list twice", r)
		}
		seen[r] = true
		if !tested[r] && !elsewhere[r] {
			t.Errorf("no case is refused for %s", r)
		}
	}
	for r := range tested {
		if r != "" && !seen[r] {
			t.Errorf("%s is not on the list", r)
		}
	}
}
