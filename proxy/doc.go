// Package proxy is the gateway: it takes CWMP sessions from CPEs over TLS or
// plain HTTP, relays each over a connection of its own to an ACS, and has every
// message written down before a byte of it goes on to either side.
//
// One request goes straight down (exchange.go):
//
//	route      tenant by listener, Host and path
//	authenticate   where CPEs log in here: who it is, or a challenge
//	stream     what is no message: a file, passed through and counted
//	read       the body: bounded, inflated
//	decode     strict; what is ambiguous is refused and never relayed
//	join       its session: an Inform begins one; else by the gateway's cookie,
//	           the ACS's cookies, the connection; one request in flight
//	admit      within it, an Inform that begins a session: now, after its turn, or 503
//	take       the session's state: who answers what
//	connect    a new session, of several nodes: to one that can be reached
//	record     durable before a byte is sent to the ACS, but for reads
//	forward    over the session's own connection; the answer read and decoded
//	recordAnswer   durable before a byte is released to the CPE, but for reads
//	reply      headers, Location, the bytes as they came
//
// Every step returns an error; refuse alone writes, counts and records it.
package proxy
