package cwmp

import (
	"bytes"
	"strings"
	"testing"
)

// An edit is written as body, with the value in brackets: what Edit covers.
func TestApply(t *testing.T) {
	const long = "http://192.0.2.1/a?b=1&c=2"
	for _, tt := range []struct {
		name, charset, body, value, want string
	}{
		{"plain", "utf-8", "<a><Value>[60]</Value></a>", "300", "<a><Value>300</Value></a>"},
		{"escaped", "utf-8", "<Value>[x]</Value>", long + "<>\r\n\"'", "<Value>http://192.0.2.1/a?b=1&amp;c=2&lt;&gt;&#xD;\n\"'</Value>"},
		{"empty content", "utf-8", "<Value>[]</Value>", "x", "<Value>x</Value>"},
		{"to empty", "utf-8", "<Value>[x]</Value>", "", "<Value></Value>"},
		{"empty tag", "utf-8", "<v:Value a='/>' b=\"1\"[/>]<b/>", "x", "<v:Value a='/>' b=\"1\">x</v:Value><b/>"},
		{"empty tag, blank", "utf-8", "<Value [/>]", "x&", "<Value >x&amp;</Value>"},
		{"empty tag to empty", "utf-8", "<Value[/>]", "", "<Value/>"},
		{"content that looks like an empty tag", "utf-8", "<Value> [/>]</Value>", "x", "<Value> x</Value>"},
		{"cdata", "utf-8", "<Value>[<![CDATA[a<b]]>]</Value>", "c<d", "<Value>c&lt;d</Value>"},
		{"cdata and more", "utf-8", "<Value>[a<![CDATA[b]]><!-- c -->&lt;]</Value>", "x", "<Value>x</Value>"},
		{"itself in cdata", "utf-8", "<Value>[<![CDATA[a<b]]>]</Value>", "a<b", "<Value><![CDATA[a<b]]></Value>"},
		{"itself with references", "utf-8", "<Value>[&#x20;&lt;&#62;]</Value>", " <>", "<Value>&#x20;&lt;&#62;</Value>"},
		{"blanks stay", "utf-8", "<Value>\r\n\t [x] \n</Value>", "y", "<Value>\r\n\t y \n</Value>"},
		{"utf-8 body", "utf-8", "<Value b='é'>[x]</Value>", "é€", "<Value b='é'>é€</Value>"},
		{"ascii body stays so", "utf-8", "<Value>[x]</Value>", "é€", "<Value>&#xE9;&#x20AC;</Value>"},
		{"latin1", "iso-8859-1", "<Value b='\xe9'>[\xe9]</Value>", "ü€\u0080", "<Value b='\xe9'>\xfc&#x20AC;\x80</Value>"},
		{"windows-1252", "windows-1252", "<Value b='\xe9'>[\x80]</Value>", "€ü\u0080", "<Value b='\xe9'>\x80\xfc&#x80;</Value>"},
		{"windows-1252 itself", "windows-1252", "<Value>[\x80&amp;]</Value>", "€&", "<Value>\x80&amp;</Value>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start, end := strings.IndexByte(tt.body, '['), strings.LastIndexByte(tt.body, ']')
			if i := strings.Index(tt.body, "[<![CDATA["); i >= 0 {
				start = i
			}
			body := []byte(tt.body[:start] + tt.body[start+1:end] + tt.body[end+1:])
			got, err := Apply([]byte("before"), body, tt.charset, Edit{start, end - 1, []byte(tt.value)})
			if err != nil || string(got) != "before"+tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestApplyRefuses(t *testing.T) {
	body := []byte("<a><b>12</b><c x='>'/><d>34</d></a>")
	at := func(s string) Edit {
		i := bytes.Index(body, []byte(s))
		return Edit{i, i + len(s), []byte("x")}
	}
	with := func(value string) []Edit { return []Edit{{6, 8, []byte(value)}} }
	for name, edits := range map[string][]Edit{
		"control character": with("a\x00"),
		"not UTF-8":         with("\xff"),
		"U+FFFE":            with("\uFFFE"),
		"half of a text":    {{6, 7, nil}},
		"other half":        {{7, 8, nil}},
		"elements":          {at("<b>12</b>")},
		"a name":            {at("d>34")},
		"an attribute":      {at(">'")},
		"part of a tag":     {at("/><d>")},
		"before the root":   {{0, 0, []byte("x")}},
		"between elements":  {{12, 12, []byte("x")}},
		"beyond the end":    {{30, 99, nil}},
		"backwards":         {{8, 6, nil}},
		"negative":          {{-1, 1, nil}},
		"overlapping":       {{6, 8, nil}, {6, 8, nil}},
	} {
		if got, err := Apply(nil, body, "utf-8", edits...); err == nil {
			t.Errorf("%s: got %q", name, got)
		}
	}
	got, err := Apply(nil, body, "utf-8", at("34"), at("12"), at("/>"))
	if want := "<a><b>x</b><c x='>'>x</c><d>x</d></a>"; err != nil || string(got) != want {
		t.Errorf("in any order: %q, %v", got, err)
	}
}

// The edit of a text that stands between blanks leaves the blanks.
func TestTextEdit(t *testing.T) {
	for _, s := range samples(t, "accept") {
		if s.name != "odd-blanks-everywhere" {
			continue
		}
		m, err := NewDecoder(DefaultLimits()).Decode(s.body, "")
		if err != nil {
			t.Fatal(err)
		}
		value := m.RPC.(*Inform).ParameterList[0].Value
		got, err := Apply(nil, s.body, m.Charset, value.Edit(s.body, []byte("new")))
		if want := bytes.Replace(s.body, []byte("\n v \n"), []byte("\n new \n"), 1); err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %q, %v", got, err)
		}
	}
}
