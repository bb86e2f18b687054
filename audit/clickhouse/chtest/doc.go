// Package chtest is a ClickHouse server for tests: the engine itself, from
// libchdb.so, behind the native and the HTTP protocol, with faults to order.
// SQL, types, tables and errors are ClickHouse's own; only the two protocols'
// server side is written here, as far as clients and other engines need it.
//
// Each engine is a process of its own, the test binary started once more, so a
// test can kill it. A package whose tests call Start needs
//
//	func TestMain(m *testing.M) {
//		chtest.Main()
//		os.Exit(m.Run())
//	}
//
// The library is fetched by make chdb. Without it the tests skip; with
// CWMPGATE_REQUIRE_CHDB=1 in the environment they fail.
//
// What a server has and this one has not: Replicated tables and ON CLUSTER
// (WithSingleNode executes their DDL as one server can), users and roles made by
// SQL, system.query_log and part_log, async_insert (rows are inserted at once),
// columns of AggregateFunction in results, the removal of dropped tables' files.
// An INSERT is held in memory until its last block has come and is one INSERT
// for the engine.
package chtest
