package cwmptest

import (
	"fmt"
	"strconv"
	"strings"
)

// Parameter is a name with its value and XML Schema type ("string" where empty).
type Parameter struct{ Name, Value, Type string }

// Event is one EventStruct of an Inform.
type Event struct{ Code, CommandKey string }

// Identity is a DeviceId.
type Identity struct{ Manufacturer, OUI, ProductClass, Serial string }

// Fault is what a CPE or an ACS answers instead of a response.
type Fault struct {
	Code, Text string
	Parameters []ParameterFault
}

// ParameterFault is the reason for one parameter of a SetParameterValues.
type ParameterFault struct{ Name, Code, Text string }

// Envelope is one message to be written. RPC is the XML inside the Body, in
// which the prefix cwmp is bound; ID and Header are left out where empty.
type Envelope struct {
	Version string // of the cwmp namespace; "1-0" where empty
	ID      string
	Header  string // XML of further header elements
	RPC     string
	Spaces  bool // white space between all tags and around all texts
	Latin1  bool // declared and encoded as ISO-8859-1
}

// Append appends the message's bytes.
func (e Envelope) Append(dst []byte) []byte {
	var b strings.Builder
	b.WriteString(`<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"` +
		` xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/" xmlns:xsd="http://www.w3.org/2001/XMLSchema"` +
		` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:cwmp="urn:dslforum-org:cwmp-`)
	if e.Version == "" {
		e.Version = "1-0"
	}
	b.WriteString(e.Version + `"><soapenv:Header>`)
	if e.ID != "" {
		b.WriteString(`<cwmp:ID soapenv:mustUnderstand="1">` + escape(e.ID) + `</cwmp:ID>`)
	}
	b.WriteString(e.Header + `</soapenv:Header><soapenv:Body>` + e.RPC + `</soapenv:Body></soapenv:Envelope>`)
	text := b.String()
	if e.Spaces {
		text = spread(text)
	}
	if e.Latin1 {
		return appendLatin1(append(dst, `<?xml version="1.0" encoding="ISO-8859-1"?>`+"\n"...), text)
	}
	dst = append(dst, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"...)
	return append(dst, text...)
}

// spread puts white space wherever a lazy printf of real firmware puts it.
func spread(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		end := strings.IndexByte(text[i:], '>')
		if end < 0 {
			b.WriteString(text[i:])
			break
		}
		end += i + 1
		b.WriteString(text[i:end])
		b.WriteString("\n  ")
		i = end
		next := strings.IndexByte(text[i:], '<')
		if next > 0 {
			b.WriteString(text[i:i+next] + " \r\n\t")
			i += next
		}
	}
	return b.String()
}

func appendLatin1(dst []byte, text string) []byte {
	for _, r := range text {
		if r < 0x100 {
			dst = append(dst, byte(r))
		} else {
			dst = fmt.Appendf(dst, "&#%d;", r)
		}
	}
	return dst
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "\r", "&#13;")

func escape(s string) string { return escaper.Replace(s) }

func element(name, text string) string { return "<" + name + ">" + escape(text) + "</" + name + ">" }

// array writes a list whose SOAP array type counts its items.
func array(name, item string, items []string) string {
	return fmt.Sprintf(`<%s soapenc:arrayType="%s[%d]">%s</%s>`, name, item, len(items), strings.Join(items, ""), name)
}

func parameterList(parameters []Parameter) string {
	items := make([]string, len(parameters))
	for i, p := range parameters {
		kind := p.Type
		if kind == "" {
			kind = "string"
		}
		items[i] = "<ParameterValueStruct>" + element("Name", p.Name) + `<Value xsi:type="xsd:` + kind + `">` +
			escape(p.Value) + "</Value></ParameterValueStruct>"
	}
	return array("ParameterList", "cwmp:ParameterValueStruct", items)
}

func nameList(list string, names []string) string {
	items := make([]string, len(names))
	for i, n := range names {
		items[i] = element("string", n)
	}
	return array(list, "xsd:string", items)
}

func methodList(names []string) string {
	return "<cwmp:GetRPCMethodsResponse>" + nameList("MethodList", names) + "</cwmp:GetRPCMethodsResponse>"
}

// InformRPC writes an Inform for an [Envelope].
func InformRPC(id Identity, events []Event, retry int, time string, parameters []Parameter) string {
	items := make([]string, len(events))
	for i, e := range events {
		items[i] = "<EventStruct>" + element("EventCode", e.Code) + element("CommandKey", e.CommandKey) + "</EventStruct>"
	}
	return "<cwmp:Inform><DeviceId>" + element("Manufacturer", id.Manufacturer) + element("OUI", id.OUI) +
		element("ProductClass", id.ProductClass) + element("SerialNumber", id.Serial) + "</DeviceId>" +
		array("Event", "cwmp:EventStruct", items) + "<MaxEnvelopes>1</MaxEnvelopes>" + element("CurrentTime", time) +
		element("RetryCount", strconv.Itoa(retry)) + parameterList(parameters) + "</cwmp:Inform>"
}

// ValuesRPC writes a GetParameterValuesResponse for an [Envelope].
func ValuesRPC(parameters []Parameter) string {
	return "<cwmp:GetParameterValuesResponse>" + parameterList(parameters) + "</cwmp:GetParameterValuesResponse>"
}

// FaultRPC writes a SOAP fault with a CWMP detail for an [Envelope].
func FaultRPC(f Fault) string {
	blame := "Client"
	if f.Code == "9002" || f.Code == "8002" { // internal error, TR-069 A.5
		blame = "Server"
	}
	var b strings.Builder
	b.WriteString("<soapenv:Fault>" + element("faultcode", blame) + element("faultstring", "CWMP fault") +
		"<detail><cwmp:Fault>" + element("FaultCode", f.Code) + element("FaultString", f.Text))
	for _, p := range f.Parameters {
		b.WriteString("<SetParameterValuesFault>" + element("ParameterName", p.Name) +
			element("FaultCode", p.Code) + element("FaultString", p.Text) + "</SetParameterValuesFault>")
	}
	b.WriteString("</cwmp:Fault></detail></soapenv:Fault>")
	return b.String()
}

// MessageID names the device that a message is meant for, or comes from.
func MessageID(serial string, n uint64) string { return serial + "#" + strconv.FormatUint(n, 10) }

// MessageSerial is the device that a [MessageID] names.
func MessageSerial(id string) (serial string, ok bool) {
	i := strings.LastIndexByte(id, '#')
	if i < 0 {
		return "", false
	}
	return id[:i], true
}
