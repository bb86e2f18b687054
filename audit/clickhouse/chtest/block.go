package chtest

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest/internal/chdb"
)

// A block travels in three dresses: FORMAT Native of the engine (revision 0),
// the client's data packets and the server's (the negotiated revision). They
// differ in a header and a flag per column; the columns' bytes are the same.
// To find where a column ends its type must be understood, its values not.

const (
	revisionBlockInfo           = 51903
	revisionCustomSerialization = 54454
)

// input is where a block's bytes come from.
type input interface {
	io.Reader
	io.ByteReader
}

// transcoder copies a block's bytes from in to out.
type transcoder struct {
	in  input
	out []byte
}

func (t *transcoder) copy(n int) ([]byte, error) {
	if n < 0 || n > 1<<32 {
		return nil, fmt.Errorf("a length of %d in a block", n)
	}
	at := len(t.out)
	t.out = slices.Grow(t.out, n)[:at+n]
	_, err := io.ReadFull(t.in, t.out[at:])
	return t.out[at:], err
}

func (t *transcoder) uvarint() (uint64, error) {
	v, err := binary.ReadUvarint(t.in)
	t.out = binary.AppendUvarint(t.out, v)
	return v, err
}

func (t *transcoder) uint64() (uint64, error) {
	b, err := t.copy(8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

func (t *transcoder) str() (string, error) {
	n, err := t.uvarint()
	if err != nil {
		return "", err
	}
	b, err := t.copy(int(n))
	return string(b), err
}

// column is a column's name and type.
type column struct{ Name, Type string }

// blockHead is what a block says of itself.
type blockHead struct {
	Columns []column
	Rows    int
}

// blockInfo is what goes before the columns: not an overflow of totals, in no
// bucket of a two-level aggregation.
var blockInfo = []byte{1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0}

// skipInfo reads over the info before a block.
func (t *transcoder) skipInfo() error {
	mark := len(t.out)
	defer func() { t.out = t.out[:mark] }()
	for {
		field, err := t.uvarint()
		if err != nil {
			return err
		}
		switch field {
		case 0:
			return nil
		case 1:
			_, err = t.copy(1)
		case 2:
			_, err = t.copy(4)
		default:
			err = fmt.Errorf("field %d in a block's header", field)
		}
		if err != nil {
			return err
		}
	}
}

// block copies one block from revision "from" to revision "to". An io.EOF is
// one before the first byte.
func (t *transcoder) block(from, to int) (head blockHead, err error) {
	if from >= revisionBlockInfo {
		if err := t.skipInfo(); err != nil {
			return head, err
		}
	}
	if to >= revisionBlockInfo {
		t.out = append(t.out, blockInfo...)
	}
	columns, err := t.uvarint()
	if err != nil {
		return head, err
	}
	rows, err := t.uvarint()
	if err != nil {
		return head, unexpected(err)
	}
	head.Rows = int(rows)
	for range columns {
		c, err := t.column(from, to, head.Rows)
		if err != nil {
			return head, unexpected(err)
		}
		head.Columns = append(head.Columns, c)
	}
	return head, nil
}

// column copies one column of a block.
func (t *transcoder) column(from, to, rows int) (c column, err error) {
	if c.Name, err = t.str(); err != nil {
		return c, err
	}
	if c.Type, err = t.str(); err != nil {
		return c, err
	}
	if from >= revisionCustomSerialization {
		flag, err := t.in.ReadByte()
		if err != nil {
			return c, err
		}
		if flag != 0 {
			return c, chdb.Errorf(48, "Custom serialization of column %s is not supported here", c.Name)
		}
	}
	if to >= revisionCustomSerialization {
		t.out = append(t.out, 0)
	}
	if rows == 0 {
		return c, nil
	}
	layout, err := parseType(c.Type)
	if err != nil {
		return c, err
	}
	if layout, err = layout.prefix(t); err != nil {
		return c, err
	}
	return c, layout.data(t, rows)
}

// unexpected is for an end of input inside a block.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// headerBlock is the block without rows that goes before a result or an insert.
func headerBlock(columns []column, revision int) []byte {
	var b proto.Buffer
	if revision >= revisionBlockInfo {
		b.PutRaw(blockInfo)
	}
	b.PutUVarInt(uint64(len(columns)))
	b.PutUVarInt(0)
	for _, c := range columns {
		b.PutString(c.Name)
		b.PutString(c.Type)
		if revision >= revisionCustomSerialization {
			b.PutByte(0)
		}
	}
	return b.Buf
}
