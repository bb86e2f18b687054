// Package retention sees to it that a store keeps records as long as it is told
// to and no longer: it finds what has become old enough, erases a device by
// command, and leaves alone what a legal hold is on. Each removal is a system
// record before anything goes, and is carried out from that record, so that a
// crash between leaves nothing unexplained and nothing undone.
package retention
