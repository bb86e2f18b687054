package configs

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// scalar reads a single value and checks it against the list of allowed ones.
func (l *loader) scalar(n *yaml.Node, v reflect.Value, path string, r rule) {
	wants, tag := scalarWants(v)
	if n.Kind != yaml.ScalarNode {
		l.errorf(n, "", "%s: wants %s, got %s", path, wants, kindOf(n))
		return
	}
	if got := n.ShortTag(); !strings.Contains(tag, got) {
		hint := ""
		if value, ok := v.Addr().Interface().(Value); ok {
			hint = "write " + value.Syntax().Wants
		} else if tag == "!!str" {
			hint = "put it in quotes"
		}
		l.errorf(n, hint, "%s: wants %s, got %s", path, wants, kindOf(n))
		return
	}
	var err error
	switch shapeOf(v.Type()) {
	case shapeText:
		l.text(n, v, path, r)
		return
	case shapeString:
		if len(r.enum) > 0 && !slices.Contains(r.enum, n.Value) {
			l.notInList(n, path, r.enum)
			return
		}
		v.SetString(n.Value)
	case shapeBool:
		v.SetBool(strings.EqualFold(n.Value, "true"))
	case shapeInt:
		var i int64
		if i, err = strconv.ParseInt(decimal(n.Value), 10, v.Type().Bits()); err == nil {
			v.SetInt(i)
		}
	case shapeUint:
		var u uint64
		if u, err = strconv.ParseUint(decimal(n.Value), 10, v.Type().Bits()); err == nil {
			v.SetUint(u)
		}
	case shapeFloat:
		var f float64
		if f, err = strconv.ParseFloat(decimal(n.Value), v.Type().Bits()); err == nil {
			v.SetFloat(f)
		}
	}
	if err != nil {
		l.errorf(n, "", "%s: wants %s, got %s", path, wants, quote(n.Value))
	}
}

// decimal spoils a number with a leading zero, which YAML 1.1 reads as octal
// and YAML 1.2 does not.
func decimal(s string) string {
	if digits := strings.TrimLeft(s, "+-"); len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return "octal"
	}
	return s
}

// text lets the type read the scalar itself. What a Secret was given is not
// shown: it may be the secret.
func (l *loader) text(n *yaml.Node, v reflect.Value, path string, r rule) {
	if len(r.enum) > 0 && !slices.Contains(r.enum, n.Value) {
		l.notInList(n, path, r.enum)
		return
	}
	err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(n.Value))
	hint := ""
	if value, ok := v.Addr().Interface().(Value); ok && errors.As(err, new(formError)) {
		hint = "write " + value.Syntax().Wants
	}
	if near, ok := v.Addr().Interface().(resolver); ok && err == nil {
		err = near.resolve(l.dir, r.absent)
	}
	if err != nil {
		l.errorf(n, hint, "%s: %v", path, err)
	}
}

func (l *loader) notInList(n *yaml.Node, path string, list []string) {
	hint := ""
	if near := nearest(n.Value, list); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	l.errorf(n, hint, "%s: %s is none of %s", path, quote(n.Value), strings.Join(list, ", "))
}

// scalarWants names what v takes, and the YAML tags that can be it.
func scalarWants(v reflect.Value) (wants, tags string) {
	switch shapeOf(v.Type()) {
	case shapeBool:
		return "true or false", "!!bool"
	case shapeInt, shapeUint:
		return wholeNumber(v.Type()), "!!int"
	case shapeFloat:
		return "a number", "!!int !!float"
	case shapeText:
		if value, ok := v.Addr().Interface().(Value); ok {
			s := value.Syntax()
			if s.Number {
				return article(s.Name), "!!str !!int"
			}
			return article(s.Name), "!!str"
		}
	}
	return "text", "!!str"
}

func wholeNumber(t reflect.Type) string {
	switch {
	case shapeOf(t) == shapeUint && t.Bits() < 64:
		return fmt.Sprintf("a whole number from 0 to %d", uint64(1)<<t.Bits()-1)
	case shapeOf(t) == shapeUint:
		return "a whole number from 0"
	}
	return "a whole number"
}

func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

// kindOf names what stands in the file, without showing it.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys with values"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!timestamp":
		return "a date"
	}
	return "text"
}

// inRange checks the min and max of a field.
func (l *loader) inRange(n *yaml.Node, v reflect.Value, path string, r rule) {
	if r.min == "" && r.max == "" {
		return
	}
	low, high := r.min != "" && compareBound(v, r.min) < 0, r.max != "" && compareBound(v, r.max) > 0
	if !low && !high {
		return
	}
	unit, got := "", ""
	switch shapeOf(v.Type()) {
	case shapeList, shapeMap:
		unit, got = " entries", fmt.Sprintf("%d entries", v.Len())
	case shapeString:
		unit, got = " characters", fmt.Sprintf("%d characters", utf8.RuneCountInString(v.String()))
	default:
		got = n.Value
	}
	l.errorf(n, "", "%s: %s is out of range, which is %s%s", path, got, rangeText(r), unit)
}

func rangeText(r rule) string {
	switch {
	case r.max == "":
		return r.min + " or more"
	case r.min == "":
		return "at most " + r.max
	}
	return r.min + " to " + r.max
}

// compareBound compares a value with the text of a bound in the same type.
func compareBound(v reflect.Value, bound string) int {
	b := reflect.New(v.Type()).Elem()
	switch shapeOf(v.Type()) {
	case shapeList, shapeMap:
		return cmp.Compare(v.Len(), int(boundInt(bound)))
	case shapeString:
		return cmp.Compare(utf8.RuneCountInString(v.String()), int(boundInt(bound)))
	case shapeInt:
		b.SetInt(boundInt(bound))
	case shapeUint:
		b.SetUint(uint64(boundInt(bound)))
	case shapeFloat:
		f, err := strconv.ParseFloat(bound, 64)
		mustBound(bound, err)
		b.SetFloat(f)
	case shapeText:
		mustBound(bound, b.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(bound)))
	}
	switch {
	case b.CanInt():
		return cmp.Compare(v.Int(), b.Int())
	case b.CanUint():
		return cmp.Compare(v.Uint(), b.Uint())
	case b.CanFloat():
		return cmp.Compare(v.Float(), b.Float())
	}
	panic(fmt.Sprintf("BUG: min or max of type %v", v.Type()))
}

func boundInt(s string) int64 {
	i, err := strconv.ParseInt(s, 10, 64)
	mustBound(s, err)
	return i
}

func mustBound(s string, err error) {
	if err != nil {
		panic(fmt.Sprintf("BUG: min or max tag %q: %v", s, err))
	}
}
