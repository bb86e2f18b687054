package cwmp

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/cwmpgate/cwmpgate/cwmp/internal/xmlscan"
)

// Edit replaces the text of one element.
type Edit struct {
	Start, End int    // as in the Text
	Value      []byte // plain UTF-8; Apply escapes and transcodes it
}

// Edit returns the edit of t that leaves the blanks around the text as they
// are. body is what t was decoded from.
func (t Text) Edit(body, value []byte) Edit {
	e := Edit{Start: t.Start, End: t.End, Value: value}
	for e.Start < e.End && isBlank(body[e.Start]) {
		e.Start++
	}
	for e.End > e.Start && isBlank(body[e.End-1]) {
		e.End--
	}
	return e
}

// Apply appends body to dst with the edits made, in any order; all other bytes
// stay. charset is the Charset of the message that body was decoded to. An
// edit whose value reads as what is there already changes nothing, however it
// is written. An empty-element tag that gets a value becomes a start and an end
// tag. Characters that the charset does not have become references; so do all
// beyond US-ASCII in a body that has none yet, for then nobody had to know its
// charset before. It is an
// error if a value holds what XML forbids, if edits overlap, or if a range is
// not the whole content of an element, blanks aside.
func Apply(dst, body []byte, charset string, edits ...Edit) ([]byte, error) {
	if !slices.IsSortedFunc(edits, byStart) {
		edits = slices.SortedFunc(slices.Values(edits), byStart)
	}
	if xmlscan.IsASCII(body) {
		charset = xmlscan.ASCII
	}
	done := 0
	for _, e := range edits {
		if e.Start < done || e.End < e.Start || e.End > len(body) {
			return nil, fmt.Errorf("edit of bytes %d to %d: outside of the body or over another edit", e.Start, e.End)
		}
		dst = append(dst, body[done:e.Start]...)
		var err error
		if dst, err = e.apply(dst, body, charset); err != nil {
			return nil, fmt.Errorf("edit of bytes %d to %d: %w", e.Start, e.End, err)
		}
		done = e.End
	}
	return append(dst, body[done:]...), nil
}

func byStart(a, b Edit) int { return a.Start - b.Start }

func (e Edit) apply(dst, body []byte, charset string) ([]byte, error) {
	if err := checkText(e.Value); err != nil {
		return nil, err
	}
	name, empty, ok := e.place(body)
	if !ok {
		return nil, fmt.Errorf("not the whole content of an element")
	}
	raw := body[e.Start:e.End]
	if empty {
		if len(e.Value) == 0 {
			return append(dst, raw...), nil
		}
		dst = appendIn(append(dst, '>'), e.Value, charset)
		return append(append(append(dst, '<', '/'), name...), '>'), nil
	}
	old, err := xmlscan.Content(raw, charset)
	if err != nil {
		return nil, fmt.Errorf("not the text of one element: %w", err)
	}
	if bytes.Equal(old, e.Value) {
		return append(dst, raw...), nil
	}
	return appendIn(dst, e.Value, charset), nil
}

// place finds the tag before the range: no "<" stands in attributes or text, so
// the last one begins it. The range is the rest of an empty-element tag, or
// what stands between the tag and an end tag.
func (e Edit) place(body []byte) (name []byte, empty, ok bool) {
	tag := bytes.LastIndexByte(body[:e.Start], '<')
	if tag < 0 {
		return nil, false, false
	}
	end := tag + 1
	for end < len(body) && !isBlank(body[end]) && body[end] != '/' && body[end] != '>' {
		end++
	}
	name = body[tag+1 : end]
	var quotes byte
	for end < len(body) && (quotes != 0 || body[end] != '>') {
		switch c := body[end]; {
		case quotes == 0 && (c == '"' || c == '\''):
			quotes = c
		case c == quotes:
			quotes = 0
		}
		end++
	}
	if end >= e.Start {
		return name, true, end == e.End-1 && e.Start == end-1 && body[e.Start] == '/'
	}
	before := trim(body[end+1 : e.Start])
	after := body[e.End:]
	for len(after) > 0 && isBlank(after[0]) {
		after = after[1:]
	}
	return name, false, len(before) == 0 && bytes.HasPrefix(after, []byte("</"))
}

func checkText(b []byte) error {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return fmt.Errorf("the value is not UTF-8 at byte %d", i)
		}
		if r < ' ' && !isBlank(byte(r)) || r == 0xFFFE || r == 0xFFFF {
			return fmt.Errorf("the value holds %U, which XML forbids, at byte %d", r, i)
		}
		i += n
	}
	return nil
}

// appendIn appends text, escaped, in a charset.
func appendIn(dst, text []byte, charset string) []byte {
	if charset == "" || charset == xmlscan.UTF8 {
		return appendEscaped(dst, text, false)
	}
	for _, r := range string(text) {
		if r < utf8.RuneSelf {
			dst = appendEscaped(dst, []byte{byte(r)}, false)
		} else if b, ok := xmlscan.ByteOf(charset, r); ok {
			dst = append(dst, b)
		} else {
			dst = fmt.Appendf(dst, "&#x%X;", r)
		}
	}
	return dst
}
