package audit

import (
	"fmt"
	"slices"
)

// Project adds to rows what one record says, taken from its bytes alone. log
// and seq are where the record was found; they must agree with what it says.
// On an error, a *ProjectError, rows is as before.
func Project(log string, seq uint64, record []byte, rows *Rows) error {
	return new(Projector).Project(log, seq, record, rows)
}

// ProjectError says why a record could not be projected.
type ProjectError struct {
	Log string
	Seq uint64
	// Record is what its head says, where that could be read and agrees with the
	// place: the record can be kept, without rows. Else nil.
	Record *RecordRow
	Err    error
}

func (e *ProjectError) Error() string {
	return fmt.Sprintf("project record %d of log %s: %v", e.Seq, e.Log, e.Err)
}

func (e *ProjectError) Unwrap() error { return e.Err }

// Permanent says that the record will never be projected by this version.
func (e *ProjectError) Permanent() bool { return true }

// Projector projects records one after another and uses its memory again. The
// rows it makes are theirs who have them: they stay as they are. The zero
// value is ready. One goroutine at a time may use it.
type Projector struct {
	scanner
	rows    *Rows
	version int64
	head    Head
	headed  bool // head and kind are read
	kind    string

	connection Connection
	certified  Certificate

	firstParameter int // this record's, in rows

	// The members of all kinds are read into the rows that they belong to; at
	// the end those of the record's kind are kept.
	rpc      RPCRow
	move     TransferRow // also what a message says of a transfer
	session  SessionRow
	refusal  RefusalRow
	security SecurityRow
	decision DecisionRow
	system   SystemRow

	events, eventKeys []string // scratch
	texts             []string // made beforehand, to be given away
}

// textsAtOnce is how many texts that rows point to are made at once.
const textsAtOnce = 64

// keptScratch is how many bytes of scratch stay from one record to the next.
const keptScratch = 64 << 10

// keep makes a list of its own of texts that are scratch.
func (p *Projector) keep(list ...string) []string {
	if len(list) > textsAtOnce {
		return slices.Clone(list)
	}
	if len(p.texts) < len(list) {
		p.texts = make([]string, textsAtOnce)
	}
	kept := p.texts[:len(list):len(list)]
	p.texts = p.texts[len(list):]
	copy(kept, list)
	return kept
}

// Project does what the function Project does.
func (p *Projector) Project(log string, seq uint64, record []byte, rows *Rows) error {
	if cap(p.text) > keptScratch {
		p.text = nil
	}
	*p = Projector{
		scanner: scanner{text: p.text, open: p.open}, rows: rows, firstParameter: len(rows.Parameters),
		events: p.events[:0], eventKeys: p.eventKeys[:0], texts: p.texts,
	}
	before := rows.lengths()
	p.reset(record)
	p.record()
	err := p.err
	here := p.head.Log == log && p.head.Seq == seq
	switch {
	case err != nil:
	case p.i != len(record):
		err = fmt.Errorf("something stands behind the record at byte %d", p.i)
	case p.version != Version:
		err = fmt.Errorf("version %d is unknown", p.version)
	case !here:
		err = fmt.Errorf("it says that it is record %d of log %s", p.head.Seq, p.head.Log)
	}
	// Neither the record nor its rows are held on to.
	p.reset(nil)
	p.rows = nil
	if err != nil {
		rows.truncate(before)
		failed := &ProjectError{Log: log, Seq: seq, Err: err}
		if here && p.headed {
			failed.Record = &RecordRow{p.head, p.kind}
		}
		return failed
	}
	return nil
}

// record reads the members that all kinds share and hands over to the kind's
// own, which follow.
func (p *Projector) record() {
	p.expect('{')
	for begun := false; p.next('}', &begun); {
		name := p.key()
		switch string(name) {
		case "v":
			p.version = p.integer()
		case "log":
			p.head.Log = p.str()
		case "seq":
			p.head.Seq = p.unsigned()
		case "at":
			p.head.At = p.moment()
		case "kind":
			p.kind = p.str()
		case "node":
			p.head.Node = p.str()
		case "tenant":
			p.head.Tenant = p.str()
		case "session":
			p.head.Session = p.str()
		case "n":
			p.head.N = int(p.integer())
		case "device":
			p.device()
		case "identity":
			p.head.Identity = p.str()
		case "connection":
			p.connected()
		default:
			p.headed = p.kind != "" && !p.head.At.IsZero()
			p.own(name, &begun)
			p.rows.Records = append(p.rows.Records, RecordRow{p.head, p.kind})
			return
		}
	}
	p.fail("the record has no fields of its kind")
}

