package main

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse"
	"github.com/cwmpgate/cwmpgate/audit/retention"
	"github.com/cwmpgate/cwmpgate/configs"
	"github.com/cwmpgate/cwmpgate/policy/admission"
	"github.com/cwmpgate/cwmpgate/proxy"
)

// config is the whole config file. Each section is its package's own; what
// stands here is the frame, and what only the whole can tell.
type config struct {
	Node         string             `yaml:"node" doc:"Name of this gateway in records; the host's name where absent."`
	Listeners    []proxy.Listener   `yaml:"listeners" required:"true" min:"1" doc:"Addresses that CPEs connect to."`
	Tenants      []proxy.Tenant     `yaml:"tenants" required:"true" min:"1" doc:"Whose devices they are and where their messages go."`
	Certificates proxy.Certificates `yaml:"certificates" doc:"How certificates, authorities and revocation lists are kept."`
	Limits       proxy.Limits       `yaml:"limits" doc:"What peers may use at most."`
	Timeouts     proxy.Timeouts     `yaml:"timeouts" doc:"What peers may wait for at most."`
	SourcePrefix proxy.SourcePrefix `yaml:"source_prefix" doc:"How much of its address binds a session to where it began."`
	Admission    admission.Settings `yaml:"admission" doc:"Informs that begin a session: how many, in which order, how long they may wait. docs/admission.md explains it."`
	Journal      journalConfig      `yaml:"journal" required:"true" doc:"The durable log that every record is in before its message goes on."`
	Store        storeConfig        `yaml:"store" doc:"Where records can be asked for. Without a store they stay in the journal, for journal.keep_after_ack."`
	Retention    retention.Policy   `yaml:"retention" doc:"How long the store keeps records; see docs/privacy.md."`
	Proof        proofConfig        `yaml:"proof" doc:"What makes a later change of the log visible; see docs/audit.md."`
	Record       recordConfig       `yaml:"record" doc:"What a record holds."`
	Admin        adminConfig        `yaml:"admin" doc:"The operator's side."`
	Log          logConfig          `yaml:"log" doc:"The gateway's own log, on standard error."`
}

type journalConfig struct {
	Directory    configs.Path     `yaml:"directory" required:"true" doc:"Directory of the journal; made where it is absent. One gateway at a time."`
	MaxSize      configs.Size     `yaml:"max_size" min:"16MiB" doc:"Bytes that the journal may take."`
	SegmentSize  configs.Size     `yaml:"segment_size" min:"1MiB" doc:"Bytes after which a new file is begun."`
	MaxDelay     configs.Duration `yaml:"max_delay" doc:"How long a record may wait for others to be synced with."`
	KeepAfterAck configs.Duration `yaml:"keep_after_ack" doc:"How long records stay after the store has them."`
	OnFailure    string           `yaml:"on_failure" enum:"refuse|stop|pass" doc:"When records cannot be made durable: refuse answers 503 to all but reads, stop ends the gateway, pass lets messages go unrecorded, counted, and writes a gap record when it can again."`
}

// segment is how large a segment becomes.
func (c *journalConfig) segment() int64 { return min(int64(c.SegmentSize), int64(c.MaxSize)/8) }

type storeConfig struct {
	SQLite     *sqliteConfig      `yaml:"sqlite" doc:"The embedded store."`
	ClickHouse *clickhouse.Config `yaml:"clickhouse" doc:"A store in ClickHouse; in place of sqlite."`
}

type sqliteConfig struct {
	File configs.Path `yaml:"file" required:"true" doc:"Database file; made where it is absent, with mode 0600."`
}

type recordConfig struct {
	MaxValue configs.Size `yaml:"max_value" min:"1KiB" doc:"A longer value is cut in the record, which then holds its SHA-256."`
}

type adminConfig struct {
	Metrics configs.Address `yaml:"metrics" doc:"Address of /metrics, /healthz and /readyz; on loopback, since it asks for no password."`
	Socket  configs.Path    `yaml:"socket" doc:"Unix socket that cwmpgate top reads, made with mode 0600; journal.directory with .sock behind it where absent."`
}

type logConfig struct {
	Level  string `yaml:"level" enum:"debug|info|warn|error" doc:"Least level that is logged."`
	Format string `yaml:"format" enum:"auto|text|json" doc:"auto: text on a terminal, JSON elsewhere."`
}

// defaultConfig is what holds where the file says nothing.
func defaultConfig() *config {
	d := proxy.Defaults()
	return &config{
		Certificates: d.Certificates, Limits: d.Limits, Timeouts: d.Timeouts, SourcePrefix: d.SourcePrefix, Admission: d.Admission,
		Journal: journalConfig{
			MaxSize: 20 << 30, SegmentSize: 64 << 20, MaxDelay: configs.Duration(2e6), KeepAfterAck: configs.Duration(24 * 3600 * 1e9), OnFailure: "refuse",
		},
		Proof:  defaultProof(),
		Record: recordConfig{MaxValue: 64 << 10},
		Admin:  adminConfig{Metrics: "127.0.0.1:9547"},
		Log:    logConfig{Level: "info", Format: "auto"},
	}
}

