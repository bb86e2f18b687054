package audit

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cwmpgate/cwmpgate/cwmp"
)

// FuzzRecord: whatever the texts of a message are, its record is one line of
// canonical JSON that gives them back, and its projection has them too.
func FuzzRecord(f *testing.F) {
	f.Add("Device.DeviceInfo.SoftwareVersion", "1.0", "xsd:string", "T1")
	f.Add("Device.X\"\\\x00\x1f", "\u2028\u2029\u007f\ufeff𝄞é", "", "\n")
	f.Add("Device.\xff\xc3", "\xed\xa0\x80", "a:b", "")
	f.Add("Device.ManagementServer.Password", "hunter2hunter2", "xsd:string", "\t\b\f\r")
	f.Add("Device.X", "u:p@h", "xsd:string", "x@y")
	f.Fuzz(func(t *testing.T, name, value, kind, serial string) {
		m := say("SetParameterValues", serial, &cwmp.SetParameterValues{
			ParameterList: []cwmp.ParameterValue{parameter(name, value, kind)}, ParameterKey: cwmp.T(value)})
		o := &Origin{Redactor: testRedactor(t), Device: Device{Serial: serial}}
		record := encode(newEncoder(1<<20, newKeyless()), o, sample{message: m, from: cwmp.PartyACS}, Pass, 5)
		checkCanonical(t, record)

		var got struct {
			Device struct{ Serial string }
			Body   struct {
				ParameterList []struct {
					Name, Secret, Type string
					Value              *string
				}
				ParameterKey string
			}
		}
		if err := json.Unmarshal(record, &got); err != nil {
			t.Fatal(err)
		}
		p := got.Body.ParameterList[0]
		if got.Device.Serial != valid(clip(serial, longestName)) || p.Name != valid(string(appendMasked(nil, []byte(name), false, nil))) ||
			p.Type != valid(clip(kind, longestName)) && (p.Secret == "" || p.Type != masked || isSchemaType([]byte(kind))) {
			t.Errorf("%q, %q, %q became %s", serial, name, kind, record)
		}
		want := valid(string(appendMasked(nil, []byte(value), false, nil)))
		if got.Body.ParameterKey != want {
			t.Errorf("%q became %q", value, got.Body.ParameterKey)
		}
		c := o.Redactor.classify([]byte(name), new(nameScratch))
		if c == plain && (p.Value == nil || *p.Value != want) || c == secret && value != "" && (p.Value != nil || p.Secret == "") {
			t.Errorf("%q of class %d became %s", value, c, record)
		}

		var rows Rows
		if err := Project(testLog, 5, record, &rows); err != nil {
			t.Fatal(err)
		}
		row := rows.Parameters[0]
		if row.Secret != p.Secret || (row.Value == nil) != (p.Value == nil) || row.Value != nil && *row.Value != *p.Value ||
			row.Name != string(trimSpace([]byte(p.Name))) || row.Key != string(trimSpace([]byte(want))) {
			t.Errorf("row %+v of %s", row, record)
		}
	})
}

// valid is what a reader of UTF-8 sees: encoding/json's own reading.
func valid(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		b.WriteRune(r)
		s = s[size:]
	}
	return b.String()
}

// FuzzMask: a password in a URL never gets through, whatever stands around it,
// and text without a scheme stays as it is.
func FuzzMask(f *testing.F) {
	f.Add("see ", "host/path", "?a=b", true)
	f.Add("http://", "@", "#", false)
	f.Add("a://b,", "[::1]:80", ";", false)
	f.Fuzz(func(t *testing.T, before, host, after string, whole bool) {
		const password = "S3CRETS3CRET"
		if strings.ContainsAny(host, "?#/\\ \t\r\n\"'<>`,;|") {
			host = "files.example.net"
		}
		text := before + " ftp://user:" + password + "@" + host + "/x?k=" + password + after
		if strings.Contains(before+host+after, password) {
			return
		}
		for _, text := range []string{text, strings.Replace(text, "ftp:", "", 1), strings.Replace(text, "ftp://", "", 1)} {
			if got := appendMasked(nil, []byte(text), whole, nil); bytes.Contains(got, []byte(password)) {
				t.Errorf("%q became %q", text, got)
			}
		}
		if !strings.Contains(before, "://") && !strings.Contains(before, "@") {
			if got := appendMasked(nil, []byte(before), false, nil); string(got) != before {
				t.Errorf("%q became %q", before, got)
			}
		}
	})
}

// FuzzProject: no bytes make Project panic, and what it takes is JSON.
func FuzzProject(f *testing.F) {
	for _, record := range goldenRecords(f) {
		f.Add(record)
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		var rows Rows
		if err := Project(testLog, 42, record, &rows); err != nil {
			if rows.lengths() != [9]int{} {
				t.Errorf("rows beside the error %v", err)
			}
			return
		}
		if !json.Valid(record) {
			t.Errorf("taken though no JSON: %q", record)
		}
	})
}
