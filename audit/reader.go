package audit

import (
	"context"
	"iter"
	"time"
)

// View names one way of looking at the store.
type View string

// The closed list of views.
const (
	ViewRecords   View = "records"
	ViewChanges   View = "changes"
	ViewTransfers View = "transfers"
	ViewSessions  View = "sessions"
	ViewRPCs      View = "rpcs"
)

// Views gives the closed list.
func Views() []View {
	return []View{ViewRecords, ViewChanges, ViewTransfers, ViewSessions, ViewRPCs}
}

// What became of a request. Changes and RPCs use the first group, transfers
// both.
const (
	OutcomeAccepted    = "accepted"              // answered; where the response has a Status, by 0
	OutcomeAfterReboot = "accepted-after-reboot" // Status 1
	OutcomeUnclear     = "unclear"               // answered, but not by a Status that the schema has
	OutcomeRefused     = "refused"               // the fault names this parameter, or the RPC was answered by a fault
	OutcomeNotApplied  = "not-applied"           // the fault names other parameters of the same RPC; nothing was applied
	OutcomeNoDetail    = "refused-no-detail"     // a SetParameterValues fault that names none
	OutcomeDenied      = "denied"                // the gateway did not pass it on
	OutcomeUnanswered  = "unanswered"            // no answer yet, or the session ended cleanly without one
	OutcomeUndelivered = "undelivered"           // it never reached its receiver
	OutcomeUnknown     = "unknown"               // the session was lost while the answer was owed
	OutcomeReported    = "reported"              // told by the CPE, asked by nobody

	OutcomeStarted    = "started"    // accepted by the CPE, no completion reported
	OutcomeCompleted  = "completed"  // complete, so the CPE says
	OutcomeFailed     = "failed"     // a completion with a fault code other than 0; bytes of no request, with an error
	OutcomeAmbiguous  = "ambiguous"  // two transfers of that device and key are open
	OutcomeUnattached = "unattached" // a completion that belongs to no request
	OutcomeCancelled  = "cancelled"  // a CancelTransfer was accepted for it
	OutcomeRelayed    = "relayed"    // bytes that belong to no request
)

// Outcomes gives the closed list.
func Outcomes() []string {
	return []string{
		OutcomeAccepted, OutcomeAfterReboot, OutcomeUnclear, OutcomeRefused, OutcomeNotApplied, OutcomeNoDetail,
		OutcomeDenied, OutcomeUnanswered, OutcomeUndelivered, OutcomeUnknown, OutcomeReported,
		OutcomeStarted, OutcomeCompleted, OutcomeFailed, OutcomeAmbiguous, OutcomeUnattached,
		OutcomeCancelled, OutcomeRelayed,
	}
}

// The columns of each view, the same from every store. Values are string,
// int64, bool, time.Time (UTC) or nil; numbers of records are int64.
var (
	RecordsColumns = []string{
		"at", "log", "seq", "kind", "tenant", "oui", "class", "serial", "session",
		"record", // the record's bytes, as a string
	}
	ChangesColumns = []string{
		"at", "log", "seq", "item", "tenant", "oui", "class", "serial", "identity", "session", "acs",
		"rpc", "action", "parameter",
		"old", "old_secret", "new", "new_secret", // nil where there is none or it is a secret
		"type", "outcome", "fault_code", "fault_text", "key",
		"answered", // seq of the answer
	}
	TransfersColumns = []string{
		"at", "log", "seq", "tenant", "oui", "class", "serial", "identity", "session", "acs",
		"rpc", "command_key", "file_type", "url", "file_size", "target", "outcome",
		"status", "http_status", "bytes", "sha256", // what was relayed, all requests for it together
		"start", "finish", // texts as the CPE sent them
		"fault_code", "fault_text",
		"answered", "completed", // seq of the response and of the completion
	}
	SessionsColumns = []string{
		"begin", "end", "log", "seq", "tenant", "oui", "class", "serial", "identity", "session",
		"acs", "acs_node", "peer", "listener", "tls", "sni", "certificate",
		"how", "messages", "empty", "bytes_in", "bytes_out",
		"open", "undelivered", // how many
	}
	RPCsColumns = []string{
		"at", "log", "seq", "tenant", "oui", "class", "serial", "identity", "session", "n",
		"from", "acs", "rpc", "to", "message", "cwmp", "id", "answers", "verdict",
		"status", "fault_code", "fault_text", "command_key", "parameter_key",
		"events", // joined by ", "
		"parameters", "outcome", "answered",
	}
)

// Columns gives the columns of a view, nil for one that is not in the list.
func (v View) Columns() []string {
	switch v {
	case ViewRecords:
		return RecordsColumns
	case ViewChanges:
		return ChangesColumns
	case ViewTransfers:
		return TransfersColumns
	case ViewSessions:
		return SessionsColumns
	case ViewRPCs:
		return RPCsColumns
	}
	return nil
}

// Filter says which rows a reader is asked for; what is zero does not narrow.
// Rows come oldest first. With Limit they are the newest so many, or, where
// After is set, the first so many behind it.
type Filter struct {
	View      View
	Tenant    string
	Device    string // see MatchDevice
	Session   string
	Parameter string    // path with * and **, see ParsePattern; for changes
	RPC       string    // schema name; for changes, transfers and rpcs
	Kind      string    // of the record; for records
	Since     time.Time // at or after
	Until     time.Time // before
	Identity  string    // at least this, one of Identities; not for records
	Outcome   string    // one of Outcomes; for changes, transfers and rpcs; for sessions, SessionEnd.How
	Log       string
	After     uint64 // only rows with a greater seq, to follow a log
	Limit     int
}

// Row is one row of a view. Columns is shared and must not be changed.
type Row struct {
	Columns []string
	Values  []any
}

// Reader is what a store gives to those who ask. An error ends the sequence.
type Reader interface {
	Query(ctx context.Context, f Filter) iter.Seq2[Row, error]
}
