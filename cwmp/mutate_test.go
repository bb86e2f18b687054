package cwmp

import (
	"bytes"
	"math/rand/v2"
	"regexp"
	"strings"

	"golang.org/x/text/encoding/charmap"
)

// mutator makes messages that are nearly right out of right ones: it changes
// them by the pieces that XML and SOAP are made of, so that most reach deep into
// the decoder.
type mutator struct {
	*rand.Rand
	tokens  []string
	charset string // of Content-Type
	encode  string // what to encode as at the end, "" for UTF-8
}

var tokenPattern = regexp.MustCompile(`(?s)<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>|<[^>]*>|[^<]+`)

// inserted are pieces to put between others.
var inserted = []string{
	"<!-- c -->", "<!---->", "<!-- -- -->", "<!--->", "<![CDATA[]]>", "<![CDATA[ x ]]>", "<![CDATA[]]]]>", "]]>", "]]", "<?pi?>", "<?pi a b?>",
	"<?xml version=\"1.0\"?>", "<?p:i?>", " ", "\n", "\r\n", "\r", "\t", "text", "&amp;", "&lt;", "&gt;", "&#x20;", "&#13;", "&#65;", "&#0;", "&#xD800;",
	"&#xFFFE;", "&#x10FFFF;", "&nbsp;", "&", "<", ">", "\"", "'", "é", "€", "\u0085", "\u2028", "\x01", "\x7F", "\uFFFE", "\uFEFF", "\xff",
	"<x/>", "<x>1</x>", "<x xmlns=\"urn:x\"><y>2</y></x>", "<Name>n</Name>", "<Value>v</Value>", "<string>s</string>", "<ParameterList/>",
	"<ParameterValueStruct><Name>A</Name><Value>1</Value></ParameterValueStruct>", "<ParameterValueStruct/>", "<DeviceId/>", "<CommandKey/>",
	"<cwmp:Reboot><CommandKey/></cwmp:Reboot>", "<soap:Header/>", "<soap:Body/>", "<!DOCTYPE a>", "<!DOCTYPE a [<!ENTITY e \"x\">]>", "<Größe/>", "<a:b/>", "<:a/>", "<1/>",
	"</x>", "<x>", "<xml:x/>", "<Fault/>", "<Type>cwmp:InstallOpStruct</Type>",
}

// attributes are pieces to put into start tags.
var attributes = []string{
	` a="1"`, ` a='1'`, ` a="1" a="2"`, ` a = "1"`, "\n a=\"1\"", `a="1"`, ` a`, ` a=1`, ` a="<"`, ` a=">"`, ` a="&amp;"`, ` a="&x;"`, ` a="'"`, ` a="/>"`,
	` href="#1"`, ` id="1"`, ` xml:lang="en"`, ` xml:id="x"`, ` xmlns=""`, ` xmlns="urn:example"`, ` xmlns:p="urn:example"`, ` xmlns:p=""`, ` p:a="1"`,
	` xmlns:p="urn:example" xmlns:q="urn:example" p:a="1" q:a="2"`, ` xmlns:xml="urn:x"`, ` xmlns:xmlns="urn:x"`, ` xmlns:soap="urn:x"`, ` xmlns:cwmp="urn:dslforum-org:cwmp-1-2"`,
	` xmlns:cwmp="http://www.w3.org/2001/XMLSchema"`, ` xmlns:xsi="urn:x"`, ` xmlns:xsd="urn:y"`, ` xsi:type="xsd:string"`, ` xsi:type="cwmp:x"`, ` xsi:type="{a}b"`, ` xsi:type=" a:b:c "`, ` xsi:nil="true"`,
	` é="1"`, ` :a="1"`, ` a:="1"`, ` a="` + "\t" + `"`, ` a="é"`, ` /`, `/`, ` `, "\r\n",
}

var attributePattern = regexp.MustCompile(`\s[\w:.-]+\s*=\s*("[^"]*"|'[^']*')`)

// mutate changes a body, in UTF-8, in n ways.
func mutate(r *rand.Rand, body []byte, others [][]byte, n int) ([]byte, string) {
	m := &mutator{Rand: r, tokens: tokenPattern.FindAllString(string(body), -1)}
	if len(m.tokens) == 0 {
		return body, ""
	}
	for range n {
		m.once(others)
	}
	return m.bytes()
}

func (m *mutator) pick(list []string) string { return list[m.IntN(len(list))] }

