// Package acme gets certificates for listeners from an ACME CA, and renews them
// (RFC 8555), through certmagic. For each name there is one by ECDSA and, where
// asked for, one by RSA, kept side by side.
package acme

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/cwmpgate/cwmpgate/configs"
)

// Config is the CA, and how it is shown that names are the gateway's.
type Config struct {
	Storage   configs.Path `yaml:"storage" required:"true" doc:"Directory for accounts, keys and certificates; made with mode 0700 where it is absent."`
	Directory configs.URL  `yaml:"directory" doc:"The CA's directory, such as that of an internal CA; Let's Encrypt's where absent."`
	CA        configs.Path `yaml:"ca" doc:"PEM file of the certificates that the directory's own certificate is verified against; the system's where absent."`
	Email     string       `yaml:"email" doc:"Where the CA may reach you."`
	Agree     bool         `yaml:"agree" doc:"You agree to the CA's terms."`
	Keys      []string     `yaml:"keys" doc:"Kinds of keys: ecdsa, and rsa besides for CPEs that verify nothing else. Without any, ecdsa alone."`
	HTTPPort  int          `yaml:"http_port" min:"0" max:"65535" doc:"Port for HTTP-01 challenges, open while one is under way; the CA asks at 80, so that another must be led here. 0: no HTTP-01."`
	TLSPort   int          `yaml:"tls_port" min:"0" max:"65535" doc:"Port for TLS-ALPN-01 challenges: a listener's, or else open while one is under way. The CA asks at 443. 0: no TLS-ALPN-01."`
	OnDemand  bool         `yaml:"on_demand" doc:"A name's certificate is got when a CPE first asks for it, not when the gateway starts. For the names in tls.acme only."`
	DNS       *DNS         `yaml:"dns" doc:"DNS-01 challenges, for wildcards or where the CA cannot come here; then they are the only ones."`
	Account   *Account     `yaml:"external_account" doc:"Account at the CA that this one is bound to, where the CA wants it."`
}

// Account is what a CA gives out for external account binding.
type Account struct {
	ID  string         `yaml:"id" required:"true" doc:"Key ID."`
	MAC configs.Secret `yaml:"mac" required:"true" doc:"MAC key, base64url-encoded, as file:PATH or env:NAME."`
}

// The kinds of keys.
const (
	keyECDSA = "ecdsa"
	keyRSA   = "rsa"
)

// SetDefaults gives the section its defaults before it is read.
func (c *Config) SetDefaults() { c.HTTPPort, c.TLSPort = 80, 443 }

// Validate reports what no single key's type can tell.
func (c *Config) Validate(at configs.At) {
	for i, k := range c.Keys {
		if k != keyECDSA && k != keyRSA || slices.Contains(c.Keys[:i], k) {
			at.Item("keys", i).Errorf("", "%q is not ecdsa or rsa, each once", k)
		}
	}
	if c.HTTPPort == 0 && c.TLSPort == 0 && c.DNS == nil {
		at.Errorf("http_port", "with http_port and tls_port 0 and no dns there is no challenge left")
	}
	if !c.Agree && !at.Wrong("agree") {
		at.Errorf("agree", "the CA gives no certificate to who does not agree to its terms: read them, and set agree: true")
	}
	if _, err := readPool(c.CA); err != nil {
		at.Errorf("ca", "%v", err)
	}
}

// readPool reads a key named ca; without a file it is nil.
func readPool(file configs.Path) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(string(file))
	if err != nil {
		return nil, fmt.Errorf("read ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("ca holds no certificate")
	}
	return pool, nil
}

// keys are the kinds, ECDSA first: a signature of it costs a twentieth.
func (c *Config) keys() []string {
	kinds := slices.Clone(c.Keys)
	slices.Sort(kinds)
	if len(kinds) == 0 {
		kinds = []string{keyECDSA}
	}
	return kinds
}
