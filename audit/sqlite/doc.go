// Package sqlite is the embedded store: one file that holds the ledger of all
// records and the projections made from it, for a first run and a small site.
// One connection writes, a few read, and other processes may read beside them.
//
// The schema stands in migrations: 0001 the ledger, 0002 the projections, 0003
// the views that join outcomes, old values and the lives of transfers when they
// are read (view_changes, view_transfers, view_sessions, view_rpcs,
// view_records; any SQLite shell can ask them), 0004 the checkpoints, 0005 the
// removals. Times are microseconds since 1970 UTC, texts that were not sent are
// NULL.
package sqlite
