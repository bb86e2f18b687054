package configs

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"
)

const (
	maxFile   = 4 << 20   // bytes of a file
	maxDepth  = 64        // sections and lists inside each other
	maxValues = 1_000_000 // values of a file once its aliases are followed
)

// Load reads the file at path strictly over what into, a pointer to a section,
// holds already. An error is of type Errors with every mistake found, or tells
// why the file could not be read; into may then be changed in part.
// Relative names in Path and Secret values start at the file's directory.
func Load(path string, into any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return err
	}
	return LoadBytes(path, text, into)
}

// LoadBytes is Load for a text at hand; name stands for the file in errors and
// gives the directory for relative names.
func LoadBytes(name string, text []byte, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || shapeOf(v.Type().Elem()) != shapeSection {
		panic("BUG: Load wants a pointer to a section")
	}
	l := &loader{file: name, dir: filepath.Dir(name), root: v.Type().Elem(), wrong: make(map[string]bool), torn: make(map[string]bool)}
	if root := l.parse(text); root != nil {
		l.section(root, v.Elem(), "")
	}
	if len(l.errs) == 0 {
		return nil
	}
	sortErrors(l.errs)
	if l.count > len(l.errs) {
		l.errs = append(l.errs, Error{File: name, Text: fmt.Sprintf("and %d more mistakes", l.count-len(l.errs))})
	}
	return l.errs
}

// loader is one reading of one file.
type loader struct {
	file, dir string
	root      reflect.Type
	errs      Errors
	count     int             // mistakes found, also those not kept in errs
	misread   int             // those of them that reading found, not a Validate
	wrong     map[string]bool // paths of what was misread, or anything in it, and of missing keys
	torn      map[string]bool // paths of sections that were not read whole: any key may be meant
	values    int
	depth     int
}

func (l *loader) errorAt(line, column int, hint, format string, args ...any) {
	l.misread++
	l.add(Error{l.file, line, column, fmt.Sprintf(format, args...), hint})
}

func (l *loader) add(e Error) {
	l.count++
	if len(l.errs) < maxErrors {
		l.errs = append(l.errs, e)
	}
}

// full tells that no more is to be found out: enough mistakes are kept, or the
// file was not read to its end.
func (l *loader) full() bool { return l.count >= maxErrors || l.values > maxValues }

// tear notes that not all keys of the section at path could be read.
func (l *loader) tear(path string) {
	if !l.full() {
		l.torn[path] = true
	}
}

// mark notes that the value at path is wrong if reading has found a mistake
// since before.
func (l *loader) mark(path string, before int) {
	if l.misread > before && !l.full() {
		l.wrong[path] = true
	}
}

func (l *loader) errorf(at *yaml.Node, hint, format string, args ...any) {
	l.errorAt(at.Line, at.Column, hint, format, args...)
}

// follow gives the value that an alias stands for and tells whether it may be
// read at all.
func (l *loader) follow(n *yaml.Node, v reflect.Value, path string) (*yaml.Node, bool) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	l.values++
	switch {
	case l.values == maxValues+1:
		l.errorf(n, "", "more than %d values with all aliases followed", maxValues)
	case l.depth > maxDepth:
		l.errorf(n, "", "%s: more than %d levels, or an alias inside what it stands for", path, maxDepth)
	case n.Style&yaml.TaggedStyle != 0:
		l.errorf(n, `quote a value that begins with "!"`, "%s: a YAML tag, which has no meaning here", name(path))
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		l.errorf(n, "write "+emptyOf(v.Type())+" or leave the key out", "%s: no value", name(path))
	case l.values <= maxValues:
		return n, true
	}
	return n, false
}

func emptyOf(t reflect.Type) string {
	switch shapeOf(t) {
	case shapeSection, shapeMap:
		return "{}"
	case shapeList:
		return "[]"
	case shapePointer:
		return emptyOf(t.Elem())
	}
	return "one"
}