func (m *mutator) once(others [][]byte) {
	i, j := m.IntN(len(m.tokens)), m.IntN(len(m.tokens))
	switch m.IntN(16) {
	case 0:
		m.insert(i, m.tokens[j])
	case 1:
		if len(m.tokens) > 1 {
			m.tokens = append(m.tokens[:i], m.tokens[i+1:]...)
		}
	case 2:
		m.tokens[i], m.tokens[j] = m.tokens[j], m.tokens[i]
	case 3, 4:
		m.insert(i, m.pick(inserted))
	case 5, 6:
		m.inTag(i)
	case 7:
		m.tokens[i] = attributePattern.ReplaceAllStringFunc(m.tokens[i], func(a string) string {
			if m.IntN(2) == 0 {
				return ""
			}
			return a + a
		})
	case 8:
		m.rename(i)
	case 9, 10:
		m.inText()
	case 11:
		from, to := min(i, j), max(i, j)
		m.insert(to, strings.Join(m.tokens[from:min(to, from+12)], ""))
	case 12:
		donor := tokenPattern.FindAllString(string(others[m.IntN(len(others))]), -1)
		m.insert(i, m.pick(donor))
	case 13:
		m.encoding()
	case 14:
		m.tokens[i] = strings.ReplaceAll(m.tokens[i], `"`, `'`)
	case 15:
		m.emptyTag(i)
	}
}

func (m *mutator) insert(i int, token string) {
	m.tokens = append(m.tokens[:i], append([]string{token}, m.tokens[i:]...)...)
}

func (m *mutator) inTag(i int) {
	t := m.tokens[i]
	end := strings.LastIndexAny(t, "/>")
	if strings.HasPrefix(t, "<") && end > 0 {
		m.tokens[i] = t[:end] + m.pick(attributes) + t[end:]
	}
}

// rename changes a prefix or a name, in one tag or in all.
func (m *mutator) rename(i int) {
	from := m.pick([]string{"cwmp:", "soap:", "xsd:", "xsi:", "enc:", "Name", "Value", "ParameterList", "string", "Header", "Body", "Envelope", "CommandKey", "Inform"})
	to := m.pick([]string{"cwmp:", "soap:", "", "p:", "SOAP-ENV:", "name", "Value", "Name", "ParameterList", "Fault", "X_00005E_", "é"})
	if m.IntN(2) == 0 {
		m.tokens[i] = strings.ReplaceAll(m.tokens[i], from, to)
		return
	}
	for k, t := range m.tokens {
		t = strings.ReplaceAll(t, from, to)
		if strings.HasSuffix(from, ":") && strings.HasSuffix(to, ":") {
			t = strings.ReplaceAll(t, "xmlns:"+strings.TrimSuffix(from, ":")+"=", "xmlns:"+strings.TrimSuffix(to, ":")+"=")
		}
		m.tokens[k] = t
	}
}

func (m *mutator) inText() {
	var at []int
	for i, t := range m.tokens {
		if !strings.HasPrefix(t, "<") {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return
	}
	i := at[m.IntN(len(at))]
	t := m.tokens[i]
	cut := m.IntN(len(t) + 1)
	m.tokens[i] = t[:cut] + m.pick(inserted) + t[cut:]
}

func (m *mutator) emptyTag(i int) {
	t := m.tokens[i]
	switch {
	case strings.HasSuffix(t, "/>"):
		name := strings.FieldsFunc(t[1:len(t)-2], func(r rune) bool { return r == ' ' || r == '\n' })
		if len(name) > 0 {
			m.tokens[i] = t[:len(t)-2] + "></" + name[0] + ">"
		}
	case strings.HasPrefix(t, "<") && strings.HasSuffix(t, ">") && i+1 < len(m.tokens) && strings.HasPrefix(m.tokens[i+1], "</"):
		m.tokens[i] = t[:len(t)-1] + "/>"
		m.tokens = append(m.tokens[:i+1], m.tokens[i+2:]...)
	}
}

func (m *mutator) encoding() {
	label := m.pick([]string{"UTF-8", "utf8", "ISO-8859-1", "windows-1252", "us-ascii", "UTF-16", "klingon", ""})
	m.charset = m.pick([]string{"", "", "", "utf-8", "iso-8859-1", "windows-1252", "us-ascii", "x"})
	m.encode = m.pick([]string{"", label})
	if strings.HasPrefix(m.tokens[0], "<?xml") {
		m.tokens = m.tokens[1:]
	}
	if label != "" {
		m.insert(0, `<?xml version="1.0" encoding="`+label+`"?>`)
	}
	m.insert(0, m.pick([]string{"", "", "", "\uFEFF", "\n"}))
	m.inText()
}

func (m *mutator) bytes() ([]byte, string) {
	text := strings.Join(m.tokens, "")
	var encoded []byte
	switch m.encode {
	case "ISO-8859-1":
		encoded, _ = charmap.ISO8859_1.NewEncoder().Bytes([]byte(text))
	case "windows-1252":
		encoded, _ = charmap.Windows1252.NewEncoder().Bytes([]byte(text))
	}
	if encoded == nil {
		encoded = []byte(text)
	}
	return bytes.Clone(encoded), m.charset
}
