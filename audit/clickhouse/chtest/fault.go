package chtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Fault is a misbehaviour to show to clients.
type Fault struct {
	Mode     Mode
	Code     int           // of the exception, for Error and ApplyError
	Delay    time.Duration // for Delay
	Count    int           // how often it strikes; 0 is once, -1 is for ever
	Skip     int           // how many occasions it lets pass before
	On       On            // by default OnInsert; for Cut OnSelect
	Protocol Protocol      // by default both
	Match    string        // only statements that contain this text
	At       At            // for Close and Error; by default AtData, for codes 202 and 242 AtQuery
	Reset    bool          // connections are closed with RST instead of FIN
	Struck   int           // how often it has struck; set by Faults
}

// Mode is what happens.
type Mode string

const (
	Refuse     Mode = "refuse"      // a new native connection, or an HTTP request, is closed at once
	Close      Mode = "close"       // the connection is closed and nothing is applied
	ApplyClose Mode = "apply-close" // the query is applied, then the connection is closed without an answer
	Delay      Mode = "delay"       // the query is applied, the answer comes late
	Error      Mode = "error"       // an exception, nothing is applied; codes that a busy server gives have its text
	ApplyError Mode = "apply-error" // the query is applied, then an exception
	Cut        Mode = "cut"         // half of the first block of a result, then the connection is closed
)

// On is the kind of statement that a fault strikes.
type On string

const (
	OnInsert On = "insert"
	OnSelect On = "select" // and whatever else answers with rows
	OnOther  On = "other"
	OnAny    On = "any"
)

// Protocol is the one that a fault strikes.
type Protocol string

const (
	Native Protocol = "native"
	HTTP   Protocol = "http"
)

// At is the point of an INSERT where a fault strikes.
type At string

const (
	AtQuery At = "query" // before rows are asked for, which clickhouse-go sees in PrepareBatch on the native protocol
	AtData  At = "data"  // after the last row has come, which it sees in Send
)

// Fault sets one more fault. Those that are set are tried oldest first, and one
// at most strikes on an occasion.
func (e *Engine) Fault(f Fault) {
	e.t.Helper()
	e.askFaults(http.MethodPost, f)
}

// ClearFaults removes all faults.
func (e *Engine) ClearFaults() {
	e.t.Helper()
	e.askFaults(http.MethodDelete, nil)
}

// Faults gives the faults that are set, oldest first. Their Count and Skip are
// what is left of them, so a Count of 0 will not strike any more.
func (e *Engine) Faults() []Fault {
	e.t.Helper()
	return e.askFaults(http.MethodGet, nil)
}

func (e *Engine) askFaults(method string, body any) []Fault {
	e.t.Helper()
	list, err := e.tryFaults(method, body)
	if err != nil {
		e.t.Fatalf("faults of ClickHouse: %v", err)
	}
	return list
}

func (e *Engine) tryFaults(method string, body any) (list []Fault, err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(method, "http://"+e.HTTP+faultPath, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	answer, err := e.faults.Do(req)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, err := io.ReadAll(answer.Body)
		return nil, fmt.Errorf("%s %w", text, err)
	}
	return list, json.NewDecoder(answer.Body).Decode(&list)
}
