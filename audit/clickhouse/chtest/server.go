package chtest

import (
	"errors"
	"io"
	"log"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/ch-go/compress"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest/internal/chdb"
)

// revision is the protocol that this server offers: query parameters (54459)
// and the time in progress packets (54460), nothing later. What comes after it
// (password rules, signed interserver secrets, chunked packets, other
// serializations) no client needs in order to work.
const revision = 54460

// displayName is what the server calls itself.
const displayName = "chtest"

// compressedPart is how much goes into one compressed frame.
const compressedPart = 1 << 20

var (
	// errDropped says that a fault has closed the connection.
	errDropped = errors.New("dropped by a fault")
	// errCancelled says that the client gave up a query.
	errCancelled = errors.New("cancelled by the client")
)

// server is what both protocols share.
type server struct {
	engine     *chdb.Engine
	faults     *faults
	users      map[string]string
	singleNode bool
	queries    atomic.Uint64
}

func (srv *server) authenticate(user, password string) error {
	if user == "" {
		user = "default"
	}
	if want, ok := srv.users[user]; !ok || want != password {
		return chdb.Errorf(516, "%s: Authentication failed: password is incorrect, or there is no user with such name.", user)
	}
	return nil
}

// strike does what a fault asks for, if one strikes: it closes the connection by
// drop, waits, or gives the exception to answer with.
func (srv *server) strike(drop func(*Fault), o occasion, modes ...Mode) error {
	f := srv.faults.take(o, modes...)
	if f == nil {
		return nil
	}
	switch f.Mode {
	case Error, ApplyError:
		return f.exception()
	case Delay:
		time.Sleep(f.Delay)
		return nil
	}
	drop(f)
	return errDropped
}

// runnable is the statement as the engine gets it.
func (srv *server) runnable(sql string) string {
	if srv.singleNode {
		sql = singleNode(sql)
	}
	return withoutSync(sql)
}

// mark makes a query findable in system.processes. kill ends it.
func (srv *server) mark(sql string) (marked string, kill func()) {
	mark := "/*chtest-" + strconv.FormatUint(srv.queries.Add(1), 10) + "*/"
	return sql + "\n" + mark, func() {
		if err := srv.engine.KillQuery(mark); err != nil {
			log.Printf("kill a query: %v", err)
		}
	}
}

// closeConn closes the connection as a fault asks for it.
func closeConn(c net.Conn, f *Fault) {
	if f.Reset {
		inner := c
		if t, ok := c.(interface{ NetConn() net.Conn }); ok {
			inner = t.NetConn()
		}
		if t, ok := inner.(*net.TCPConn); ok {
			t.SetLinger(0)
		}
	}
	c.Close()
}

// gone tells of errors that come from a client that closed or gave up.
func gone(err error) bool {
	var e net.Error
	return errors.As(err, &e) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, errCancelled) || errors.Is(err, net.ErrClosed)
}

// compressor gives what compresses by the named method.
func compressor(method string) *compress.Writer {
	if strings.EqualFold(method, "ZSTD") {
		return compress.NewWriter(compress.LevelZero, compress.ZSTD)
	}
	return compress.NewWriter(compress.LevelZero, compress.LZ4)
}

// frames hands b to write, compressed frame by frame.
func frames(w *compress.Writer, b []byte, write func([]byte) error) error {
	for len(b) > 0 {
		part := b[:min(len(b), compressedPart)]
		if err := w.Compress(part); err != nil {
			return err
		}
		if err := write(w.Data); err != nil {
			return err
		}
		b = b[len(part):]
	}
	return nil
}
