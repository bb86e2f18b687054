package proxy

import (
	"bytes"
	"compress/gzip"
	"io"

	"github.com/cwmpgate/cwmpgate/proxy/h1"
)

// sniffed is how much of a file is looked at: where the root element of an XML
// document does not begin within it, the document is taken for a message.
const sniffed = 4 << 10

// sniff tells whether a file that is to be streamed is a CWMP message, and
// returns the file with what was looked at in front again.
func sniff(r io.Reader, fields []h1.Field) (whole io.Reader, isMessage bool, err error) {
	head := make([]byte, sniffed)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, false, err
	}
	head = head[:n]
	ended := err != nil
	plain := head
	if c, err := contentCoding(fields); err == nil && c != codingNone {
		if plain, ended = inflatedHead(head, c), false; len(plain) == 0 && n > 0 {
			return nil, true, nil // what it holds stands further on, if at all
		}
	}
	return io.MultiReader(bytes.NewReader(head), r), isEnvelope(plain, ended), nil
}

// inflatedHead is what the beginning of a compressed file begins with.
func inflatedHead(packed []byte, c coding) []byte {
	r, err := inflater(bytes.NewReader(packed), packed, c)
	if err != nil {
		return nil
	}
	if z, ok := r.(*gzip.Reader); ok {
		z.Multistream(true) // the first of several streams may be empty
	}
	plain := make([]byte, sniffed)
	n, _ := io.ReadFull(r, plain)
	return plain[:n]
}

// isEnvelope looks for the root element of an XML document. It reads no XML
// strictly: it must find what any reader could take for a message. whole says
// that head is all there is.
func isEnvelope(head []byte, whole bool) bool {
	b := asASCII(head)
	for {
		b = bytes.TrimLeft(b, " \t\r\n\f\v")
		end := ""
		switch {
		case len(b) == 0:
			return !whole && len(head) > 0
		case bytes.HasPrefix(b, []byte("<!--")):
			end = "-->"
		case bytes.HasPrefix(b, []byte("<?")):
			end = "?>"
		case bytes.HasPrefix(b, []byte("<!")):
			end = ">"
		default:
			return rootName(b) == "Envelope"
		}
		i := bytes.Index(b, []byte(end))
		if i < 0 {
			return !whole
		}
		b = b[i+len(end):]
	}
}

// rootName is the local name of the element that b begins with, "" if none.
func rootName(b []byte) string {
	if b[0] != '<' {
		return ""
	}
	name := b[1:]
	if i := bytes.IndexAny(name, " \t\r\n/>"); i >= 0 {
		name = name[:i]
	}
	return string(name[bytes.LastIndexByte(name, ':')+1:])
}

// asASCII drops a byte order mark, and the zeros of UTF-16 where the text begins
// as a document in it does.
func asASCII(b []byte) []byte {
	switch {
	case bytes.HasPrefix(b, []byte("\xef\xbb\xbf")):
		return b[3:]
	case bytes.HasPrefix(b, []byte("\xff\xfe")), bytes.HasPrefix(b, []byte("\xfe\xff")):
		return bytes.ReplaceAll(b[2:], []byte{0}, nil)
	}
	text := bytes.Trim(b[:min(len(b), 64)], " \t\r\n\x00")
	if bytes.HasPrefix(text, []byte("<\x00")) {
		return bytes.ReplaceAll(b, []byte{0}, nil)
	}
	return b
}
