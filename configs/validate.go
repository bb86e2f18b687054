package configs

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Validator is a section that checks itself. Validate is called when all of the
// section has been read, inner sections first, also where mistakes were found
// in it, so that a file's come all at once. A single value that is wrong is
// then as if it were not written: it holds its default, or in an entry of a
// list or map its zero value. It must not panic on that, nor change anything;
// what it may say is bounded by At.Errorf.
type Validator interface{ Validate(at At) }

// At is the place of a section in its file.
type At struct {
	l    *loader
	node *yaml.Node
	path string
}

// Errorf reports a mistake at the value of key. The key may lead further down
// ("tls.certificates[1].key"); "" is the section itself, which also stands in
// for keys that are not in the file.
//
// It reports nothing where reading has found a mistake already at the value or
// inside it; nor at a key that is not in the file where the section that lacks
// it has an unknown or unreadable key, which may be the one meant. A rule over
// several keys asks Wrong for the others.
func (a At) Errorf(key, format string, args ...any) {
	path := join(a.path, key)
	n, place, given := a.find(key)
	if a.l.wrong[path] || !given && a.l.torn[place] {
		return
	}
	text := fmt.Sprintf(format, args...)
	if path != "" {
		text = path + ": " + text
	}
	a.l.add(Error{a.l.file, n.Line, n.Column, text, ""})
}

// Given tells whether key is in the file, as against a default.
func (a At) Given(key string) bool {
	_, _, ok := a.find(key)
	return ok
}

// Wrong tells whether reading has found a mistake at the value of key or inside
// it, so that nothing follows from what it holds.
func (a At) Wrong(key string) bool { return a.l.wrong[join(a.path, key)] }

// Item is the place of entry i of the list at key.
func (a At) Item(key string, i int) At {
	step := fmt.Sprintf("%s[%d]", key, i)
	n, _, _ := a.find(step)
	return At{a.l, n, join(a.path, step)}
}

// find goes down from the section as far as the file does, and gives the path
// of where that is.
func (a At) find(key string) (n *yaml.Node, place string, ok bool) {
	n, place = a.node, a.path
	for _, step := range strings.FieldsFunc(key, func(r rune) bool { return r == '.' || r == '[' }) {
		next := child(n, step)
		if next == nil {
			return n, place, false
		}
		if n = next; strings.HasSuffix(step, "]") {
			step = "[" + step
		}
		place = join(place, step)
	}
	return n, place, true
}

// child is the value of a key, or for a step like "2]" the entry of a list.
func child(n *yaml.Node, step string) *yaml.Node {
	var found *yaml.Node
	if number, isIndex := strings.CutSuffix(step, "]"); isIndex && n.Kind == yaml.SequenceNode {
		if i, err := strconv.Atoi(number); err == nil && i >= 0 && i < len(n.Content) {
			found = n.Content[i]
		}
	} else if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				found = n.Content[i+1]
				break
			}
		}
	}
	if found != nil && found.Kind == yaml.AliasNode {
		return found.Alias
	}
	return found
}
