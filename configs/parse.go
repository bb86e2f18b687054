package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// parse gives the mapping of the one document; an empty text is an empty one.
// It is nil where the text is no YAML, and then no more can be said.
func (l *loader) parse(text []byte) *yaml.Node {
	if len(text) > maxFile {
		l.errorAt(0, 0, "", "the file is larger than %v", Size(maxFile))
		return nil
	}
	if line, column, ok := badCharacter(text); ok {
		l.errorAt(line, column, "write the file in UTF-8", "not a character of YAML in UTF-8")
		return nil
	}
	load, err := yaml.NewLoader(bytes.NewReader(text),
		yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth), loaderlimits.AliasNone())))
	if err != nil {
		panic(fmt.Sprintf("BUG: yaml loader: %v", err))
	}
	var first, second yaml.Node
	switch err := load.Load(&first); {
	case err == io.EOF:
		return &yaml.Node{Kind: yaml.MappingNode, Line: 1, Column: 1}
	case err != nil:
		l.syntax(err)
		return nil
	}
	switch err := load.Load(&second); {
	case err == nil:
		l.errorf(&second, "a file holds one", "a second document begins here")
	case err != io.EOF:
		l.syntax(err)
	}
	root := first.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return &yaml.Node{Kind: yaml.MappingNode, Line: 1, Column: 1}
	}
	return root
}

// badCharacter finds what the parser would refuse without saying where.
func badCharacter(text []byte) (line, column int, found bool) {
	line, column = 1, 1
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 || r < ' ' && r != '\t' && r != '\n' && r != '\r' || r >= 0x7f && r < 0xa0 && r != 0x85 ||
			r == 0xfffe || r == 0xffff {
			return line, column, true
		}
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
		text = text[n:]
	}
	return 0, 0, false
}

// syntax words what the parser found. Its own text is not passed on: it names
// anchors, tags and the like, which may be a secret that nobody quoted.
func (l *loader) syntax(err error) {
	var e *yaml.LoadError
	if !errors.As(err, &e) {
		l.errorAt(0, 0, "", "not YAML")
		return
	}
	text, hint := "not YAML from here on", ""
	for _, known := range []struct{ cause, text, hint string }{
		{"mapping values are not allowed", `": " where no key can stand`, "check the indentation, and quote a value that holds a colon and a space"},
		{"cannot start any token", "a character that no value begins with", "indent with spaces, not tabs, and quote the value"},
		{"could not find expected ':'", `no ": " after the key`, "check the indentation"},
		{"did not find expected node content", "no value where one is due", ""},
		{"did not find expected key", "no key where one is due", "check the indentation"},
		{"did not find expected '-' indicator", `no "- " where the list goes on`, "check the indentation"},
		{"did not find expected ',' or", "a list or section in brackets that is not closed", ""},
		{"unexpected end of stream", "a quoted text that is not closed", ""},
		{"unknown anchor", "an alias of an anchor that is not in the file", `quote a value that begins with "*"`},
		{"max depth", fmt.Sprintf("more than %d levels", maxDepth), ""},
	} {
		if strings.Contains(e.Message, known.cause) {
			text, hint = known.text, known.hint
		}
	}
	at := e.Mark
	if strings.HasSuffix(text, "not closed") && e.ContextMark.Line > 0 { // where it began
		at = e.ContextMark
	}
	l.errorAt(at.Line, at.Column, hint, "%s", text)
}
