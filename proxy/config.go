package proxy

import (
	"strings"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/configs"
	"github.com/cwmpgate/cwmpgate/cwmp"
	"github.com/cwmpgate/cwmpgate/policy/admission"
	"github.com/cwmpgate/cwmpgate/proxy/acme"
	"github.com/cwmpgate/cwmpgate/proxy/auth"
	"github.com/cwmpgate/cwmpgate/proxy/certs"
	"github.com/cwmpgate/cwmpgate/proxy/h1"
	"github.com/cwmpgate/cwmpgate/proxy/identity"
	"github.com/cwmpgate/cwmpgate/proxy/upstream"
)

// Listener is one address that CPEs connect to.
type Listener struct {
	Name          string          `yaml:"name" doc:"Name of the listener in records, metrics and a tenant's match; the address where absent."`
	Address       configs.Address `yaml:"address" required:"true" doc:"Host and port to listen on, as in :7547."`
	TLS           *certs.Config   `yaml:"tls" doc:"TLS of the listener; without it CPEs speak plain HTTP, and records say so."`
	ProxyProtocol string          `yaml:"proxy_protocol" enum:"off|trusted|required" doc:"Whether load balancers say whom a connection is from, by a PROXY header (versions 1 and 2). trusted: those of admission.trusted_proxies must, others are CPEs that come by themselves; required: others are turned away."`
	AllowNoHost   bool            `yaml:"allow_no_host" doc:"Accept HTTP/1.1 requests without a Host field: CPEs that send them exist and cannot be updated. They are routed like requests for no host."`
}

// What a listener expects before a connection's own bytes.
const (
	ProxyProtocolOff      = "off"
	ProxyProtocolTrusted  = "trusted"
	ProxyProtocolRequired = "required"
)

// SetDefaults gives a listener its defaults before its section is read.
func (l *Listener) SetDefaults() { l.ProxyProtocol = ProxyProtocolOff }

// Tenant is one owner of devices: which requests are its, and where they go.
type Tenant struct {
	Name         string              `yaml:"name" required:"true" doc:"Name of the tenant in records and metrics."`
	Match        Match               `yaml:"match" doc:"Which requests are this tenant's; empty: all. The first tenant that matches is taken."`
	Upstreams    []upstream.Config   `yaml:"upstreams" required:"true" doc:"The ACS: one node or several of it, which share what they know of devices."`
	Pool         upstream.PoolConfig `yaml:"pool" doc:"How sessions are shared out among several upstreams."`
	Informs      admission.Rate      `yaml:"informs" doc:"Informs that begin a session, of this tenant: all its ACSes."`
	Redaction    Redaction           `yaml:"redaction" doc:"How secrets are kept out of the record."`
	Files        Files               `yaml:"files" doc:"File transfers through the gateway."`
	Redirects    []string            `yaml:"redirects" doc:"Hosts, other than the tenant's own, that an ACS may redirect CPEs to, as host or host:port."`
	Identity     string              `yaml:"identity" doc:"What an HTTP user name must equal for the device to count as authenticated: a template of {oui}, {productclass}, {serial} and {mac}."`
	UserMismatch string              `yaml:"user_mismatch" enum:"auto|pass|refuse|strict" doc:"An Inform with an HTTP user of the form of identity that is another device's: pass leaves it to the ACS, and the record says claimed; refuse answers 403; auto is refuse with authentication, pass without. With a certificate that names the device it is refused always. strict, for authentication alone, refuses every user but the device's own, such as one that devices share."`
	Auth         *auth.Config        `yaml:"authentication" doc:"Has CPEs log in at the gateway, by HTTP Basic or Digest; docs/authentication.md explains it. Without it their credentials are the ACS's to judge."`
	Clients      *certs.Clients      `yaml:"client_certificates" doc:"Certificates of this tenant's CPEs, in place of what the listener says."`
}

// SetDefaults gives a tenant its defaults before its section is read.
func (t *Tenant) SetDefaults() { t.Identity, t.UserMismatch = "{oui}-{serial}", UserMismatchAuto }