// name is the path as an error begins with it.
func name(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

// value reads n into v, whatever type it has. A single value that is wrong
// leaves v as it was.
func (l *loader) value(n *yaml.Node, v reflect.Value, path string, r rule) {
	before := l.misread
	defer func() { l.mark(path, before) }()
	n, ok := l.follow(n, v, path)
	if !ok {
		l.tear(path)
		return
	}
	l.depth++
	defer func() { l.depth-- }()
	switch shapeOf(v.Type()) {
	case shapeSection:
		l.section(n, v, path)
	case shapeList:
		l.list(n, v, path, r)
	case shapeMap:
		l.mapping(n, v, path, r)
	case shapePointer:
		inner := fresh(v.Type().Elem())
		if !v.IsNil() { // the default is shared with whoever gave it
			inner.Set(v.Elem())
		}
		l.value(n, inner, path, r)
		v.Set(inner.Addr())
	default:
		read := fresh(v.Type())
		read.Set(v)
		l.scalar(n, read, path, r)
		if l.misread == before {
			l.inRange(n, read, path, r)
		}
		if l.misread == before {
			v.Set(read)
		}
	}
}

func (l *loader) list(n *yaml.Node, v reflect.Value, path string, r rule) {
	if n.Kind != yaml.SequenceNode {
		l.errorf(n, `write [a, b], or each entry on a line of its own after "- "`, "%s: wants a list, got %s", name(path), kindOf(n))
		return
	}
	all := reflect.MakeSlice(v.Type(), 0, len(n.Content))
	for i, c := range n.Content {
		entry := fresh(v.Type().Elem())
		l.value(c, entry, fmt.Sprintf("%s[%d]", path, i), rule{enum: r.enum, absent: r.absent})
		all = reflect.Append(all, present(entry))
	}
	v.Set(all)
	l.inRange(n, v, path, r)
}

// present is an entry as a Validate may expect it: behind no nil pointer.
func present(entry reflect.Value) reflect.Value {
	if entry.Kind() == reflect.Pointer && entry.IsNil() {
		entry.Set(fresh(entry.Type().Elem()).Addr())
	}
	return entry
}

func (l *loader) mapping(n *yaml.Node, v reflect.Value, path string, r rule) {
	before := l.misread
	all := reflect.MakeMap(v.Type())
	for key, value := range l.pairs(n, path) {
		entry := fresh(v.Type().Elem())
		l.value(value, entry, join(path, key.Value), rule{enum: r.enum, absent: r.absent})
		all.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), present(entry))
	}
	v.Set(all)
	if l.misread == before { // else it has more keys than were read
		l.inRange(n, v, path, r)
	}
}

// pairs gives the keys of a mapping that can be read, with their values.
func (l *loader) pairs(n *yaml.Node, path string) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if n.Kind != yaml.MappingNode {
			l.errorf(n, "", "%s: wants keys with values, got %s", name(path), kindOf(n))
			l.tear(path)
			return
		}
		lines := make(map[string]int, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			first, twice := lines[key.Value]
			switch {
			case key.ShortTag() == "!!merge":
				l.errorf(key, "write the keys out, or give a whole value an anchor", "%s: merge keys have no meaning here", name(path))
			case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" || key.Style&yaml.TaggedStyle != 0:
				l.errorf(key, "quote it", "%s: a key that is not text", name(path))
			case twice:
				l.errorf(key, "", "duplicate key %s, first on line %d", quote(key.Value), first)
			default:
				lines[key.Value] = key.Line
				if !yield(key, n.Content[i+1]) {
					return
				}
				continue
			}
			l.tear(path)
		}
	}
}

// section reads a mapping key by key, looks for what is missing, and lets the
// section check itself.
func (l *loader) section(n *yaml.Node, v reflect.Value, path string) {
	before := l.misread
	fields := fieldsOf(v.Type())
	given := make(map[string]bool, len(fields))
	for key, value := range l.pairs(n, path) {
		f := fieldOf(fields, key.Value)
		if f == nil {
			l.unknown(key, fields)
			l.tear(path)
			continue
		}
		given[f.key] = true
		l.value(value, v.Field(f.index), join(path, f.key), f.rule)
	}
	if n.Kind != yaml.MappingNode {
		return
	}
	for _, f := range fields {
		inner := v.Field(f.index)
		switch {
		case given[f.key]:
		case f.required:
			l.errorf(n, "", "missing key %s", quote(join(path, f.key)))
			l.mark(join(path, f.key), before)
		case shapeOf(inner.Type()) == shapeSection:
			l.section(&yaml.Node{Kind: yaml.MappingNode, Line: n.Line, Column: n.Column}, inner, join(path, f.key))
		}
	}
	l.mark(path, before)
	if check, ok := v.Addr().Interface().(Validator); ok && !l.full() {
		check.Validate(At{l, n, path})
	}
}

func fieldOf(fields []field, key string) *field {
	for i := range fields {
		if fields[i].key == key {
			return &fields[i]
		}
	}
	return nil
}

// unknown says which key was meant: one like it here, the same one elsewhere,
// or any of the few that stand here.
func (l *loader) unknown(key *yaml.Node, fields []field) {
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.key
	}
	hint := ""
	if near := nearest(key.Value, keys); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	} else if places := keyPlaces(l.root, key.Value, "", 0); len(places) == 1 {
		hint = fmt.Sprintf("it belongs in %s", cmp.Or(places[0], "the top level of the file"))
	} else if len(keys) > 0 && len(keys) <= 12 {
		hint = "the keys here are " + strings.Join(keys, ", ")
	}
	l.errorf(key, hint, "unknown key %s", quote(key.Value))
}
