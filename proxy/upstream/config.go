// Package upstream is the way to an ACS: its address, its TLS, and connections
// that are leased to one CWMP session at a time. ACSes tell sessions apart by
// connection, so one is never shared, and by default not used again.
package upstream

import (
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/cwmpgate/cwmpgate/configs"
	"github.com/cwmpgate/cwmpgate/policy/admission"
)

// Config is one ACS.
type Config struct {
	Name       string             `yaml:"name" doc:"Name of the ACS in records and metrics; its host and port where absent."`
	URL        configs.URL        `yaml:"url" required:"true" doc:"Where the ACS is: scheme http or https, host and port. The path and query of a request stay as the CPE sent them, since Digest covers them."`
	Weight     int                `yaml:"weight" min:"1" max:"1000" doc:"Its share of sessions, against that of the tenant's other upstreams."`
	TLS        TLS                `yaml:"tls" doc:"TLS towards an https ACS."`
	Reuse      string             `yaml:"reuse" enum:"never|clean" doc:"When a connection to the ACS is used by a later session: never, or clean (after a session that ended as it should). Only for ACSes that bind nothing to a connection."`
	Forwarding string             `yaml:"forwarding" enum:"x-forwarded|forwarded|none" doc:"How the ACS is told the CPE's address: x-forwarded (X-Forwarded-For, -Proto, -Host), forwarded (RFC 7239) or none."`
	Identify   Identify           `yaml:"identify" doc:"How the ACS is told whom the gateway has verified. It trusts these fields of the gateway's address alone, and where it does, nobody else may reach it."`
	MaxIdle    int                `yaml:"max_idle" min:"0" max:"100000" doc:"Connections kept for later sessions where reuse is clean."`
	IdleTime   configs.Duration   `yaml:"idle_time" min:"100ms" doc:"How long one is kept; less than the ACS keeps it."`
	Informs    admission.Rate     `yaml:"informs" doc:"Informs that begin a session, of this ACS: the rate that it survives."`
	Sessions   admission.Most     `yaml:"sessions" doc:"Sessions open at this ACS at once."`
	Adaptive   admission.Adaptive `yaml:"adaptive" doc:"Has the rate of informs follow what the ACS shows: slow answers, 503, 502, 504 and 429, refused connections."`
}

// TLS is how an https ACS is verified, and how the gateway names itself to it.
type TLS struct {
	CA          configs.Path `yaml:"ca" doc:"File of the certificates that the ACS's is verified against; the system's where absent."`
	ServerName  string       `yaml:"server_name" doc:"Name to verify, where it is not the URL's host."`
	Certificate configs.Path `yaml:"certificate" doc:"File of the gateway's client certificate."`
	Key         configs.Path `yaml:"key" doc:"File of its key."`
	MinVersion  string       `yaml:"min_version" enum:"1.0|1.1|1.2|1.3" doc:"Least TLS version that the ACS may speak. Below 1.2 it may choose RSA key exchange with AES, too."`
}

// SetDefaults gives the section its defaults before it is read.
func (t *TLS) SetDefaults() { t.MinVersion = "1.2" }

// SetDefaults gives an ACS its defaults before its section is read.
func (c *Config) SetDefaults() {
	c.Weight = 1
	c.Reuse, c.Forwarding, c.MaxIdle, c.IdleTime = "never", "x-forwarded", 64, configs.Duration(4*time.Second)
}

// Limited tells whether there are limits on what an ACS is sent.
func (c *Config) Limited() bool {
	return c.Informs.Mode != admission.ModeOff || c.Sessions.Mode != admission.ModeOff || c.Adaptive.Floor != 0
}

// Validate reports what no single key's type can tell.
func (c *Config) Validate(at configs.At) {
	if c.Adaptive.Floor > 0 && (c.Informs.Mode != admission.ModeEnforce || c.Adaptive.Floor > c.Informs.Count) {
		at.Errorf("adaptive.floor", "%d: an adaptive rate needs informs with mode enforce and a count that is no less", c.Adaptive.Floor)
	}
	u, err := url.Parse(c.URL.String())
	if err != nil {
		return // the type has said so
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		at.Errorf("url", "the ACS's URL has a path or query, which would never be used: CPEs' own are passed on; give only scheme, host and port")
	}
	if u.User != nil {
		at.Errorf("url", "the ACS's URL has a user name; CPEs' own credentials are passed on")
	}
	if at.Given("tls") && u.Scheme != "https" && !at.Wrong("url") {
		at.Errorf("tls", "the ACS's URL is not https")
	}
	if (c.TLS.Certificate == "") != (c.TLS.Key == "") {
		at.Errorf("tls", "certificate and key go together")
	} else if _, err := c.TLS.read(""); err != nil {
		at.Errorf("tls", "%v", err)
	}
}

// NodeName is what records and metrics call the ACS.
func (c *Config) NodeName() string {
	if c.Name == "" {
		return c.URL.URL().Host
	}
	return c.Name
}

// address returns the host and port to dial.
func address(u *url.URL) (hostport, host string, err error) {
	host = u.Hostname()
	port := u.Port()
	switch {
	case host == "":
		return "", "", errors.New("url has no host")
	case port == "" && u.Scheme == "https":
		port = "443"
	case port == "":
		port = "80"
	}
	return net.JoinHostPort(host, port), strings.ToLower(host), nil
}
