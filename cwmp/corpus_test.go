package cwmp

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCorpus decodes every message of the folder that CWMPGATE_CORPUS names, as
// its index says. (HTTP heads are read no further than for the charset.)
func TestCorpus(t *testing.T) {
	dir := os.Getenv("CWMPGATE_CORPUS")
	if dir == "" {
		t.Skip("CWMPGATE_CORPUS names no corpus")
	}
	refused := map[string]Reason{
		"01-control-char.xml":   ReasonInvalidCharacter,
		"10-form-body.http":     ReasonNotXML,
		"19-doctype-entity.xml": ReasonDoctype,
		// Recorded failures of the software under test: a body that is cut off
		// and an answer that is no SOAP.
		"022-cpe.http": ReasonTruncated,
		"022-acs.http": ReasonNotXML,
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
	read := 0
	for _, file := range files {
		name := filepath.Base(file)
		body, charset := corpusBody(t, file)
		if len(body) == 0 {
			continue
		}
		read++
		m, err := NewDecoder(DefaultLimits()).Decode(body, charset)
		if want, ok := refused[name]; ok {
			if syntax, ok := err.(*SyntaxError); !ok || syntax.Reason != want {
				t.Errorf("%s: got %v, want %s", name, err, want)
			} else if name == "01-control-char.xml" && syntax.Device != (DeviceID{syntax.Device.Manufacturer, "00005E", "HomeGate 3", "FLD0000001"}) {
				t.Errorf("%s: device %+v", name, syntax.Device)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := checkWithXML(body, m); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		checkMessage(t, body, m)
		checkEdits(t, body, charset, m)
		checkReading(t, name, m)
	}
	if read < 90 {
		t.Errorf("only %d messages in %s", read, dir)
	}
}

func corpusBody(t *testing.T, file string) (body []byte, charset string) {
	t.Helper()
	if ext := filepath.Ext(file); ext != ".xml" && ext != ".http" {
		return nil, ""
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(file) == ".xml" {
		return data, ""
	}
	head, body, _ := bytes.Cut(data, []byte("\r\n\r\n"))
	if _, label, ok := strings.Cut(string(head), "charset="); ok {
		charset, _, _ = strings.Cut(label, "\r\n")
	}
	if bytes.Contains(head, []byte("chunked")) && len(body) > 0 && body[0] != '<' {
		body = dechunk(t, body)
	}
	return body, charset
}

// dechunk is enough for files that are known to be right.
func dechunk(t *testing.T, b []byte) (body []byte) {
	t.Helper()
	for {
		line, rest, ok := bytes.Cut(b, []byte("\r\n"))
		var n int
		for _, c := range bytes.ToLower(line) {
			n = n*16 + strings.IndexByte("0123456789abcdef", c)
		}
		if !ok || n < 0 || n > len(rest) {
			t.Fatalf("chunk of %q", line)
		}
		if n == 0 {
			return body
		}
		body, b = append(body, rest[:n]...), rest[n+2:]
	}
}

// checkReading holds the field inputs to the readings that their index gives.
func checkReading(t *testing.T, name string, m *Message) {
	t.Helper()
	want := map[string]string{
		"02-value-missing.xml":                  "unsignedInt 3 absent 1",
		"06-name-with-xsi-type.xml":             "rev B|86401",
		"08-charset-in-content-type.http":       "Café Zürich",
		"09-namespaces-late.acs.xml":            "3600|1",
		"11-spaces-in-value.acs.xml":            "  Guest  net\tB ",
		"13-duplicate-parameters.xml":           "6|Home-A|11|Home-A",
		"14-boolean-spellings.xml":              "1|true|0|false|",
		"18-setattributes-other-struct.acs.xml": "2",
	}[name]
	if want == "" {
		return
	}
	var values []string
	absent := 0
	switch rpc := m.RPC.(type) {
	case *GetParameterValuesResponse:
		for _, p := range rpc.ParameterList {
			values = append(values, p.Value.String())
			if !p.Value.Set {
				absent++
			}
		}
	case *SetParameterValues:
		for _, p := range rpc.ParameterList {
			values = append(values, p.Value.String())
		}
	case *SetParameterAttributes:
		values = append(values, rpc.ParameterList[0].Notification.String())
	}
	if name == "02-value-missing.xml" {
		if len(values) != 3 || absent != 1 {
			t.Errorf("%s: %d values, %d absent", name, len(values), absent)
		}
		return
	}
	if got := strings.Join(values, "|"); !strings.Contains(got, want) {
		t.Errorf("%s: got %q, want %q", name, got, want)
	}
}
