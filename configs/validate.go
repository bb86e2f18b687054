package configs

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Validator is a section that checks itself. Validate is called after all of
// the section has been read and found right by itself, inner sections first; it
// must not do I/O.
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
func (a At) Errorf(key, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if path := join(a.path, key); path != "" {
		text = path + ": " + text
	}
	n, _ := a.find(key)
	a.l.errorf(n, "", "%s", text)
}

// Given tells whether key is in the file, as against a default.
func (a At) Given(key string) bool {
	_, ok := a.find(key)
	return ok
}

// Item is the place of entry i of the list at key.
func (a At) Item(key string, i int) At {
	step := fmt.Sprintf("%s[%d]", key, i)
	n, _ := a.find(step)
	return At{a.l, n, join(a.path, step)}
}

// find goes down from the section as far as the file does.
func (a At) find(key string) (n *yaml.Node, ok bool) {
	n = a.node
	for _, step := range strings.FieldsFunc(key, func(r rune) bool { return r == '.' || r == '[' }) {
		next := child(n, step)
		if next == nil {
			return n, false
		}
		n = next
	}
	return n, true
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
