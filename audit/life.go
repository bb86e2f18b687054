package audit

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// Life is a device as its records tell it, up to the last one that was added.
// It is made from their bytes alone, so that every store tells the same.
type Life struct {
	Device      Device // as last spelled
	Identity    string // the level of the last record that has one
	First, Last time.Time
	Records     int
	Sessions    int // that have ended
	Unread      int // records of which this version can tell no more than their head

	projector  Projector
	rows       Rows
	parameters map[string]*Parameter
	addresses  map[string]*Address
	unasked    []Unasked
	requests   []request // that wait for their answer, oldest first
	keys       []string  // the ParameterKeys last accepted, oldest first
}

// Address is one that sessions of a device came from.
type Address struct {
	Address     string
	First, Last time.Time
	Sessions    int
}

// How the value of a Parameter became known, beside the actions of a
// ParameterRow: set, and to be applied at the next boot.
const BySetAfterReboot = "set-after-reboot"

// Parameter is the last value known of a parameter, and how it became known.
type Parameter struct {
	Row  ParameterRow // by which the value became known
	By   string       // an action of a ParameterRow, or BySetAfterReboot
	Told time.Time    // when the CPE told this value last; zero where it did not

	before *ParameterRow // known before a set that waits for a reboot
	set    *ParameterRow // the last one that was accepted
	by     Head          // the last record that had to do with it
}

// Unasked is a value that a CPE told which is another than the one known
// before, and which no accepted SetParameterValues had set.
type Unasked struct{ Old, New ParameterRow }

// request is one whose effect is known when it is answered.
type request struct {
	log    string
	seq    uint64
	object string // of a DeleteObject
	key    string
	sets   []ParameterRow
	undo   []undo // of an Inform, which may be refused
}

// undo is what was known of a parameter before an Inform told it.
type undo struct {
	name string
	was  *Parameter // nil: nothing
}

// openRequests is how many requests of a device may wait for their answers; a
// session has one at a time.
const openRequests = 64

// acceptedKeys is how many ParameterKeys are remembered.
const acceptedKeys = 16

// NewLife begins one without any record.
func NewLife() *Life {
	return &Life{parameters: make(map[string]*Parameter), addresses: make(map[string]*Address)}
}

// Add takes the next record of the device, in the order of time.
func (l *Life) Add(log string, seq uint64, record []byte) error {
	l.rows.Reset()
	if err := l.projector.Project(log, seq, record, &l.rows); err != nil {
		p, _ := err.(*ProjectError)
		if p == nil || p.Record == nil {
			return fmt.Errorf("read a device's life: %w", err)
		}
		l.Unread++
		l.head(&p.Record.Head)
		return nil
	}
	l.head(&l.rows.Records[0].Head)
	for i := range l.rows.Sessions {
		s := &l.rows.Sessions[i]
		l.Sessions++
		l.came(s.Peer, s.At)
	}
	for i := range l.rows.RPCs {
		l.rpc(&l.rows.RPCs[i])
	}
	for i := range l.rows.Parameters {
		l.told(&l.rows.Parameters[i])
	}
	return nil
}

func (l *Life) head(h *Head) {
	if l.Records == 0 {
		l.First = h.At
	}
	l.Records, l.Last = l.Records+1, h.At
	// Of refusals no more than part of the device may have been read.
	if d := (Device{h.Manufacturer, h.OUI, h.Class, h.Serial}); h.N > 0 || l.Device == (Device{}) {
		l.Device = d
	}
	if h.Identity != "" {
		l.Identity = h.Identity
	}
}

// came notes where a session came from. A session says it once.
func (l *Life) came(peer string, at time.Time) {
	if peer == "" {
		return
	}
	host, _, err := net.SplitHostPort(peer)
	if err != nil {
		host = peer
	}
	a := l.addresses[host]
	if a == nil {
		a = &Address{Address: host, First: at}
		l.addresses[host] = a
	}
	a.Last = at
	a.Sessions++
}

func (l *Life) rpc(r *RPCRow) {
	l.came(r.Peer, r.At)
	switch {
	case r.Message == "request" && r.RPC == "SetParameterValues":
		open := request{log: r.Log, seq: r.Seq, key: r.ParameterKey}
		for _, p := range l.rows.Parameters {
			if p.Action == ActionSet {
				open.sets = append(open.sets, p)
			}
		}
		l.wait(open)
	case r.Message == "request" && r.RPC == "Inform":
		l.wait(request{log: r.Log, seq: r.Seq})
	case r.Message == "request" && (r.RPC == "AddObject" || r.RPC == "DeleteObject"):
		open := request{log: r.Log, seq: r.Seq, key: r.ParameterKey}
		if r.RPC == "DeleteObject" {
			open.object = r.Object
		}
		l.wait(open)
	case r.Answers != 0:
		i := slices.IndexFunc(l.requests, func(q request) bool { return q.log == r.Log && q.seq == r.Answers })
		if i < 0 {
			return
		}
		answered := l.requests[i]
		l.requests = slices.Delete(l.requests, i, i+1)
		if r.Message == "response" && (r.Status == "0" || r.Status == "1") {
			l.accept(answered, r.Status == "1")
		}
		if r.Message == "fault" {
			l.refuse(answered)
		}
	}
}

func (l *Life) wait(r request) {
	if len(l.requests) == openRequests {
		l.requests = slices.Delete(l.requests, 0, 1)
	}
	l.requests = append(l.requests, r)
}

