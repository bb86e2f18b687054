package audit

import (
	"slices"
	"strings"

	"github.com/cwmpgate/cwmpgate/cwmp"
)

// body writes the body of one message as JSON, in the schema's own names, as
// the message tells itself. It is the only way that a text of a message takes
// into a record, and so the only place where secrets are looked for.
type body struct {
	out   []byte
	bound int // longest value written whole, in bytes
	red   *Redactor
	mem   *memory          // keeps this message's secrets
	known [parties]*memory // what a fault's text is searched for
	fault bool             // the message is a fault: all its free texts are searched
	stack []level          // open structs and lists
	lists int              // of elements of no schema, so far
	late  []int            // those of them where a secret's name comes behind its value
	hide  []int            // late of the pass before, sorted: nothing in them is told
	names nameScratch      // scratch
	text  []byte           // scratch: a masked text
}

// level is one struct or list that is open.
type level struct {
	list    bool
	begun   bool   // something stands in it
	element bool   // a struct for an element of no schema
	naming  bool   // an element called Name: its text names its neighbours' values
	name    []byte // what its Name said, the message's bytes
	named   bool   // a Name was told
	known   bool   // class was taken from it
	class   class  // struct: of its Value; list: of all in it
	floor   class  // list: what its own names are
	number  int    // list of elements: which one
	hidden  bool   // list of elements: class is secret to its end
	early   bool   // list of elements: some stood before the first that is called Name
}

// begin readies b for a message. out is where the body goes on.
func (b *body) begin(out []byte) {
	b.out = append(out, '{')
	b.stack = append(b.stack[:0], level{})
	b.lists, b.late = 0, b.late[:0]
}

// walk tells b the whole message behind what is in out, and gives all of it. A
// name that says what stood before it comes too late, so the message is told
// once more with that known.
func (b *body) walk(out []byte, m *cwmp.Message) []byte {
	b.hide = b.hide[:0]
	b.begin(out)
	m.Walk(b)
	if len(b.late) > 0 {
		b.hide, b.late = b.late, b.hide
		slices.Sort(b.hide)
		b.mem.reset()
		b.begin(b.out[:len(out)])
		m.Walk(b)
	}
	return b.finish()
}

// finish closes what begin opened.
func (b *body) finish() []byte { return append(b.out, '}') }

func (b *body) top() *level { return &b.stack[len(b.stack)-1] }

// item writes what goes before a value: the comma, and in a struct the name.
func (b *body) item(name string) {
	l := b.top()
	if l.begun {
		b.out = append(b.out, ',')
	}
	l.begun = true
	if !l.list {
		b.out = append(b.out, '"')
		b.out = append(b.out, name...)
		b.out = append(b.out, '"', ':')
	}
}

// Struct is of cwmp.Visitor.
func (b *body) Struct(name string) {
	b.item(name)
	b.out = append(b.out, '{')
	up := b.top()
	l := level{element: up.list && name == "Element"}
	if up.list {
		l.class = up.class
	}
	b.stack = append(b.stack, l)
}

// List is of cwmp.Visitor.
func (b *body) List(name string) {
	b.item(name)
	b.out = append(b.out, '[')
	l := level{list: true}
	switch up := b.top(); name {
	case "Elements": // of a secret's struct they are secret too
		b.learnName(up)
		if up.element {
			b.pass()
		}
		l.class, l.number = up.class, b.lists
		b.lists++
		_, l.hidden = slices.BinarySearch(b.hide, l.number)
	case "VoucherList":
		l.class = secret
	}
	if l.floor = l.class; l.hidden {
		l.class = secret
	}
	b.stack = append(b.stack, l)
}

// pass notes that the element at hand is no Name.
func (b *body) pass() {
	if list := &b.stack[len(b.stack)-2]; !list.named {
		list.early = true
	}
}

// End is of cwmp.Visitor.
func (b *body) End() {
	if b.top().list {
		b.out = append(b.out, ']')
	} else {
		b.out = append(b.out, '}')
	}
	b.stack = b.stack[:len(b.stack)-1]
}

