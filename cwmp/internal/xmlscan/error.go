package xmlscan

import (
	"fmt"
	"strconv"
)

// Reason says what is wrong with a document, from a closed list.
type Reason string

// The reasons of this package.
const (
	NotXML           Reason = "not-xml"
	UnknownCharset   Reason = "unknown-charset"
	CharsetMismatch  Reason = "charset-mismatch"
	InvalidEncoding  Reason = "invalid-encoding"
	InvalidCharacter Reason = "invalid-character"

	Truncated          Reason = "truncated"
	InvalidDeclaration Reason = "invalid-declaration"
	InvalidMarkup      Reason = "invalid-markup"
	InvalidName        Reason = "invalid-name"
	InvalidReference   Reason = "invalid-reference"
	Doctype            Reason = "doctype"
	MismatchedTag      Reason = "mismatched-tag"
	DuplicateAttribute Reason = "duplicate-attribute"
	UndeclaredPrefix   Reason = "undeclared-prefix"
	ReservedPrefix     Reason = "reserved-prefix"
	TrailingContent    Reason = "trailing-content"

	MultiReference    Reason = "multi-reference"
	UnexpectedText    Reason = "unexpected-text"
	UnexpectedElement Reason = "unexpected-element"

	LimitDepth      Reason = "limit-depth"
	LimitAttributes Reason = "limit-attributes"
	LimitNamespaces Reason = "limit-namespaces"
	LimitName       Reason = "limit-name"
)

// Error is where and why a document was refused.
type Error struct {
	Reason Reason
	Offset int // in the body as it came
	Path   string
	Detail string // for a person; may quote names, never values
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s at byte %d in %s: %s", e.Reason, e.Offset, e.Path, e.Detail)
}

// fail records the first error. What runs off the end of the valid bytes has
// the reason why they end there.
func (s *Scanner) fail(r Reason, at int, detail string) {
	if s.err != nil {
		return
	}
	if r == Truncated {
		at = len(s.src)
		if s.badReason != "" {
			r, detail = s.badReason, s.badDetail
		}
	}
	s.err = &Error{Reason: r, Offset: s.Original(at), Path: s.path(), Detail: detail}
}

// Fail records an error of the caller's at the element that was read last.
func (s *Scanner) Fail(r Reason, detail string) { s.fail(r, s.tagStart, detail) }

// Err is the first error, or nil.
func (s *Scanner) Err() *Error { return s.err }

// pathBytes bounds the path of an error; names come from the network.
const pathBytes = 512

func (s *Scanner) path() string {
	var b []byte
	for i, f := range s.frames {
		if i > 0 {
			b = append(b, '/')
		}
		b = append(b, quote(s.src[f.local:f.nameEnd])...)
		if i > 0 && s.frames[i-1].run > 1 {
			b = append(b, '[')
			b = strconv.AppendInt(b, int64(s.frames[i-1].run), 10)
			b = append(b, ']')
		}
		if len(b) > pathBytes {
			return string(b[:pathBytes]) + "…"
		}
	}
	return string(b)
}

// quote returns a piece of the document fit for an error's text.
func quote(b []byte) string {
	const most = 64
	if len(b) > most {
		return string(b[:most]) + "…"
	}
	return string(b)
}
