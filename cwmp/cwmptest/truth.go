package cwmptest

import (
	"maps"
	"net/http"
	"slices"
)

// keptEntries are those of each list of the truth at most.
const keptEntries = 200_000

// Informed is an Inform as the ACS read it.
type Informed struct {
	Identity   Identity
	Events     []Event
	Parameters []Parameter
	User       string // that logged in, "" for none
	Connection int    // counted by the ACS from 1
	Session    string // its cookie or number
	Header     http.Header
}

// Delivery is one RPC that the ACS sent, and the answer that came to it.
type Delivery struct {
	ID         string
	Serial     string // whom it was meant for
	Session    string
	Connection int
	Task       Task
	Sent       []byte // with KeepBodies

	Answered         bool
	AnswerConnection int
	AnswerID         string
	Fault            *Fault
	Status           string // of the response, where it has one
	Values           []Parameter
	Answer           []byte // with KeepBodies
}

// Completion is a TransferComplete that reached the ACS.
type Completion struct{ Serial, CommandKey, FaultCode, FaultString string }

// FileRequest is a GET or PUT that the ACS served.
type FileRequest struct {
	Method, Path, Range string
	Status              int
	Bytes               int64
	SHA256              string // of a whole file
	Connection          int
	Header              http.Header
}

// acsTruth is what the ACS knows to have happened.
type acsTruth struct {
	informs      []Informed
	deliveries   []*Delivery
	completions  []Completion
	files        []FileRequest
	misdelivered []Misdelivery
	refusals     map[string]int
	ended        int
}

// Informs are those that were answered, in order.
func (a *ACS) Informs() []Informed {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.truth.informs)
}

// Deliveries are the RPCs it sent, in order.
func (a *ACS) Deliveries() []Delivery {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]Delivery, len(a.truth.deliveries))
	for i, d := range a.truth.deliveries {
		list[i] = *d
	}
	return list
}

// Completions are the TransferCompletes, in order.
func (a *ACS) Completions() []Completion {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.truth.completions)
}

// FileRequests are the GETs and PUTs, in order.
func (a *ACS) FileRequests() []FileRequest {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.truth.files)
}

// Misdelivered are the messages that came from other devices than the session's.
func (a *ACS) Misdelivered() []Misdelivery {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.truth.misdelivered)
}

// Refusals are counted by the text of the answer, "Invalid session" for one.
func (a *ACS) Refusals() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.truth.refusals)
}

// Ended is how many sessions came to their regular end.
func (a *ACS) Ended() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.truth.ended
}
