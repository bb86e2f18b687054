// Package admission decides which Inform begins a session now, which waits, and
// which is sent away and until when, so that an ACS gets a steady load while a
// whole region informs at once.
//
// A Controller holds the limits and the queues. It does no I/O, starts no
// goroutine and reads no clock: the time is an argument, so that the gateway
// (through Queue, which adds timers) and a simulation of a million CPEs run the
// same code. Each ACS has a Lane; the limits of a gateway and of a tenant are
// drawn on by several lanes in turn.
package admission
