// Package certs is the TLS of listeners: the certificates that CPEs are shown,
// and those that CPEs show. A chain is judged at every handshake, also of a
// resumed session, by what is in force at that moment.
package certs

import (
	"crypto/tls"

	"github.com/cwmpgate/cwmpgate/configs"
)

// Config is the TLS of one listener.
type Config struct {
	Certificates []Files    `yaml:"certificates" doc:"Certificates to serve; a CPE gets the first that its name and algorithms fit, else the first of all."`
	SelfSigned   SelfSigned `yaml:"self_signed" doc:"A certificate that the gateway makes for a first run, where no other is given."`
	Clients      Clients    `yaml:"client_certificates" doc:"Certificates that CPEs are asked for."`
}

// Files is one certificate with its key.
type Files struct {
	Certificate configs.Path `yaml:"certificate" required:"true" doc:"PEM file of the certificate and the chain behind it, without the root."`
	Key         configs.Path `yaml:"key" required:"true" doc:"PEM file of the private key."`
}

// SelfSigned is where a made certificate is kept, and for whom it is.
type SelfSigned struct {
	Directory configs.Path `yaml:"directory" doc:"Directory that holds cwmpgate-selfsigned.pem and .key (mode 0600); made where it is absent."`
	Names     []string     `yaml:"names" doc:"Host names and addresses in the certificate; localhost, 127.0.0.1 and ::1 where none are given."`
}

// Validate reports a listener with no certificate at all, or with both kinds.
func (c *Config) Validate(at configs.At) {
	switch {
	case len(c.Certificates) == 0 && c.SelfSigned.Directory == "" && !at.Wrong("self_signed"):
		at.Errorf("certificates", "TLS needs certificates, or self_signed with a directory for a first run")
	case len(c.Certificates) > 0 && c.SelfSigned.Directory != "":
		at.Errorf("self_signed", "certificates are given, so self_signed would never be used")
	}
	for i, f := range c.Certificates {
		if _, err := tls.LoadX509KeyPair(string(f.Certificate), string(f.Key)); err != nil {
			at.Item("certificates", i).Errorf("", "%v", err)
		}
	}
}
