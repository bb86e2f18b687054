package cwmptest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Report is one session as the device saw it.
type Report struct {
	Events      []Event
	Status      int // HTTP status of the last response; 0: none
	Posts       int // with those that were challenged
	Connections int
	RPCs        int // of the ACS, answered
	Started     time.Time
	Took        time.Duration
	Err         error
}

// StatusError is an HTTP status that ended a session.
type StatusError struct {
	Status int
	Text   string // the body, cut
}

func (e *StatusError) Error() string { return fmt.Sprintf("status %d %q", e.Status, e.Text) }

var (
	errWrongDevice   = errors.New("message is meant for another device")
	errNoInformReply = errors.New("no InformResponse answers the Inform")
	errTooLong       = errors.New("session has too many messages")
	errStopped       = errors.New("device stopped in mid-session, as it was told to")
)

const maxRounds = 500 // posts of one session

// visit is one session under way.
type visit struct {
	d      *Device
	ctx    context.Context
	wire   *wire
	old    []*wire // left open by a quirk
	login  credentials
	hold   bool
	asked  []*Transfer // whose TransferComplete goes out in this session
	report Report
}

func (v *visit) run() error {
	if err := v.inform(); err != nil {
		return err
	}
	q := v.d.cfg.Quirks
	if q.StopAfterInform {
		return errStopped
	}
	if q.InformAgain || q.InformAgainAnew {
		if q.InformAgainAnew {
			v.leaveOpen()
		}
		if err := v.inform(); err != nil {
			return err
		}
	}
	if q.SecondConnection {
		v.leaveOpen()
	}
	return v.talk()
}

// inform sends the Inform; a connection kept from the session before may have
// been closed meanwhile, and as an Inform begins anew it is safe to send again.
func (v *visit) inform() error {
	d := v.d
	d.mu.Lock()
	events := append([]Event(nil), d.pending...)
	v.asked = v.asked[:0]
	for _, t := range d.transfers {
		if t.finished && !t.Answered && !t.InSession {
			v.asked = append(v.asked, t)
		}
	}
	d.mu.Unlock()
	if len(events) == 0 {
		events = []Event{{Code: "2 PERIODIC"}}
	}
	v.report.Events = events
	id := d.nextID()
	body := d.envelope(id, InformRPC(d.cfg.Identity, events, d.retries, time.Now().UTC().Format("2006-01-02T15:04:05Z"), d.informed()))
	reused := d.kept != nil
	r, err := v.post(body)
	if err != nil && reused && v.report.Status == 0 {
		r, err = v.post(body)
	}
	if err != nil {
		return err
	}
	m, err := v.read(r)
	switch {
	case err != nil:
		return err
	case m == nil || m.method != "InformResponse":
		return errNoInformReply
	case m.id != id:
		note(d, &d.truth.misdelivered, Misdelivery{"cpe", d.cfg.Identity.Serial, m.id, m.method})
		return errWrongDevice
	}
	v.told(events)
	return nil
}

// told takes away what the ACS has now heard of.
func (v *visit) told(events []Event) {
	d := v.d
	d.retries = 0
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending = slices.DeleteFunc(d.pending, func(e Event) bool { return slices.Contains(events, e) })
}

// talk sends requests of the device's own, then answers until nothing follows.
func (v *visit) talk() error {
	q := v.d.cfg.Quirks
	var next []byte // the answer that is owed
	var owed *Received
	emptied := false // an empty POST said that nothing more will be asked (TR-069 3.7.2.4)
	for range maxRounds {
		var request *Transfer
		body := next
		if body == nil && !v.hold && len(v.asked) > 0 {
			request = v.asked[0]
			body = v.completion(request)
		}
		emptied = emptied || body == nil && !v.hold
		r, err := v.post(body)
		if err != nil {
			return err
		}
		if owed != nil {
			v.settled(owed)
			if q.CloseWithoutReading {
				return errStopped
			}
		}
		next, owed = nil, nil
		m, err := v.read(r)
		if err != nil {
			return err
		}
		if request != nil {
			v.completed(request)
			if m == nil || m.method == "TransferCompleteResponse" || m.method == "Fault" {
				continue
			}
		}
		if m == nil {
			if emptied && len(v.asked) == 0 {
				return v.after()
			}
			continue
		}
		if owed, err = v.receive(m); err != nil {
			return err
		}
		next = v.answer(m, owed)
	}
	return errTooLong
}

// settled notes that an answer went out and was heard.
func (v *visit) settled(owed *Received) {
	v.report.RPCs++
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	owed.Answered = true
}

// after is what some CPEs do when the session is over.
func (v *visit) after() error {
	if !v.d.cfg.Quirks.ExtraEmptyPost {
		return nil
	}
	r, err := v.post(nil)
	if err == nil && r.Status/100 != 2 {
		err = &StatusError{r.Status, cut(r.Body)}
	}
	return err
}

// receive checks that a request of the ACS is meant for this device.
func (v *visit) receive(m *message) (*Received, error) {
	d := v.d
	got := &Received{ID: m.id, Method: m.method, Connection: v.d.wires}
	for _, key := range []string{m.id, m.rpc.value("ParameterKey"), m.rpc.value("CommandKey")} {
		if serial, ok := MessageSerial(key); ok && serial != d.cfg.Identity.Serial {
			note(d, &d.truth.misdelivered, Misdelivery{"cpe", d.cfg.Identity.Serial, key, m.method})
			return nil, errWrongDevice
		}
	}
	if strings.HasSuffix(m.method, "Response") {
		return nil, fmt.Errorf("%s came where a request or nothing was due", m.method)
	}
	note(d, &d.truth.received, got)
	return got, nil
}

// read reads a message of the ACS; nil for an empty one. What HTTP ended is an error.
func (v *visit) read(r Response) (*message, error) {
	if r.Status/100 != 2 && r.Status != 500 {
		return nil, &StatusError{r.Status, cut(r.Body)}
	}
	contentType, _ := fieldValue(r.Header, "Content-Type")
	m, err := readMessage(r.Body, contentType)
	if r.Status == 500 && (err != nil || m == nil || m.method != "Fault") {
		return nil, &StatusError{r.Status, cut(r.Body)}
	}
	if err != nil {
		return nil, err
	}
	v.hold = m != nil && m.hold
	return m, nil
}

func cut(body []byte) string {
	if len(body) > 120 {
		body = body[:120]
	}
	return string(body)
}

func (v *visit) leaveOpen() {
	if v.wire != nil {
		v.old = append(v.old, v.wire)
		v.wire = nil
	}
}

func (v *visit) close(clean bool) {
	for _, w := range v.old {
		w.Close()
	}
	if v.wire == nil {
		return
	}
	if clean && v.d.cfg.KeepConnection {
		v.d.kept = v.wire
		return
	}
	v.wire.Close()
}
