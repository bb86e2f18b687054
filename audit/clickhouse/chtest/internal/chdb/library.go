package chdb

import (
	"os"
	"runtime"
	"unsafe"
)

// runFunc is the signature of the two functions that start a query: connection,
// SQL, format, and the names and values of its parameters, each with its length.
type runFunc func(conn, sql unsafe.Pointer, sqlLen uintptr, format unsafe.Pointer, formatLen uintptr,
	names, nameLens, values, valueLens unsafe.Pointer, count uintptr) unsafe.Pointer

// library holds the functions of libchdb.so that are used, and what the
// operating system has to do for them.
type library struct {
	connect   func(argc int32, argv unsafe.Pointer) unsafe.Pointer
	closeConn func(handle unsafe.Pointer)
	query     runFunc
	stream    runFunc
	fetch     func(conn, result unsafe.Pointer) unsafe.Pointer
	cancel    func(conn, result unsafe.Pointer)

	free         func(result unsafe.Pointer)
	buffer       func(result unsafe.Pointer) unsafe.Pointer
	length       func(result unsafe.Pointer) uintptr
	err          func(result unsafe.Pointer) unsafe.Pointer
	readRows     func(result unsafe.Pointer) uint64
	readBytes    func(result unsafe.Pointer) uint64
	writtenRows  func(result unsafe.Pointer) uint64
	writtenBytes func(result unsafe.Pointer) uint64
	storageRows  func(result unsafe.Pointer) uint64
	storageBytes func(result unsafe.Pointer) uint64

	// restoreHandlers puts Go's signal handlers back.
	restoreHandlers func()
	// memoryFile makes a file without a name that only lives in memory.
	memoryFile func() (*os.File, error)
}

// symbols says which function of the library goes where.
func (l *library) symbols() map[string]any {
	return map[string]any{
		"chdb_connect": &l.connect, "chdb_close_conn": &l.closeConn,
		"chdb_query_with_params_n": &l.query, "chdb_stream_query_with_params_n": &l.stream,
		"chdb_stream_fetch_result": &l.fetch, "chdb_stream_cancel_query": &l.cancel,
		"chdb_destroy_query_result": &l.free, "chdb_result_buffer": &l.buffer,
		"chdb_result_length": &l.length, "chdb_result_error": &l.err,
		"chdb_result_rows_read": &l.readRows, "chdb_result_bytes_read": &l.readBytes,
		"chdb_result_rows_written": &l.writtenRows, "chdb_result_bytes_written": &l.writtenBytes,
		"chdb_result_storage_rows_read": &l.storageRows, "chdb_result_storage_bytes_read": &l.storageBytes,
	}
}

// open connects with the arguments of a command line. It gives nil where the
// engine does not open.
func (l *library) open(args []string) unsafe.Pointer {
	var pin runtime.Pinner
	defer pin.Unpin()
	argv := make([]unsafe.Pointer, len(args)+1)
	for i, a := range args {
		argv[i] = cText(&pin, a)
	}
	defer l.restoreHandlers()
	return l.connect(int32(len(args)), unsafe.Pointer(&argv[0]))
}

// run calls one of the functions that start a query.
func (l *library) run(f runFunc, conn unsafe.Pointer, sql, format string, params Params) unsafe.Pointer {
	var pin runtime.Pinner
	defer pin.Unpin()
	var names, values []unsafe.Pointer
	var nameLens, valueLens []uintptr
	for k, v := range params {
		names, nameLens = append(names, cText(&pin, k)), append(nameLens, uintptr(len(k)))
		values, valueLens = append(values, cText(&pin, v)), append(valueLens, uintptr(len(v)))
	}
	if len(params) > 0 {
		pin.Pin(&names[0])
		pin.Pin(&values[0])
		pin.Pin(&nameLens[0])
		pin.Pin(&valueLens[0])
	}
	return f(conn, cText(&pin, sql), uintptr(len(sql)), cText(&pin, format), uintptr(len(format)),
		unsafe.Pointer(unsafe.SliceData(names)), unsafe.Pointer(unsafe.SliceData(nameLens)),
		unsafe.Pointer(unsafe.SliceData(values)), unsafe.Pointer(unsafe.SliceData(valueLens)), uintptr(len(params)))
}

// result reads a result of the library. Its data is only valid until the result
// is freed.
func (l *library) result(r unsafe.Pointer) (Result, error) {
	if text := l.err(r); text != nil {
		return Result{}, parseException(goText(text))
	}
	res := Result{
		ReadRows: l.storageRows(r), ReadBytes: l.storageBytes(r),
		WrittenRows: l.writtenRows(r), WrittenBytes: l.writtenBytes(r),
		ResultRows: l.readRows(r), ResultBytes: l.readBytes(r),
	}
	if n := l.length(r); n > 0 {
		res.Data = unsafe.Slice((*byte)(l.buffer(r)), n)
	}
	return res, nil
}

// cText is s with a zero behind it, pinned.
func cText(pin *runtime.Pinner, s string) unsafe.Pointer {
	p := unsafe.Pointer(unsafe.SliceData(append([]byte(s), 0)))
	pin.Pin(p)
	return p
}

func goText(p unsafe.Pointer) string {
	n := 0
	for *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(p), n))
}