// Text is of cwmp.Visitor.
func (b *body) Text(name string, t cwmp.Text) {
	if !t.Set {
		return
	}
	l := b.top()
	if name == "Value" && !l.list {
		b.Value(t, nil)
		return
	}
	c := fieldClass(name)
	if l.list && l.class != plain {
		c = l.class
	}
	b.item(name)
	switch c {
	case secret:
		b.secretText(t.Bytes)
	default:
		free := name == "FaultString" || b.fault && name != "FaultCode" && name != "ParameterName" && name != "faultcode"
		text := b.readable(t.Bytes, c == anyURL, free)
		if len(text) <= b.bound {
			b.out = appendString(b.out, text)
			break
		}
		b.out = append(appendCut(append(b.out, '{'), "text", text, b.bound), '}')
	}
	if name == "Name" && !l.list {
		l.name, l.named = t.Bytes, true
	}
}

// secretText writes a secret that is not the Value of a struct.
func (b *body) secretText(value []byte) {
	if len(value) == 0 {
		b.out = append(b.out, `""`...)
		return
	}
	b.mem.add(value)
	b.out = append(b.out, `{"secret":`...)
	b.out = append(b.red.appendSecret(b.out, value, secret), '}')
}

// learnName takes from the name of a parameter, argument or element what its
// value is. It is done when there is a value: most names come without.
func (b *body) learnName(l *level) {
	if !l.named || l.known {
		return
	}
	l.known = true
	c := b.red.classify(l.name, &b.names)
	if l.element {
		switch string(b.names.leaf) {
		case "username", "user", "login":
			c = secret
		case "name", "parametername", "parameter", "path", "parameterpath":
			l.naming, l.class = true, b.stack[len(b.stack)-2].floor
		}
	}
	if l.class == plain || l.class == anyURL {
		l.class = c
	}
}

// Value is of cwmp.Visitor. A value without a name is taken for a secret.
func (b *body) Value(t cwmp.Text, xsiType []byte) {
	if !t.Set {
		return
	}
	l := b.top()
	b.learnName(l)
	c := l.class
	if !l.named {
		c, l.class = secret, secret
	}
	if (c == guessed || c == guessedPIN) && isBoolean(t.Bytes, xsiType) {
		c = plain
	}
	b.value(t.Bytes, c)
	if len(xsiType) > 0 {
		if c != plain && c != anyURL && !isSchemaType(xsiType) {
			b.mem.add(xsiType)
			xsiType = []byte(masked)
		}
		b.item("Type")
		b.out = appendString(b.out, clip(xsiType, longestName))
	}
	switch {
	case l.naming:
		b.learnNeighbours(t.Bytes)
	case l.element:
		b.pass()
	}
}

// learnNeighbours: an element of no schema that is called Name may name a
// parameter whose value stands in the elements beside it, mostly behind it.
func (b *body) learnNeighbours(name []byte) {
	list := &b.stack[len(b.stack)-2]
	list.named = true
	if list.hidden {
		return
	}
	switch list.class = b.red.classify(name, &b.names); list.class {
	case plain:
		list.class = list.floor
	case anyURL:
	default:
		if list.early {
			b.late = append(b.late, list.number)
		}
	}
}

// value writes Value, or secret in its place.
func (b *body) value(value []byte, c class) {
	if len(value) == 0 {
		b.item("Value")
		b.out = append(b.out, `""`...)
		return
	}
	switch c {
	case ownURL:
		var ok bool
		if b.text, ok = appendOwnURL(b.text[:0], value, b.mem); ok {
			b.item("Value")
			b.out = appendString(b.out, b.text)
			return
		}
	case plain, anyURL:
		text := b.readable(value, c == anyURL, b.fault)
		if len(text) > b.bound {
			if b.top().begun {
				b.out = append(b.out, ',')
			}
			b.top().begun = true
			b.out = appendCut(b.out, "Value", text, b.bound)
			return
		}
		b.item("Value")
		b.out = appendString(b.out, text)
		return
	}
	b.mem.add(value)
	b.item("secret")
	b.out = b.red.appendSecret(b.out, value, c)
}

// readable gives a text without the credentials of URLs in it and, of a
// fault, without what is called a password there and the secrets of the request.
func (b *body) readable(text []byte, url, fault bool) []byte {
	if url || mayHoldURL(text) {
		b.text = appendMasked(b.text[:0], text, url, b.mem)
		text = b.text
	}
	if fault {
		for _, m := range b.known {
			if m != nil {
				text = m.mask(text)
			}
		}
		text = maskWords(text)
	}
	return text
}

// fieldClass tells what a field of the schema holds.
func fieldClass(name string) class {
	switch name {
	case "Username", "Password", "base64", "Arg": // Arg is Kicked's: a form that somebody filled in
		return secret
	case "Referer", "Next":
		return anyURL
	}
	if strings.HasSuffix(name, "URL") {
		return anyURL
	}
	return plain
}
