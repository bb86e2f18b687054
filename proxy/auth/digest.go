package auth

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
)

// algorithm is a hash of Digest.
type algorithm uint8

const (
	algMD5 algorithm = iota
	algSHA256
)

// algorithmOf reads the name of a field; MD5 is meant where there is none.
func algorithmOf(name string) (algorithm, bool) {
	switch {
	case name == "", strings.EqualFold(name, "MD5"):
		return algMD5, true
	case strings.EqualFold(name, "SHA-256"):
		return algSHA256, true
	}
	return 0, false
}

func (a algorithm) String() string {
	if a == algSHA256 {
		return "SHA-256"
	}
	return "MD5"
}

func (a algorithm) scheme() string {
	if a == algSHA256 {
		return schemeSHA256
	}
	return schemeMD5
}

func (a algorithm) size() int {
	if a == algSHA256 {
		return sha256.Size
	}
	return md5.Size
}

// sum is the hash of the parts with colons between them.
func (a algorithm) sum(parts ...string) []byte {
	text := []byte(strings.Join(parts, ":"))
	if a == algSHA256 {
		s := sha256.Sum256(text)
		return s[:]
	}
	s := md5.Sum(text)
	return s[:]
}

// answers tells whether c is the response of who has this HA1 (RFC 7616 section
// 3.4.1, qop=auth). It takes the same time whatever differs.
func (c *credentials) answers(ha1 []byte, method string) bool {
	a := c.algorithm
	ha2 := hex.EncodeToString(a.sum(method, c.uri))
	want := a.sum(hex.EncodeToString(ha1), c.nonce, c.ncText, c.cnonce, "auth", ha2)
	return subtle.ConstantTimeCompare(want, c.response) == 1
}

// meansTarget tells whether the uri of Digest is the request's target: as it
// stands, or with scheme and host before it, as some CPEs write it.
func meansTarget(uri, target string) bool {
	if uri == target {
		return true
	}
	_, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return false
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		rest = rest[i:]
	} else {
		rest = ""
	}
	if !strings.HasPrefix(rest, "/") {
		rest = "/" + rest
	}
	return rest == target
}
