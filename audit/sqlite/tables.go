package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

// tables are the inserts of the ledger and the projections.
type tables struct {
	ledger, rpcs, parameters, transfers, sessions, refusals, security, decisions, system *insert

	// Into parameters too, without the columns that are NULL in most rows: each
	// column costs, whatever is in it.
	plain *insert

	lastType      string // of a parameter, as most have the type of the one before
	lastTypeValue any
}

func (t *tables) all() []**insert {
	return []**insert{&t.ledger, &t.rpcs, &t.parameters, &t.transfers, &t.sessions, &t.refusals, &t.security, &t.decisions, &t.system, &t.plain}
}

// projections are the tables that a rebuild makes anew.
var projections = [...]string{"rpcs", "parameters", "transfers", "sessions", "refusals", "security", "decisions", "system"}

// layout is one insert: its table and the columns that it fills.
type layout struct {
	into    **insert
	table   string
	columns []string
}

func (t *tables) layouts() []layout {
	return []layout{
		{&t.ledger, "ledger", []string{"log", "seq", "at", "kind", "node", "tenant", "device", "session", "n", "identity",
			"leaf", "salt", "bytes"}},
		{&t.rpcs, "rpcs", []string{"log", "seq", "sender", "acs", "rpc", "to_rpc", "message", "cwmp", "cwmp_id", "answers",
			"wrong_id", "verdict", "fault_code", "fault_text", "fault_detail", "status", "command_key", "parameter_key",
			"events", "event_keys", "retry_count", "time_text", "time", "object", "instance", "parameters",
			"peer", "listener", "tls", "cipher", "sni",
			"certificate_subject", "certificate_serial", "certificate_sha256", "certificate_not_after"}},
		{&t.parameters, "parameters", []string{"log", "seq", "item", "at", "device", "name", "changed", "action", "value",
			"secret", "type", "cut", "sha256", "key", "answers", "fault_code", "fault_text", "notification", "access_list"}},
		{&t.plain, "parameters", []string{"log", "seq", "item", "at", "device", "name", "changed", "action", "value", "type", "answers"}},
		{&t.transfers, "transfers", []string{"log", "seq", "item", "at", "device", "step", "sender", "acs", "rpc", "answers",
			"verdict", "command_key", "file_type", "url", "path", "file_size", "target", "status", "fault_code", "fault_text",
			"start_text", "start", "finish_text", "finish", "is_download", "method", "http_status", "bytes", "sha256",
			"began", "duration", "part", "complete", "error", "peer"}},
		{&t.sessions, "sessions", []string{"log", "seq", "at", "device", "session", "acs", "acs_node", "begun", "ended", "how",
			"messages", "empty", "bytes_in", "bytes_out", "open", "undelivered", "peer", "listener", "tls", "sni", "certificate"}},
		{&t.refusals, "refusals", []string{"log", "seq", "at", "sender", "reason", "offset", "path", "size", "status",
			"peer", "listener", "acs", "count"}},
		{&t.security, "security", []string{"log", "seq", "at", "reason", "claimed", "verified", "peer", "listener", "acs", "count"}},
		{&t.decisions, "decisions", []string{"log", "seq", "at", "decided_by", "reason", "limit_text", "class", "acs", "status",
			"peer", "source", "listener", "count"}},
		{&t.system, "system", []string{"log", "seq", "at", "what", "why", "detail"}},
	}
}

func (t *tables) prepare(ctx context.Context, conn *sql.Conn) error {
	for _, p := range t.layouts() {
		i, err := prepareInsert(ctx, conn, p.table, p.columns...)
		if err != nil {
			return err
		}
		*p.into = i
	}
	return nil
}

func (t *tables) flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, i := range t.all() {
		if err := (*i).flush(); err != nil {
			return err
		}
	}
	return nil
}

// flushKnown writes what a query for the values known of a device must see.
func (t *tables) flushKnown() error {
	for _, i := range []*insert{t.rpcs, t.parameters, t.plain} {
		if err := i.flush(); err != nil {
			return err
		}
	}
	return nil
}

// pending says whether collected rows tell of a device's known values.
func (t *tables) pending(device int64) bool {
	return t.rpcs.tellsOf(device) || t.parameters.tellsOf(device) || t.plain.tellsOf(device)
}

func (t *tables) drop() {
	for _, i := range t.all() {
		if *i != nil {
			(*i).drop()
		}
	}
}

func (t *tables) close() {
	for _, i := range t.all() {
		if *i != nil {
			(*i).close()
		}
	}
}

func (t *tables) addRPC(log int64, r *audit.RPCRow) error {
	return t.rpcs.add(log, int64(r.Seq), r.From, r.ACS, r.RPC, text(r.To), r.Message, text(r.CWMP), r.ID, number(r.Answers),
		r.WrongID, r.Verdict, text(r.FaultCode), text(r.FaultString), r.FaultDetail, text(r.Status), text(r.CommandKey), text(r.ParameterKey),
		list(r.Events), list(r.EventKeys), text(r.RetryCount), text(r.CurrentTime.Text), micros(r.CurrentTime.Time), text(r.Object), text(r.Instance), int64(r.Parameters),
		text(r.Peer), text(r.Listener), text(r.TLS), text(r.Cipher), text(r.SNI),
		text(r.CertificateSubject), text(r.CertificateSerial), text(r.CertificateSHA256), micros(r.CertificateNotAfter))
}

// common is what the parameter rows of one record share. As values of a
// statement, which each take an allocation, they are made once.
type common struct {
	about                         int64
	action                        string // as a rule that of all
	log, seq, at, device, is, key any
	answers                       any
}

func commonOf(log, device int64, p *audit.ParameterRow) common {
	return common{device, p.Action, log, int64(p.Seq), p.At.UnixMicro(), number(device), p.Action, text(p.Key), number(p.Answers)}
}

