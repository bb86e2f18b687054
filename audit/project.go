package audit

import "fmt"

// Project adds to rows what one record says, taken from its bytes alone. log
// and seq are where the record was found; they must agree with what it says.
// On an error rows is as before.
func Project(log string, seq uint64, record []byte, rows *Rows) error {
	p := projector{rows: rows, firstParameter: len(rows.Parameters)}
	before := rows.lengths()
	if n := len(rows.Records); n > 0 {
		p.last = rows.Records[n-1]
	}
	p.reset(record)
	p.record()
	err := p.err
	switch {
	case err != nil:
	case p.i != len(record):
		err = fmt.Errorf("something stands behind the record at byte %d", p.i)
	case p.version != Version:
		err = fmt.Errorf("version %d is unknown", p.version)
	case p.head.Log != log || p.head.Seq != seq:
		err = fmt.Errorf("it says that it is record %d of log %s", p.head.Seq, p.head.Log)
	}
	if err != nil {
		rows.truncate(before)
		return fmt.Errorf("project record %d of log %s: %w", seq, log, err)
	}
	return nil
}

// projector reads one record. The members of all kinds are read into the rows
// that they belong to; at the end those of the record's kind are kept.
type projector struct {
	scanner
	rows    *Rows
	last    RecordRow // of the record before, whose texts are likely to return
	version int64
	head    Head
	kind    string

	connection Connection
	certified  Certificate

	firstParameter int // this record's, in rows
	rpc            RPCRow
	move           TransferRow // what a message says of a transfer
}

// record reads the members that all kinds share and hands over to the kind's
// own, which follow.
func (p *projector) record() {
	p.expect('{')
	for begun := false; p.next('}', &begun); {
		name := p.key()
		switch string(name) {
		case "v":
			p.version = p.integer()
		case "log":
			p.head.Log = p.again(p.last.Log)
		case "seq":
			p.head.Seq = p.unsigned()
		case "at":
			p.head.At = p.moment()
		case "kind":
			p.kind = p.again(p.last.Kind)
		case "node":
			p.head.Node = p.again(p.last.Node)
		case "tenant":
			p.head.Tenant = p.again(p.last.Tenant)
		case "session":
			p.head.Session = p.again(p.last.Session)
		case "n":
			p.head.N = int(p.integer())
		case "device":
			p.device()
		case "identity":
			p.head.Identity = p.again(p.last.Identity)
		case "connection":
			p.connected()
		default:
			p.own(name, &begun)
			p.rows.Records = append(p.rows.Records, RecordRow{p.head, p.kind})
			return
		}
	}
	p.fail("the record has no fields of its kind")
}

// own reads the fields of the record's kind, of which the first name is read,
// to the record's end.
func (p *projector) own(first []byte, begun *bool) {
	read, done := p.skipMember, func() {}
	switch p.kind {
	case KindMessage:
		read, done = p.messageMember, p.message
	case KindSession:
		c := &p.connection
		row := SessionRow{Head: p.head, Peer: c.Peer, Listener: c.Listener, TLS: c.TLS, SNI: c.SNI,
			CertificateSubject: p.certified.Subject}
		read = func(name []byte) { p.sessionMember(name, &row) }
		done = func() { p.rows.Sessions = append(p.rows.Sessions, row) }
	case KindTransfer:
		p.move = TransferRow{Head: p.head, Step: StepBytes}
		read = p.transferMember
		done = func() { p.rows.Transfers = append(p.rows.Transfers, p.move) }
	case KindRefusal:
		row := RefusalRow{Head: p.head, Offset: -1, Size: -1}
		read = func(name []byte) { p.refusalMember(name, &row) }
		done = func() { p.rows.Refusals = append(p.rows.Refusals, row) }
	case KindSecurity:
		row := SecurityRow{Head: p.head}
		read = func(name []byte) { p.securityMember(name, &row) }
		done = func() { p.rows.Security = append(p.rows.Security, row) }
	case KindSystem:
		row := SystemRow{Head: p.head}
		read = func(name []byte) { p.systemMember(name, &row) }
		done = func() { p.rows.System = append(p.rows.System, row) }
	}
	read(first)
	for p.next('}', begun) {
		read(p.key())
	}
	if p.err == nil {
		done()
	}
}

// again reads a string and gives the one that it had before where it is the
// same: the records of a session share most of their texts.
func (p *projector) again(before string) string {
	b := p.bytes()
	if string(b) == before {
		return before
	}
	return string(b)
}

func (p *projector) skipMember([]byte) { p.skip() }

func (p *projector) device() {
	p.expect('{')
	for begun := false; p.next('}', &begun); {
		switch string(p.key()) {
		case "manufacturer":
			p.head.Manufacturer = p.again(p.last.Manufacturer)
		case "oui":
			p.head.OUI = p.again(p.last.OUI)
		case "class":
			p.head.Class = p.again(p.last.Class)
		case "serial":
			p.head.Serial = p.again(p.last.Serial)
		default:
			p.skip()
		}
	}
}

func (p *projector) connected() {
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

func (p *projector) certificate() {
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
func (r *Rows) lengths() [8]int {
	return [8]int{len(r.Records), len(r.Sessions), len(r.RPCs), len(r.Parameters),
		len(r.Transfers), len(r.Refusals), len(r.Security), len(r.System)}
}

func (r *Rows) truncate(n [8]int) {
	r.Records, r.Sessions, r.RPCs, r.Parameters = r.Records[:n[0]], r.Sessions[:n[1]], r.RPCs[:n[2]], r.Parameters[:n[3]]
	r.Transfers, r.Refusals, r.Security, r.System = r.Transfers[:n[4]], r.Refusals[:n[5]], r.Security[:n[6]], r.System[:n[7]]
}
