// Package cwmp is the protocol of TR-069: a strict decoder of SOAP envelopes,
// one type for every RPC, response and fault of cwmp-1-0 to cwmp-1-4, their
// encoding, edits that replace single values, and Session, which says who
// answers what. It does no I/O and knows no clock.
//
// # What is accepted
//
// Whatever real CPEs and ACSes send and every reader reads alike: any prefixes,
// declared anywhere and rebound; the namespaces of cwmp-1-0 to cwmp-1-4; UTF-8,
// ISO-8859-1, Windows-1252 and US-ASCII, named in the XML declaration or in
// Content-Type; a byte order mark; blanks before the XML declaration and around
// every text; CDATA, comments and processing instructions; arrays with a wrong
// count or none; no xsi:type; no Header, an empty one, one without an ID;
// elements of vendors in every structure and vendor RPCs in any namespace, kept
// under their names. Attributes other than xmlns, xsi:type, href and id change
// nothing. Inside an RPC elements are known by their local names, since many
// readers look no further.
//
// # What is refused
//
// What two readers could read differently, with a Reason each: see Reasons.
// With an error there is no message.
//
// # Ownership
//
// A Message aliases the body that it was decoded from and the decoder's memory:
// it is read only, and valid until the next Decode. Every Text says which bytes
// of the body it stands in, so that Apply can replace one value and leave all
// other bytes alone.
//
// # To add an RPC
//
// Write its two types with a fields method in the file of its family, add a
// Method and a line in the table of method.go, and a message for each in
// testdata/accept.
package cwmp