// Validate reports what no single key's type can tell.
func (t *Tenant) Validate(at configs.At) {
	names := map[string]bool{}
	for i := range t.Upstreams {
		name := t.Upstreams[i].NodeName()
		if names[name] && name != "" {
			at.Item("upstreams", i).Errorf("", "%q is there twice: give each a name of its own", name)
		}
		names[name] = true
	}
	if _, err := identity.ParseTemplate(t.Identity); err != nil {
		at.Errorf("identity", "%v", err)
	}
	if t.UserMismatch == UserMismatchStrict && t.Auth == nil && !at.Wrong("authentication") {
		at.Errorf("user_mismatch", "strict needs authentication: without it a first Inform comes without a user")
	}
	if p := t.Match.Path; p != "" && p[0] != '/' {
		at.Errorf("match.path", "%q does not begin with a slash", p)
	}
	if f := t.Files.Upstream; f != nil && (f.Limited()) {
		at.Errorf("files.upstream", "informs, sessions and adaptive are limits of an ACS: no Inform goes to a file server")
	}
	for i, p := range t.Files.Paths {
		if p == "" || p[0] != '/' {
			at.Item("files.paths", i).Errorf("", "%q does not begin with a slash", p)
		}
	}
	for i, h := range t.Match.Hosts {
		if hostName([]byte(h)) != strings.ToLower(strings.Trim(h, "[]")) {
			at.Item("match.hosts", i).Errorf("", "%q has a port; only the name is compared", h)
		}
	}
	for i, name := range t.Match.SNI {
		if !certs.IsHostName(strings.ToLower(name)) {
			at.Item("match.sni", i).Errorf("", "%q is no host name; addresses and wildcards are not compared", name)
		}
	}
	if _, err := audit.NewRedactor(t.Redaction.Key.Bytes(), nil); err != nil && !t.Redaction.Key.IsZero() && !t.Redaction.Key.Absent() {
		at.Errorf("redaction.key", "%v", err)
	}
	if t.Redaction.Key.IsZero() {
		at.Errorf("redaction.key", "a tenant needs a key for the hashes of its secrets, as file:PATH")
	}
	for i, p := range t.Redaction.Patterns {
		if _, err := audit.ParsePattern(p); err != nil {
			at.Item("redaction.patterns", i).Errorf("", "%v", err)
		}
	}
}

// Match says which requests are a tenant's. All that is set must hold.
type Match struct {
	Listener string   `yaml:"listener" doc:"Name of the listener."`
	SNI      []string `yaml:"sni" doc:"Names that the CPE sends in the TLS handshake (SNI), without case. The handshake then asks for this tenant's certificates. A request that is this tenant's but for the name of its connection is answered 421."`
	Hosts    []string `yaml:"hosts" doc:"Host names in the Host field, without port, without case."`
	Path     string   `yaml:"path" doc:"The path, or what it begins with where this ends in a slash. Other paths of the ACS are then out of reach."`
}

// Redaction keeps a tenant's secrets out of the record.
type Redaction struct {
	Key      configs.Secret `yaml:"key" absent:"ok" doc:"Key of the hashes that stand for secrets, as file:PATH (made with mode 0600 where it is absent) or env:NAME."`
	Patterns []string       `yaml:"patterns" doc:"Further parameters that are secret, as paths with * and **."`
}

// Files says which requests are transfers of files rather than messages.
type Files struct {
	Upstream *upstream.Config `yaml:"upstream" doc:"Where files are, if not at the ACS: a file server behind the gateway. GET, HEAD and PUT, and POST of files, go there."`
	Paths    []string         `yaml:"paths" doc:"Paths whose POSTs are file uploads, or what they begin with where one ends in a slash. GET, HEAD and PUT are transfers on any path."`
}

