package cwmp

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// node is an element as another reader of XML sees it.
type node struct {
	local    string
	text     string // its own character data
	children []*node
}

func (n *node) child(local string) *node {
	for _, c := range n.children {
		if c.local == local {
			return c
		}
	}
	return nil
}

// plainXML is body without what encoding/xml does not take: blanks before the
// root, a byte order mark, the XML declaration, charsets other than UTF-8.
func plainXML(body []byte, charset string) ([]byte, error) {
	body = bytes.TrimPrefix(body, []byte("\uFEFF"))
	switch charset {
	case "iso-8859-1":
		body, _ = charmap.ISO8859_1.NewDecoder().Bytes(body)
	case "windows-1252":
		body, _ = charmap.Windows1252.NewDecoder().Bytes(body)
	}
	if !utf8.Valid(body) {
		return nil, errors.New("not UTF-8")
	}
	body = bytes.TrimLeft(body, " \t\r\n")
	if bytes.HasPrefix(body, []byte("<?xml")) && len(body) > 5 && strings.IndexByte(" \t\r\n", body[5]) >= 0 {
		_, rest, found := bytes.Cut(body, []byte("?>"))
		if !found {
			return nil, errors.New("no end of the declaration")
		}
		body = rest
	}
	return body, nil
}

// readXML reads a document with the standard library.
func readXML(doc []byte) (*node, error) {
	d := xml.NewDecoder(bytes.NewReader(doc))
	root := &node{}
	stack := []*node{root}
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		top := stack[len(stack)-1]
		switch t := token.(type) {
		case xml.StartElement:
			n := &node{local: t.Name.Local}
			top.children = append(top.children, n)
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.text += string(t)
		case xml.Directive:
			return nil, errors.New("a directive")
		}
	}
	if len(root.children) != 1 || strings.Trim(root.text, " \t\r\n") != "" {
		return nil, fmt.Errorf("%d root elements and text %q", len(root.children), root.text)
	}
	return root.children[0], nil
}

// leaves appends "name=text" for each element without elements in it.
func (n *node) leaves(all []string) []string {
	if len(n.children) == 0 {
		return append(all, n.local+"="+n.text)
	}
	for _, c := range n.children {
		all = c.leaves(all)
	}
	return all
}

// told collects the same from a message.
type told struct {
	all     []string
	pairs   []string // Name=Value of each ParameterValueStruct
	structs []string
	vendor  string
	named   bool // the structure under way has told its Name
}

func (c *told) Struct(name string) { c.structs, c.named = append(c.structs, name), false }
func (c *told) List(name string)   { c.structs = append(c.structs, name) }
func (c *told) End()               { c.structs = c.structs[:len(c.structs)-1] }

func (c *told) Text(name string, t Text) {
	switch in := c.structs; {
	case len(in) > 0 && in[len(in)-1] == "Element" && name == "Name":
		c.vendor = string(t.Bytes)
	case len(in) > 0 && in[len(in)-1] == "Element":
		c.all = append(c.all, c.vendor+"="+string(t.Bytes))
	case len(in) > 0 && in[len(in)-1] == "Operations" && name == "Type":
	default:
		c.all = append(c.all, name+"="+string(t.Bytes))
	}
	if len(c.structs) > 0 && c.structs[len(c.structs)-1] == "ParameterValueStruct" && name == "Name" {
		c.pairs, c.named = append(c.pairs, string(t.Bytes)), true
	}
}

func (c *told) Value(t Text, _ []byte) {
	c.all = append(c.all, "Value="+string(t.Bytes))
	if n := len(c.pairs); c.named {
		c.pairs[n-1] += "=" + string(t.Bytes)
	}
}

func significant(all []string) []string {
	all = slices.DeleteFunc(slices.Clone(all), func(s string) bool {
		_, text, _ := strings.Cut(s, "=")
		return strings.Trim(text, " \t\r\n") == ""
	})
	slices.Sort(all)
	return all
}

// agree says where root, as another reader has it, differs from m.
func agree(m *Message, root *node) error {
	body := root.child("Body")
	if body == nil || len(body.children) != 1 {
		return errors.New("the other reader sees no Body with one element")
	}
	rpc := body.children[0]
	if rpc.local != m.Name {
		return fmt.Errorf("the other reader sees a %s, not a %s", rpc.local, m.Name)
	}
	var c told
	m.Walk(&c)
	var all []string
	for _, n := range rpc.children {
		all = n.leaves(all)
	}
	if theirs, ours := significant(all), significant(c.all); !slices.Equal(theirs, ours) {
		return fmt.Errorf("the other reader sees %q, not %q", theirs, ours)
	}
	switch m.RPC.(type) {
	case *Inform, *SetParameterValues, *GetParameterValuesResponse:
		if theirs := rpc.pairs(); !slices.Equal(theirs, c.pairs) {
			return fmt.Errorf("the other reader sees the parameters %q, not %q", theirs, c.pairs)
		}
	}
	if id := m.Header.ID; id.Set {
		h := root.child("Header")
		if h == nil || h.child("ID") == nil || h.child("ID").text != string(id.Bytes) {
			return fmt.Errorf("the other reader does not see the ID %q", id.Bytes)
		}
	}
	return nil
}

// pairs are the parameters of the ParameterList that have a Name, as Name=Value
// or Name.
func (n *node) pairs() (all []string) {
	list := n.child("ParameterList")
	if list == nil {
		return nil
	}
	for _, c := range list.children {
		name := c.child("Name")
		if c.local != "ParameterValueStruct" || name == nil {
			continue
		}
		pair := name.text
		if value := c.child("Value"); value != nil {
			pair += "=" + value.text
		}
		all = append(all, pair)
	}
	return all
}

// checkWithXML holds that encoding/xml reads body as m says.
func checkWithXML(body []byte, m *Message) error {
	doc, err := plainXML(body, m.Charset)
	if err != nil {
		return err
	}
	root, err := readXML(doc)
	if err != nil {
		return err
	}
	return agree(m, root)
}
