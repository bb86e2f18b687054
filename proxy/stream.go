package proxy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/proxy/h1"
	"github.com/cwmpgate/cwmpgate/proxy/upstream"
)

// stream passes a file transfer through without holding it: what is no CWMP
// message neither begins nor ends a session, but is a step of a transfer and
// recorded as one.
func (x *exchange) stream(ctx context.Context) error {
	if x.gateway.draining() {
		return refuse(503, reasonDraining, "the gateway stops")
	}
	t := audit.Transfer{Peer: x.conn.peer, Method: string(x.req.Method), URL: x.ownURL(), Began: x.gateway.now()}
	origin := x.fileOrigin()
	began := time.Now()
	err := x.relayFile(ctx, &t)
	t.Duration = time.Since(began)
	if err != nil {
		t.Error = asRefusal(err, "acs").reason
	}
	if _, rerr := x.gateway.recorder.Transfer(origin, t); rerr != nil {
		x.gateway.log.Error().Err(rerr).Str("peer", x.conn.peer).Msg("record a file transfer")
	}
	x.tenant.metrics.fileBytes.Add(int(t.Bytes))
	return err
}

// fileOrigin says whose transfer it is: the device's that was asked for the
// file, or else the session's that cookie or connection names. Nothing of the
// session is touched.
func (x *exchange) fileOrigin() *audit.Origin {
	o := &audit.Origin{
		Tenant: x.tenant.name, Identity: audit.IdentityClaimed, ACS: x.conn.fileLease(x.tenant).Node().Name(),
		Redactor: x.tenant.redactor, Connection: x.conn.facts(),
	}
	x.creds = x.shownCredentials()
	if e, ok := x.tenant.expected.whose(fileKey{x.conn.prefix, string(x.req.Target)}); ok {
		o.Session, o.Device, o.Identity = e.session, e.device, e.identity
		return o
	}
	s, err := x.find()
	if err != nil || s == nil {
		return o
	}
	if s.acquire(0) {
		o.Session, o.Device, o.Identity = s.id, s.origin.Device, s.origin.Identity
		s.release()
	}
	return o
}

// ownURL is the URL that the CPE asked for.
func (x *exchange) ownURL() string {
	return string(x.conn.scheme) + "://" + string(x.req.Host) + string(x.req.Target)
}

// relayFile passes the request on and its answer back, and fills t.
func (x *exchange) relayFile(ctx context.Context, t *audit.Transfer) error {
	limit := int64(x.gateway.cfg.Limits.File)
	// Some servers read what stands behind such a head as the next request
	// (RFC 9110, 9.3.1).
	if m := string(x.req.Method); x.req.ContentLength != 0 && (m == "GET" || m == "HEAD") {
		return refuse(400, reasonBodyNotExpected, "a %s brings a body", m)
	}
	if x.req.ContentLength > limit {
		return refuse(413, reasonBodyTooLarge, "file is %d bytes, over limits.file = %d", x.req.ContentLength, limit)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(x.gateway.cfg.Timeouts.File))
	defer cancel()
	lease := x.conn.fileLease(x.tenant)
	stop := context.AfterFunc(ctx, lease.Close)
	whole := false
	defer func() {
		if !stop() || !whole {
			x.conn.dropFileLease()
			return
		}
		lease.Rest()
	}()
	sent, got := counter{max: limit, from: "cpe"}, counter{max: limit, from: "acs"}
	client, err := x.sendFile(ctx, lease, &sent)
	if err != nil {
		return err
	}
	t.Status, t.Range = x.resp.Status, x.resp.Status == 206
	if err := x.deliverFile(client, &got); err != nil {
		if !x.answered {
			return err
		}
		x.keepAlive = false // half an answer stands on the connection
		if got.err == nil {
			got.err = refuseACS(502, reasonCutOff, "a file was cut off after %d bytes: %v", got.n, err)
		}
		x.gateway.countRefusal(x.conn, x, asRefusal(got.err, "acs"))
		t.Error = asRefusal(got.err, "acs").reason
	} else {
		lease.Done(client)
		whole = true
	}
	// Of an upload what went to the ACS counts. A challenge or an error page is
	// no file, however whole.
	passed := &got
	switch t.Method {
	case "GET":
		t.Complete = whole && t.Status == 200
	case "PUT", "POST":
		t.Complete = whole && t.Status/100 == 2 && x.bodyRead
	}
	if sent.n > 0 {
		passed = &sent
	}
	t.Bytes = passed.n
	if t.Complete {
		t.SHA256 = passed.hash()
	}
	return nil
}

