package chtest

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest/internal/chdb"
)

// prefix copies what a column has before its rows, and gives the type with its
// dynamic parts filled in.
func (c *columnType) prefix(t *transcoder) (*columnType, error) {
	switch c.kind {
	case lowCardinality:
		if v, err := t.uint64(); err != nil || v != 1 {
			return nil, cmp.Or(err, fmt.Errorf("version %d of LowCardinality", v))
		}
	case nullable, array, tuple:
		return c.prefixes(t)
	case variant:
		if mode, err := t.uint64(); err != nil || mode != 0 {
			return nil, cmp.Or(err, fmt.Errorf("mode %d of Variant", mode))
		}
		return c.prefixes(t)
	case dynamic:
		v, err := dynamicType(t)
		if err != nil {
			return nil, err
		}
		return v.prefix(t)
	case object:
		o, err := c.objectType(t)
		if err != nil {
			return nil, err
		}
		return o.prefixes(t)
	}
	return c, nil
}

// names copies the names before a column whose content only its data tell.
// Version 2 has nothing but them; version limited has how many there may be.
func (t *transcoder) names(what string, version, limited uint64) (names []string, err error) {
	switch version {
	case limited:
		if _, err := t.uvarint(); err != nil {
			return nil, err
		}
	case 2:
	default:
		return nil, chdb.Errorf(48, "%s of version %d is not supported here", what, version)
	}
	n, err := t.uvarint()
	if err != nil {
		return nil, err
	}
	for range n {
		name, err := t.str()
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// dynamicType copies which types are in a Dynamic column.
func dynamicType(t *transcoder) (*columnType, error) {
	version, err := t.uint64()
	if err != nil {
		return nil, err
	}
	types, err := t.names("Dynamic", version, 1)
	if err != nil {
		return nil, err
	}
	const shared = "SharedVariant" // for types beyond the limit, as bytes
	types = append(types, shared)
	slices.Sort(types)
	v := &columnType{kind: variant}
	for _, name := range types {
		e := textType
		if name != shared {
			if e, err = parseType(name); err != nil {
				return nil, err
			}
		}
		v.elem = append(v.elem, e)
	}
	return v, nil
}

// objectType copies which paths are in a JSON column, besides its typed ones.
func (c *columnType) objectType(t *transcoder) (*columnType, error) {
	version, err := t.uint64()
	if err != nil {
		return nil, err
	}
	if version == 1 { // written as text
		return textType, nil
	}
	paths, err := t.names("JSON", version, 0)
	if err != nil {
		return nil, err
	}
	o := &columnType{kind: tuple, elem: slices.Clone(c.elem)}
	for range paths {
		o.elem = append(o.elem, &columnType{kind: dynamic})
	}
	pair := &columnType{kind: tuple, elem: []*columnType{textType, textType}}
	o.elem = append(o.elem, &columnType{kind: array, elem: []*columnType{pair}})
	return o, nil
}

func (c *columnType) prefixes(t *transcoder) (*columnType, error) {
	filled := &columnType{kind: c.kind, size: c.size}
	for _, e := range c.elem {
		f, err := e.prefix(t)
		if err != nil {
			return nil, err
		}
		filled.elem = append(filled.elem, f)
	}
	return filled, nil
}

// data copies the rows of a column.
func (c *columnType) data(t *transcoder, rows int) error {
	switch c.kind {
	case fixed:
		_, err := t.copy(rows * c.size)
		return err
	case text:
		for range rows {
			n, err := t.uvarint()
			if err != nil {
				return err
			}
			if _, err := t.copy(int(n)); err != nil {
				return err
			}
		}
	case nullable:
		if _, err := t.copy(rows); err != nil {
			return err
		}
		return c.elem[0].data(t, rows)
	case array:
		if rows == 0 {
			return nil
		}
		b, err := t.copy(rows * 8)
		if err != nil {
			return err
		}
		return c.elem[0].data(t, int(binary.LittleEndian.Uint64(b[len(b)-8:])))
	case tuple:
		for _, e := range c.elem {
			if err := e.data(t, rows); err != nil {
				return err
			}
		}
	case lowCardinality:
		if rows == 0 {
			return nil
		}
		flags, err := t.uint64()
		if err != nil {
			return err
		}
		keys, err := t.uint64()
		if err != nil {
			return err
		}
		if err := c.elem[0].data(t, int(keys)); err != nil {
			return err
		}
		n, err := t.uint64()
		if err != nil {
			return err
		}
		_, err = t.copy(int(n) << (flags & 3))
		return err
	case variant:
		b, err := t.copy(rows)
		if err != nil {
			return err
		}
		counts := make([]int, 256)
		for _, d := range b {
			counts[d]++
		}
		for i, e := range c.elem {
			if err := e.data(t, counts[i]); err != nil {
				return err
			}
		}
	default:
		return errors.New("a column without its prefix")
	}
	return nil
}
