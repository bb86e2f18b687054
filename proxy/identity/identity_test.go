package identity

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
)

func TestTemplateNames(t *testing.T) {
	d := audit.Device{OUI: "00005e", Class: "HG-8 Plus%20X", Serial: "AB%2FCD-00 7"}
	f := func(template, user string, want bool) {
		t.Helper()
		id, err := ParseTemplate(template)
		if err != nil {
			t.Fatal(err)
		}
		if got := id.Names(user, d); got != want {
			t.Errorf("%s names %q: %v, want %v", template, user, got, want)
		}
	}
	f("{oui}-{serial}", "00005E-AB%252FCD-00%207", true)
	f("{oui}-{serial}", "00005e-AB%2FCD-00 7", true)
	f("{oui}-{serial}", "00005E-other", false)
	f("{oui}-{serial}", "", false)
	f("{oui}-{productclass}-{serial}", "00005E-HG-8%20Plus%2520X-AB%252FCD-00%207", true)
	f("{serial}", "AB%2FCD-00 7", true)
	f("{serial}", "ab%2fcd-00 7", false)
	f("urn:dev:ops:{oui}-{serial}", "urn:dev:ops:00005E-AB%252FCD-00%207", true)
	f("urn:dev:ops:{oui}-{serial}", "urn:dev:ops:00005E-AB%252FCD-00%207x", false)
	f("x{oui}{serial}y", "x00005eAB%2FCD-00 7y", true)
	for _, bad := range []string{"", "{oui}", "{serial}{x}", "{serial", "serial}", "{{serial}}", "{oui}-{productclass}"} {
		if _, err := ParseTemplate(bad); err == nil {
			t.Errorf("template %q was taken", bad)
		}
	}
}

func TestTemplateNamesAnother(t *testing.T) {
	d := audit.Device{OUI: "00005E", Class: "HG", Serial: "A1"}
	for _, c := range []struct {
		template, name string
		want           bool
	}{
		{"{oui}-{serial}", "00005E-A1", false},
		{"{oui}-{serial}", "00005E-HG-A1", false}, // the other standard name of the same device
		{"{oui}-{serial}", "00005E-A2", true},
		{"{oui}-{serial}", "00005F-A1", true},
		{"{oui}-{serial}", "cpe", false}, // anybody's
		{"{oui}-{serial}", "", false},
		{"{oui}-{serial}", "shared-user", false},
		{"{oui}-{productclass}-{serial}", "00005E-HG-A2", true},
		{"cpe.{oui}.{serial}", "cpe.00005E.A2", true},
		{"{serial}", "A2", false}, // which may be anything
	} {
		id, err := ParseTemplate(c.template)
		if err != nil {
			t.Fatal(err)
		}
		if got := id.NamesAnother(c.name, d); got != c.want {
			t.Errorf("%s, %q: %v", c.template, c.name, got)
		}
	}
}

func TestMAC(t *testing.T) {
	id, err := ParseTemplate("CPE-{mac}")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"CPE-00:00:5e:00:53:af": true, "CPE-00005E0053AF": true, "CPE-00-00-5E-00-53-AF": true, "CPE-0000.5e00.53af": true,
		"CPE-00:00:5e:00:53:ae": false, "CPE-00005E0053AF0": false, "CPE-0000": false, "00005E0053AF": false,
	} {
		for _, serial := range []string{"00005E0053AF", "00:00:5e:00:53:AF"} {
			if got := id.Names(name, audit.Device{Serial: serial}); got != want {
				t.Errorf("%s, %s: %v", name, serial, got)
			}
		}
	}
	if id.Names("CPE-00005E0053AF", audit.Device{Serial: "00005E0053AF7"}) || id.Names("CPE-", audit.Device{Serial: "S"}) {
		t.Error("a serial number that is no MAC address is named by one")
	}
}

func TestNaming(t *testing.T) {
	d := audit.Device{OUI: "00005E", Class: "HG", Serial: "A1"}
	uri := func(text string) []*url.URL {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return []*url.URL{{Scheme: "https", Host: "example.com"}, u}
	}
	for name, c := range map[string]struct {
		cfg  Config
		cert x509.Certificate
		want bool
	}{
		"common name":        {Config{"common_name", "{oui}-{serial}", ""}, x509.Certificate{Subject: pkix.Name{CommonName: "00005E-A1"}}, true},
		"another":            {Config{"common_name", "{oui}-{serial}", ""}, x509.Certificate{Subject: pkix.Name{CommonName: "00005E-A2"}}, false},
		"in another place":   {Config{"common_name", "{oui}-{serial}", ""}, x509.Certificate{DNSNames: []string{"00005E-A1"}}, false},
		"serial number":      {Config{"serial_number", "{serial}", ""}, x509.Certificate{Subject: pkix.Name{SerialNumber: "A1"}}, true},
		"dns":                {Config{"dns", "{serial}.cpe.example.com", ""}, x509.Certificate{DNSNames: []string{"x", "a1.CPE.example.com"}}, true},
		"dns, another":       {Config{"dns", "{serial}.cpe.example.com", ""}, x509.Certificate{DNSNames: []string{"a1.cpe.example.com.evil.example"}}, false},
		"uri":                {Config{"uri", "urn:dev:ops:{oui}-{productclass}-{serial}", ""}, x509.Certificate{URIs: uri("urn:dev:ops:00005E-HG-A1")}, true},
		"pattern":            {Config{"common_name", "", "(?P<serial>[^ ]+) (?P<productclass>.*) (?P<oui>.{6})"}, x509.Certificate{Subject: pkix.Name{CommonName: "A1 HG 00005e"}}, true},
		"pattern, another":   {Config{"common_name", "", "(?P<serial>[^ ]+) (?P<productclass>.*) (?P<oui>.{6})"}, x509.Certificate{Subject: pkix.Name{CommonName: "A1 HX 00005e"}}, false},
		"pattern, not whole": {Config{"common_name", "", "(?P<serial>A[0-9])"}, x509.Certificate{Subject: pkix.Name{CommonName: "A12"}}, false},
		"pattern of choices": {Config{"common_name", "", "x|(?P<serial>A[0-9])"}, x509.Certificate{Subject: pkix.Name{CommonName: "x"}}, false},
		"no name at all":     {Config{"common_name", "{serial}", ""}, x509.Certificate{}, false},
	} {
		n, err := New(c.cfg)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := n.Names(&c.cert, d); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if n.Names(&c.cert, audit.Device{}) {
			t.Errorf("%s: names a device without a serial number", name)
		}
	}
	for _, c := range []Config{{}, {Template: "{serial}", Pattern: "(?P<serial>.)"}, {Template: "x"}, {Pattern: "("}, {Pattern: "a"}, {Pattern: "(?P<serial>.)(?P<mac>.)"}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}
