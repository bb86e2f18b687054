package chtest

import (
	"cmp"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest/internal/chdb"
)

// clientScalar is a packet of another engine: what it has computed beforehand,
// such as the number of the shard.
const clientScalar proto.ClientCode = 7

// readQuery reads a query packet. The library's own decoder takes queries from
// TCP clients only, not those that another engine sends for remote().
func (n *nativeConn) readQuery() (q proto.Query, err error) {
	p := packetReader{r: n.r, version: n.version}
	q.ID = p.text()
	if p.byte() != 0 {
		p.clientInfo(&q.Info)
	}
	for p.err == nil {
		var s proto.Setting
		if p.err = s.Decode(n.r); s.Key == "" {
			break
		}
		q.Settings = append(q.Settings, s)
	}
	if p.has(proto.FeatureInterServerSecret) {
		p.text()
	}
	q.Stage, q.Compression, q.Body = proto.Stage(p.num()), proto.Compression(p.num()), p.text()
	for p.err == nil && p.has(proto.FeatureParameters) {
		var v proto.Parameter
		if p.err = v.Decode(n.r); v.Key == "" {
			break
		}
		q.Parameters = append(q.Parameters, v)
	}
	return q, p.err
}

// packetReader reads fields until the first error, which it keeps.
type packetReader struct {
	r       *proto.Reader
	version int
	err     error
}

func (p *packetReader) has(f proto.Feature) bool { return f.In(p.version) }

func (p *packetReader) text() string {
	if p.err != nil {
		return ""
	}
	v, err := p.r.Str()
	p.err = err
	return v
}

func (p *packetReader) num() int {
	if p.err != nil {
		return 0
	}
	v, err := p.r.Int()
	p.err = err
	return v
}

func (p *packetReader) skip(size int) {
	if p.err == nil {
		_, p.err = p.r.ReadRaw(size)
	}
}

func (p *packetReader) byte() byte {
	if p.err != nil {
		return 0
	}
	v, err := p.r.ReadByte()
	p.err = err
	return v
}

// clientInfo reads who asks.
func (p *packetReader) clientInfo(info *proto.ClientInfo) {
	info.InitialUser, info.InitialQueryID, info.InitialAddress = p.text(), p.text(), p.text()
	if p.has(proto.FeatureQueryStartTime) {
		p.skip(8)
	}
	info.Interface = proto.Interface(p.byte())
	switch info.Interface {
	case proto.InterfaceTCP:
		info.OSUser, info.ClientHostname, info.ClientName = p.text(), p.text(), p.text()
		info.Major, info.Minor, info.ProtocolVersion = p.num(), p.num(), p.num()
	case proto.InterfaceHTTP:
		p.skip(1) // the method
		p.text()  // the user agent
		if p.has(proto.FeatureXForwardedForInClientInfo) {
			p.text()
		}
		if p.has(proto.FeatureRefererInClientInfo) {
			p.text()
		}
	}
	if p.has(proto.FeatureQuotaKeyInClientInfo) {
		info.QuotaKey = p.text()
	}
	if p.has(proto.FeatureDistributedDepth) {
		info.DistributedDepth = p.num()
	}
	if p.has(proto.FeatureVersionPatch) && info.Interface == proto.InterfaceTCP {
		info.Patch = p.num()
	}
	if p.has(proto.FeatureOpenTelemetry) && p.byte() != 0 {
		p.skip(16 + 8)
		p.text()
		p.skip(1)
	}
	if p.has(proto.FeatureParallelReplicas) {
		p.num()
		p.num()
		p.num()
	}
}

// readData reads the client's data packets up to the empty block and hands each
// block, as FORMAT Native, to each.
func (n *nativeConn) readData(compressed bool, each func(name string, head blockHead, block []byte) error) error {
	for {
		code, err := n.r.UVarInt()
		if err != nil {
			return unexpected(err)
		}
		switch proto.ClientCode(code) {
		case proto.ClientCodeData, clientScalar:
		case proto.ClientCodeCancel:
			return errCancelled
		default:
			return chdb.Errorf(101, "Unexpected packet %d from client, expected data", code)
		}
		name, err := n.r.Str()
		if err != nil {
			return err
		}
		t := transcoder{in: n.raw}
		if compressed {
			t.in = n.frames
		}
		head, err := t.block(n.version, 0)
		if err != nil {
			return err
		}
		if proto.ClientCode(code) == clientScalar {
			continue
		}
		if len(head.Columns) == 0 {
			return nil
		}
		if err := each(name, head, t.out); err != nil {
			return err
		}
	}
}

// unquoteField undoes the quotes of a parameter's value.
func unquoteField(v string) string {
	if len(v) < 2 || v[0] != '\'' || v[len(v)-1] != '\'' {
		return v
	}
	v = v[1 : len(v)-1]
	var out []byte
	for i := 0; i < len(v); i++ {
		c := v[i]
		if c == '\\' && i+1 < len(v) {
			i++
			c = cmp.Or(map[byte]byte{'n': '\n', 't': '\t', 'r': '\r'}[v[i]], v[i])
			if v[i] == '0' {
				c = 0
			}
		}
		out = append(out, c)
	}
	return string(out)
}
