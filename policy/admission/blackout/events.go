package blackout

import "time"

// kind is what happens in an event.
type kind uint8

const (
	informs kind = iota // a CPE tries to begin a session
	reaches             // its Inform is at the ACS
	serves              // the ACS is through with a session; who is its epoch
	wakes               // the admission's timer
)

type event struct {
	at   time.Duration
	who  int32
	kind kind
}

// events is a heap, the next one first.
type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at < e[j].at }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}
