package proxy

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/proxy/upstream"
)

// tenant is a Tenant made ready at load: what can be computed there is not
// computed per request.
type tenant struct {
	name         string
	match        Match
	hosts        map[string]bool
	upstream     *upstream.Node
	fileUpstream *upstream.Node // nil: files come from the ACS
	redactor     *audit.Redactor
	identity     *identityTemplate
	filePaths    []string
	redirects    map[string]bool
	expected     *expected
	metrics      *tenantMetrics
}

// matches tells whether a request is this tenant's.
func (t *tenant) matches(listener string, host []byte, path string) bool {
	if t.match.Listener != "" && t.match.Listener != listener {
		return false
	}
	if len(t.hosts) > 0 && !t.hosts[hostName(host)] {
		return false
	}
	return t.match.Path == "" || covers(t.match.Path, path)
}

// files is where the tenant's files are.
func (t *tenant) files() *upstream.Node {
	if t.fileUpstream != nil {
		return t.fileUpstream
	}
	return t.upstream
}

func (t *tenant) close() {
	t.upstream.Close()
	if t.fileUpstream != nil {
		t.fileUpstream.Close()
	}
}

// covers tells whether path is pattern, or below it where pattern ends in a
// slash.
func covers(pattern, path string) bool {
	return !isDisguised(path) && (path == pattern || strings.HasSuffix(pattern, "/") && strings.HasPrefix(path, pattern))
}

// isDisguised tells whether a server may take path for another than it looks:
// one with dot segments, a backslash, or an encoded slash. It is below no path.
func isDisguised(path string) bool {
	if !strings.ContainsAny(path, ".%\\") {
		return false
	}
	plain, err := url.PathUnescape(path)
	if err != nil || strings.ContainsRune(plain, '%') || strings.ContainsRune(plain, '\\') || strings.Count(plain, "/") != strings.Count(path, "/") {
		return true
	}
	for _, segment := range strings.Split(plain, "/") {
		// Some servers cut parameters off before they look at the segment.
		name, _, _ := strings.Cut(segment, ";")
		if name == "." || name == ".." {
			return true
		}
	}
	return false
}

// isUploadPath tells whether the config names path as one for files.
func (t *tenant) isUploadPath(path string) bool {
	for _, p := range t.filePaths {
		if covers(p, path) {
			return true
		}
	}
	return false
}

// identityTemplate says which user name names which device.
type identityTemplate struct{ text string }

func newIdentityTemplate(text string) (*identityTemplate, error) {
	rest := text
	for _, v := range []string{"{oui}", "{productclass}", "{serial}"} {
		rest = strings.ReplaceAll(rest, v, "")
	}
	if strings.ContainsAny(rest, "{}") || !strings.Contains(text, "{serial}") {
		return nil, fmt.Errorf("identity %q: a template holds {serial} and may hold {oui} and {productclass}", text)
	}
	return &identityTemplate{text}, nil
}

// names tells whether user is d's name. TR-069 section 3.4.4 percent-encodes
// what is not unreserved in the parts of a user name; CPEs exist that do not.
func (t *identityTemplate) names(user string, d audit.Device) bool {
	if user == "" || d.Serial == "" {
		return false
	}
	fill := func(escape func(string) string) string {
		return strings.NewReplacer("{oui}", escape(strings.ToUpper(d.OUI)), "{productclass}", escape(d.Class), "{serial}", escape(d.Serial)).Replace(t.text)
	}
	asSent := func(s string) string { return s }
	user = upperOUI(user, d.OUI)
	return user == fill(percentEncode) || user == fill(asSent)
}

// upperOUI folds the case of an OUI at the beginning of a user name: it is a
// hexadecimal number and CPEs write it either way.
func upperOUI(user, oui string) string {
	if len(oui) > 0 && len(user) >= len(oui) && strings.EqualFold(user[:len(oui)], oui) {
		return strings.ToUpper(user[:len(oui)]) + user[len(oui):]
	}
	return user
}

func percentEncode(s string) string {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(unreserved, s[i]) >= 0 {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}
