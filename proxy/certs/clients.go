package certs

import (
	"fmt"

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
	File      configs.Path     `yaml:"file" required:"true" doc:"PEM file of one or more CA certificates. Each is trusted as it stands, also one that another has signed."`
	Device    *identity.Config `yaml:"device" doc:"How its certificates name devices; one that does not name the device of an Inform is refused. Without it they are of a product, and records say class."`
	Pins      []string         `yaml:"pins" doc:"SHA-256 of public keys (SubjectPublicKeyInfo), in base64. Where there are any, a chain must have one of them: the device's, the authority's, or one between. docs/tls.md says how to get one."`
	CRLs      []configs.Path   `yaml:"crls" doc:"Files of certificate revocation lists, PEM or DER, each signed by a certificate of file."`
	Fetch     []FetchedCRL     `yaml:"fetch_crls" doc:"Revocation lists that are fetched, besides those of crls. Until one has come for the first time, stale_crl says what holds."`
	OCSP      *OCSP            `yaml:"ocsp" doc:"Has the authority's OCSP responder asked about each certificate of a CPE, but not about those above it."`
	StaleCRL  string           `yaml:"stale_crl" enum:"refuse|accept" doc:"What holds when a list is past its nextUpdate: refuse everything of its issuer, or accept what the old list does not name."`
	AllowSHA1 bool             `yaml:"allow_sha1" doc:"Accept signatures by SHA-1 in chains to these certificates, as old factories made them. Who can make two certificates of one SHA-1 can pass for another device."`
}

// The modes of Clients, and what holds for an old CRL.
const (
	ModeOff      = "off"
	ModeOptional = "optional"
	ModeRequired = "required"

	StaleRefuse = "refuse"
	StaleAccept = "accept"
)

// SetDefaults gives the section its defaults before it is read.
func (c *Clients) SetDefaults() { c.Mode = ModeOff }

// SetDefaults gives the section its defaults before it is read.
func (a *Authority) SetDefaults() { a.StaleCRL = StaleRefuse }

// Validate reports what no single key's type can tell.
func (c *Clients) Validate(at configs.At) {
	switch {
	case at.Wrong("mode") || at.Wrong("authorities"):
	case c.Mode == ModeOff && len(c.Authorities) > 0:
		at.Errorf("authorities", "no certificate is asked for, so authorities would never be used: set mode to optional or required")
	case c.Mode != ModeOff && len(c.Authorities) == 0:
		at.Errorf("authorities", "mode %s needs the authorities that certificates are verified against", c.Mode)
	}
}

// Validate reports files that cannot be used.
func (a *Authority) Validate(at configs.At) {
	if a.File == "" {
		return
	}
	text, err := readFile(a.File)
	if err != nil {
		at.Errorf("file", "%v", err)
		return
	}
	cas, err := parseAuthorities(a.File, text)
	if err != nil {
		at.Errorf("file", "%v", err)
		return
	}
	for i, text := range a.Pins {
		if _, err := parsePin(text); err != nil {
			at.Item("pins", i).Errorf("", "%v", err)
		}
	}
	for i, name := range a.CRLs {
		text, err := readFile(name)
		if err == nil {
			_, err = parseCRL(name, text, cas)
		}
		if err != nil {
			at.Item("crls", i).Errorf("", "%v", err)
		}
	}
}

// readAuthorities reads the files of authorities. A list that is fetched may not
// be there yet.
func readAuthorities(list []Authority) (*files, error) {
	var names []configs.Path
	later := make(map[configs.Path]bool)
	for _, a := range list {
		names = append(append(names, a.File), a.CRLs...)
		for _, l := range a.Fetch {
			names, later[l.File] = append(names, l.File), true
		}
	}
	f, err := readFiles(names, later)
	if err != nil {
		return nil, fmt.Errorf("read authorities: %w", err)
	}
	return f, nil
}
