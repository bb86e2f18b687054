package chtest

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest/internal/chdb"
)

// kind is how a type's values are laid out.
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
	textType = &columnType{kind: text}
)

// parseType finds the layout of a type as ClickHouse writes it.
func parseType(s string) (*columnType, error) {
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
	switch {
	case name == "String":
		return textType, nil
	case name == "FixedString":
		n, err := strconv.Atoi(inner)
		return &columnType{kind: fixed, size: n}, err
	case name == "Decimal":
		digits, err := strconv.Atoi(strings.TrimSpace(args[0]))
		return &columnType{kind: fixed, size: decimalSize(digits)}, err
	case strings.HasPrefix(name, "Interval"):
		return &columnType{kind: fixed, size: 8}, nil
	case name == "Nullable":
		return around(nullable, inner)
	case name == "Array":
		return around(array, inner)
	case name == "LowCardinality":
		if strings.HasPrefix(inner, "Nullable(") { // the dictionary's values are not nullable
			inner = inner[len("Nullable(") : len(inner)-1]
		}
		return around(lowCardinality, inner)
	case name == "SimpleAggregateFunction" && len(args) > 1:
		return parseType(strings.TrimSpace(args[1]))
	case name == "Tuple" && strings.TrimSpace(inner) == "":
		return &columnType{kind: fixed, size: 1}, nil
	case name == "Tuple":
		return list(tuple, args)
	case name == "Map", name == "Nested":
		c, err := list(tuple, args)
		return &columnType{kind: array, elem: []*columnType{c}}, err
	case name == "Variant":
		return list(variant, args)
	case name == "Dynamic":
		return &columnType{kind: dynamic}, nil
	case name == "JSON":
		return parseObject(args)
	}
	return nil, chdb.Errorf(48, "Columns of type %s are not supported here", s)
}

func decimalSize(digits int) int {
	switch {
	case digits <= 9:
		return 4
	case digits <= 18:
		return 8
	case digits <= 38:
		return 16
	}
	return 32
}

// around is a type with one other inside.
func around(k kind, inner string) (*columnType, error) {
	c, err := parseType(inner)
	return &columnType{kind: k, elem: []*columnType{c}}, err
}

// list is a type with several inside, each written as "Type" or "name Type".
func list(k kind, args []string) (*columnType, error) {
	c := &columnType{kind: k}
	for _, a := range args {
		parts := splitTop(strings.TrimSpace(a), ' ')
		e, err := parseType(strings.Join(parts[min(1, len(parts)-1):], " "))
		if err != nil {
			return nil, err
		}
		c.elem = append(c.elem, e)
	}
	return c, nil
}

// parseObject is a JSON with the types of its typed paths, in the order of the
// paths. What else may be in the brackets does not change the layout.
func parseObject(args []string) (*columnType, error) {
	typed := map[string]string{}
	for _, a := range args {
		parts := splitTop(strings.TrimSpace(a), ' ')
		if len(parts) < 2 || strings.EqualFold(parts[0], "SKIP") || strings.Contains(parts[0], "=") || parts[1] == "=" {
			continue
		}
		typed[strings.ReplaceAll(parts[0], "`", "")] = strings.Join(parts[1:], " ")
	}
	c := &columnType{kind: object}
	for _, path := range slices.Sorted(maps.Keys(typed)) {
		e, err := parseType(typed[path])
		if err != nil {
			return nil, err
		}
		c.elem = append(c.elem, e)
	}
	return c, nil
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
