package cwmp

import "strings"

// Party is who speaks. The zero value is nobody.
type Party uint8

const (
	PartyNone    Party = iota
	PartyCPE           // the device
	PartyACS           // the management server
	PartyGateway       // this program, in the place of either
)

// String is the party's name in records: "cpe", "acs", "gateway", or "none".
func (p Party) String() string {
	switch p {
	case PartyCPE:
		return "cpe"
	case PartyACS:
		return "acs"
	case PartyGateway:
		return "gateway"
	}
	return "none"
}

// Ref is a request that awaits its answer. It holds no values, so that a
// session is small, whatever its messages carried.
type Ref struct {
	From   Party
	Method Method
	Name   string // as sent, without prefix, at most 256 bytes of it
	ID     string // cwmp:ID, trimmed, at most 256 bytes of it; "" where none was sent
	Seq    uint64 // number of the request's record; 0 until Recorded
}

// Turn is what one message means where it stands.
type Turn struct {
	From    Party
	Message *Message // nil: an empty message
	Answers *Ref     // the request that this message answers, nil if none
	WrongID bool     // it answers by its place, though its cwmp:ID is another
	Orphan  bool     // a response or fault that answers nothing
	Ends    bool     // once this is delivered the session is over
}

// SequenceError is why a message cannot stand where it stands. Its value is a
// label for metrics; the list is closed, see SequenceErrors.
type SequenceError string

const (
	ErrNotInform    SequenceError = "not-inform"     // the CPE's first message is neither an Inform nor empty
	ErrSecondInform SequenceError = "second-inform"  // an Inform where one was accepted: it begins another session
	ErrInFlight     SequenceError = "in-flight"      // the CPE speaks before its last message was answered
	ErrUnasked      SequenceError = "unasked-answer" // the ACS answers where nothing was asked
	ErrEnded        SequenceError = "ended"          // the session is over
)

// SequenceErrors lists every SequenceError.
func SequenceErrors() []SequenceError {
	return []SequenceError{ErrNotInform, ErrSecondInform, ErrInFlight, ErrUnasked, ErrEnded}
}

func (e SequenceError) Error() string {
	switch e {
	case ErrNotInform:
		return "session begins with neither an Inform nor an empty message"
	case ErrSecondInform:
		return "second Inform in a session"
	case ErrInFlight:
		return "message of the CPE before its last one was answered"
	case ErrUnasked:
		return "answer of the ACS without a request"
	case ErrEnded:
		return "message after the session's end"
	}
	return string(e)
}

// What is kept of hostile names and IDs, and of requests that were given up.
const (
	maxRefText   = 256
	maxAbandoned = 128
)

// Session is one CWMP session as a state machine: who answers what, whose turn
// it is, when it is over (TR-069 section 3.7). It does no I/O, reads no clock and
// keeps references, never values or bodies. It is not safe for concurrent use.
//
// The CPE's messages travel in HTTP requests and the ACS's in the responses to
// them, so that each side can have one request open while the other speaks. The
// place of a message decides what it answers, because CPEs get cwmp:ID wrong;
// cwmp:ID decides only where the place says nothing.
type Session struct {
	state
	undo    state // before the CPE's last message, for a 401 or a redirect
	fresh   *Ref  // the request that the last message made
	waits   bool  // the CPE has spoken and the ACS has not answered yet
	ended   bool
	seconds int // SessionTimeout; 0: none
}

// state is what a 401 takes back.
type state struct {
	cpe, acs  *Ref  // each side's open request
	abandoned []Ref // requests that their own side left behind for another
	asked     Party // whose request the last message was: an answer to it is in place now
	accepted  bool  // an Inform was answered with 2xx and no fault
	drained   bool  // the CPE said that it has no more requests
	held      bool  // the ACS's last envelope holds the CPE's requests back
}

// NewSession returns a session in which nothing was said yet.
func NewSession() *Session { return &Session{} }

// FromCPE takes the CPE's next message, nil for an empty one. An error is a
// SequenceError and leaves the session as it was.
func (s *Session) FromCPE(m *Message) (Turn, error) {
	inform := m != nil && m.Kind == KindRequest && m.Method == MethodInform
	switch {
	case s.ended:
		return Turn{}, ErrEnded
	case s.waits:
		return Turn{}, ErrInFlight
	case inform && s.accepted:
		return Turn{}, ErrSecondInform
	case m != nil && !inform && !s.accepted:
		return Turn{}, ErrNotInform
	}
	s.undo, s.waits, s.fresh = s.state, true, nil
	if m == nil {
		// A CPE that is held back sends an empty message because it must, not
		// because it has nothing to ask.
		s.drained = s.drained || !s.held
		s.asked = PartyNone
		return Turn{From: PartyCPE}, nil
	}
	if inform {
		s.drained = false
	}
	if last, _ := m.Header.NoMoreRequests.Bool(); last {
		s.drained = true // TR-069 of 2004 has a header where later ones send an empty message
	}
	if n, ok := m.Header.Timeout(); ok {
		s.seconds = n
	}
	return s.turn(PartyCPE, m), nil
}

