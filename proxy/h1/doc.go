// Package h1 is the HTTP/1.1 of the CWMP path: one strict parser for requests
// and responses, the server's side of a CPE's connection and the client's side
// of one leased upstream connection (RFC 9110, RFC 9112).
//
// What two readers could understand differently is refused, never repaired:
// every refusal has a Reason of a closed list. From an ACS, what is odd but has
// one meaning only is let through (Transfer-Encoding that names chunked twice,
// one Content-Length sent twice, trailers, blanks behind a chunk size). Field
// names and values keep the bytes, the case and the order they came in.
//
// # Ownership
//
// Request, Response and their slices alias the connection's buffer. Those of a
// ServerConn are valid until its next Next, Release or Close, those of a
// ClientConn until its next Send, SendStream or Release; reading a body leaves
// them alone. A connection is used by one goroutine at a time; only
// ServerConn.Drain and ClientConn.Close may be called from another.
//
// # Time
//
// A phase (idle, head, body) has one deadline from its beginning, not one per
// read, so that a peer who trickles gains nothing; a body earns more time with
// the bytes that came. The deadline set on the connection may lie before the
// phase's own, and is moved only once it has passed: an ordinary exchange moves
// none. Write deadlines are moved when less than half is left.
//
// # Memory
//
// An idle connection holds no buffer: it waits for its first byte without one.
// Buffers come from pools of two sizes, 16 KB and 64 KB; what is larger is left
// to the collector.
package h1
