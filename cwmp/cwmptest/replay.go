package cwmptest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// PlayerConfig says to whom recorded requests are sent, and what of them is
// rewritten on the way.
type PlayerConfig struct {
	URL      string // whose path is not used: targets stay as recorded
	TLS      *tls.Config
	Timeout  time.Duration // of one request, default 30 s
	KeepHost bool          // leave Host as recorded
	// AddCookies adds the cookies that the recorded responses did not set:
	// those of what stands between. All else of Cookie stays as recorded.
	AddCookies bool
}

// Player is a CPE that sends recorded requests as they stand, each on the
// connection of the one before unless the peer has closed it. It frames bodies
// anew where the recording has no usable framing.
type Player struct {
	cfg   PlayerConfig
	url   *url.URL
	wire  *wire
	wires int
	jar   []cookie
}

// NewPlayer makes a player that has no connection yet.
func NewPlayer(cfg PlayerConfig) (*Player, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("play to %q: not an absolute URL", cfg.URL)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	return &Player{cfg: cfg, url: u}, nil
}

// Play sends the requests in order and returns what was answered, one response
// to each; with an error, those that came before it.
func (p *Player) Play(ctx context.Context, exchanges []Exchange) ([]Response, error) {
	var answers []Response
	for i, x := range exchanges {
		if p.wire == nil {
			p.wires++
			w, err := dialWire(ctx, hostPort(p.url), p.url, p.cfg.TLS, p.cfg.Timeout, p.wires)
			if err != nil {
				return answers, fmt.Errorf("exchange %d: %w", i+1, err)
			}
			p.wire = w
		}
		r, last, err := roundTrip(ctx, p.wire, p.prepare(x.Request), false, p.cfg.Timeout)
		if err != nil {
			p.Close()
			return answers, fmt.Errorf("exchange %d: %w", i+1, err)
		}
		if last {
			p.Close()
		}
		p.learn(x.Response, r)
		answers = append(answers, r)
	}
	return answers, nil
}

// Close closes the connection; a request after it comes over a new one.
func (p *Player) Close() error {
	if p.wire == nil {
		return nil
	}
	err := p.wire.Close()
	p.wire = nil
	return err
}

// learn keeps the cookies that the recording does not know.
func (p *Player) learn(recorded, got Response) {
	known := fieldValues(recorded.Header, "Set-Cookie")
	for _, raw := range fieldValues(got.Header, "Set-Cookie") {
		if !slices.Contains(known, raw) {
			p.jar = setCookie(p.jar, raw)
		}
	}
}

func (p *Player) prepare(r Request) Request {
	out := r
	out.Header = nil
	added := !p.cfg.AddCookies || len(p.jar) == 0
	for _, f := range r.Header {
		switch {
		case strings.EqualFold(f.Name, "Host") && !p.cfg.KeepHost:
			f.Value = p.url.Host
		case strings.EqualFold(f.Name, "Cookie") && !added:
			f.Value += "; " + Quirks{}.cookieHeader(p.jar)
			added = true
		}
		out.Header = append(out.Header, f)
	}
	if !added {
		out.Header = append(out.Header, Field{"Cookie", Quirks{}.cookieHeader(p.jar)})
	}
	out.Header = framed(out.Header, len(r.Body), r.Method != "GET" && r.Method != "HEAD")
	return out
}

// framed makes the header fit the body: recordings are of bodies without
// transfer coding, and some CPEs count characters, not bytes.
func framed(header []Field, length int, always bool) []Field {
	if fieldHas(header, "Transfer-Encoding", "chunked") {
		return slices.DeleteFunc(slices.Clone(header), func(f Field) bool { return strings.EqualFold(f.Name, "Content-Length") })
	}
	for i, f := range header {
		if strings.EqualFold(f.Name, "Content-Length") {
			header = slices.Clone(header)
			header[i].Value = strconv.Itoa(length)
			return header
		}
	}
	if length == 0 && !always {
		return header
	}
	return append(slices.Clone(header), Field{"Content-Length", strconv.Itoa(length)})
}

// Differences tells where the header fields got are not those wanted, in any
// order of different names. What a proxy may rightly change is left out: hop-by-
// hop fields, framing, Host, Expect, the forwarding fields, and those in ignore.
func Differences(want, got []Field, ignore ...string) []string {
	ignore = append(ignore, "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Content-Length", "TE", "Trailer",
		"Host", "Expect", "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-IP", "Via")
	var lines []string
	var seen []string
	for _, f := range slices.Concat(want, got) {
		same := func(name string) bool { return strings.EqualFold(name, f.Name) }
		if slices.ContainsFunc(ignore, same) || slices.ContainsFunc(seen, same) {
			continue
		}
		seen = append(seen, f.Name)
		if w, g := spelled(want, f.Name), spelled(got, f.Name); !slices.Equal(w, g) {
			lines = append(lines, fmt.Sprintf("%s: want %q, got %q", f.Name, w, g))
		}
	}
	return lines
}

// spelled are the fields of a name in the case in which they came.
func spelled(fields []Field, name string) []Field {
	var list []Field
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			list = append(list, f)
		}
	}
	return list
}
