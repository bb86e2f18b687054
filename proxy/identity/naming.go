package identity

import (
	"crypto/x509"
	"fmt"
	"regexp"
	"strings"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/configs"
)

// Config says where a certificate names its device.
type Config struct {
	From     string `yaml:"from" enum:"common_name|serial_number|dns|uri" doc:"What of the certificate names the device: the subject's common name or serialNumber, or any DNS name or URI among the alternative names."`
	Template string `yaml:"template" doc:"What it must equal: a template of {oui}, {productclass}, {serial} and {mac}, which is a serial number that is a MAC address, in any notation. Parts may be percent-encoded, as in TR-069 section 3.4.4."`
	Pattern  string `yaml:"pattern" doc:"In place of a template: a regular expression (RE2) that the whole of it must match, with a group named serial and perhaps oui and productclass, each of which must equal the device's."`
}

// SetDefaults gives the section its defaults before it is read.
func (c *Config) SetDefaults() { c.From = "common_name" }

// Validate reports what no single key's type can tell.
func (c *Config) Validate(at configs.At) {
	if at.Wrong("template") || at.Wrong("pattern") {
		return
	}
	key := "template"
	if c.Pattern != "" {
		key = "pattern"
	}
	if _, err := New(*c); err != nil {
		at.Errorf(key, "%v", err)
	}
}

// Naming is a Config made ready.
type Naming struct {
	from     string
	template *Template
	pattern  *regexp.Regexp
}

// New makes a Naming of a template or a pattern.
func New(c Config) (n *Naming, err error) {
	n = &Naming{from: c.From}
	switch {
	case (c.Template == "") == (c.Pattern == ""):
		return nil, fmt.Errorf("give a template or a pattern, and not both")
	case c.Template != "":
		n.template, err = ParseTemplate(c.Template)
		return n, err
	}
	if n.pattern, err = regexp.Compile(`^(?:` + c.Pattern + `)$`); err != nil {
		return nil, fmt.Errorf("pattern %q: %w", c.Pattern, err)
	}
	for _, name := range n.pattern.SubexpNames() {
		if name != "" && name != partSerial && name != partOUI && name != partClass {
			return nil, fmt.Errorf("pattern %q has a group %s, which is none of serial, oui and productclass", c.Pattern, name)
		}
	}
	if n.pattern.SubexpIndex(partSerial) < 0 {
		return nil, fmt.Errorf("pattern %q names no device: it needs a group (?P<serial>…)", c.Pattern)
	}
	return n, nil
}

// Names tells whether the certificate is d's own.
func (n *Naming) Names(c *x509.Certificate, d audit.Device) bool {
	for _, name := range n.values(c) {
		// DNS has no case.
		if n.template != nil && n.template.names(name, d, n.from == "dns") || n.pattern != nil && n.matches(name, d) {
			return true
		}
	}
	return false
}

func (n *Naming) values(c *x509.Certificate) (out []string) {
	switch n.from {
	case "common_name":
		return []string{c.Subject.CommonName}
	case "serial_number":
		return []string{c.Subject.SerialNumber}
	case "dns":
		return c.DNSNames
	}
	for _, u := range c.URIs {
		out = append(out, u.String())
	}
	return out
}

func (n *Naming) matches(name string, d audit.Device) bool {
	m := n.pattern.FindStringSubmatch(name)
	if m == nil || d.Serial == "" {
		return false
	}
	for i, group := range n.pattern.SubexpNames() {
		same := true
		switch group {
		case partSerial:
			same = m[i] == d.Serial || m[i] == percentEncode(d.Serial)
		case partClass:
			same = m[i] == d.Class || m[i] == percentEncode(d.Class)
		case partOUI:
			same = strings.EqualFold(m[i], d.OUI)
		}
		if !same {
			return false
		}
	}
	return true
}
