package cwmp

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// Messages of every session are decoded without allocation once the decoder has
// seen their like, however they are written.
func TestDecodeAllocs(t *testing.T) {
	pretty := strings.NewReplacer("><", ">\r\n  <").Replace
	values := string(benchValues(100_000))
	for name, body := range map[string]string{
		"inform":          string(benchInform()),
		"inform, pretty":  pretty(string(benchInform())),
		"values":          values,
		"values, pretty":  pretty(values),
		"values, latin-1": strings.NewReplacer("UTF-8", "ISO-8859-1", "tablet", "\xfcber").Replace(values),
		"values, foreign": strings.ReplaceAll(values, "xsd:", "xs:"),
		"values, cdata":   strings.ReplaceAll(values, "-61", "<![CDATA[-61]]>"),
		"names":           fmt.Sprintf(benchEnvelope, "<cwmp:GetParameterValues><ParameterNames>"+strings.Repeat("<string>A.B</string>", 100)+"</ParameterNames></cwmp:GetParameterValues>"),
		"inform response": fmt.Sprintf(benchEnvelope, "<cwmp:InformResponse><MaxEnvelopes>1</MaxEnvelopes></cwmp:InformResponse>"),
	} {
		d, b := NewDecoder(DefaultLimits()), []byte(body)
		allocs := testing.AllocsPerRun(20, func() {
			if _, err := d.Decode(b, ""); err != nil {
				t.Fatal(name, err)
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

// Bodies that are made to be costly cost memory in proportion to their size.
func TestDecodeMemory(t *testing.T) {
	const size = 4 << 20
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	rpc := func(s string) string { return fmt.Sprintf(benchEnvelope, "<cwmp:X_00005E_A>"+s+"</cwmp:X_00005E_A>") }
	values := func(s string) string {
		return fmt.Sprintf(benchEnvelope, "<cwmp:SetParameterValues><ParameterList>"+s+"</ParameterList></cwmp:SetParameterValues>")
	}
	var types string
	for i := range 100 {
		types += fmt.Sprintf(`<ParameterValueStruct><Name>a</Name><Value xsi:type="n:a%d">b</Value></ParameterValueStruct>`, i)
	}
	for name, body := range map[string]string{
		"deep":            rpc(fill("<a>")),
		"deep, no tags":   fill("<"),
		"elements":        rpc(fill("<a/>")),
		"values":          values(fill("<ParameterValueStruct/>")),
		"short values":    values(fill("<ParameterValueStruct><Name/><Value/></ParameterValueStruct>")),
		"attributes":      rpc("<a " + fill(`a="1" `) + "/>"),
		"namespaces":      rpc("<a " + fill(`xmlns:a="b" `) + "/>"),
		"name":            rpc("<" + fill("a") + "/>"),
		"attribute name":  rpc("<a " + fill("a") + "='1'/>"),
		"attribute value": rpc("<a a='" + fill("&amp;") + "'/>"),
		"namespace":       values("<X xmlns:n='" + fill("u") + "' />" + fill("<ParameterValueStruct/>")),
		"long types":      strings.Replace(values(types), "xmlns:xsi", "xmlns:n='"+fill("u")+"' xmlns:xsi", 1),
		"text":            values("<ParameterValueStruct><Name>" + fill("a") + "</Name></ParameterValueStruct>"),
		"references":      values("<ParameterValueStruct><Name>" + fill("&#x20AC;") + "</Name></ParameterValueStruct>"),
		"one reference":   values("<ParameterValueStruct><Name>&" + fill("a") + "</Name></ParameterValueStruct>"),
		"cdata":           values("<ParameterValueStruct><Name>" + fill("<![CDATA[a]]>") + "</Name></ParameterValueStruct>"),
		"comments":        values(fill("<!---->")),
		"latin-1":         strings.Replace(values("<ParameterValueStruct><Name>"+fill("\xe9")+"</Name></ParameterValueStruct>"), "UTF-8", "windows-1252", 1),
		"euro signs":      strings.Replace(values("<ParameterValueStruct><Name>"+fill("\x80")+"</Name></ParameterValueStruct>"), "UTF-8", "windows-1252", 1),
		"header":          strings.Replace(values(""), "<soap-env:Header>", "<soap-env:Header><x>"+fill("a&lt;")+"</x>", 1),
	} {
		t.Run(name, func(t *testing.T) {
			b := []byte(body)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := NewDecoder(DefaultLimits()).Decode(b, "")
			runtime.ReadMemStats(&after)
			used := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d bytes: %d allocated, %.100v", len(b), used, err)
			// The fixed part is 100,000 parameters or elements, in slices that
			// grow by a quarter.
			if most := uint64(12*len(b) + 80<<20); used > most {
				t.Errorf("%d bytes allocated for a body of %d, over %d", used, len(b), most)
			}
		})
	}
}
