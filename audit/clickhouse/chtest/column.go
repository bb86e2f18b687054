package chtest

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest/internal/chdb"
)

type kind int

const (
	fixed kind = iota // size bytes a row
	text
	nullable
	array
	tuple
	lowCardinality
	variant
	dynamic
	object
)

// columnType is a type as far as its layout goes.
type columnType struct {
	kind kind
	size int
	elem []*columnType
}

var (
	fixedSizes = map[string]int{
		"Int8": 1, "Int16": 2, "Int32": 4, "Int64": 8, "Int128": 16, "Int256": 32,
		"UInt8": 1, "UInt16": 2, "UInt32": 4, "UInt64": 8, "UInt128": 16, "UInt256": 32,
		"Float32": 4, "Float64": 8, "BFloat16": 2, "Bool": 1, "Enum8": 1, "Enum16": 2,
		"Date": 2, "Date32": 4, "DateTime": 4, "DateTime64": 8, "Time": 4, "Time64": 8,
		"UUID": 16, "IPv4": 4, "IPv6": 16, "Nothing": 1,
		"Decimal32": 4, "Decimal64": 8, "Decimal128": 16, "Decimal256": 32,
	}
	aliases = map[string]string{
		"Point": "Tuple(Float64, Float64)", "Ring": "Array(Point)", "LineString": "Array(Point)",
		"MultiLineString": "Array(LineString)", "Polygon": "Array(Ring)", "MultiPolygon": "Array(Polygon)",
	}
	parsed   sync.Map // type text -> *columnType
	textType = &columnType{kind: text}
)

func parseType(s string) (*columnType, error) {
	if c, ok := parsed.Load(s); ok {
		return c.(*columnType), nil
	}
	c, err := parseNewType(s)
	if err == nil {
		parsed.Store(s, c)
	}
	return c, err
}

func parseNewType(s string) (*columnType, error) {
	name, inner := strings.TrimSpace(s), ""
	if i := strings.IndexByte(name, '('); i > 0 && strings.HasSuffix(name, ")") {
		name, inner = name[:i], name[i+1:len(name)-1]
	}
	if size, ok := fixedSizes[name]; ok {
		return &columnType{kind: fixed, size: size}, nil
	}
	if alias, ok := aliases[name]; ok {
		return parseType(alias)
	}
	args := splitTop(inner, ',')
	elements := func(args []string) (elem []*columnType, err error) {
		for _, a := range args {
			parts := splitTop(strings.TrimSpace(a), ' ') // "name Type" or "Type"
			c, err := parseType(strings.Join(parts[min(1, len(parts)-1):], " "))
			if err != nil {
				return nil, err
			}
			elem = append(elem, c)
		}
		return elem, nil
	}
	one := func(k kind, t string) (*columnType, error) {
		c, err := parseType(t)
		return &columnType{kind: k, elem: []*columnType{c}}, err
	}
	switch {
	case name == "String":
		return textType, nil
	case name == "FixedString":
		n, err := strconv.Atoi(inner)
		return &columnType{kind: fixed, size: n}, err
	case name == "Decimal":
		p, err := strconv.Atoi(strings.TrimSpace(args[0]))
		size := 32
		for _, s := range []struct{ digits, size int }{{38, 16}, {18, 8}, {9, 4}} {
			if p <= s.digits {
				size = s.size
			}
		}
		return &columnType{kind: fixed, size: size}, err
	case strings.HasPrefix(name, "Interval"):
		return &columnType{kind: fixed, size: 8}, nil
	case name == "Nullable":
		return one(nullable, inner)
	case name == "Array":
		return one(array, inner)
	case name == "LowCardinality":
		if strings.HasPrefix(inner, "Nullable(") { // the dictionary's values are not nullable
			inner = inner[len("Nullable(") : len(inner)-1]
		}
		return one(lowCardinality, inner)
	case name == "SimpleAggregateFunction" && len(args) > 1:
		return parseType(strings.TrimSpace(args[1]))
	case name == "Tuple", name == "Map", name == "Nested":
		if strings.TrimSpace(inner) == "" {
			return &columnType{kind: fixed, size: 1}, nil // an empty tuple
		}
		elem, err := elements(args)
		c := &columnType{kind: tuple, elem: elem}
		if name != "Tuple" {
			c = &columnType{kind: array, elem: []*columnType{c}}
		}
		return c, err
	case name == "Variant":
		elem, err := elements(args)
		return &columnType{kind: variant, elem: elem}, err
	case name == "Dynamic":
		return &columnType{kind: dynamic}, nil
	case name == "JSON":
		typed := map[string]string{}
		var paths []string
		for _, a := range args {
			parts := splitTop(strings.TrimSpace(a), ' ')
			if len(parts) < 2 || strings.EqualFold(parts[0], "SKIP") || strings.Contains(parts[0], "=") || parts[1] == "=" {
				continue
			}
			path := strings.ReplaceAll(parts[0], "`", "")
			paths, typed[path] = append(paths, path), strings.Join(parts[1:], " ")
		}
		slices.Sort(paths)
		c := &columnType{kind: object}
		for _, p := range paths {
			e, err := parseType(typed[p])
			if err != nil {
				return nil, err
			}
			c.elem = append(c.elem, e)
		}
		return c, nil
	}
	return nil, chdb.Errorf(48, "Columns of type %s are not supported here", s)
}

