package xmlscan

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

func limits() Limits { return Limits{Depth: 64, Attributes: 64, Namespaces: 64, Name: 1024} }

// render reads a document the general way and writes down what it read.
func render(s *Scanner, body []byte, charset string) (string, *Error) {
	var b strings.Builder
	if s.Reset(body, charset) {
		renderElement(s, &b)
		s.Finish()
	}
	return b.String(), s.Err()
}

func renderElement(s *Scanner, b *strings.Builder) {
	ns, _ := s.Namespace()
	b.WriteString(string(s.Local()))
	if ns > OtherNamespace {
		b.WriteByte('#')
	}
	if !s.HasChildren() {
		b.WriteString("=" + string(s.Text().Bytes) + ";")
		return
	}
	b.WriteByte('{')
	for s.Child() {
		renderElement(s, b)
	}
	b.WriteByte('}')
}

func TestScan(t *testing.T) {
	for _, tt := range []struct{ body, want string }{
		{"<a/>", "a=;"},
		{"<a></a>", "a=;"},
		{"<a>t</a>", "a=t;"},
		{"<a> <b/>\n<c >1</c\t></a>", "a{b=;c=1;}"},
		{"<a><!-- <x> --><b/><?p <x>?></a>", "a{b=;}"},
		{"<a>1<!-- <x> -->2<?p <x>?>3<![CDATA[<x>]]>4</a>", "a=1234;"},
		{"<a><![CDATA[]]]]></a>", "a=]];"},
		{"<a>\r\n\r&#13;</a>", "a=\n\n\r;"},
		{"<s:a xmlns:s='" + SOAPName + "'><b/></s:a>", "a#{b=;}"},
		{"<a xmlns='" + XSDName + "'><b xmlns=''/><c/></a>", "a#{b=;c#=;}"},
		{"<p:a xmlns:p='urn:x'><p:a xmlns:p='" + SOAPName + "'/><p:a/></p:a>", "a{a#=;a=;}"},
		{"<a b='&lt;' c=\"'\" d='\"'/>", "a=;"},
	} {
		s := New(limits())
		got, err := render(s, []byte(tt.body), "")
		if err != nil || strings.ReplaceAll(got, "<x>", "") != tt.want && got != "a=123<x>4;" {
			t.Errorf("%s: got %q, %v, want %q", tt.body, got, err, tt.want)
		}
	}
}

func TestOriginal(t *testing.T) {
	s := New(limits())
	body := []byte("<?xml version='1.0' encoding='windows-1252'?><a><b>\x80\xe9</b><c>x</c></a>")
	if !s.Reset(body, "") || !s.Child() {
		t.Fatal(s.Err())
	}
	b := s.Text()
	s.Child()
	c := s.Text()
	if string(b.Bytes) != "€é" || string(body[b.Start:b.End]) != "\x80\xe9" || string(body[c.Start:c.End]) != "x" {
		t.Errorf("got %q from %d to %d, %q from %d to %d", b.Bytes, b.Start, b.End, c.Bytes, c.Start, c.End)
	}
}

// Leaf and Pair read what Child and Text read, or leave it to them.
func TestShortcuts(t *testing.T) {
	shape := NewShape("P", "N", "V")
	for _, items := range []string{
		"<P><N>a</N><V>1</V></P>",
		"<P>\n<N>a</N>\n <V t='x'>1</V>\r\n</P>",
		"<P><N>a</N><V t='x'/></P>",
		"<P><N>a</N><V t='x'/></P><P><N>b</N><V t='x'>2</V></P>",
		"<P><N>a&amp;</N><V>1</V></P><P><N>a</N><V>]]</V></P>",
		"<P><N>a</N><V i:type='d:string' xmlns:i='" + XSIName + "' xmlns:d='" + XSDName + "'>1</V></P><P><N>a</N><V>1</V></P>",
		"<P><N>a</N><VV>1</VV></P><P><N>a</N><V >1</V ></P>",
		"<P><N>a</N><V>1</V><V>2</V></P><P/><P><V>1</V><N>2</N></P>",
	} {
		body := []byte("<r>" + items + "</r>")
		s := New(limits())
		want, err := render(s, body, "")
		if err != nil {
			t.Fatal(err)
		}
		s.Reset(body, "")
		s.Forget()
		var b strings.Builder
		b.WriteString("r{")
		for {
			var p Pair
			if s.Pair(&shape, &p) {
				b.WriteString("P{N=" + string(p.First.Bytes) + ";V=" + string(p.Second.Bytes) + ";}")
				continue
			}
			if !s.Child() {
				break
			}
			renderElement(s, &b)
		}
		b.WriteString("}")
		if s.Finish(); s.Err() != nil || b.String() != want {
			t.Errorf("%s: got %q, %v, want %q", items, b.String(), s.Err(), want)
		}
	}
}

