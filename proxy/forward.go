package proxy

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp"
	"github.com/cwmpgate/cwmpgate/proxy/h1"
	"github.com/cwmpgate/cwmpgate/proxy/upstream"
)

// forward sends the request to the session's ACS and takes the whole answer.
func (x *exchange) forward(ctx context.Context) (err error) {
	s := x.session
	if x.wasInform {
		began := time.Now()
		defer func() { x.fared(began, err) }()
	}
	x.fields = x.towardsACS(x.fields[:0], x.acs.node)
	began := time.Now()
	defer func() { x.noteHealth(began, err) }()
	if x.unreachable != nil {
		return x.notSent(x.unreachable)
	}
	s.sent = true
	client, resp, err := s.lease.RoundTrip(ctx, &upstream.Request{
		Method: x.req.Method, Target: x.req.Target, Fields: x.fields, Body: x.body.bytes,
	})
	if err != nil {
		return x.notSent(err)
	}
	x.resp = resp
	if err := x.answerBody.readFrom(client, resp.ContentLength, int64(x.gateway.cfg.Limits.Body), "limits.body"); err != nil {
		s.lease.Close()
		r := asRefusal(acsRefusal(err), "acs")
		if r.status == 413 {
			r.status = 502
		}
		r.from = "acs"
		return r
	}
	s.lease.Done(client)
	x.gateway.metrics.acsAnswer.UpdateDuration(began)
	s.stats.bytesOut += int64(len(x.answerBody.bytes))
	if err := x.decodeAnswer(); err != nil {
		return err
	}
	// An answer that came late on a connection of another session looks so: an
	// Inform is answered by an InformResponse (TR-069 section 3.7.1.2).
	if x.wasInform && x.answer != nil && x.answer.Kind == cwmp.KindRequest && x.acs.node.Reuses() {
		return refuseACS(502, reasonSequence, "%s in answer to an Inform, on a connection that may have been another session's", x.answer.Name)
	}
	if err := x.acsChallenges(); err != nil {
		return err
	}
	x.learn()
	x.answerTurn, err = s.state.FromACS(resp.Status, x.answer)
	if err != nil {
		return refuseACS(502, reasonSequence, "%v", err)
	}
	x.expectFile()
	return nil
}

// notSent refuses a request that the ACS was not sent, or not whole.
func (x *exchange) notSent(err error) error {
	if errors.Is(err, upstream.ErrUnreachable) && x.seq != 0 {
		x.session.undelivered = append(x.session.undelivered, x.seq)
	}
	return x.later(acsRefusal(err))
}

// later has an Inform whose ACS could not be asked come back in its turn among
// those that admission has sent away, and no sooner than any other 503 says.
func (x *exchange) later(err error) error {
	var r *refusal
	if x.wasInform && errors.As(err, &r) && r.status == 503 && r.retryAfter == 0 {
		if d := x.gateway.admission.Later(x.acs.lane, x.inform); d > 0 {
			r.retryAfter = max(d, x.gateway.leastRetryAfter())
		}
	}
	return err
}

// acsRefusal tells what the CPE is answered when the ACS's side failed: 503
// with Retry-After where the ACS is away or slow, 502 where it sent garbage.
func acsRefusal(err error) error {
	var he *h1.Error
	var ne net.Error
	var own *refusal
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &he):
		r := asRefusal(he, "acs")
		r.status = 502
		return r
	case errors.Is(err, upstream.ErrUnreachable):
		return refuseACS(503, reasonACSDown, "%v", err)
	case errors.As(err, &ne) && ne.Timeout():
		return refuseACS(503, reasonACSSlow, "timeouts.answer: %v", err)
	}
	return refuseACS(503, reasonACSClosed, "%v", err)
}

// decodeAnswer reads the ACS's message. An error page of an ACS is no message
// and passes as it is; an error may carry a SOAP fault, which is one.
func (x *exchange) decodeAnswer() error {
	body := x.answerBody.bytes
	if len(body) == 0 {
		return nil
	}
	success := x.resp.Status/100 == 2
	coding, err := contentCoding(x.resp.Fields)
	if err == nil && coding != codingNone {
		err = x.answerPlain.inflate(body, coding, int64(x.gateway.cfg.Limits.Inflated))
		body = x.answerPlain.bytes
	}
	if err == nil && !success && !isEnvelope(body, true) {
		return nil // an error page
	}
	var charset string
	if err == nil {
		charset, err = charsetOf(x.resp.Fields, body)
	}
	if err == nil {
		err = errors.Join(x.answerBody.decoding(), x.answerPlain.decoding())
	}
	var m *cwmp.Message
	if err == nil {
		m, err = x.answerDec.Decode(body, charset)
	}
	switch {
	case err != nil:
		r := asRefusal(err, "acs")
		if r.from = "acs"; r.status != 503 {
			r.status = 502
		}
		return r
	case !success && m.Kind != cwmp.KindFault:
		// CPEs exist that look at the body before the status: an RPC must not
		// reach them by a way on which it is in no record.
		r := refuseACS(502, reasonMessageInError, "%s in an answer of status %d", m.Name, x.resp.Status)
		r.security, r.claimed, r.verified = true, "error", "message"
		return r
	}
	x.answer = m
	x.gateway.metrics.rpc("acs", m).Inc()
	return nil
}

// recordAnswer makes the ACS's message durable before a byte of it is released.
func (x *exchange) recordAnswer() error {
	if x.answer == nil {
		return nil
	}
	s := x.session
	s.stats.messages++
	ticket, err := x.gateway.recorder.Message(&s.origin, x.answerTurn, audit.Pass)
	if err != nil {
		return x.withheld(refuse(503, reasonJournal, "%v", err))
	}
	x.answerSeq = ticket.Seq()
	s.state.Recorded(cwmp.PartyACS, ticket.Seq())
	if !audit.Waits(x.answer) {
		return nil
	}
	if err := x.gateway.durable(ticket); err != nil {
		return x.withheld(err)
	}
	return nil
}

// withheld takes note that the ACS's message did not reach the CPE.
func (x *exchange) withheld(err error) error {
	if x.answer != nil && x.answerSeq != 0 {
		x.session.undelivered = append(x.session.undelivered, x.answerSeq)
	}
	return err
}
