// Package audit writes down what happened: it makes each event on the wire
// into one record without secrets, hands the records to the journal and from
// there to the stores, and projects them into the rows people ask for.
package audit