// sendFile sends the request, with the file if it brings one, and takes the
// head of the answer.
func (x *exchange) sendFile(ctx context.Context, lease *upstream.Lease, sent *counter) (*h1.ClientConn, error) {
	r := &upstream.Request{Method: x.req.Method, Target: x.req.Target, Fields: x.towardsACS(x.fields[:0], lease.Node())}
	if x.req.ContentLength != 0 {
		body, is, err := sniff(x.conn.h1.Body(), x.req.Fields)
		if err != nil {
			return nil, err
		}
		if is {
			return nil, messageInFile(refuse(400, reasonMessageInFile, "a message came as a file"))
		}
		r.Stream, r.Length = sent.of(body), x.req.ContentLength
	}
	client, resp, err := lease.RoundTrip(ctx, r)
	switch {
	case err != nil && sent.err != nil:
		return nil, sent.err // the CPE's side broke, not the ACS's
	case err != nil:
		return nil, acsRefusal(err)
	}
	x.resp, x.bodyRead = resp, r.Stream == nil || sent.ended || sent.n == x.req.ContentLength
	if !x.bodyRead {
		x.keepAlive = false
	}
	return client, x.acsChallenges()
}

// deliverFile streams the answer to the CPE and counts what it took.
func (x *exchange) deliverFile(client *h1.ClientConn, got *counter) error {
	resp := x.resp
	if resp.ContentLength > got.max && string(x.req.Method) != "HEAD" {
		return refuseACS(502, reasonBodyTooLarge, "file is %d bytes, over limits.file = %d", resp.ContentLength, got.max)
	}
	fields, err := x.towardsCPE(nil)
	if err != nil {
		return err
	}
	body, is, err := sniff(client.Body(), resp.Fields)
	if err != nil {
		return acsRefusal(err)
	}
	if is { // whatever the status: CPEs exist that look at the body first
		return messageInFile(refuseACS(502, reasonMessageInFile, "the ACS answered a message for a file"))
	}
	x.answered = true
	got.n, err = x.conn.h1.WriteStream(resp.Status, resp.Reason, fields, max(resp.ContentLength, -1), got.of(body), x.keepAlive)
	return err
}

// messageInFile marks a refusal as one of security: a message that passed as a
// file would be in no record.
func messageInFile(r *refusal) error {
	r.security, r.claimed, r.verified = true, "file", "message"
	return r
}

// fileLease is the way to the ACS of the file requests of c. It lives as long
// as c does, since a challenge may be bound to it.
func (c *conn) fileLease(t *tenant) *upstream.Lease {
	if c.files == nil || c.filesOf != t {
		c.dropFileLease()
		c.files, c.filesOf = c.fileNode(t).Lease(), t
	}
	return c.files
}

// fileNode is where the tenant's files are: where it says, or at the ACS, and of
// that at the node of the connection's session.
func (c *conn) fileNode(t *tenant) *upstream.Node {
	if t.fileUpstream != nil {
		return t.fileUpstream
	}
	if s := c.listener.gateway.sessions.of(c); s != nil && s.tenant == t {
		if a := s.acs.Load(); a != nil {
			return a.node
		}
	}
	return t.pool.Any(upstream.DeviceKey("", "", c.prefix.String()), c.listener.gateway.now())
}

func (c *conn) dropFileLease() {
	if c.files != nil {
		c.files.Close()
	}
	c.files, c.filesOf = nil, nil
}

// counter counts and hashes a file as it passes, and stops one that is too long.
type counter struct {
	n, max int64
	from   string // who sends it: "cpe" or "acs"
	sum    hash.Hash
	err    error // why reading the file failed
	ended  bool  // it was read to its end
}

// of is r, counted.
func (c *counter) of(r io.Reader) io.Reader { return &counted{r, c} }

type counted struct {
	io.Reader
	c *counter
}

func (r *counted) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	c := r.c
	if c.n += int64(n); c.n > c.max {
		r := refuse(413, reasonBodyTooLarge, "file is over limits.file = %d", c.max)
		if c.from == "acs" {
			r.status, r.from = 502, c.from
		}
		c.err = r
		return 0, c.err
	}
	if n > 0 {
		if c.sum == nil {
			c.sum = sha256.New()
		}
		c.sum.Write(p[:n])
	}
	switch err {
	case nil:
	case io.EOF:
		c.ended = true
	default:
		if c.err = err; c.from == "cpe" && !isRefused(err) {
			c.err = refuse(400, reasonCutOff, "a file was cut off after %d bytes: %v", c.n, err)
		}
	}
	return n, err
}

// hash is the SHA-256 in hex of what passed, "" where nothing did.
func (c *counter) hash() string {
	if c.sum == nil {
		return ""
	}
	return hex.EncodeToString(c.sum.Sum(nil))
}
