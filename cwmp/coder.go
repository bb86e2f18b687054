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

	// Decoding: the start tag of one child has been read, or have is false.
	d     *Decoder
	name  []byte
	have  bool
	moved bool    // a field took the child in this pass
	owner element // the structure that is being read

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
	c.next()
	for c.have {
		c.moved = false
		e.fields(c)
		if c.have && !c.moved {
			c.vendorElement(e.extra())
			c.next()
		}
	}
	c.owner = outer
}

// next reads the start tag of the next child, or the end of the parent.
func (c *coder) next() {
	c.moved = true
	if c.have = c.d.scan.Child(); c.have {
		c.name = c.d.scan.Local()
	}
}

// takes reports whether the child at hand is the element of that name.
func (c *coder) takes(name string) bool { return c.have && string(c.name) == name }

func (c *coder) fail(r Reason, detail string) {
	c.d.scan.Fail(xmlscan.Reason(r), detail)
	c.have = false
}

func (c *coder) duplicate() {
	c.fail(ReasonDuplicateElement, "the element stands twice where the schema has one")
}

// text is an element with text in it.
func (c *coder) text(name string, t *Text) {
	switch c.mode {
	case decoding:
		if !c.takes(name) {
			return
		}
		if t.Set {
			c.duplicate()
			return
		}
		c.read(t)
		c.next()
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
	t.Bytes, t.Start, t.End, t.Set = x.Bytes, x.Start, x.End, true
}

// value is the Value of a ParameterValueStruct.
func (c *coder) value(name string, t *Text, xsiType *[]byte) {
	switch {
	case c.mode == decoding && c.takes(name) && !t.Set:
		*xsiType = c.d.scan.XSIType()
		c.d.remember(*xsiType)
		c.read(t)
		c.next()
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
		c.next()
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