func (t *tables) addParameter(c *common, name int64, changed bool, p *audit.ParameterRow) error {
	if p.Action != c.action {
		c.action, c.is = p.Action, p.Action
	}
	if plain(p) {
		t.plain.tells(c.about)
		return t.plain.add(c.log, c.seq, int64(p.Item), c.at, c.device, name, changed, c.is, valueText(p), t.typed(p), c.answers)
	}
	t.parameters.tells(c.about)
	return t.addWhole(c, name, changed, p)
}

// addWhole adds a row with all columns.
func (t *tables) addWhole(c *common, name int64, changed bool, p *audit.ParameterRow) error {
	return t.parameters.add(c.log, c.seq, int64(p.Item), c.at, c.device, name, changed, c.is, valueText(p),
		text(p.Secret), t.typed(p), number(p.Cut), text(p.SHA256), c.key, c.answers,
		text(p.FaultCode), text(p.FaultString), text(p.Notification), text(p.AccessList))
}

func valueText(p *audit.ParameterRow) any {
	if p.Value == nil {
		return nil
	}
	return *p.Value
}

func (t *tables) typed(p *audit.ParameterRow) any {
	if p.Type != t.lastType {
		t.lastType, t.lastTypeValue = strings.Clone(p.Type), text(p.Type)
	}
	return t.lastTypeValue
}

// plain says whether a row has no more than the columns of tables.plain.
func plain(p *audit.ParameterRow) bool {
	switch p.Action {
	case audit.ActionRead, audit.ActionInformed, audit.ActionReported:
		return p.Secret == "" && p.Cut == 0 && p.SHA256 == "" && p.Key == ""
	}
	return false
}

func (t *tables) addTransfer(log, device int64, r *audit.TransferRow) error {
	var status, size, duration any // of bytes, where 0 says something
	if r.Step == audit.StepBytes {
		status, size, duration = int64(r.HTTPStatus), r.Bytes, r.DurationMicros
	}
	return t.transfers.add(log, int64(r.Seq), int64(r.Item), r.At.UnixMicro(), number(device), r.Step, text(r.From), r.ACS, r.RPC, number(r.Answers),
		text(r.Verdict), r.CommandKey, text(r.FileType), text(r.URL), text(r.Path), text(r.FileSize), text(r.Target), text(r.Status),
		text(r.FaultCode), text(r.FaultString),
		text(r.Start.Text), micros(r.Start.Time), text(r.Finish.Text), micros(r.Finish.Time), text(r.IsDownload),
		text(r.Method), status, size, text(r.SHA256),
		micros(r.Began), duration, r.Range, r.Complete, text(r.Error), text(r.Peer))
}

func (t *tables) addSession(log, device int64, s *audit.SessionRow) error {
	return t.sessions.add(log, int64(s.Seq), s.At.UnixMicro(), number(device), s.Session, s.ACS, s.ACSNode,
		micros(s.Begin), micros(s.End), s.How, int64(s.Messages), int64(s.Empty), s.BytesIn, s.BytesOut, seqs(s.Open), seqs(s.Undelivered),
		text(s.Peer), text(s.Listener), text(s.TLS), text(s.SNI), text(s.CertificateSubject))
}

// addEvents adds the rows of the kinds that make one each and tell of no device's
// values.
func (t *tables) addEvents(log int64, rows *audit.Rows) error {
	for i := range rows.Refusals {
		if err := t.addRefusal(log, &rows.Refusals[i]); err != nil {
			return err
		}
	}
	for i := range rows.Security {
		if err := t.addSecurity(log, &rows.Security[i]); err != nil {
			return err
		}
	}
	for i := range rows.Decisions {
		if err := t.addDecision(log, &rows.Decisions[i]); err != nil {
			return err
		}
	}
	for i := range rows.System {
		if err := t.addSystem(log, &rows.System[i]); err != nil {
			return err
		}
	}
	return nil
}

func (t *tables) addRefusal(log int64, r *audit.RefusalRow) error {
	var offset, size any
	if r.Offset >= 0 {
		offset = r.Offset
	}
	if r.Size >= 0 {
		size = r.Size
	}
	return t.refusals.add(log, int64(r.Seq), r.At.UnixMicro(), r.From, r.Reason, offset, text(r.Path), size, int64(r.Status),
		text(r.Peer), text(r.Listener), text(r.ACS), int64(r.Count))
}

func (t *tables) addSecurity(log int64, r *audit.SecurityRow) error {
	return t.security.add(log, int64(r.Seq), r.At.UnixMicro(), r.Reason, text(r.Claimed), text(r.Verified),
		text(r.Peer), text(r.Listener), text(r.ACS), int64(r.Count))
}

func (t *tables) addDecision(log int64, r *audit.DecisionRow) error {
	return t.decisions.add(log, int64(r.Seq), r.At.UnixMicro(), r.By, r.Reason, text(r.Limit), text(r.Class), text(r.ACS), int64(r.Status),
		text(r.Peer), text(r.Source), text(r.Listener), int64(r.Count))
}

func (t *tables) addSystem(log int64, r *audit.SystemRow) error {
	return t.system.add(log, int64(r.Seq), r.At.UnixMicro(), r.What, text(r.Why), text(r.Detail))
}

// What was not sent is NULL.

func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func number[N int64 | uint64](n N) any {
	if n == 0 {
		return nil
	}
	return int64(n)
}

func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

func list(s []string) any {
	if len(s) == 0 {
		return nil
	}
	return array(s)
}

func seqs(s []uint64) string {
	if len(s) == 0 {
		return "[]"
	}
	return array(s)
}

func array[T any](s []T) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic("BUG: " + err.Error()) // strings and numbers always encode
	}
	return string(b)
}