// accept makes known what a request asked for. A value that the CPE has told
// since then stays. Of two alike in one request, the latter counts.
func (l *Life) accept(r request, afterReboot bool) {
	if r.key != "" {
		if len(l.keys) == acceptedKeys {
			l.keys = slices.Delete(l.keys, 0, 1)
		}
		l.keys = append(l.keys, r.key)
	}
	if r.object != "" {
		for name := range l.parameters {
			if strings.HasPrefix(name, r.object) {
				delete(l.parameters, name)
			}
		}
	}
	for i := range r.sets {
		row := &r.sets[i]
		now := l.parameters[row.Name]
		if now == nil {
			now = &Parameter{}
			l.parameters[row.Name] = now
		}
		now.set, now.by = row, row.Head
		if now.By != "" && row.Head.before(&now.Row.Head) {
			continue
		}
		now.before = nil
		by := ActionSet
		if afterReboot {
			by = BySetAfterReboot
			if now.By != "" {
				was := now.Row
				now.before = &was
			}
		}
		now.Row, now.By, now.Told = *row, by, time.Time{}
	}
}

// refuse forgets what an Inform told that the ACS has refused: whoever sent it
// need not be the device. What was told since then stays.
func (l *Life) refuse(r request) {
	for _, u := range r.undo {
		now := l.parameters[u.name]
		switch {
		case now == nil || now.by.Log != r.log || now.by.Seq != r.seq:
		case u.was == nil:
			delete(l.parameters, u.name)
		default:
			l.parameters[u.name] = u.was
		}
	}
	l.unasked = slices.DeleteFunc(l.unasked, func(u Unasked) bool { return u.New.Log == r.log && u.New.Seq == r.seq && r.undo != nil })
}

// before says whether h was recorded before g, in the order of all logs.
func (h *Head) before(g *Head) bool {
	switch {
	case !h.At.Equal(g.At):
		return h.At.Before(g.At)
	case h.Log != g.Log:
		return h.Log < g.Log
	}
	return h.Seq < g.Seq
}

// told takes a value that the CPE tells.
func (l *Life) told(row *ParameterRow) {
	if row.Action != ActionReported && row.Action != ActionInformed && row.Action != ActionRead {
		return
	}
	now := l.parameters[row.Name]
	if n := len(l.requests); n > 0 && l.requests[n-1].log == row.Log && l.requests[n-1].seq == row.Seq {
		u := undo{name: row.Name}
		if now != nil {
			was := *now
			u.was = &was
		}
		l.requests[n-1].undo = append(l.requests[n-1].undo, u)
	}
	if now == nil {
		l.parameters[row.Name] = &Parameter{Row: *row, By: row.Action, Told: row.At, by: row.Head}
		return
	}
	now.Told, now.by = row.At, row.Head
	switch {
	case row.same(&now.Row):
		if now.set != nil && row.same(now.set) {
			now.before = nil
		}
		return
	case now.set != nil && row.same(now.set):
		// As it was set: applied late, or told by a message that crossed the request.
		now.Row, now.By, now.before = *now.set, ActionSet, nil
		return
	case now.before != nil && row.same(now.before):
		// Not applied yet.
	case strings.HasSuffix(row.Name, ".ManagementServer.ParameterKey") && row.Value != nil && slices.Contains(l.keys, *row.Value):
		// Set by the ParameterKey of a request.
	default:
		l.unasked = append(l.unasked, Unasked{now.Row, *row})
		now.set, now.before = nil, nil
	}
	now.Row, now.By = *row, row.Action
}

// same compares by meaning where either type says boolean: models spell 1/true
// and 0/false differently, and one model both.
func (p *ParameterRow) same(q *ParameterRow) bool {
	switch {
	case p.Secret != "" || q.Secret != "":
		return p.Secret == q.Secret
	case p.Cut > 0 || q.Cut > 0:
		return p.SHA256 == q.SHA256
	case p.Value == nil || q.Value == nil:
		return p.Value == q.Value
	case *p.Value == *q.Value:
		return true
	case p.Type != "xsd:boolean" && q.Type != "xsd:boolean":
		return false
	}
	a, b := truth(*p.Value), truth(*q.Value)
	return a != "" && a == b
}

func truth(s string) string {
	switch s = strings.Trim(s, " \t\r\n"); {
	case s == "1" || strings.EqualFold(s, "true"):
		return "true"
	case s == "0" || strings.EqualFold(s, "false"):
		return "false"
	}
	return ""
}

// Parameters gives the last values known, by name. What an accepted
// DeleteObject took is not among them.
func (l *Life) Parameters() []Parameter {
	var all []Parameter
	for _, p := range l.parameters {
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b Parameter) int { return strings.Compare(a.Row.Name, b.Row.Name) })
	return all
}

// Addresses gives where sessions came from, the latest first.
func (l *Life) Addresses() []Address {
	var all []Address
	for _, a := range l.addresses {
		all = append(all, *a)
	}
	slices.SortFunc(all, func(a, b Address) int {
		if c := b.Last.Compare(a.Last); c != 0 {
			return c
		}
		return strings.Compare(a.Address, b.Address)
	})
	return all
}

// Unasked gives what changed without an RPC that set it, oldest first. The first
// sight of a value is no change.
func (l *Life) Unasked() []Unasked { return l.unasked }