// splitTop splits at sep outside of brackets and quotes.
func splitTop(s string, sep byte) (parts []string) {
	depth, start := 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\'' || c == '`' || c == '"':
			for i++; i < len(s) && s[i] != c; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == sep && depth == 0:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// prefix copies what a column has before its rows, and gives the type with its
// dynamic parts filled in.
func (c *columnType) prefix(t *transcoder) (*columnType, error) {
	switch c.kind {
	case lowCardinality:
		if v, err := t.uint64(); err != nil || v != 1 {
			return nil, or(err, fmt.Errorf("LowCardinality of version %d", v))
		}
	case nullable, array, tuple:
		return c.prefixes(t)
	case variant:
		if mode, err := t.uint64(); err != nil || mode != 0 {
			return nil, or(err, fmt.Errorf("a Variant of mode %d", mode))
		}
		return c.prefixes(t)
	case dynamic:
		version, err := t.uint64()
		if err != nil {
			return nil, err
		}
		switch version {
		case 1:
			if _, err := t.uvarint(); err != nil { // the most types it may hold
				return nil, err
			}
		case 2:
		default:
			return nil, chdb.Errorf(48, "Dynamic of version %d is not supported here", version)
		}
		n, err := t.uvarint()
		if err != nil {
			return nil, err
		}
		types := []string{"SharedVariant"}
		for range n {
			name, err := t.str()
			if err != nil {
				return nil, err
			}
			types = append(types, name)
		}
		slices.Sort(types)
		v := &columnType{kind: variant}
		for _, name := range types {
			e := textType
			if name != "SharedVariant" {
				if e, err = parseType(name); err != nil {
					return nil, err
				}
			}
			v.elem = append(v.elem, e)
		}
		return v.prefix(t)
	case object:
		version, err := t.uint64()
		if err != nil {
			return nil, err
		}
		switch version {
		case 0:
			if _, err := t.uvarint(); err != nil { // the most paths it may hold
				return nil, err
			}
		case 1:
			return textType, nil
		case 2:
		default:
			return nil, chdb.Errorf(48, "JSON of version %d is not supported here", version)
		}
		n, err := t.uvarint()
		if err != nil {
			return nil, err
		}
		o := &columnType{kind: tuple, elem: slices.Clone(c.elem)}
		for range n {
			if _, err := t.str(); err != nil {
				return nil, err
			}
			o.elem = append(o.elem, &columnType{kind: dynamic})
		}
		pair := &columnType{kind: tuple, elem: []*columnType{textType, textType}}
		o.elem = append(o.elem, &columnType{kind: array, elem: []*columnType{pair}})
		return o.prefixes(t)
	}
	return c, nil
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
		return fmt.Errorf("a column without its prefix")
	}
	return nil
}

func or(err, other error) error {
	if err != nil {
		return err
	}
	return other
}