// FromACS takes the ACS's answer to the CPE's last message: the HTTP status, and
// the message in the body, nil if there is none. An error is a SequenceError and
// leaves the session as it was.
//
// A 401, or a redirect within a session, takes the CPE's last message back: the
// CPE will send it again, and it then answers what it answered before.
func (s *Session) FromACS(status int, m *Message) (Turn, error) {
	switch {
	case s.ended:
		return Turn{}, ErrEnded
	case !s.waits:
		return Turn{}, ErrUnasked
	}
	s.waits, s.fresh = false, nil
	// Challenged or sent elsewhere, the CPE sends its message again. Before an
	// Inform was accepted a redirect ends the session: the next Inform, at the
	// other URL, begins another.
	if status == 401 || status/100 == 3 && s.undo.accepted {
		s.state = s.undo
		return Turn{From: PartyACS, Message: m, Orphan: m != nil && m.Kind != KindRequest}, nil
	}
	success, fault := status >= 200 && status < 300, m != nil && m.Kind == KindFault
	toInform := s.asked == PartyCPE && s.cpe.Method == MethodInform
	if toInform {
		// With a fault, 8005 "retry request" for one, the CPE may inform again.
		s.accepted = success && !fault
	}
	var t Turn
	if m == nil {
		// An empty answer to an Inform is a mistake, after which CPEs were seen to
		// send the Inform again: it ends nothing.
		s.ended = s.drained && !s.held && !toInform
		s.asked = PartyNone
		t = Turn{From: PartyACS}
	} else {
		s.held = m.Header.Hold()
		t = s.turn(PartyACS, m)
	}
	// SOAP 1.1 section 6.2 sends faults with a 500; such a one is an answer like any other.
	s.ended = s.ended || !success && !(status == 500 && fault)
	t.Ends = s.ended
	return t, nil
}

// turn places the message m of p: a request becomes p's open one, anything else
// answers the other side's open request or is an orphan.
func (s *Session) turn(p Party, m *Message) Turn {
	t := Turn{From: p, Message: m}
	own, others := &s.cpe, &s.acs
	if p == PartyACS {
		own, others = others, own
	}
	inPlace := s.asked != PartyNone && s.asked != p
	s.asked = PartyNone
	if m.Kind == KindRequest {
		if *own != nil && len(s.abandoned) < maxAbandoned {
			s.abandoned = append(s.abandoned, **own)
		}
		s.fresh = newRef(p, m)
		*own, s.asked = s.fresh, p
		return t
	}
	if *others == nil || !(*others).answeredBy(m, inPlace) {
		t.Orphan = true
		return t
	}
	t.Answers, *others = *others, nil
	t.WrongID = t.Answers.ID != string(clipRef(m.Header.ID.Trim()))
	return t
}

func newRef(p Party, m *Message) *Ref {
	r := &Ref{From: p, Method: m.Method, ID: string(clipRef(m.Header.ID.Trim()))}
	if r.vendor() {
		r.Name = strings.Clone(clipRef(m.Name))
	} else {
		r.Name = m.Method.String()
	}
	return r
}

func (r *Ref) vendor() bool { return r.Method == MethodVendor || r.Method == MethodUnknown }

// answeredBy says whether the response or fault m answers r. In its place only
// another RPC's response does not; elsewhere cwmp:ID must speak for it.
func (r *Ref) answeredBy(m *Message, inPlace bool) bool {
	id := clipRef(m.Header.ID.Trim())
	if m.Kind == KindFault {
		return inPlace || r.ID != "" && r.ID == string(id)
	}
	if r.vendor() {
		name, _ := strings.CutSuffix(m.Name, "Response")
		if clipRef(name) != r.Name {
			return false
		}
	} else if m.Method != r.Method {
		return false
	}
	return inPlace || len(id) == 0 || r.ID == "" || r.ID == string(id)
}

func clipRef[T string | []byte](text T) T { return text[:min(len(text), maxRefText)] }

// Recorded gives the request that p's last message made the number of its record,
// so that its answer can name it. Of other messages it keeps nothing.
func (s *Session) Recorded(p Party, seq uint64) {
	if s.fresh != nil && s.fresh.From == p {
		s.fresh.Seq = seq
	}
}

// Undelivered takes back the request that p's last message made: it never reached
// the other side, so nobody will answer it, and Open does not list it.
func (s *Session) Undelivered(p Party) {
	if s.fresh == nil || s.fresh.From != p {
		return
	}
	switch s.fresh {
	case s.cpe:
		s.cpe = nil
	case s.acs:
		s.acs = nil
	}
	s.fresh, s.asked = nil, PartyNone
}

// Open lists the requests without an answer, those that their side left behind
// first (128 of these at most). At the end of a session it is what was lost.
func (s *Session) Open() []Ref {
	open := append([]Ref(nil), s.abandoned...)
	for _, r := range []*Ref{s.cpe, s.acs} {
		if r != nil {
			open = append(open, *r)
		}
	}
	return open
}

// Accepted says whether an Inform was answered with 2xx and no fault.
func (s *Session) Accepted() bool { return s.accepted }

// Owes is who owes an answer: the ACS after each message of the CPE, the CPE
// while a request of the ACS is open, else nobody.
func (s *Session) Owes() Party {
	switch {
	case s.ended:
		return PartyNone
	case s.waits:
		return PartyACS
	case s.acs != nil:
		return PartyCPE
	}
	return PartyNone
}

// Ended says whether the session is over.
func (s *Session) Ended() bool { return s.ended }

// Held says whether the ACS holds the CPE's requests back (HoldRequests).
func (s *Session) Held() bool { return s.held }

// Timeout is the CPE's SessionTimeout in seconds, as it asked for it last.
func (s *Session) Timeout() (seconds int, ok bool) { return s.seconds, s.seconds > 0 }
