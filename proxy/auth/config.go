// Package auth has CPEs log in at the gateway: it challenges them (HTTP Basic,
// RFC 7617, and Digest, RFC 7616) and judges what they answer, by a file of
// users or by asking a web server. It knows nothing of sessions and devices.
package auth

import (
	"slices"
	"strings"
	"time"

	"github.com/cwmpgate/cwmpgate/configs"
	"github.com/cwmpgate/cwmpgate/policy/admission"
)

// Config says how the CPEs of a tenant log in.
type Config struct {
	Schemes       []string         `yaml:"schemes" enum:"digest-md5|digest-sha-256|basic" doc:"What CPEs may log in by, in the order in which it is offered; each is a WWW-Authenticate field of its own. Without any, digest-md5 alone: old CPEs read one field only, or fail at an algorithm that they do not know."`
	Realm         string           `yaml:"realm" doc:"Realm of the challenges; the hashes of Digest in the file of users hold for one realm."`
	Users         configs.Path     `yaml:"users" doc:"File of users, as cwmpgate passwd writes it. Read anew when it changes."`
	Webhook       *Webhook         `yaml:"webhook" doc:"A web server that is asked, in place of users."`
	CheckEvery    configs.Duration `yaml:"check_every" min:"10ms" doc:"How often it is looked whether the file of users has changed."`
	BcryptAtOnce  int              `yaml:"bcrypt_at_once" min:"1" max:"1024" doc:"Passwords of Basic held to their bcrypt hash at once, each on a CPU of its own; who was right is remembered, so that this is for the first time and for guesses."`
	Wait          configs.Duration `yaml:"wait" min:"10ms" max:"25s" doc:"How long a CPE may wait for a bcrypt check or a call of the webhook to begin; then it is answered 503."`
	Remembered    int              `yaml:"remembered" min:"100" max:"10000000" doc:"Logins remembered at once, right or wrong, about 300 bytes each; the oldest is forgotten first."`
	NonceLifetime configs.Duration `yaml:"nonce_lifetime" min:"1s" max:"24h" doc:"How long a nonce of Digest is good for; behind it CPEs are told stale=true and log in anew by themselves."`
	Nonces        int              `yaml:"nonces" min:"100" max:"10000000" doc:"Nonces in use whose counter is known, so that nothing is accepted twice; about 100 bytes each. Beyond it the oldest are stale before their time."`
	Failures      Failures         `yaml:"failures" doc:"How often credentials may be wrong."`
	ACS           ACS              `yaml:"acs" doc:"What the ACS sees of the credentials."`
	Files         string           `yaml:"files" enum:"expected|open" doc:"Which file transfers pass without logging in. expected: those that an ACS asked a device behind the same source prefix to fetch or to send, with whatever Authorization they bring. open: all."`
	BasicInClear  bool             `yaml:"basic_in_clear" doc:"Take Basic on a listener without TLS, where everybody on the way reads the password."`
}

// Failures bounds guessing.
type Failures struct {
	Address admission.Rate `yaml:"address" doc:"Wrong credentials from one source prefix. Users who logged in from there before are not held to it: many devices may stand behind one address. Nor is who comes through admission.trusted_proxies."`
	User    admission.Rate `yaml:"user" doc:"Wrong credentials of one user from one source prefix."`
	Tracked int            `yaml:"tracked" min:"100" max:"10000000" doc:"Prefixes, and users behind them, whose rate is known at once, 64 bytes each at most; and users who logged in, about 300 bytes each."`
}

// ACS is what the ACS sees.
type ACS struct {
	Credentials string         `yaml:"credentials" enum:"none|own|pass" doc:"none: Authorization is taken out; own: it is Basic with user and password of the gateway's; pass: as the CPE sent it, for schemes: [basic] alone, since an ACS cannot judge the answer to the gateway's Digest challenge."`
	User        configs.Secret `yaml:"user" doc:"User for own, as file:PATH or env:NAME."`
	Password    configs.Secret `yaml:"password" doc:"Password for own, as file:PATH or env:NAME."`
}

// What the ACS sees, and which files pass.
const (
	None = "none"
	Own  = "own"
	Pass = "pass"

	FilesExpected = "expected"
	FilesOpen     = "open"
)

// SetDefaults gives the section its defaults before it is read.
func (c *Config) SetDefaults() {
	c.Realm, c.CheckEvery, c.BcryptAtOnce, c.Wait = "cwmpgate", configs.Duration(30*time.Second), 2, configs.Duration(5*time.Second)
	c.Remembered, c.NonceLifetime, c.Nonces = 100_000, configs.Duration(5*time.Minute), 100_000
	c.ACS.Credentials, c.Files = None, FilesExpected
	c.Failures = Failures{
		Address: admission.Rate{Mode: admission.ModeEnforce, Count: 60, Per: configs.Duration(time.Minute), Burst: 60},
		User:    admission.Rate{Mode: admission.ModeEnforce, Count: 10, Per: configs.Duration(time.Minute), Burst: 10},
		Tracked: 100_000,
	}
}

// The schemes.
const (
	schemeBasic  = "basic"
	schemeMD5    = "digest-md5"
	schemeSHA256 = "digest-sha-256"
)

// schemes are those that are offered, in order.
func (c *Config) schemes() []string {
	if len(c.Schemes) == 0 {
		return []string{schemeMD5}
	}
	return c.Schemes
}

// TakesBasic tells whether passwords come in clear.
func (c *Config) TakesBasic() bool { return slices.Contains(c.schemes(), schemeBasic) }

// maxRealm is the most bytes of a realm: some CPEs keep what they read in small
// rooms.
const maxRealm = 64

// Validate reports what no single key's type can tell.
func (c *Config) Validate(at configs.At) {
	for i, s := range c.Schemes {
		if slices.Contains(c.Schemes[:i], s) {
			at.Item("schemes", i).Errorf("", "%q is there twice", s)
		}
	}
	if !isRealm(c.Realm) {
		at.Errorf("realm", "%q is not 1 to %d printable ASCII characters without quotes, backslashes and colons", c.Realm, maxRealm)
	}
	if !at.Wrong("users") && !at.Wrong("webhook") && (c.Users == "") == (c.Webhook == nil) {
		at.Errorf("", "give users or webhook, and not both: by one of them it is known who may log in")
	}
	if c.ACS.Credentials == Pass && !at.Wrong("schemes") && !slices.Equal(c.Schemes, []string{schemeBasic}) {
		at.Errorf("acs.credentials", "pass needs schemes: [basic]: an ACS cannot judge the answer to the gateway's Digest challenge")
	}
	if own := c.ACS.Credentials == Own; own == c.ACS.User.IsZero() || own == c.ACS.Password.IsZero() {
		at.Errorf("acs", "user and password go with credentials: own, and with nothing else")
	} else if strings.ContainsRune(c.ACS.User.Reveal(), ':') {
		at.Errorf("acs.user", "a user of Basic has no colon")
	}
	if c.Users != "" && !at.Wrong("users") && !at.Wrong("schemes") && !at.Wrong("realm") {
		_, err := firstUsers(c)
		for _, e := range split(err) {
			at.Errorf("users", "%v", e)
		}
	}
}

// split is the errors that err is joined of.
func split(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

func isRealm(s string) bool {
	return s != "" && len(s) <= maxRealm && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' || r == ':' }) < 0
}
