package proxy

import (
	"net/url"
	"strings"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/proxy/auth"
	"github.com/cwmpgate/cwmpgate/proxy/certs"
	"github.com/cwmpgate/cwmpgate/proxy/identity"
	"github.com/cwmpgate/cwmpgate/proxy/upstream"
)

// tenant is a Tenant made ready at load: what can be computed there is not
// computed per request.
type tenant struct {
	name         string
	match        Match
	hosts        map[string]bool
	sni          map[string]bool // none: any, or no name
	pool         *upstream.Pool
	acses        []*acs         // its nodes
	fileUpstream *upstream.Node // nil: files come from the ACS
	redactor     *audit.Redactor
	identity     *identity.Template  // of HTTP users
	bindsUser    bool                // one that is another device's is refused
	strictUser   bool                // one that is not the device's own is refused
	auth         *auth.Authenticator // nil: CPEs do not log in here
	filePaths    []string
	clients      *certs.Trust    // nil: the listener's holds
	ownFields    map[string]bool // that the gateway sets, by upstream.FoldName
	redirects    map[string]bool
	expected     *expected
	metrics      *tenantMetrics
}

// matches tells whether a request is this tenant's, but for the name of its
// connection.
func (t *tenant) matches(listener string, host []byte, path string) bool {
	if t.match.Listener != "" && t.match.Listener != listener {
		return false
	}
	if len(t.hosts) > 0 && !t.hosts[hostName(host)] {
		return false
	}
	return t.match.Path == "" || covers(t.match.Path, path)
}

// hasName tells whether a connection with a name by SNI may be this tenant's.
func (t *tenant) hasName(sni string) bool { return len(t.sni) == 0 || t.sni[strings.ToLower(sni)] }

func (t *tenant) close() {
	t.pool.Close()
	if t.auth != nil {
		t.auth.Close()
	}
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
