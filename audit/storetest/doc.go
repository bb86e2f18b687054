// Package storetest is the conformance suite that every store of the audit
// passes. Its records are written by hand, byte for byte as docs/record.md has
// them, and what must come out of a store is known to the hand that wrote
// them: nothing is compared with what our own code read from a record.
package storetest
