package cwmp

import "github.com/cwmpgate/cwmpgate/cwmp/internal/xmlscan"

// list is an array: an element with items in it. also are other names for the
// items that are in use.
func list[T any, P interface {
	*T
	element
}](c *coder, name, item string, l *[]T, also ...string) {
	switch c.mode {
	case decoding:
		if !c.takes(name) {
			return
		}
		if *l != nil {
			c.duplicate()
			return
		}
		*l = []T{}
		c.d.reuse(l)
		for c.next() {
			if !c.isItem(item, also) {
				c.inList()
			} else if c.counted() {
				*l = append(*l, *new(T))
				c.children(P(&(*l)[len(*l)-1]))
			}
		}
		c.d.keep(l)
		c.taken()
	case appending:
		if *l != nil {
			c.openList(name, "cwmp:"+item, len(*l))
			for i := range *l {
				c.open("", item)
				c.contents(P(&(*l)[i]))
				c.close("", item)
			}
			c.close("", name)
		}
	case walking:
		if *l != nil {
			walkItems[T, P](c, name, item, *l)
		}
	case asking:
		c.found = c.found || *l != nil
	case matching:
		c.found = c.found || string(c.name) == name
	}
}

func walkItems[T any, P interface {
	*T
	element
}](c *coder, name, item string, l []T) {
	c.visitor.List(name)
	for i := range l {
		c.visitor.Struct(item)
		c.contents(P(&l[i]))
		c.visitor.End()
	}
	c.visitor.End()
}

// repeated is a structure that may stand many times, without a list around it.
// It is told as a list of its own name.
func repeated[T any, P interface {
	*T
	element
}](c *coder, name string, l *[]T) {
	switch c.mode {
	case decoding:
		for c.takes(name) && c.counted() {
			*l = append(*l, *new(T))
			e := P(&(*l)[len(*l)-1])
			if t, ok := any(e).(*Operation); ok {
				t.Type = c.d.scan.XSIType()
			}
			c.children(e)
			c.taken()
		}
	case appending:
		for i := range *l {
			e := P(&(*l)[i])
			if t, ok := any(e).(*Operation); ok {
				c.openTyped(name, t.Type)
			} else {
				c.open("", name)
			}
			c.contents(e)
			c.close("", name)
		}
	case walking:
		if len(*l) > 0 {
			walkItems[T, P](c, name, name, *l)
		}
	case asking:
		c.found = c.found || len(*l) > 0
	case matching:
		c.found = c.found || string(c.name) == name
	}
}

// texts is an array of texts.
func (c *coder) texts(name, item string, l *[]Text) {
	switch c.mode {
	case decoding:
		if !c.takes(name) {
			return
		}
		if *l != nil {
			c.duplicate()
			return
		}
		*l = []Text{}
		c.d.reuse(l)
		for {
			var x xmlscan.Text
			if c.d.scan.Leaf(item, &x) {
				if c.counted() {
					*l = append(*l, Text{})
					(*l)[len(*l)-1].set(&x)
				}
			} else if !c.next() {
				break
			} else if string(c.name) != item {
				c.inList()
			} else if c.counted() {
				*l = append(*l, Text{})
				c.read(&(*l)[len(*l)-1])
			}
		}
		c.d.keep(l)
		c.taken()
	case appending:
		if *l != nil {
			c.openList(name, textItem(item), len(*l))
			for i := range *l {
				c.leaf(item, (*l)[i].Bytes)
			}
			c.close("", name)
		}
	case walking:
		if *l != nil {
			c.visitor.List(name)
			for i := range *l {
				c.visitor.Text(item, (*l)[i])
			}
			c.visitor.End()
		}
	case asking:
		c.found = c.found || *l != nil
	case matching:
		c.found = c.found || string(c.name) == name
	}
}

func textItem(item string) string {
	if item == "base64" {
		return "soap-enc:base64"
	}
	return "xsd:" + item
}

// values is an array of ParameterValueStructs: the one list that is long.
func (c *coder) values(name string, l *[]ParameterValue) {
	const item = "ParameterValueStruct"
	if c.mode != decoding {
		list(c, name, item, l)
		return
	}
	if !c.takes(name) {
		return
	}
	if *l != nil {
		c.duplicate()
		return
	}
	d := c.d
	values := d.values[:0]
	if values == nil {
		values = []ParameterValue{}
	}
	d.scan.Forget()
	var pair xmlscan.Pair
	for {
		if d.scan.Pair(&d.shape, &pair) {
			if !c.counted() {
				break
			}
			values = append(values, ParameterValue{
				Name:  Text{pair.First.Bytes, pair.First.Start, pair.First.End, true},
				Value: Text{pair.Second.Bytes, pair.Second.Start, pair.Second.End, true},
				Type:  pair.Type,
			})
			continue
		}
		if !c.next() {
			break
		}
		if string(c.name) != item {
			c.inList()
		} else if c.counted() {
			values = append(values, ParameterValue{})
			c.children(&values[len(values)-1])
		}
	}
	d.values, *l = values, values
	c.taken()
}

func (c *coder) isItem(item string, also []string) bool {
	if string(c.name) == item {
		return true
	}
	for _, name := range also {
		if string(c.name) == name {
			return true
		}
	}
	return false
}

// counted counts an item of a list; false where there are too many.
func (c *coder) counted() bool {
	c.d.items++
	if c.d.items > c.d.limits.Parameters {
		c.fail(ReasonLimitParameters, "the lists have too many items")
		return false
	}
	return true
}

// inList reads an element in a list that is none of its items. It is kept with
// the structure around the list, whose own elements therefore cannot stand here.
func (c *coder) inList() {
	match := coder{mode: matching, name: c.name}
	c.owner.fields(&match)
	if match.found {
		c.fail(ReasonUnexpectedElement, "the element belongs beside the list, not into it")
		return
	}
	c.vendorElement(c.owner.extra())
}
