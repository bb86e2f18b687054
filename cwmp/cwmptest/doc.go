// Package cwmptest has simulated CPEs, fleets of them and ACSes that misbehave
// as real ones do, for demos, load and tests of anything that stands between
// CPE and ACS. It writes and reads messages with code of its own, so that what
// it keeps of a session is evidence that does not depend on package cwmp.
//
// # Who proves what
//
// Every RPC of an [ACS] names the device it is meant for in its cwmp:ID (see
// [MessageID]) and, where the RPC has one, in its ParameterKey or CommandKey; a
// [Device] compares that with itself, and the ACS compares the answer. A
// message that reached the wrong device is so seen at both ends: see
// [Device.Misdelivered] and [ACS.Misdelivered].
package cwmptest
