// Package chdb binds libchdb.so, a whole ClickHouse engine in a library, without
// cgo: sessions that run SQL and give results in any of ClickHouse's formats.
//
// Three things hold of a process that has the library in it. The signal handlers
// of Go are put back after each connect, because the library replaces them, and
// a nil dereference in Go would hang the process instead of panicking. SIGPIPE
// is ignored, because the library's own threads write to sockets, and Go only
// spares the threads that it made. One data directory is open at a time; after
// Close another can be opened.
package chdb
