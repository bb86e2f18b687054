package clickhouse

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/cwmpgate/cwmpgate/configs"
)

// Config says where the store is and how it is spoken to.
type Config struct {
	Servers     []configs.Address `yaml:"servers" required:"true" min:"1" doc:"Servers in the order in which they are tried: host:port, 9000 for native and 8123 for http as a rule, with TLS 9440 and 8443. All must give the same store."`
	Protocol    string            `yaml:"protocol" enum:"native|http" doc:"What the servers speak at that port."`
	Database    string            `yaml:"database" doc:"Database of the tables; made where it is absent."`
	User        configs.Secret    `yaml:"user" doc:"User to log in as; default where absent."`
	Password    configs.Secret    `yaml:"password" doc:"Password of that user."`
	TLS         TLS               `yaml:"tls" doc:"TLS towards the servers."`
	Compression string            `yaml:"compression" enum:"lz4|zstd|none" doc:"How what is sent is compressed."`
	DialTimeout configs.Duration  `yaml:"dial_timeout" min:"100ms" doc:"How long a connection may take to be made."`
	ReadTimeout configs.Duration  `yaml:"read_timeout" min:"1s" doc:"How long a server may take to answer; an insert that takes longer is asked after and sent again."`
	Cluster     string            `yaml:"cluster" doc:"Name of a cluster: tables are then made on all of it, replicated, and read through Distributed tables. Needs the macros shard and replica."`
	Quorum      string            `yaml:"quorum" enum:"none|auto|2|3" doc:"With a cluster, how many replicas must have an insert before it counts as written: auto is a majority."`
}

// TLS is how the servers are verified, and how the gateway names itself.
type TLS struct {
	Enabled     bool         `yaml:"enabled" doc:"Speak TLS."`
	CA          configs.Path `yaml:"ca" doc:"File of the certificates that the servers' are verified against; the system's where absent."`
	ServerName  string       `yaml:"server_name" doc:"Name to verify, where it is not the server's host."`
	Certificate configs.Path `yaml:"certificate" doc:"File of the gateway's client certificate."`
	Key         configs.Path `yaml:"key" doc:"File of its key."`
}

// SetDefaults gives a store its defaults before its section is read.
func (c *Config) SetDefaults() {
	c.Protocol, c.Database, c.Compression, c.Quorum = "native", "cwmpgate", "lz4", "none"
	c.DialTimeout, c.ReadTimeout = configs.Duration(5*time.Second), configs.Duration(time.Minute)
}

// names of databases and clusters stand in statements.
var name = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

// Validate reports what no single key's type can tell.
func (c *Config) Validate(at configs.At) {
	if !name.MatchString(c.Database) {
		at.Errorf("database", "%q is no name for a database: letters, digits and _, at most 64", c.Database)
	}
	if c.Cluster != "" && !name.MatchString(c.Cluster) {
		at.Errorf("cluster", "%q is no name for a cluster: letters, digits and _, at most 64", c.Cluster)
	}
	if c.Quorum != "none" && c.Cluster == "" && !at.Wrong("cluster") && !at.Wrong("quorum") {
		at.Errorf("quorum", "without a cluster there are no replicas to wait for")
	}
	if !c.TLS.Enabled && c.TLS != (TLS{}) {
		at.Errorf("tls", "set enabled: true, or nothing of it is used")
	} else if _, err := c.tlsConfig(); err != nil {
		at.Errorf("tls", "%v", err)
	}
}

func (c *Config) tlsConfig() (*tls.Config, error) {
	if !c.TLS.Enabled {
		return nil, nil
	}
	if (c.TLS.Certificate == "") != (c.TLS.Key == "") {
		return nil, errors.New("certificate and key go together")
	}
	cfg := &tls.Config{ServerName: c.TLS.ServerName, MinVersion: tls.VersionTLS12}
	if c.TLS.CA != "" {
		pem, err := os.ReadFile(string(c.TLS.CA))
		if err != nil {
			return nil, fmt.Errorf("read tls.ca: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca %s holds no certificate", c.TLS.CA)
		}
	}
	if c.TLS.Certificate != "" {
		cert, err := tls.LoadX509KeyPair(string(c.TLS.Certificate), string(c.TLS.Key))
		if err != nil {
			return nil, fmt.Errorf("load tls.certificate: %w", err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg, nil
}
