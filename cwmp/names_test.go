package cwmp

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// namesTold collects the element names that a message is told under, those of
// vendor elements aside.
type namesTold map[string]bool

func (n namesTold) Struct(name string)       { n[name] = true }
func (n namesTold) List(name string)         { n[name] = true }
func (n namesTold) Text(name string, _ Text) { n[name] = true }
func (n namesTold) Value(Text, []byte)       {}
func (n namesTold) End()                     {}

func TestEveryNameOfTheSchemasIsKnown(t *testing.T) {
	files, err := filepath.Glob("testdata/accept/*.xml")
	if err != nil || len(files) == 0 {
		t.Fatal("no samples", err)
	}
	told := namesTold{}
	d := NewDecoder(DefaultLimits())
	for _, f := range files {
		body, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := d.Decode(body, ""); err == nil {
			m.Walk(told)
			if m.Method != MethodVendor {
				told[m.Name] = true
			}
		}
	}
	for name := range told {
		if name != "Elements" && name != "Element" && name != "Type" && !isSchemaName(name) {
			t.Errorf("%s is told, but not known as a name of the schemas", name)
		}
	}
}

// A value whose markup is broken must not come out as a path.
func TestPathsHoldNoPieceOfAValue(t *testing.T) {
	const head = `<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><c:SetParameterValues xmlns:c="urn:dslforum-org:cwmp-1-0"><ParameterList><ParameterValueStruct><Name>Device.ManagementServer.Password</Name><Value>`
	for _, body := range []string{head + "<hunter2>", head + "<hunter2/>", head + "<a><hunter2", "<hunter2/>"} {
		_, err := NewDecoder(DefaultLimits()).Decode([]byte(body), "")
		var se *SyntaxError
		if !errors.As(err, &se) {
			t.Fatalf("%s: %v", body, err)
		}
		if strings.Contains(se.Path, "hunter2") {
			t.Errorf("path %s", se.Path)
		}
	}
}
