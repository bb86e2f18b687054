package chtest

import (
	"bufio"
	"errors"
	"fmt"
	"log"
	"net"
	"strconv"
	"strings"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest/internal/chdb"
)

func (srv *server) serveNative(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			if err := srv.serveConn(c); err != nil && !gone(err) && !errors.Is(err, errDropped) {
				log.Printf("native %s: %v", c.RemoteAddr(), err)
			}
		}()
	}
}

func (srv *server) serveConn(c net.Conn) error {
	n := &nativeConn{server: srv, conn: c, raw: bufio.NewReaderSize(c, 1<<17)}
	// This takes a buffered reader of that size as it is, so both see the same bytes.
	n.r = proto.NewReader(n.raw)
	n.frames = bufio.NewReaderSize(compress.NewReader(n.raw), 1<<16)
	if err := srv.strike(n.drop, occasion{protocol: Native}, Refuse); err != nil {
		return err
	}
	defer func() {
		if n.session != nil {
			n.session.Close()
		}
	}()
	if ok, err := n.hello(); !ok {
		return err
	}
	if proto.FeatureAddendum.In(n.version) {
		if _, err := n.r.Str(); err != nil { // the quota key
			return err
		}
	}
	for {
		if err := n.packet(); err != nil {
			return err
		}
	}
}

// nativeConn is one client of the native protocol.
type nativeConn struct {
	*server
	conn    net.Conn
	raw     *bufio.Reader
	r       *proto.Reader
	frames  *bufio.Reader // raw, decompressed; a block ends where a frame ends
	w       proto.Buffer
	version int
	session *chdb.Session
}

func (n *nativeConn) drop(f *Fault) { closeConn(n.conn, f) }

func (n *nativeConn) flush() error {
	_, err := n.conn.Write(n.w.Buf)
	n.w.Reset()
	return err
}

func (n *nativeConn) exception(err error) error {
	e := chdb.AsException(err)
	proto.ServerCodeException.Encode(&n.w)
	wire := proto.Exception{Code: proto.Error(e.Code), Name: "DB::Exception", Message: "DB::Exception: " + e.Message}
	wire.EncodeAware(&n.w, n.version)
	return n.flush()
}

// hello greets the client. Where it is not ok the client has been told why, and
// the connection ends.
func (n *nativeConn) hello() (ok bool, err error) {
	code, err := n.r.UVarInt()
	if err != nil {
		return false, err
	}
	if proto.ClientCode(code) != proto.ClientCodeHello {
		return false, fmt.Errorf("the first packet is a %d, not a hello", code)
	}
	var hello proto.ClientHello
	if err := hello.Decode(n.r); err != nil {
		return false, err
	}
	n.version = min(hello.ProtocolVersion, revision)
	if err := n.authenticate(hello.User, hello.Password); err != nil {
		return false, n.exception(err)
	}
	if n.session, err = n.engine.Connect(); err != nil {
		return false, n.exception(err)
	}
	if hello.Database != "" {
		if err := n.session.Exec("USE " + chdb.QuoteName(hello.Database)); err != nil {
			return false, n.exception(err)
		}
	}
	answer := proto.ServerHello{Name: "ClickHouse", DisplayName: displayName, Revision: revision, Timezone: n.engine.Timezone}
	parts := strings.Split(n.engine.Version, ".")
	for i, p := range []*int{&answer.Major, &answer.Minor, &answer.Patch} {
		if *p, err = strconv.Atoi(parts[min(i, len(parts)-1)]); err != nil {
			return false, fmt.Errorf("the engine's version: %w", err)
		}
	}
	answer.EncodeAware(&n.w, n.version)
	err = n.flush()
	return err == nil, err
}

// packet serves one packet of the client.
func (n *nativeConn) packet() error {
	code, err := n.r.UVarInt()
	if err != nil {
		return err
	}
	switch proto.ClientCode(code) {
	case proto.ClientCodePing:
		proto.ServerCodePong.Encode(&n.w)
		return n.flush()
	case proto.ClientCodeCancel: // of a query that has ended
		return nil
	case proto.ClientTablesStatusRequest:
		return n.tablesStatus()
	case proto.ClientCodeQuery:
		return n.query()
	}
	return chdb.Errorf(99, "Unknown packet %d from client", code)
}

// tablesStatus answers another engine that asks how late replicas are: none is.
func (n *nativeConn) tablesStatus() error {
	count, err := n.r.Int()
	if err != nil {
		return err
	}
	proto.ServerCodeTablesStatus.Encode(&n.w)
	n.w.PutUVarInt(uint64(count))
	for range count {
		for range 2 { // database and table
			name, err := n.r.Str()
			if err != nil {
				return err
			}
			n.w.PutString(name)
		}
		n.w.PutBool(false)
	}
	return n.flush()
}

// data sends a block that is in this connection's revision already.
func (n *nativeConn) data(block []byte, w *compress.Writer) error {
	proto.ServerCodeData.Encode(&n.w)
	n.w.PutString("")
	if w == nil {
		n.w.PutRaw(block)
		return n.flush()
	}
	err := frames(w, block, func(frame []byte) error {
		n.w.PutRaw(frame)
		return nil
	})
	if err != nil {
		return err
	}
	return n.flush()
}