// Limits bounds what peers may use. Each refusal for a limit is counted by its
// reason and names the key and its value.
type Limits struct {
	Head                  configs.Size `yaml:"head" min:"1KiB" max:"1MiB" doc:"Head of a request or answer."`
	Fields                int          `yaml:"fields" min:"10" max:"10000" doc:"Fields in a head."`
	Body                  configs.Size `yaml:"body" min:"64KiB" doc:"Body of a message as it is sent."`
	Inflated              configs.Size `yaml:"inflated" min:"64KiB" doc:"Body of a message after gzip or deflate."`
	File                  configs.Size `yaml:"file" min:"64KiB" doc:"Body of a file transfer."`
	Memory                configs.Size `yaml:"memory" min:"1MiB" doc:"All bodies held in memory at once, with what reading large ones takes. Beyond it requests are answered 503; docs/performance.md, section Memory, says what is resident beside them."`
	MemoryPerAddress      configs.Size `yaml:"memory_per_address" min:"1MiB" doc:"Bodies over 64 KiB from one source prefix held in memory at once, with what reading them takes."`
	Depth                 int          `yaml:"depth" min:"8" max:"1000" doc:"Nesting of XML elements."`
	Attributes            int          `yaml:"attributes" min:"8" max:"10000" doc:"Attributes of one XML element; four times as many namespaces may be declared at once."`
	Parameters            int          `yaml:"parameters" min:"100" max:"10000000" doc:"Parameters in one message."`
	Connections           int          `yaml:"connections" min:"1" doc:"Connections of CPEs open at once."`
	ConnectionsPerAddress int          `yaml:"connections_per_address" min:"1" doc:"Connections open at once from one source prefix; many devices may stand behind one address."`
	Handshakes            int          `yaml:"handshakes" min:"1" doc:"TLS handshakes under way at once."`
	HandshakesPerAddress  int          `yaml:"handshakes_per_address" min:"1" doc:"TLS handshakes under way at once from one source prefix; more wait for their turn."`
	Sessions              int          `yaml:"sessions" min:"1" doc:"CWMP sessions open at once; each may hold a connection to the ACS."`
	SessionsPerAddress    int          `yaml:"sessions_per_address" min:"1" doc:"CWMP sessions open at once from one source prefix."`
	Observe               []string     `yaml:"observe" doc:"Names of the limits of connections, handshakes and sessions that are not enforced: what is over one is counted, in cwmpgate_limits_over_total, and let through. What keeps the gateway's memory is always enforced."`
}

// Validate reports limits that another makes impossible to reach.
func (l *Limits) Validate(at configs.At) {
	for i, name := range l.Observe {
		switch name {
		case limitConnections, limitConnectionsPerAddress, limitHandshakes, limitHandshakesPerAddress, limitSessions, limitSessionsPerAddress:
		default:
			at.Item("observe", i).Errorf("", "%q is not one of %s, %s, %s, %s, %s and %s", name,
				limitConnections, limitConnectionsPerAddress, limitHandshakes, limitHandshakesPerAddress, limitSessions, limitSessionsPerAddress)
		}
	}
	// One message as it came and inflated, with what reading it takes.
	most := l.Body + (1+decodingCost)*max(l.Body, l.Inflated)
	if l.MemoryPerAddress < most {
		at.Errorf("memory_per_address", "%s is less than one message of limits.body = %s and limits.inflated = %s takes, %s", l.MemoryPerAddress, l.Body, l.Inflated, most)
	}
	if l.Memory-l.Memory/8 < l.MemoryPerAddress {
		at.Errorf("memory", "seven eighths of %s are less than limits.memory_per_address = %s", l.Memory, l.MemoryPerAddress)
	}
}

// Timeouts bounds what peers may wait for.
type Timeouts struct {
	Handshake    configs.Duration `yaml:"handshake" min:"10ms" doc:"From the connection to the end of the TLS handshake."`
	Head         configs.Duration `yaml:"head" min:"10ms" doc:"From the first byte of a request to the end of its head."`
	Body         configs.Duration `yaml:"body" min:"10ms" doc:"For the body of a request; 16 s more are earned with each 256 KiB that came."`
	Write        configs.Duration `yaml:"write" min:"10ms" doc:"For a CPE to take an answer."`
	Idle         configs.Duration `yaml:"idle" min:"10ms" doc:"A connection without a request and without an open session."`
	Connect      configs.Duration `yaml:"connect" min:"10ms" doc:"For a connection to the ACS, its TLS handshake included."`
	Answer       configs.Duration `yaml:"answer" min:"10ms" doc:"For the ACS's answer. CPEs give up after 30 s or later."`
	Session      configs.Duration `yaml:"session" min:"10ms" doc:"A session in which nobody owes an answer."`
	SessionReply configs.Duration `yaml:"session_reply" min:"10ms" doc:"A session in which the CPE owes the answer to an RPC: reading a full model takes minutes."`
	SessionMost  configs.Duration `yaml:"session_most" min:"1s" doc:"The longest that a CPE may ask for in its SessionTimeout header, once the ACS has accepted its Inform."`
	Linger       configs.Duration `yaml:"linger" doc:"How long the keys of an ended session are known, so that one more empty POST is answered 204; of more than limits.sessions ended ones the oldest is forgotten before."`
	File         configs.Duration `yaml:"file" min:"1s" doc:"For one file transfer."`
	RetryAfter   configs.Duration `yaml:"retry_after" min:"1s" doc:"Least Retry-After of a 503; up to twice as long is said, so that CPEs do not come back in step."`
	Drain        configs.Duration `yaml:"drain" doc:"For open sessions to end after SIGTERM."`
}

