package proxy

import (
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp"
)

// endSession ends a session in whose flight the caller is.
func (g *Gateway) endSession(s *session, how string) {
	if g.sessions.end(s, how) {
		g.finish(s, how)
	}
}

// endFromOutside ends a session that may have a request in flight: that one
// fails soon, and then ends the session's record itself.
func (g *Gateway) endFromOutside(s *session, how string, except *conn) {
	if !g.sessions.end(s, how) {
		return
	}
	s.outside.Store(&how)
	g.sessions.abort(s, except)
	if s.acquire(outsidePatience) {
		g.finish(s, how)
		s.release()
	}
}

// outsidePatience bounds the wait for a request in flight whose connections
// were closed; what is left to it then is a disk that hangs.
const outsidePatience = 2 * time.Second

// finish closes the session's way to the ACS and writes its last record. The
// caller has the session's place in flight, and needs nothing any more that
// came over that way: another session may read over it next.
func (g *Gateway) finish(s *session, how string) {
	s.finished.Do(func() {
		if how == audit.EndClean {
			s.lease.Return()
		} else {
			s.lease.Close()
		}
		node := s.acs.Load().node
		s.tenant.pool.Ended(node)
		open := s.state.Open()
		seqs := make([]uint64, 0, len(open))
		for _, r := range open {
			seqs = append(seqs, r.Seq)
		}
		if p := g.sessions.givePlaceBack(s); p != nil {
			g.admission.Done(p.acs.lane, p.answered)
		}
		g.metrics.sessionEnded(how).Inc()
		_, err := g.recorder.SessionEnd(&s.origin, audit.SessionEnd{
			Begin: s.began, End: g.now(), How: how, Node: node.Name(),
			Messages: s.stats.messages, Empty: s.stats.empty, BytesIn: s.stats.bytesIn, BytesOut: s.stats.bytesOut,
			Open: seqs, Undelivered: s.undelivered,
		})
		if err != nil {
			g.log.Error().Err(err).Str("session", s.id).Msg("record the end of a session")
		}
		// An ended session is known for a while, and there may be many: it
		// keeps no more than tells whose it was.
		o := &s.origin
		s.origin = audit.Origin{Tenant: o.Tenant, Session: o.Session, Device: o.Device, Identity: o.Identity, ACS: o.ACS, Redactor: o.Redactor}
		s.state, s.undelivered = nil, nil
	})
}

// startTimer gives the CPE its time for the next request: long while it owes
// the answer to an RPC, and as its SessionTimeout header says.
func (g *Gateway) startTimer(s *session) {
	d := time.Duration(g.cfg.Timeouts.Session)
	if s.state == nil {
		return // it has ended
	}
	if s.state.Owes() == cwmp.PartyCPE {
		d = time.Duration(g.cfg.Timeouts.SessionReply)
	}
	if s.timeout > d && s.state.Accepted() {
		d = max(d, min(s.timeout, time.Duration(g.cfg.Timeouts.SessionMost)))
	}
	g.sessions.start(s, d, func() { g.endFromOutside(s, audit.EndTimeout, nil) })
}

func (g *Gateway) stopTimer(s *session) { g.sessions.stop(s) }
