package audit

import "time"

// Head is what every projected row begins with: the record it was made from,
// and whom that record is about. (Log, Seq, Item) is unique within a table.
type Head struct {
	Log     string
	Seq     uint64
	Item    int       // place among the rows of this table made from this record, from 0
	At      time.Time // the gateway's receive time, UTC, whole microseconds
	Node    string
	Tenant  string
	Session string
	N       int // place in the session, from 1; 0 where the record has none

	Manufacturer, OUI, Class, Serial string

	Identity string
}

// Moment is a time that a CPE reported: the text as it sent it, and the time
// where it has one. Time is zero (a NULL in a store) where the text is
// CWMP's Unknown Time, relative, without a zone, malformed, or outside 1970
// to 2262.
type Moment struct {
	Text string
	Time time.Time
}

// Known says whether the text named a point in time.
func (m Moment) Known() bool { return !m.Time.IsZero() }

// RecordRow is the part of a record that the ledger keeps in columns beside
// its bytes: one for every record, whatever its kind.
type RecordRow struct {
	Head
	Kind string
}

// SessionRow is one session that has ended.
type SessionRow struct {
	Head
	ACS, ACSNode      string
	Begin, End        time.Time
	How               string // the closed list of SessionEnd.How
	Messages, Empty   int
	BytesIn, BytesOut int64    // in: from the CPE; out: to the CPE
	Open              []uint64 // requests that nobody answered
	Undelivered       []uint64 // messages that never left the gateway
	// Set where no message of the session carries them; else they stand in the
	// RPCRow of its first message.
	Peer, Listener, TLS, SNI string
	CertificateSubject       string
}

// RPCRow is one message of either side.
type RPCRow struct {
	Head
	From    string // "cpe", "acs", "gateway"
	ACS     string
	RPC     string // the element's own name: "Inform", "InformResponse", "Fault"
	To      string // the RPC that this answers, by the name of its request; empty where it answers none
	Message string // "request", "response", "fault"
	CWMP    string // "1-0" … ; empty where the namespace was another
	ID      string
	Answers uint64 // Seq of the request that this answers, 0: none
	WrongID bool   // answered by position although the ID differs
	Verdict string // "pass", "edit", "deny", "orphan"

	FaultCode, FaultString string // CWMP's where there is one, else SOAP's
	FaultDetail            bool   // the fault names parameters (rows of action "refused" with the same Seq)
	Status                 string // of a response that has one, trimmed
	CommandKey             string // of the RPC; of an Inform, of its first event that has one
	ParameterKey           string
	Events                 []string // of an Inform, as sent but trimmed
	EventKeys              []string // the CommandKey beside each event, "" where it has none
	RetryCount             string
	CurrentTime            Moment
	Object                 string // ObjectName of AddObject and DeleteObject
	Instance               string // InstanceNumber of an AddObjectResponse, trimmed
	Parameters             int    // entries of the ParameterList

	// Of the first message of a session, else empty.
	Peer, Listener, TLS, Cipher, SNI                         string
	CertificateSubject, CertificateSerial, CertificateSHA256 string
	CertificateNotAfter                                      time.Time
}

// What a ParameterRow says happened. The closed list.
const (
	ActionSet        = "set"        // a SetParameterValues asks for it; its outcome is in the answer
	ActionAdd        = "add"        // an AddObject asks for an instance; its number is in the answer
	ActionDelete     = "delete"     // a DeleteObject asks for it
	ActionAttributes = "attributes" // a SetParameterAttributes asks for it
	ActionRefused    = "refused"    // a fault names it; Answers is the request
	ActionReported   = "reported"   // in an Inform whose events hold 4 VALUE CHANGE
	ActionInformed   = "informed"   // in an Inform without that event
	ActionRead       = "read"       // in a GetParameterValuesResponse
)

