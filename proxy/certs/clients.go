package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strings"

	"github.com/cwmpgate/cwmpgate/configs"
	"github.com/cwmpgate/cwmpgate/proxy/identity"
)

// Clients says which certificates CPEs are asked for.
type Clients struct {
	Mode        string      `yaml:"mode" enum:"off|optional|required" doc:"off: CPEs are not asked for a certificate; optional: one that is shown must be right; required: nothing without one."`
	Authorities []Authority `yaml:"authorities" doc:"The authorities that CPEs' certificates are verified against; their names are sent to CPEs, so that one with several certificates can choose."`
}

// Authority is a file of certificates that sign those of CPEs.
type Authority struct {
	File   configs.Path     `yaml:"file" required:"true" doc:"PEM file of one or more CA certificates. Each is trusted as it stands, also one that another has signed."`
	Device *identity.Config `yaml:"device" doc:"How its certificates name devices; one that does not name the device of an Inform is refused. Without it they are of a product, and records say class."`
}

// The modes of Clients.
const (
	ModeOff      = "off"
	ModeOptional = "optional"
	ModeRequired = "required"
)

// SetDefaults gives the section its defaults before it is read.
func (c *Clients) SetDefaults() { c.Mode = ModeOff }

// Validate reports what no single key's type can tell.
func (c *Clients) Validate(at configs.At) {
	switch {
	case at.Wrong("mode") || at.Wrong("authorities"):
	case c.Mode == ModeOff && len(c.Authorities) > 0:
		at.Errorf("authorities", "no certificate is asked for, so authorities would never be used: set mode to optional or required")
	case c.Mode != ModeOff && len(c.Authorities) == 0:
		at.Errorf("authorities", "mode %s needs the authorities that certificates are verified against", c.Mode)
	}
	for i, a := range c.Authorities {
		if _, err := a.read(); err != nil {
			at.Item("authorities", i).Errorf("file", "%v", err)
		}
	}
}

// read returns the certificates of the file.
func (a Authority) read() (list []*x509.Certificate, err error) {
	rest, err := os.ReadFile(string(a.File))
	if err != nil {
		return nil, fmt.Errorf("read authority: %w", err)
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%s holds a %s, where only certificates belong", a.File, strings.ToLower(block.Type))
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse certificate %d of %s: %w", len(list)+1, a.File, err)
		}
		if cert.BasicConstraintsValid && !cert.IsCA {
			return nil, fmt.Errorf("certificate %d of %s, %s, is no CA", len(list)+1, a.File, cert.Subject)
		}
		list = append(list, cert)
	}
	if len(list) == 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%s is no PEM file of certificates", a.File)
	}
	return list, nil
}