// own reads the fields of the record's kind, of which the first name is read,
// to the record's end.
func (p *Projector) own(first []byte, begun *bool) {
	p.begin()
	p.member(first)
	for p.next('}', begun) {
		p.member(p.key())
	}
	if p.err == nil {
		p.end()
	}
}

// begin fills in what a row of the record's kind has before its own members.
func (p *Projector) begin() {
	switch p.kind {
	case KindSession:
		c := &p.connection
		p.session = SessionRow{Head: p.head, Peer: c.Peer, Listener: c.Listener, TLS: c.TLS, SNI: c.SNI,
			CertificateSubject: p.certified.Subject}
	case KindTransfer:
		p.move = TransferRow{Head: p.head, Step: StepBytes}
	case KindRefusal:
		p.refusal = RefusalRow{Head: p.head, Offset: -1, Size: -1}
	case KindSecurity:
		p.security.Head = p.head
	case KindDecision:
		p.decision.Head = p.head
	case KindSystem:
		p.system.Head = p.head
	}
}

func (p *Projector) member(name []byte) {
	switch p.kind {
	case KindMessage:
		p.messageMember(name)
	case KindSession:
		p.sessionMember(name, &p.session)
	case KindTransfer:
		p.transferMember(name, &p.move)
	case KindRefusal:
		p.refusalMember(name, &p.refusal)
	case KindSecurity:
		p.securityMember(name, &p.security)
	case KindDecision:
		p.decisionMember(name, &p.decision)
	case KindSystem:
		p.systemMember(name, &p.system)
	default:
		p.skip()
	}
}

// end adds the rows of the record's kind.
func (p *Projector) end() {
	rows := p.rows
	switch p.kind {
	case KindMessage:
		p.message()
	case KindSession:
		rows.Sessions = append(rows.Sessions, p.session)
	case KindTransfer:
		rows.Transfers = append(rows.Transfers, p.move)
	case KindRefusal:
		rows.Refusals = append(rows.Refusals, p.refusal)
	case KindSecurity:
		rows.Security = append(rows.Security, p.security)
	case KindDecision:
		rows.Decisions = append(rows.Decisions, p.decision)
	case KindSystem:
		rows.System = append(rows.System, p.system)
	}
}

func (p *Projector) device() {
	p.expect('{')
	for begun := false; p.next('}', &begun); {
		switch string(p.key()) {
		case "manufacturer":
			p.head.Manufacturer = p.str()
		case "oui":
			p.head.OUI = p.str()
		case "class":
			p.head.Class = p.str()
		case "serial":
			p.head.Serial = p.str()
		default:
			p.skip()
		}
	}
}

func (p *Projector) connected() {
	c := &p.connection
	p.expect('{')
	for begun := false; p.next('}', &begun); {
		switch string(p.key()) {
		case "peer":
			c.Peer = p.str()
		case "listener":
			c.Listener = p.str()
		case "tls":
			c.TLS = p.str()
		case "cipher":
			c.Cipher = p.str()
		case "sni":
			c.SNI = p.str()
		case "certificate":
			p.certificate()
		default:
			p.skip()
		}
	}
}

func (p *Projector) certificate() {
	c := &p.certified
	p.expect('{')
	for begun := false; p.next('}', &begun); {
		switch string(p.key()) {
		case "subject":
			c.Subject = p.str()
		case "serial":
			c.Serial = p.str()
		case "sha256":
			c.SHA256 = p.str()
		case "not_after":
			c.NotAfter = p.moment()
		default:
			p.skip()
		}
	}
}

// lengths is how many rows there are of each table.
func (r *Rows) lengths() [9]int {
	return [9]int{len(r.Records), len(r.Sessions), len(r.RPCs), len(r.Parameters),
		len(r.Transfers), len(r.Refusals), len(r.Security), len(r.System), len(r.Decisions)}
}

func (r *Rows) truncate(n [9]int) {
	r.Records, r.Sessions, r.RPCs, r.Parameters = r.Records[:n[0]], r.Sessions[:n[1]], r.RPCs[:n[2]], r.Parameters[:n[3]]
	r.Transfers, r.Refusals, r.Security, r.System = r.Transfers[:n[4]], r.Refusals[:n[5]], r.Security[:n[6]], r.System[:n[7]]
	r.Decisions = r.Decisions[:n[8]]
}
