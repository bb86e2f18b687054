package clickhouse

import (
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

// head is what all rows of a record share, made ready once.
type head struct {
	log, node, tenant, manufacturer, oui, class, identity any
	serial, session                                       string
	at                                                    time.Time
	seq                                                   uint64
	n                                                     uint32
}

func headOf(h *audit.Head) head {
	return head{
		log: word(h.Log), node: word(h.Node), tenant: word(h.Tenant), manufacturer: word(h.Manufacturer), oui: word(h.OUI), class: word(h.Class), identity: word(h.Identity),
		serial: h.Serial, session: h.Session, at: bounded(h.At), seq: h.Seq, n: uint32(h.N),
	}
}

type heads struct {
	block
	log, node, tenant, manufacturer, oui, class, identity *words
	seq                                                   *of[uint64]
	item                                                  *of[uint32] // nil where a record makes one row at most
	at                                                    *of[time.Time]
	serial, session                                       *of[string]
	n                                                     *of[uint32]
}

func (t *heads) make(table string, items bool) {
	b := &t.block
	b.table = table
	t.log, t.seq = addWords(b, "log"), add[uint64](b, "seq")
	if items {
		t.item = add[uint32](b, "item")
	}
	t.at, t.node, t.tenant, t.manufacturer = add[time.Time](b, "at"), addWords(b, "node"), addWords(b, "tenant"), addWords(b, "manufacturer")
	t.oui, t.class, t.serial, t.session = addWords(b, "oui"), addWords(b, "class"), add[string](b, "serial"), add[string](b, "session")
	t.n, t.identity = add[uint32](b, "n"), addWords(b, "identity")
}

func (t *heads) add(h *head, item int) {
	t.log.add(h.log)
	t.seq.add(h.seq)
	if t.item != nil {
		t.item.add(uint32(item))
	}
	t.at.add(h.at)
	t.node.add(h.node)
	t.tenant.add(h.tenant)
	t.manufacturer.add(h.manufacturer)
	t.oui.add(h.oui)
	t.class.add(h.class)
	t.serial.add(h.serial)
	t.session.add(h.session)
	t.n.add(h.n)
	t.identity.add(h.identity)
	t.end(h.seq, item)
}

type ledgerTable struct {
	heads
	kind        *words
	leaf        *of[[]byte]
	salt, bytes *of[[]byte]
}

func newLedger() *ledgerTable {
	t := &ledgerTable{}
	t.make("ledger", false)
	b := &t.block
	t.kind, t.leaf, t.salt, t.bytes = addWords(b, "kind"), add[[]byte](b, "leaf"), add[[]byte](b, "salt"), add[[]byte](b, "bytes")
	return t
}

func (t *ledgerTable) add(h *head, kind string, leaf, salt, bytes []byte) {
	t.heads.add(h, 0)
	t.kind.add(kind)
	t.leaf.add(leaf)
	t.salt.add(salt)
	t.bytes.add(bytes)
}

type rpcsTable struct {
	heads
	sender, acs, rpc, to, message, cwmp, verdict, faultCode, status, retryCount, listener, tls, cipher, sni *words
	id, faultText, commandKey, parameterKey, timeText, object, instance, peer                               *of[string]
	certificateSubject, certificateSerial, certificateSHA256, certificateText                               *of[string]
	answers                                                                                                 *of[uint64]
	wrongID, faultDetail                                                                                    *of[bool]
	events, eventKeys                                                                                       *of[[]string]
	time, certificateNotAfter                                                                               *of[*time.Time]
	parameters                                                                                              *of[uint32]
}

func newRPCs(table string) *rpcsTable {
	t := &rpcsTable{}
	t.make(table, false)
	b := &t.block
	for name, c := range map[string]**words{
		"sender": &t.sender, "acs": &t.acs, "rpc": &t.rpc, "to_rpc": &t.to, "message": &t.message, "cwmp": &t.cwmp, "verdict": &t.verdict,
		"fault_code": &t.faultCode, "status": &t.status, "retry_count": &t.retryCount, "listener": &t.listener, "tls": &t.tls, "cipher": &t.cipher, "sni": &t.sni,
	} {
		*c = addWords(b, name)
	}
	for name, c := range map[string]**of[string]{
		"cwmp_id": &t.id, "fault_text": &t.faultText, "command_key": &t.commandKey, "parameter_key": &t.parameterKey, "time_text": &t.timeText,
		"object": &t.object, "instance": &t.instance, "peer": &t.peer, "certificate_subject": &t.certificateSubject,
		"certificate_serial": &t.certificateSerial, "certificate_sha256": &t.certificateSHA256, "certificate_not_after_text": &t.certificateText,
	} {
		*c = add[string](b, name)
	}
	t.answers, t.wrongID, t.faultDetail = add[uint64](b, "answers"), add[bool](b, "wrong_id"), add[bool](b, "fault_detail")
	t.events, t.eventKeys = add[[]string](b, "events"), add[[]string](b, "event_keys")
	t.time, t.certificateNotAfter = add[*time.Time](b, "time"), add[*time.Time](b, "certificate_not_after")
	t.parameters = add[uint32](b, "parameters")
	return t
}

func (t *rpcsTable) add(h *head, r *audit.RPCRow) {
	t.heads.add(h, 0)
	t.sender.word(r.From)
	t.acs.word(r.ACS)
	t.rpc.word(r.RPC)
	t.to.word(r.To)
	t.message.word(r.Message)
	t.cwmp.word(r.CWMP)
	t.verdict.word(r.Verdict)
	t.faultCode.word(r.FaultCode)
	t.status.word(r.Status)
	t.retryCount.word(r.RetryCount)
	t.listener.word(r.Listener)
	t.tls.word(r.TLS)
	t.cipher.word(r.Cipher)
	t.sni.word(r.SNI)
	t.id.add(r.ID)
	t.faultText.add(r.FaultString)
	t.commandKey.add(r.CommandKey)
	t.parameterKey.add(r.ParameterKey)
	t.timeText.add(r.CurrentTime.Text)
	t.object.add(r.Object)
	t.instance.add(r.Instance)
	t.peer.add(r.Peer)
	t.certificateSubject.add(r.CertificateSubject)
	t.certificateSerial.add(r.CertificateSerial)
	t.certificateSHA256.add(r.CertificateSHA256)
	t.certificateText.add(stamp(r.CertificateNotAfter))
	t.answers.add(r.Answers)
	t.wrongID.add(r.WrongID)
	t.faultDetail.add(r.FaultDetail)
	t.events.add(r.Events)
	t.eventKeys.add(r.EventKeys)
	t.time.add(nullable(r.CurrentTime.Time))
	t.certificateNotAfter.add(nullable(r.CertificateNotAfter))
	t.parameters.add(uint32(r.Parameters))
}

// stamp is a time as a text: certificates that never expire say year 9999.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

type parametersTable struct {
	heads
	sender, acs, rpc, to, verdict, action, name, kind, faultCode, notification, accessList *words
	secret, sha256, key, faultText                                                         *of[string]
	value                                                                                  *of[*string]
	answers, cut                                                                           *of[uint64]
	changed                                                                                *of[bool]
}

func newParameters(table string) *parametersTable {
	t := &parametersTable{}
	t.make(table, true)
	b := &t.block
	for name, c := range map[string]**words{
		"sender": &t.sender, "acs": &t.acs, "rpc": &t.rpc, "to_rpc": &t.to, "verdict": &t.verdict, "action": &t.action, "name": &t.name,
		"type": &t.kind, "fault_code": &t.faultCode, "notification": &t.notification, "access_list": &t.accessList,
	} {
		*c = addWords(b, name)
	}
	t.secret, t.sha256, t.key, t.faultText = add[string](b, "secret"), add[string](b, "sha256"), add[string](b, "key"), add[string](b, "fault_text")
	t.value, t.answers, t.cut, t.changed = add[*string](b, "value"), add[uint64](b, "answers"), add[uint64](b, "cut"), add[bool](b, "changed")
	return t
}

// shared is what the parameter rows of one record share beside their head.
type shared struct{ sender, acs, rpc, to, verdict any }

func sharedOf(p *audit.ParameterRow) shared {
	return shared{word(p.From), word(p.ACS), word(p.RPC), nil, word(p.Verdict)}
}

func (t *parametersTable) add(h *head, s *shared, p *audit.ParameterRow, changed bool) {
	t.heads.add(h, p.Item)
	t.sender.add(s.sender)
	t.acs.add(s.acs)
	t.rpc.add(s.rpc)
	t.to.add(s.to)
	t.verdict.add(s.verdict)
	t.action.word(p.Action)
	t.name.word(p.Name)
	t.kind.word(p.Type)
	t.faultCode.word(p.FaultCode)
	t.notification.word(p.Notification)
	t.accessList.word(p.AccessList)
	t.secret.add(p.Secret)
	t.sha256.add(p.SHA256)
	t.key.add(p.Key)
	t.faultText.add(p.FaultString)
	t.value.add(p.Value)
	t.answers.add(p.Answers)
	t.cut.add(uint64(max(p.Cut, 0)))
	t.changed.add(changed)
}

type transfersTable struct {
	heads
	step, sender, acs, rpc, to, verdict, fileType, status, faultCode, isDownload, method             *words
	commandKey, url, path, fileSize, target, faultText, startText, finishText, sha256, failure, peer *of[string]
	answers                                                                                          *of[uint64]
	start, finish, began                                                                             *of[*time.Time]
	httpStatus, bytes, duration                                                                      *of[*int64]
	part, complete                                                                                   *of[bool]
}

func newTransfers(table string) *transfersTable {
	t := &transfersTable{}
	t.make(table, true)
	b := &t.block
	for name, c := range map[string]**words{
		"step": &t.step, "sender": &t.sender, "acs": &t.acs, "rpc": &t.rpc, "to_rpc": &t.to, "verdict": &t.verdict, "file_type": &t.fileType,
		"status": &t.status, "fault_code": &t.faultCode, "is_download": &t.isDownload, "method": &t.method,
	} {
		*c = addWords(b, name)
	}
	for name, c := range map[string]**of[string]{
		"command_key": &t.commandKey, "url": &t.url, "path": &t.path, "file_size": &t.fileSize, "target": &t.target, "fault_text": &t.faultText,
		"start_text": &t.startText, "finish_text": &t.finishText, "sha256": &t.sha256, "error": &t.failure, "peer": &t.peer,
	} {
		*c = add[string](b, name)
	}
	t.answers = add[uint64](b, "answers")
	t.start, t.finish, t.began = add[*time.Time](b, "start"), add[*time.Time](b, "finish"), add[*time.Time](b, "began")
	t.httpStatus, t.bytes, t.duration = add[*int64](b, "http_status"), add[*int64](b, "bytes"), add[*int64](b, "duration")
	t.part, t.complete = add[bool](b, "part"), add[bool](b, "complete")
	return t
}

func (t *transfersTable) add(h *head, r *audit.TransferRow, to string) {
	t.heads.add(h, r.Item)
	t.step.word(r.Step)
	t.sender.word(r.From)
	t.acs.word(r.ACS)
	t.rpc.word(r.RPC)
	t.to.word(to)
	t.verdict.word(r.Verdict)
	t.fileType.word(r.FileType)
	t.status.word(r.Status)
	t.faultCode.word(r.FaultCode)
	t.isDownload.word(r.IsDownload)
	t.method.word(r.Method)
	t.commandKey.add(r.CommandKey)
	t.url.add(r.URL)
	t.path.add(r.Path)
	t.fileSize.add(r.FileSize)
	t.target.add(r.Target)
	t.faultText.add(r.FaultString)
	t.startText.add(r.Start.Text)
	t.finishText.add(r.Finish.Text)
	t.sha256.add(r.SHA256)
	t.failure.add(r.Error)
	t.peer.add(r.Peer)
	t.answers.add(r.Answers)
	t.start.add(nullable(r.Start.Time))
	t.finish.add(nullable(r.Finish.Time))
	t.began.add(nullable(r.Began))
	var status, size, duration *int64 // of bytes, where 0 says something
	if r.Step == audit.StepBytes {
		code := int64(r.HTTPStatus)
		status, size, duration = &code, &r.Bytes, &r.DurationMicros
	}
	t.httpStatus.add(status)
	t.bytes.add(size)
	t.duration.add(duration)
	t.part.add(r.Range)
	t.complete.add(r.Complete)
}

type sessionsTable struct {
	heads
	acs, acsNode, how, listener, tls, sni *words
	peer, certificate                     *of[string]
	begun, ended                          *of[*time.Time]
	messages, empty                       *of[uint32]
	bytesIn, bytesOut                     *of[int64]
	open, undelivered                     *of[[]uint64]
}

func newSessions(table string) *sessionsTable {
	t := &sessionsTable{}
	t.make(table, false)
	b := &t.block
	t.acs, t.acsNode, t.how = addWords(b, "acs"), addWords(b, "acs_node"), addWords(b, "how")
	t.listener, t.tls, t.sni = addWords(b, "listener"), addWords(b, "tls"), addWords(b, "sni")
	t.peer, t.certificate = add[string](b, "peer"), add[string](b, "certificate")
	t.begun, t.ended = add[*time.Time](b, "begun"), add[*time.Time](b, "ended")
	t.messages, t.empty = add[uint32](b, "messages"), add[uint32](b, "empty")
	t.bytesIn, t.bytesOut = add[int64](b, "bytes_in"), add[int64](b, "bytes_out")
	t.open, t.undelivered = add[[]uint64](b, "open"), add[[]uint64](b, "undelivered")
	return t
}

func (t *sessionsTable) add(h *head, s *audit.SessionRow) {
	t.heads.add(h, 0)
	t.acs.word(s.ACS)
	t.acsNode.word(s.ACSNode)
	t.how.word(s.How)
	t.listener.word(s.Listener)
	t.tls.word(s.TLS)
	t.sni.word(s.SNI)
	t.peer.add(s.Peer)
	t.certificate.add(s.CertificateSubject)
	t.begun.add(nullable(s.Begin))
	t.ended.add(nullable(s.End))
	t.messages.add(uint32(s.Messages))
	t.empty.add(uint32(s.Empty))
	t.bytesIn.add(s.BytesIn)
	t.bytesOut.add(s.BytesOut)
	t.open.add(s.Open)
	t.undelivered.add(s.Undelivered)
}

type refusalsTable struct {
	heads
	sender, reason, listener, acs *words
	path, peer                    *of[string]
	offset, size                  *of[*int64]
	status                        *of[uint16]
	count                         *of[uint32]
}

func newRefusals(table string) *refusalsTable {
	t := &refusalsTable{}
	t.make(table, false)
	b := &t.block
	t.sender, t.reason, t.listener, t.acs = addWords(b, "sender"), addWords(b, "reason"), addWords(b, "listener"), addWords(b, "acs")
	t.path, t.peer = add[string](b, "path"), add[string](b, "peer")
	t.offset, t.size = add[*int64](b, "offset"), add[*int64](b, "size")
	t.status, t.count = add[uint16](b, "status"), add[uint32](b, "count")
	return t
}

func (t *refusalsTable) add(h *head, r *audit.RefusalRow) {
	t.heads.add(h, 0)
	t.sender.word(r.From)
	t.reason.word(r.Reason)
	t.listener.word(r.Listener)
	t.acs.word(r.ACS)
	t.path.add(r.Path)
	t.peer.add(r.Peer)
	var offset, size *int64
	if r.Offset >= 0 {
		offset = &r.Offset
	}
	if r.Size >= 0 {
		size = &r.Size
	}
	t.offset.add(offset)
	t.size.add(size)
	t.status.add(uint16(r.Status))
	t.count.add(uint32(r.Count))
}

type securityTable struct {
	heads
	reason, listener, acs   *words
	claimed, verified, peer *of[string]
	count                   *of[uint32]
}

func newSecurity(table string) *securityTable {
	t := &securityTable{}
	t.make(table, false)
	b := &t.block
	t.reason, t.listener, t.acs = addWords(b, "reason"), addWords(b, "listener"), addWords(b, "acs")
	t.claimed, t.verified, t.peer = add[string](b, "claimed"), add[string](b, "verified"), add[string](b, "peer")
	t.count = add[uint32](b, "count")
	return t
}

func (t *securityTable) add(h *head, r *audit.SecurityRow) {
	t.heads.add(h, 0)
	t.reason.word(r.Reason)
	t.listener.word(r.Listener)
	t.acs.word(r.ACS)
	t.claimed.add(r.Claimed)
	t.verified.add(r.Verified)
	t.peer.add(r.Peer)
	t.count.add(uint32(r.Count))
}

type decisionsTable struct {
	heads
	by, reason, limit, kind, acs, listener *words
	peer, source                           *of[string]
	status                                 *of[uint16]
	count                                  *of[uint32]
}

func newDecisions(table string) *decisionsTable {
	t := &decisionsTable{}
	t.make(table, false)
	b := &t.block
	t.by, t.reason, t.limit, t.kind = addWords(b, "decided_by"), addWords(b, "reason"), addWords(b, "limit_text"), addWords(b, "inform_class")
	t.acs, t.listener = addWords(b, "acs"), addWords(b, "listener")
	t.peer, t.source = add[string](b, "peer"), add[string](b, "source")
	t.status, t.count = add[uint16](b, "status"), add[uint32](b, "count")
	return t
}

func (t *decisionsTable) add(h *head, r *audit.DecisionRow) {
	t.heads.add(h, 0)
	t.by.word(r.By)
	t.reason.word(r.Reason)
	t.limit.word(r.Limit)
	t.kind.word(r.Class)
	t.acs.word(r.ACS)
	t.listener.word(r.Listener)
	t.peer.add(r.Peer)
	t.source.add(r.Source)
	t.status.add(uint16(r.Status))
	t.count.add(uint32(r.Count))
}

type systemTable struct {
	heads
	what        *words
	why, detail *of[string]
}

func newSystem(table string) *systemTable {
	t := &systemTable{}
	t.make(table, false)
	b := &t.block
	t.what, t.why, t.detail = addWords(b, "what"), add[string](b, "why"), add[string](b, "detail")
	return t
}

func (t *systemTable) add(h *head, r *audit.SystemRow) {
	t.heads.add(h, 0)
	t.what.word(r.What)
	t.why.add(r.Why)
	t.detail.add(r.Detail)
}

// latestTable is last_values.
type latestTable struct {
	block
	tenant, oui, class, name *words
	serial                   *of[string]
	last                     *of[any]
}

func newLatest() *latestTable {
	t := &latestTable{block: block{table: "last_values"}}
	b := &t.block
	t.tenant, t.serial, t.oui, t.class = addWords(b, "tenant"), add[string](b, "serial"), addWords(b, "oui"), addWords(b, "class")
	t.name, t.last = addWords(b, "name"), add[any](b, "last")
	return t
}

func (t *latestTable) add(d *device, name string, k *told) {
	t.tenant.word(d.key.tenant)
	t.serial.add(d.key.serial)
	t.oui.word(d.key.oui)
	t.class.word(d.key.class)
	t.name.word(name)
	t.last.add([]any{k.at, k.log, k.seq, k.item, k.sent, k.value, k.secret, k.kind, k.cut, k.sha256})
	t.end(k.seq, int(k.item))
}