// SourcePrefix is how much of an address binds a session, and what limits per
// address count by.
type SourcePrefix struct {
	IPv4 int `yaml:"ipv4" min:"8" max:"32" doc:"Bits of an IPv4 address that must agree within a session."`
	IPv6 int `yaml:"ipv6" min:"16" max:"128" doc:"Bits of an IPv6 address that must agree within a session."`
}

// Certificates is how certificates, authorities and revocation lists are kept.
type Certificates struct {
	CheckEvery configs.Duration `yaml:"check_every" min:"10ms" doc:"How often their files are looked at. What has changed holds for new connections; those that are open go on."`
	ACME       *acme.Config     `yaml:"acme" doc:"The CA of listeners whose tls.acme has names."`
	WarnBefore configs.Duration `yaml:"warn_before" doc:"How long before one ends the log warns of it, once a day."`
}

// Config is what a Gateway is made from.
type Config struct {
	Certificates Certificates
	Listeners    []Listener
	Tenants      []Tenant
	Limits       Limits
	Timeouts     Timeouts
	SourcePrefix SourcePrefix
	Admission    admission.Settings
}

// Defaults returns a Config with every limit set and no listener.
func Defaults() Config {
	return Config{
		Limits: Limits{
			Head: 32 << 10, Fields: 100, Body: 16 << 20, Inflated: 64 << 20, File: 1 << 30, Memory: 512 << 20, MemoryPerAddress: 256 << 20,
			Depth: 64, Attributes: 64, Parameters: 100_000,
			Connections: 10_000, ConnectionsPerAddress: 2_000, Handshakes: 512, HandshakesPerAddress: 128, Sessions: 10_000, SessionsPerAddress: 2_000,
		},
		Timeouts: Timeouts{
			Handshake: seconds(10), Head: seconds(30), Body: seconds(30), Write: seconds(60), Idle: seconds(60),
			Connect: seconds(5), Answer: seconds(28), Session: seconds(30), SessionReply: seconds(300), SessionMost: seconds(900),
			Linger: seconds(5), File: seconds(3600), RetryAfter: seconds(30), Drain: seconds(30),
		},
		SourcePrefix: SourcePrefix{IPv4: 32, IPv6: 64},
		Certificates: Certificates{CheckEvery: seconds(30), WarnBefore: seconds(30 * 24 * 3600)},
		Admission:    admission.DefaultSettings(),
	}
}

func seconds(n int) configs.Duration { return configs.Duration(time.Duration(n) * time.Second) }

func (c *Config) h1Limits() h1.Limits {
	return h1.Limits{Head: int(c.Limits.Head), Fields: c.Limits.Fields}
}

func (c *Config) cwmpLimits() cwmp.Limits {
	l := cwmp.DefaultLimits()
	l.Depth, l.Attributes, l.Parameters = c.Limits.Depth, c.Limits.Attributes, c.Limits.Parameters
	l.Namespaces = 4 * c.Limits.Attributes
	return l
}

// What becomes of an Inform whose HTTP user is another device's.
const (
	UserMismatchAuto   = "auto"
	UserMismatchPass   = "pass"
	UserMismatchRefuse = "refuse"
	UserMismatchStrict = "strict"
)