// loadConfig reads a config file; all its mistakes come back at once.
func loadConfig(file string) (*config, error) {
	c := defaultConfig()
	if err := configs.Load(file, c); err != nil {
		return nil, err
	}
	if c.Admin.Socket == "" {
		c.Admin.Socket = configs.Path(filepath.Clean(string(c.Journal.Directory)) + ".sock")
	}
	if c.Node == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, withHint(err, "set node in %s", file)
		}
		c.Node = host
	}
	return c, nil
}

// Validate checks what no single section can tell.
func (c *config) Validate(at configs.At) {
	listeners, addresses, tenants := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i, l := range c.Listeners {
		name := l.Name
		if name == "" {
			name = l.Address.String()
		}
		if listeners[name] {
			at.Item("listeners", i).Errorf("", "listener %q is there twice", name)
		}
		listeners[name] = true
		if addresses[l.Address.String()] {
			at.Item("listeners", i).Errorf("address", "%s is there twice", l.Address)
		}
		addresses[l.Address.String()] = true
		if l.ProxyProtocol != proxy.ProxyProtocolOff && len(c.Admission.TrustedProxies) == 0 && !at.Wrong("admission") {
			at.Item("listeners", i).Errorf("proxy_protocol", "nobody is believed: name the load balancers in admission.trusted_proxies")
		}
		if l.TLS != nil && len(l.TLS.ACME) > 0 && c.Certificates.ACME == nil && !at.Wrong("certificates") {
			at.Item("listeners", i).Errorf("tls.acme", "there is no certificates.acme, which says from whom certificates are got")
		}
		if l.TLS != nil && c.Certificates.ACME != nil && c.Certificates.ACME.DNS == nil && slices.ContainsFunc(l.TLS.ACME, func(name string) bool { return name[0] == '*' }) {
			at.Item("listeners", i).Errorf("tls.acme", "a wildcard can only be shown by certificates.acme.dns")
		}
	}
	for i, t := range c.Tenants {
		item := at.Item("tenants", i)
		if tenants[t.Name] {
			item.Errorf("name", "tenant %q is there twice", t.Name)
		}
		tenants[t.Name] = true
		if t.Match.Listener != "" && !listeners[t.Match.Listener] && !at.Wrong("listeners") {
			item.Errorf("match.listener", "no listener is called %q", t.Match.Listener)
		}
		if len(t.Match.SNI) > 0 && !at.Wrong("listeners") && !slices.ContainsFunc(c.Listeners, func(l proxy.Listener) bool {
			return l.TLS != nil && (t.Match.Listener == "" || t.Match.Listener == cmp.Or(l.Name, l.Address.String()))
		}) {
			item.Errorf("match.sni", "no listener of the tenant has TLS, so no connection has a name: give the listener tls, or leave sni out")
		}
		if t.Auth != nil && t.Auth.TakesBasic() && !t.Auth.BasicInClear && !at.Wrong("listeners") && len(t.Match.SNI) == 0 {
			for _, l := range c.Listeners {
				if name := cmp.Or(l.Name, l.Address.String()); l.TLS == nil && (t.Match.Listener == "" || t.Match.Listener == name) {
					item.Errorf("authentication.schemes", "basic: listener %q has no TLS, so that everybody on the way would read passwords; match another listener, or set basic_in_clear: true", name)
				}
			}
		}
	}
	for name := range c.Retention.Tenants {
		if !tenants[name] && !at.Wrong("tenants") {
			at.Errorf("retention.tenants."+name, "no tenant is called %q", name)
		}
	}
	if c.Retention.Tidies() && c.Store.SQLite == nil && c.Store.ClickHouse == nil && !at.Wrong("store") {
		at.Errorf("retention", "there is no store to remove records from; the journal keeps them for journal.keep_after_ack")
	}
	if c.Admin.Metrics != "" && !c.Admin.Metrics.Loopback() {
		at.Errorf("admin.metrics", "%s is not a loopback address; it asks for no password", c.Admin.Metrics)
	}
	if c.Store.SQLite != nil && c.Store.ClickHouse != nil {
		at.Errorf("store", "sqlite and clickhouse are both set; records go to one store")
	}
	if c.Journal.SegmentSize*2 > c.Journal.MaxSize {
		at.Errorf("journal.segment_size", "%s is more than half of journal.max_size, %s", c.Journal.SegmentSize, c.Journal.MaxSize)
	}
}

// gateway is the part of the config that the proxy takes.
func (c *config) gateway() proxy.Config {
	return proxy.Config{Certificates: c.Certificates, Listeners: c.Listeners, Tenants: c.Tenants, Limits: c.Limits, Timeouts: c.Timeouts, SourcePrefix: c.SourcePrefix, Admission: c.Admission}
}
