package configs

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
)

// description is a type of the config language with its defaults, as schema
// and reference tell it.
type description struct {
	field
	shape  shape // never shapePointer
	syntax Syntax
	bits   int
	// optional: behind a pointer, or a list or map that is empty by default.
	optional bool
	value    any           // the default in JSON's types, or nil
	keys     []description // of a section
	entry    *description  // of a list or map
}

// describe walks the types below v with the defaults that v holds.
func describe(root any) description {
	v := reflect.ValueOf(root)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		panic("BUG: a pointer to a section with its defaults is wanted")
	}
	return describeValue(v.Elem(), field{}, nil)
}

func describeValue(v reflect.Value, f field, outer []reflect.Type) description {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() { // absent by default, whatever its own defaults are
			d := describeValue(fresh(v.Type().Elem()), f, outer)
			d.value, d.optional = nil, true
			return d
		}
		return describeValue(v.Elem(), f, outer)
	}
	d := description{field: f, shape: shapeOf(v.Type())}
	switch d.shape {
	case shapeSection:
		if slices.Contains(outer, v.Type()) {
			panic(fmt.Sprintf("BUG: config section %v inside itself", v.Type()))
		}
		outer = append(slices.Clone(outer), v.Type())
		for _, f := range fieldsOf(v.Type()) {
			d.keys = append(d.keys, describeValue(v.Field(f.index), f, outer))
		}
		return d
	case shapeList, shapeMap:
		entry := describeValue(fresh(v.Type().Elem()), field{rule: rule{enum: f.enum}}, outer)
		entry.value = nil // an entry that is not written is none
		d.entry, d.optional = &entry, v.Len() == 0
	case shapeText:
		d.syntax = Syntax{Name: "text"}
		if value, ok := v.Addr().Interface().(Value); ok {
			d.syntax = value.Syntax()
		}
	case shapeInt, shapeUint, shapeFloat:
		d.bits = v.Type().Bits()
	}
	if !f.required {
		d.value = plain(v)
	}
	return d
}

// plain is a default in JSON's types; nil stands for none. Numbers and
// durations are shown even where they are zero: they mean something.
func plain(v reflect.Value) any {
	switch shapeOf(v.Type()) {
	case shapeText:
		if v.IsZero() && !v.CanInt() {
			return nil
		}
		if m, ok := v.Addr().Interface().(encoding.TextMarshaler); ok {
			text, err := m.MarshalText()
			if err != nil {
				panic(fmt.Sprintf("BUG: default of type %v: %v", v.Type(), err))
			}
			if len(text) == 0 { // a number that says nothing
				return nil
			}
			return string(text)
		}
		return fmt.Sprint(v.Interface())
	case shapeList:
		if v.Len() == 0 {
			return nil
		}
		list := make([]any, v.Len())
		for i := range list {
			if list[i] = plain(v.Index(i)); list[i] == nil {
				return nil
			}
		}
		return list
	case shapeString:
		if v.Len() == 0 {
			return nil
		}
	case shapePointer:
		if v.IsNil() {
			return nil
		}
		return plain(v.Elem())
	case shapeMap, shapeSection: // told key by key
		return nil
	}
	return v.Interface()
}