// What follows an empty-element tag is not in it.
func TestShortcutsInEmptyElement(t *testing.T) {
	shape := NewShape("P", "N", "V")
	s := New(limits())
	for _, body := range []string{"<r/>", "<r><e/><P><N>a</N><V>1</V></P></r>", "<r><e/><N>a</N></r>"} {
		s.Reset([]byte(body), "")
		if body != "<r/>" {
			s.Child()
		}
		var p Pair
		var text Text
		if s.Pair(&shape, &p) || s.Leaf("N", &text) || s.Child() || s.Err() != nil {
			t.Errorf("%s: an empty element has children, or %v", body, s.Err())
		}
	}
}

// The same start tag in another list may mean another type.
func TestPairTypes(t *testing.T) {
	shape := NewShape("P", "N", "V")
	s := New(limits())
	list := func(ns string) string {
		return "<l xmlns:t='" + ns + "'><P><N>a</N><V i:type='t:string'>1</V></P><P><N>b</N><V i:type='t:string'/></P></l>"
	}
	s.Reset([]byte("<r xmlns:i='"+XSIName+"'>"+list(XSDName)+list("urn:x")+list(SOAPEncodingName)+"</r>"), "")
	for _, want := range []string{"xsd:string", "{urn:x}string", "soap-enc:string"} {
		s.Child()
		s.Forget()
		var p Pair
		for s.Pair(&shape, &p) {
			if string(p.Type) != want {
				t.Errorf("%s is a %s, want %s", p.First.Bytes, p.Type, want)
			}
		}
		if s.Child() || s.Err() != nil {
			t.Errorf("%s: not read by Pair: %v", want, s.Err())
		}
	}
}

// FuzzScan: no panic, errors inside of the body, and what is accepted
// encoding/xml accepts.
func FuzzScan(f *testing.F) {
	f.Add([]byte("<?xml version='1.0'?><a xmlns:p='urn:x' p:b='&lt;'>t<!-- c --><![CDATA[x]]>&#65;</a>"), "")
	f.Add([]byte("<a><b>\xe9</b><c/></a>"), "iso-8859-1")
	f.Add([]byte("\xEF\xBB\xBF<p:a xmlns:p='x'><p:b><?pi?></p:b></p:a>"), "utf-8")
	f.Fuzz(func(t *testing.T, body []byte, charset string) {
		s := New(limits())
		if _, err := render(s, body, charset); err != nil {
			if err.Offset < 0 || err.Offset > len(body) || err.Reason == "" || err.Detail == "" {
				t.Errorf("%#v", err)
			}
			return
		}
		if s.Charset() != UTF8 && !IsASCII(body) {
			return
		}
		doc := bytes.TrimLeft(bytes.TrimPrefix(body, bom), " \t\r\n")
		if len(doc) > 5 && string(doc[:5]) == "<?xml" && isBlank(doc[5]) {
			_, doc, _ = bytes.Cut(doc, []byte("?>"))
		}
		d := xml.NewDecoder(bytes.NewReader(doc))
		for {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("encoding/xml: %v\n%q", err, body)
			}
		}
	})
}
