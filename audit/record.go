package audit

import "time"

// Version is the format of the records written, the v of each.
const Version = 1

// The kinds of record. The closed list of this version.
const (
	KindMessage  = "message"
	KindSession  = "session"
	KindTransfer = "transfer"
	KindRefusal  = "refusal"
	KindSecurity = "security"
	KindDecision = "decision"
	KindSystem   = "system"
)

// Kinds gives the closed list.
func Kinds() []string {
	return []string{KindMessage, KindSession, KindTransfer, KindRefusal, KindSecurity, KindDecision, KindSystem}
}

// Verdict is what was decided on a message.
type Verdict string

// The closed list of verdicts.
const (
	Pass   Verdict = "pass"   // released as it came
	Edit   Verdict = "edit"   // released with a value replaced
	Deny   Verdict = "deny"   // not released
	Orphan Verdict = "orphan" // of no session, not released
)

// How a session ended. The closed list.
const (
	EndClean      = "clean"      // by an empty answer
	EndSuperseded = "superseded" // by another Inform of the device
	EndTimeout    = "timeout"    // the CPE sent nothing in time
	EndACSFailed  = "acs-failed" // the ACS's connection failed while its answer was owed
	EndACSError   = "acs-error"  // the ACS answered an HTTP error
	EndRefused    = "refused"    // the gateway refused a message of it
	EndShutdown   = "shutdown"   // the gateway stopped
)

// SessionEnds gives the closed list.
func SessionEnds() []string {
	return []string{EndClean, EndSuperseded, EndTimeout, EndACSFailed, EndACSError, EndRefused, EndShutdown}
}

// What the identity of a device rests on, the weakest first. The closed list.
const (
	IdentityClaimed     = "claimed"     // on nothing but its DeviceId
	IdentityClass       = "class"       // on a certificate of its product
	IdentityHTTP        = "http"        // on credentials that were accepted and name it
	IdentityCertificate = "certificate" // on a certificate that names it
)

// Identities gives the closed list, the weakest first.
func Identities() []string {
	return []string{IdentityClaimed, IdentityClass, IdentityHTTP, IdentityCertificate}
}

// What a system record is about. The closed list of this version.
const (
	SystemStart = "start"
	SystemStop  = "stop"
	SystemGap   = "gap"   // records are missing
	SystemStore = "store" // trouble with a store
	SystemClock = "clock" // the wall clock was set
	SystemTrim  = "trim"  // the journal keeps records for less time than it should

	SystemEpoch       = "epoch"        // a tree of the proof begins, see Epoch
	SystemKeyRotation = "key_rotation" // another key signs from here on, see KeyRotation
	SystemRetention   = "retention"    // records were emptied for their age, see Retention
	SystemErasure     = "erasure"      // records were emptied by command, see Erasure
	SystemHold        = "hold"         // a device's records must stay, see Hold
	SystemRelease     = "release"      // they need not any more
)

// Device is what an Inform's DeviceId says, as sent but trimmed: three names
// and a number, never one string, for any of them may hold a hyphen.
type Device struct {
	Manufacturer, OUI, Class, Serial string
}

// Connection is what is known of the connection that a session began on.
type Connection struct {
	Peer        string // address and port
	Listener    string
	TLS         string // "1.2", "1.3"; empty on a plain listener
	Cipher      string
	SNI         string
	Certificate *Certificate
}

// Certificate is a client's.
type Certificate struct {
	Subject  string
	Serial   string // lower-case hex
	SHA256   string // of the certificate, lower-case hex
	NotAfter time.Time
}

// Origin is what records say of the session that they belong to. It belongs to
// that session and is used by one goroutine at a time.
type Origin struct {
	Tenant   string
	Session  string
	Device   Device
	Identity string // one of IdentityClaimed …; empty where unknown
	ACS      string
	ACSNode  string
	Redactor *Redactor // the tenant's; nil: every secret becomes "set"
	// Connection goes into the session's next record, which clears it.
	Connection *Connection
	// N is the place of the session's last record, counted by the recorder.
	N int

	secrets [parties]memory // of the last message of each party
}

// SessionEnd is what a session record holds.
type SessionEnd struct {
	Begin, End        time.Time
	How               string // one of EndClean …
	Messages, Empty   int
	BytesIn, BytesOut int64    // bodies, from and to the CPE
	Node              string   // ACS node, where it is another than the Origin's
	Open              []uint64 // records of requests that nobody answered
	Undelivered       []uint64 // records of messages that were not delivered
}

// Transfer is one file request that went through the gateway.
type Transfer struct {
	Peer     string
	Method   string
	URL      string // as requested; its user-info and query values are masked here
	Status   int    // of the answer, 0 where none came
	Bytes    int64  // that passed: of the answer's body, or of the request's where it brought one
	SHA256   string // lower-case hex, of whole files only
	Began    time.Time
	Duration time.Duration
	Range    bool   // a part was asked for
	Complete bool   // a whole file passed
	Error    string // what broke it off
}

// Refusal is one message that was refused as malformed or over a limit.
type Refusal struct {
	From     string // "cpe", "acs"
	Reason   string
	Offset   int64  // into the body, -1 where it has none
	Path     string // where in the document
	Size     int64  // of what was read, -1 where unknown
	Status   int    // what the peer was answered
	Peer     string // address and port
	Source   string // its source prefix, by which refusals are put together; empty: Peer
	Listener string
	Device   Device // as far as it was read; empty: the Origin's
}

// Security is one event that an honest peer would not cause.
type Security struct {
	Reason   string
	Claimed  string // what the peer said it was
	Verified string // what it is known to be
	Peer     string
	Source   string // as Refusal's
	Listener string
	Device   Device
}

// Decision is something other than to pass that was decided on a message, or on a
// connection before there was one.
type Decision struct {
	By       string // one of ByAdmission …
	Reason   string // the limit's name, or why
	Limit    string // its key in the config and its value, where there is one
	Class    string // of the Inform
	Status   int    // what the peer was answered, 0 where nothing
	Peer     string
	Source   string // as Refusal's
	Listener string
	Device   Device // empty: the Origin's
}

// Who decided. The closed list of this version.
const ByAdmission = "admission"

// System is one event of the gateway itself.
type System struct {
	What   string // one of SystemStart …
	Why    string
	Detail []Pair // in the order they are written

	exact bool // all of it is ours: nothing in it is masked or cut
}

// Pair is one named fact.
type Pair struct{ Name, Value string }
