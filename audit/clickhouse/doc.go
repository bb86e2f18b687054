// Package clickhouse is the store in ClickHouse, for large fleets and for those
// who ask it by SQL. It gives the same rows as the embedded store.
//
// # Tables
//
// The schema stands in migrations: the ledger with every record as it was made,
// the projections made from its bytes (rpcs, parameters, transfers, sessions,
// refusals, security, decisions, system), last_values, and messages_per_minute. What people
// and the command line ask stands in views, templates that make both the views
// of the database and the reader's own statements, there narrowed to what is
// asked for. Texts that were not sent are empty; times that a CPE reports are
// its text, and beside it a time that is NULL where there is none from 1970 to
// 2261.
//
// # Exactly once
//
// MergeTree has no transaction over tables, so that a cut is several inserts,
// and the process or the server may end between any two. Four things make that
// the same as all or nothing:
//
// The order. The projections are inserted first, then the ledger, then
// last_values. The ledger is what makes a cut count: readers show no row of a
// projection beyond the last record that the ledger has of its log (committed,
// in views/fates.sql). A log comes in order, so only its end can be unfinished.
//
// One part per insert. A cut is divided at the end of a month, as the tables
// are: each insert is then one part, which is there whole or not at all.
//
// Asking after doubt. After a start, an error, another server, another log, or
// a cut that does not follow the one before, the ledger is asked which of the
// cut's records it has, with their leaves: another leaf is a DiffersError.
// Where some are missing each projection is asked too, and only what is in
// neither is made and sent. Then the ledger is asked again. Doubt ends where
// the ledger has nothing of the log behind the cut.
//
// The same rows at every try. Whether a value that was merely read makes a row
// depends on what was known before. That is looked up in last_values, which has
// nothing of a cut before the ledger has all of it; in doubt it is looked up in
// the rows before the first record that is missing instead. A cut that the
// ledger has whole is told to last_values once more, which changes nothing
// where it was told before: the greatest counts, by place.
//
// The second line is insert_deduplication_token: a hash of the table, the cut,
// the records' leaves, the rows' places and the try. It is for an insert that
// the server was still at when it was asked after. Since the try is in it, an
// insert that the server only believes to have had is sent under another.
package clickhouse
