package configs

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Value is a scalar of the config language that says what it accepts. The
// errors of UnmarshalText show the text where it is no secret, and nothing else.
type Value interface {
	encoding.TextUnmarshaler
	Syntax() Syntax
}

// Syntax is what a type accepts, for errors, schema and reference.
type Syntax struct {
	Name    string // the type's name in the reference: "duration"
	Wants   string // what to write, completing "write …"
	Pattern string // ECMA regular expression that every accepted text matches, or empty
	Number  bool   // a plain whole number is accepted too
}

// The forms of the texts, for UnmarshalText and for schemas alike; RE2 and ECMA
// read them the same way.
var (
	durationForm = regexp.MustCompile(`^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`)
	sizeForm     = regexp.MustCompile(`^[0-9]+(\.[0-9]+)? ?(B|[kK]B|[MGTP]B|[KMGTP]iB)?$`)
	addressForm  = regexp.MustCompile(`^(\[[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?\]|[A-Za-z0-9._-]*):[0-9]{1,5}$`)
	prefixForm   = regexp.MustCompile(`^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$`)
	urlForm      = regexp.MustCompile(`^[Hh][Tt][Tt][Pp][Ss]?://[!-~]+$`)
	pathForm     = regexp.MustCompile(`^[^\x00]+$`)
	secretForm   = regexp.MustCompile(`^(file:[^\x00]+|env:[A-Za-z_][A-Za-z0-9_]*)$`)
	nameForm     = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$`)
)

// Duration is a time span: "30s", "1m30s", "2ms". Never negative.
type Duration time.Duration

func (Duration) Syntax() Syntax {
	return Syntax{
		Name:    "duration",
		Wants:   "numbers with their units ms, s, m or h, such as 500ms, 30s or 1h30m",
		Pattern: durationForm.String(),
	}
}

func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || !durationForm.Match(text) {
		return notA("duration", text)
	}
	*d = Duration(v)
	return nil
}

func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String drops the units that are zero: 1h, not 1h0m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Size is a number of bytes: "64KiB", "20GiB", "10MB", or a plain number.
type Size int64

func (Size) Syntax() Syntax {
	return Syntax{
		Name:    "size",
		Wants:   "bytes with a unit B, KiB, MiB, GiB or TiB (or KB, MB … by 1000), such as 64KiB or 20GiB",
		Pattern: sizeForm.String(),
		Number:  true,
	}
}

func (s *Size) UnmarshalText(text []byte) error {
	if !sizeForm.Match(text) {
		return notA("size", text)
	}
	v, err := humanize.ParseBytes(string(text))
	if err != nil || v > math.MaxInt64 {
		return fmt.Errorf("%s is too large", quote(string(text)))
	}
	*s = Size(v)
	return nil
}

func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String is exact: in the largest binary unit that divides the number.
func (s Size) String() string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	i := 0
	for i < len(units)-1 && s != 0 && s%1024 == 0 {
		s /= 1024
		i++
	}
	return strconv.FormatInt(int64(s), 10) + units[i]
}

// Address is where to listen or to connect: "127.0.0.1:9547", "[::1]:80",
// "acs.example.com:7547", and ":7547" for all addresses of the machine.
type Address string

func (Address) Syntax() Syntax {
	return Syntax{
		Name:    "address",
		Wants:   `host:port, such as "127.0.0.1:7547", "[::1]:7547", or ":7547" for all addresses`,
		Pattern: addressForm.String(),
	}
}

func (a *Address) UnmarshalText(text []byte) error {
	host, port, ok := cutPort(string(text))
	switch {
	case strings.Contains(string(text), "@"): // with a password perhaps
		return formError("not an address")
	case !ok || port > math.MaxUint16 || !addressForm.Match(text) || !isHost(host):
		return notA("address", text)
	}
	*a = Address(text)
	return nil
}

func (a Address) String() string { return string(a) }

// Host is the part before the port, without brackets; empty for all addresses.
func (a Address) Host() string {
	host, _, _ := cutPort(string(a))
	return host
}

// Port is 0 where the system is to choose one.
func (a Address) Port() int {
	_, port, _ := cutPort(string(a))
	return port
}

// Loopback tells whether the address is of this machine alone: 127.0.0.0/8, ::1
// or localhost.
func (a Address) Loopback() bool {
	host := a.Host()
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// cutPort splits host:port with the brackets of IPv6 taken off.
func cutPort(s string) (host string, port int, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || len(s)-i-1 > 5 {
		return "", 0, false
	}
	host = s[:i]
	for _, c := range []byte(s[i+1:]) {
		if c < '0' || c > '9' {
			return "", 0, false
		}
		port = port*10 + int(c-'0')
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
		if !strings.Contains(host, ":") { // [192.0.2.1] is not a form of anything
			return "", 0, false
		}
	} else if strings.Contains(host, ":") {
		return "", 0, false
	}
	return host, port, i+1 < len(s)
}

// isHost accepts an IP address, a host name, and nothing for all addresses.
func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return true
	}
	return len(host) <= 253 && nameForm.MatchString(host) && strings.Trim(host, "0123456789.") != ""
}

// Prefix is a network, "192.0.2.0/24", or one address, "2001:db8::1", which is
// a network of itself. IPv4 within IPv6 and zones are refused: no peer has them.
type Prefix struct{ netip.Prefix }

func (Prefix) Syntax() Syntax {
	return Syntax{
		Name:    "network",
		Wants:   "an address or a network, such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32",
		Pattern: prefixForm.String(),
	}
}

func (p *Prefix) UnmarshalText(text []byte) error {
	s := string(text)
	if a, err := netip.ParseAddr(s); err == nil {
		s = fmt.Sprintf("%s/%d", s, a.BitLen())
	}
	v, err := netip.ParsePrefix(s)
	switch {
	case err != nil || v.Addr().Is4In6() || !prefixForm.Match(text):
		return notA("network", text)
	case v != v.Masked():
		return fmt.Errorf("%s has bits set behind its length, the network is %v", quote(string(text)), v.Masked())
	}
	p.Prefix = v
	return nil
}

// URL is an http or https URL with a host, and without user, password or
// fragment. The zero URL is none.
type URL struct{ u url.URL }

func (URL) Syntax() Syntax {
	return Syntax{
		Name:    "URL",
		Wants:   "http:// or https://, a host, and if need be a port and a path, such as https://acs.example.com:7547/cwmp",
		Pattern: urlForm.String(),
	}
}

// UnmarshalText never shows the text, which may hold a password where it is
// wrong.
func (u *URL) UnmarshalText(text []byte) error {
	s := string(text)
	v, err := url.Parse(s)
	switch {
	case strings.Contains(s, "@"):
		return errors.New("a user or password has no place in the URL")
	case strings.Contains(s, "#"):
		return errors.New("a fragment has no place in the URL, no server sees it")
	case err != nil || !urlForm.MatchString(s):
		return formError("not a URL")
	case !isHost(v.Hostname()) || v.Hostname() == "":
		return formError("not a URL with a host")
	}
	if _, port, ok := cutPort(v.Host); ok && (port == 0 || port > math.MaxUint16) || strings.HasSuffix(v.Host, ":") {
		return errors.New("the port of the URL is not one from 1 to 65535")
	}
	u.u = *v
	return nil
}

func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

func (u URL) String() string { return u.u.String() }

// IsZero tells whether no URL was given.
func (u URL) IsZero() bool { return u.u.Host == "" }

// URL is a copy for the caller to keep and change.
func (u URL) URL() *url.URL { v := u.u; return &v }

// Address is host and port to connect to, the port that of the scheme where
// the URL names none.
func (u URL) Address() Address {
	port := u.u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.u.Scheme]
	}
	host := u.u.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return Address(host + ":" + port)
}

// Path is a file or directory. A relative one starts at the directory of the
// config file that names it; defaults are taken as they are.
type Path string

func (p Path) String() string { return string(p) }

func (Path) Syntax() Syntax {
	return Syntax{
		Name:    "path",
		Wants:   "a file or directory; a relative one starts at the directory of this file",
		Pattern: pathForm.String(),
	}
}

func (p *Path) UnmarshalText(text []byte) error {
	if !pathForm.Match(text) {
		return notA("path", text)
	}
	*p = Path(text)
	return nil
}

// resolver is a value that depends on where its file is.
type resolver interface {
	resolve(dir string, absentOK bool) error
}

func (p *Path) resolve(dir string, _ bool) error {
	*p = Path(absolute(dir, string(*p)))
	return nil
}

func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// formError is text that is not of its type's form at all, as against one of
// the right form with a wrong value.
type formError string

func (e formError) Error() string { return string(e) }

func notA(what string, text []byte) error {
	return formError(quote(string(text)) + " is not " + article(what))
}