// ParameterRow is one parameter of one message. Rows of the actions
// "informed" and "read" are made always; a store keeps only those that differ
// from the last value it knows for that device and path.
type ParameterRow struct {
	Head
	From    string
	ACS     string
	RPC     string
	Answers uint64 // of read and refused: the request
	Verdict string
	Action  string
	Name    string  // trimmed; AddObject and DeleteObject: the object's path
	Value   *string // nil where none was sent, or where it is a secret
	Secret  string  // 16 hex digits or "set"; empty where it is no secret
	Type    string  // xsi:type, "xsd:string"; of attributes empty
	Cut     int64   // bytes left out of Value, SHA256 is then of the whole
	SHA256  string
	Key     string // ParameterKey of the request

	FaultCode, FaultString string // of refused
	Notification           string // of attributes: the value where it is changed, else empty
	AccessList             string // of attributes: the list where it is changed, comma separated
}

// What a TransferRow stands for. The closed list.
const (
	StepRequest    = "request"    // Download, Upload, ScheduleDownload
	StepResponse   = "response"   // their answer, or the fault in its place; Answers is the request
	StepCancel     = "cancel"     // CancelTransfer
	StepBytes      = "bytes"      // bytes that went through the gateway
	StepComplete   = "complete"   // TransferComplete
	StepAutonomous = "autonomous" // AutonomousTransferComplete
)

// TransferRow is one step in the life of a transfer.
type TransferRow struct {
	Head
	Step           string
	From           string
	ACS            string
	RPC            string
	Answers        uint64
	Verdict        string
	CommandKey     string
	FileType       string
	URL            string // without secrets
	Path           string // the path of URL alone, to join bytes with requests
	FileSize       string
	Target         string // TargetFileName
	Status         string // of a response: "0" done, "1" not yet
	FaultCode      string // of a fault, or of a completion ("0": success)
	FaultString    string
	Start, Finish  Moment // StartTime and CompleteTime
	IsDownload     string // of autonomous, as sent
	Method         string // of bytes: GET, PUT, …
	HTTPStatus     int
	Bytes          int64
	SHA256         string // of whole files only
	Began          time.Time
	DurationMicros int64
	Range          bool
	Complete       bool // a whole file passed
	Error          string
	Peer           string // of bytes: where the CPE's connection came from
}

// RefusalRow is one or more messages that were refused for the same reason.
type RefusalRow struct {
	Head
	From           string // "cpe", "acs"
	Reason         string
	Offset         int64 // -1 where unknown
	Path           string
	Size           int64 // -1 where unknown
	Status         int
	Peer, Listener string
	ACS            string
	Count          int // how many alike within the second, the first included
}

// SecurityRow is one or more events of security alike.
type SecurityRow struct {
	Head
	Reason            string
	Claimed, Verified string
	Peer, Listener    string
	ACS               string
	Count             int
}

// DecisionRow is one or more decisions alike.
type DecisionRow struct {
	Head
	By                     string // "admission"
	Reason, Limit, Class   string
	ACS                    string
	Status                 int // 0: the connection was closed without an answer
	Peer, Source, Listener string
	Count                  int
}

// SystemRow is an event of the gateway itself.
type SystemRow struct {
	Head
	What, Why string
	Detail    string // a JSON object of strings, in the record's order; empty where none
}

// Rows collects what Project makes. Reset keeps the memory.
type Rows struct {
	Records    []RecordRow
	Sessions   []SessionRow
	RPCs       []RPCRow
	Parameters []ParameterRow
	Transfers  []TransferRow
	Refusals   []RefusalRow
	Security   []SecurityRow
	Decisions  []DecisionRow
	System     []SystemRow
}

// Reset empties r and keeps its memory, but not the texts that its rows held.
func (r *Rows) Reset() {
	clear(r.Records)
	clear(r.Sessions)
	clear(r.RPCs)
	clear(r.Parameters)
	clear(r.Transfers)
	clear(r.Refusals)
	clear(r.Security)
	clear(r.Decisions)
	clear(r.System)
	r.truncate([9]int{})
}
