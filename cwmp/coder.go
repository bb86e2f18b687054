package cwmp

import "github.com/cwmpgate/cwmpgate/cwmp/internal/xmlscan"

// element is a structure of the schemas. Its fields method names its elements
// once, in schema order; decoding, encoding and telling all go by that.
type element interface {
	fields(c *coder)
	extra() *[]Element
}

// mode is what a coder does with the fields that it is told.
type mode uint8

const (
	decoding mode = iota
	appending
	walking
	asking   // is any of them set?
	matching // is any of them named so?
)

// coder goes through the fields of structures.
type coder struct {
	mode  mode
	found bool // asking and matching

	// Decoding. A child's start tag is read when a field asks for its name,
	// unless the field finds the whole element in the form it mostly has.
	d      *Decoder
	unread bool   // the next child's start tag has not been read
	have   bool   // it has, and there was one
	name   []byte // its local name
	moved  bool   // a field took a child in this pass
	owner  element

	cwmpOnly bool // fields take elements of a CWMP namespace only

	dst     []byte  // appending
	visitor Visitor // walking
}

// contents goes through all of a structure but its own name.
func (c *coder) contents(e element) {
	switch c.mode {
	case decoding:
		c.children(e)
	case appending:
		e.fields(c)
		c.appendElements(*e.extra())
	case walking:
		e.fields(c)
		c.walkElements(*e.extra())
	case asking:
		e.fields(c)
		c.found = c.found || len(*e.extra()) > 0
	}
}

// children decodes the children of the element whose start tag was read. Those
// in schema order take one pass over the fields; what no pass takes is of no
// schema.
func (c *coder) children(e element) {
	outer := c.owner
	c.owner = e
	c.unread = true
	for {
		c.moved = false
		e.fields(c)
		if !c.child() {
			break
		}
		if !c.moved {
			c.vendorElement(e.extra())
			c.taken()
		}
	}
	c.owner = outer
}

// child reads on to the next child; false where the parent has ended.
func (c *coder) child() bool {
	if c.unread {
		c.unread = false
		if c.have = c.d.scan.Child(); c.have {
			c.name = c.d.scan.Local()
		}
	}
	return c.have
}

// next is child for those who read all children by themselves.
func (c *coder) next() bool {
	c.unread = true
	return c.child()
}

// taken says that the child at hand was read to its end.
func (c *coder) taken() { c.unread, c.moved = true, true }

// takes reports whether the next child is the element of that name.
func (c *coder) takes(name string) bool {
	if !c.child() || string(c.name) != name {
		return false
	}
	if c.cwmpOnly {
		ns, _ := c.d.scan.Namespace()
		return ns.CWMPVersion() != ""
	}
	return true
}

func (c *coder) fail(r Reason, detail string) {
	c.d.scan.Fail(xmlscan.Reason(r), detail)
	c.have, c.unread = false, false
}

func (c *coder) duplicate() {
	c.fail(ReasonDuplicateElement, "the element stands twice where the schema has one")
}

// text is an element with text in it.
func (c *coder) text(name string, t *Text) {
	switch c.mode {
	case decoding:
		if c.unread && !t.Set && c.owner != nil {
			var x xmlscan.Text
			if c.d.scan.Leaf(name, &x) {
				t.set(&x)
				c.moved = true
				return
			}
		}
		if !c.takes(name) {
			return
		}
		if t.Set {
			c.duplicate()
			return
		}
		if c.owner == nil {
			c.d.noteVersion() // an element of the header
		}
		c.read(t)
		c.taken()
	case appending:
		if t.Set {
			c.leaf(name, t.Bytes)
		}
	case walking:
		if t.Set {
			c.visitor.Text(name, *t)
		}
	case asking:
		c.found = c.found || t.Set
	case matching:
		c.found = c.found || string(c.name) == name
	}
}

func (c *coder) read(t *Text) {
	x := c.d.scan.Text()
	t.set(&x)
}

func (t *Text) set(x *xmlscan.Text) { *t = Text{x.Bytes, x.Start, x.End, true} }

// value is the Value of a ParameterValueStruct.
func (c *coder) value(name string, t *Text, xsiType *[]byte) {
	switch {
	case c.mode == decoding && c.takes(name) && !t.Set:
		*xsiType = c.d.scan.XSIType()
		c.read(t)
		c.taken()
	case c.mode == appending:
		if t.Set {
			c.typedLeaf(name, *xsiType, t.Bytes)
		}
	case c.mode == walking:
		if t.Set {
			c.visitor.Value(*t, *xsiType)
		}
	default:
		c.text(name, t)
	}
}

// itemType is the xsi:type of the structure itself. It is told as an element
// named Type; encoding writes it with the start tag, in repeated.
func (c *coder) itemType(xsiType *[]byte) {
	switch c.mode {
	case decoding:
	case walking:
		if len(*xsiType) > 0 {
			c.visitor.Text("Type", Text{Bytes: *xsiType, Set: true})
		}
	case asking:
		c.found = c.found || len(*xsiType) > 0
	}
}

// single is Extra in the structures that stand in others by themselves.
type single struct {
	Extra
	sent bool
}

func (s *single) flag() *bool { return &s.sent }

// part is a structure that can tell whether it was sent.
type part interface {
	element
	flag() *bool
}

// structure is an element with a structure in it. One made by hand counts as
// sent where anything is in it.
func (c *coder) structure(name string, e part) {
	sent := e.flag()
	switch c.mode {
	case decoding:
		if !c.takes(name) {
			return
		}
		if *sent {
			c.duplicate()
			return
		}
		*sent = true
		if _, ok := e.(*cwmpFault); ok {
			c.d.noteVersion()
		}
		c.children(e)
		c.taken()
	case matching:
		c.found = c.found || string(c.name) == name
	case asking:
		c.found = c.found || *sent
		c.contents(e)
	case appending:
		if *sent || isSent(e) {
			prefix := ""
			if _, ok := e.(*cwmpFault); ok {
				prefix = "cwmp:"
			}
			c.open(prefix, name)
			c.contents(e)
			c.close(prefix, name)
		}
	case walking:
		if *sent || isSent(e) {
			c.visitor.Struct(name)
			c.contents(e)
			c.visitor.End()
		}
	}
}

func isSent(e element) bool {
	ask := coder{mode: asking}
	ask.contents(e)
	return ask.found
}
