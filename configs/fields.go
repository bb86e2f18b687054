package configs

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// field is one key of a section.
type field struct {
	index    int
	key      string
	doc      string
	required bool
	rule
}

// rule is what a field's tags ask of its value.
type rule struct {
	enum     []string
	min, max string
	absent   bool
}

// shape is how a type stands in the file.
type shape uint8

const (
	shapeText shape = iota // a scalar that the type reads itself
	shapeString
	shapeBool
	shapeInt
	shapeUint
	shapeFloat
	shapeList
	shapeMap
	shapeSection
	shapePointer
)

var (
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	durationType = reflect.TypeFor[time.Duration]()
)

func shapeOf(t reflect.Type) shape {
	if t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(textType) {
		return shapeText
	}
	switch t.Kind() {
	case reflect.String:
		return shapeString
	case reflect.Bool:
		return shapeBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if t == durationType {
			panic("BUG: time.Duration in a config section, configs.Duration is meant")
		}
		return shapeInt
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return shapeUint
	case reflect.Float32, reflect.Float64:
		return shapeFloat
	case reflect.Slice:
		return shapeList
	case reflect.Struct:
		return shapeSection
	case reflect.Pointer:
		return shapePointer
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			return shapeMap
		}
	}
	panic(fmt.Sprintf("BUG: type %v in a config section", t))
}

// fieldsOf lists the keys of a section in the order of its fields.
func fieldsOf(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, ok := sf.Tag.Lookup("yaml")
		key, options, _ := strings.Cut(tag, ",")
		if !ok || key == "-" {
			continue
		}
		if key == "" || !sf.IsExported() || strings.Contains(options, "inline") {
			panic(fmt.Sprintf("BUG: field %s of config section %v: no key, not exported, or inline", sf.Name, t))
		}
		f := field{index: i, key: key, doc: sf.Tag.Get("doc"), required: sf.Tag.Get("required") == "true"}
		f.min, f.max, f.absent = sf.Tag.Get("min"), sf.Tag.Get("max"), sf.Tag.Get("absent") == "ok"
		if list := sf.Tag.Get("enum"); list != "" {
			f.enum = strings.Split(list, "|")
		}
		all = append(all, f)
	}
	return all
}

// Defaults calls SetDefaults on the section that into points to and on every
// section inside it, inner ones first, so that an outer one has the last word.
func Defaults(into any) {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		panic("BUG: Defaults wants a pointer to a section")
	}
	setDefaults(v.Elem())
}

// Defaulter is a section, or another type of an entry, with defaults of its
// own. SetDefaults is called once on a zero value before the file is read over it.
type Defaulter interface{ SetDefaults() }

func setDefaults(v reflect.Value) {
	if shapeOf(v.Type()) == shapeSection {
		for _, f := range fieldsOf(v.Type()) {
			setDefaults(v.Field(f.index))
		}
	}
	if d, ok := v.Addr().Interface().(Defaulter); ok && v.Kind() != reflect.Pointer {
		d.SetDefaults()
	}
}

// fresh is a new value of t with its defaults, addressable.
func fresh(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	setDefaults(v)
	return v
}

// keyPlaces lists the paths below t at which a key of that name stands.
func keyPlaces(t reflect.Type, name, path string, depth int) []string {
	switch {
	case depth > 10: // a type inside itself
		return nil
	case shapeOf(t) == shapePointer:
		return keyPlaces(t.Elem(), name, path, depth+1)
	case shapeOf(t) == shapeList:
		return keyPlaces(t.Elem(), name, path+"[]", depth+1)
	case shapeOf(t) == shapeMap:
		return keyPlaces(t.Elem(), name, path+".*", depth+1)
	case shapeOf(t) != shapeSection:
		return nil
	}
	var all []string
	for _, f := range fieldsOf(t) {
		if f.key == name {
			all = append(all, path)
		}
		all = append(all, keyPlaces(t.Field(f.index).Type, name, join(path, f.key), depth+1)...)
	}
	return all
}

// join writes the path of a key below that of its section.
func join(path, key string) string {
	switch {
	case path == "":
		return key
	case key == "" || key[0] == '[':
		return path + key
	}
	return path + "." + key
}
