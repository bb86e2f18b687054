// Package journal keeps records, durable and in order, on the way to the
// stores: what is appended is on the medium before its ticket says so, and
// stays until every cursor has committed it.
package journal
