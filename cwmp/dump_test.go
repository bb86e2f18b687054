package cwmp

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dump writes down a message as a Visitor is told it, with the bytes of the
// body that each text stands in where places is set.
type dump struct {
	strings.Builder
	depth  int
	places bool
}

func (d *dump) line(format string, args ...any) {
	fmt.Fprintf(d, "%s"+format+"\n", append([]any{strings.Repeat("  ", d.depth)}, args...)...)
}

func (d *dump) place(t Text) string {
	if !d.places {
		return ""
	}
	return fmt.Sprintf(" @%d-%d", t.Start, t.End)
}

func (d *dump) Struct(name string)       { d.line("%s {", name); d.depth++ }
func (d *dump) List(name string)         { d.line("%s [", name); d.depth++ }
func (d *dump) Text(name string, t Text) { d.line("%s %q%s", name, t.Bytes, d.place(t)) }
func (d *dump) Value(t Text, typ []byte) { d.line("Value %q %s%s", t.Bytes, typ, d.place(t)) }
func (d *dump) End()                     { d.depth--; d.line("}") }
func (d *dump) header(name string, t Text) {
	if t.Set {
		d.Text(name, t)
	}
}

func dumpMessage(m *Message, places bool) string {
	d := &dump{places: places}
	version := m.Version
	if version == "" && !places {
		version = "1-0" // as Append writes it
	}
	d.line("%s %s %s %q", m.Kind, m.Method, m.Name, version)
	if places {
		d.line("charset %s", m.Charset)
	}
	if v, ok := m.RPC.(*VendorRPC); ok {
		d.line("namespace %q", v.Namespace)
	}
	h := &m.Header
	d.header("ID", h.ID)
	d.header("HoldRequests", h.HoldRequests)
	d.header("NoMoreRequests", h.NoMoreRequests)
	d.header("SessionTimeout", h.SessionTimeout)
	d.header("SupportedCWMPVersions", h.SupportedCWMPVersions)
	d.header("UseCWMPVersion", h.UseCWMPVersion)
	m.Walk(d)
	return d.String()
}

// texts collects every text of a message.
type texts []Text

func (c *texts) Struct(string)            {}
func (c *texts) List(string)              {}
func (c *texts) Text(_ string, t Text)    { *c = append(*c, t) }
func (c *texts) Value(t Text, typ []byte) { *c = append(*c, t) }
func (c *texts) End()                     {}

// textsOf returns those that stand in the body, in the order they are told.
func textsOf(m *Message) []Text {
	h := &m.Header
	all := texts{h.ID, h.HoldRequests, h.NoMoreRequests, h.SessionTimeout, h.SupportedCWMPVersions, h.UseCWMPVersion}
	m.Walk(&all)
	kept := all[:0]
	for _, t := range all {
		if t.Set && t.End > 0 {
			kept = append(kept, t)
		}
	}
	return kept
}

// sample is a file of testdata.
type sample struct {
	name, charset string
	body          []byte
}

func samples(t testing.TB, dir string) []sample {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*.xml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples in testdata/%s: %v", dir, err)
	}
	var all []sample
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		charset, _ := os.ReadFile(file + ".charset") // of Content-Type, where it names one
		all = append(all, sample{strings.TrimSuffix(filepath.Base(file), ".xml"), strings.TrimSpace(string(charset)), body})
	}
	return all
}
