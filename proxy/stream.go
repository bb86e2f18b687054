package proxy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
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
	x.session = nil
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
		Tenant: x.tenant.name, Identity: identityClaimed, ACS: x.tenant.upstream.Name(),
		Redactor: x.tenant.redactor, Connection: x.conn.facts(),
	}
	x.creds = readCredentials(x.req.Fields)
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

func (x *exchange) relayFile(ctx context.Context, t *audit.Transfer) error {
	limit := int64(x.gateway.cfg.Limits.File)
	if x.req.ContentLength > limit {
		return refuse(413, reasonBodyTooLarge, "file is %d bytes, over limits.file = %d", x.req.ContentLength, limit)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(x.gateway.cfg.Timeouts.File))
	defer cancel()
	lease := x.tenant.upstream.Lease()
	defer lease.Close()
	stop := context.AfterFunc(ctx, lease.Close)
	defer stop()

	sent := &counter{max: limit}
	r := &upstream.Request{Method: x.req.Method, Target: x.req.Target, Fields: x.towardsACS(x.fields[:0])}
	if x.req.ContentLength != 0 {
		sent.sum = sha256.New()
		r.Stream, r.Length = io.TeeReader(x.conn.h1.Body(), sent), x.req.ContentLength
	}
	client, resp, err := lease.RoundTrip(ctx, r)
	if sent.err != nil {
		return sent.err
	}
	if err != nil {
		return acsRefusal(err)
	}
	x.resp, x.bodyRead = resp, sent.sum == nil || sent.n == x.req.ContentLength || x.req.ContentLength < 0
	t.Status = resp.Status
	fields, err := x.towardsCPE(nil)
	if err != nil {
		return err
	}
	x.answered = true
	got := &counter{max: limit}
	whole := resp.Status == 200 && string(x.req.Method) == "GET"
	if whole {
		got.sum = sha256.New()
	}
	err = x.deliver(resp, fields, client, got)
	t.Complete = err == nil
	t.Range = resp.Status == 206
	switch {
	case sent.sum != nil && sent.n > 0: // an upload: what went to the ACS counts
		t.Bytes = sent.n
		if x.bodyRead {
			t.SHA256 = hex.EncodeToString(sent.sum.Sum(nil))
		}
	default:
		t.Bytes = got.n
		if whole && t.Complete {
			t.SHA256 = hex.EncodeToString(got.sum.Sum(nil))
		}
	}
	if err != nil {
		x.keepAlive = false // half an answer stands on the connection
		t.Error = "cut-off"
	}
	return nil
}

// deliver streams the answer to the CPE and counts what it took.
func (x *exchange) deliver(resp *h1.Response, fields []h1.Field, client *h1.ClientConn, got *counter) error {
	if !x.bodyRead {
		x.keepAlive = false
	}
	_, err := x.conn.h1.WriteStream(resp.Status, resp.Reason, fields, max(resp.ContentLength, -1), io.TeeReader(client.Body(), got), x.keepAlive)
	return err
}

// counter counts and hashes a file as it passes, and stops one that is too long.
type counter struct {
	n, max int64
	sum    hash.Hash
	err    error
}

var errFileTooLong = errors.New("file too long")

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	if c.n > c.max {
		c.err = refuse(413, reasonBodyTooLarge, "file is over limits.file = %d", c.max)
		return 0, errFileTooLong
	}
	if c.sum != nil {
		c.sum.Write(p)
	}
	return len(p), nil
}
