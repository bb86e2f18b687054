package cwmptest

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

func hexMD5(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// authParameters reads the name=value pairs behind the scheme of a challenge or
// of credentials; values may be quoted.
func authParameters(s string) map[string]string {
	pairs := map[string]string{}
	for {
		s = strings.TrimLeft(s, " \t,")
		name, rest, found := strings.Cut(s, "=")
		if !found {
			return pairs
		}
		rest = strings.TrimLeft(rest, " \t")
		var value strings.Builder
		i := 0
		if strings.HasPrefix(rest, `"`) {
			for i = 1; i < len(rest) && rest[i] != '"'; i++ {
				if rest[i] == '\\' && i+1 < len(rest) {
					i++
				}
				value.WriteByte(rest[i])
			}
			i = min(i+1, len(rest))
		} else {
			if i = strings.IndexByte(rest, ','); i < 0 {
				i = len(rest)
			}
			value.WriteString(strings.TrimSpace(rest[:i]))
		}
		pairs[strings.ToLower(strings.TrimSpace(name))] = value.String()
		s = rest[i:]
	}
}

// credentials are a user's, and the challenge that they answer.
type credentials struct {
	user, password string
	scheme         string // "Basic", "Digest" or "" while nothing was asked
	challenge      map[string]string
	count          int // nc of Digest
}

// learn takes the strongest challenge of a 401; false where none is known.
func (c *credentials) learn(header []Field) bool {
	if c.user == "" {
		return false
	}
	c.scheme = ""
	for _, v := range fieldValues(header, "WWW-Authenticate") {
		scheme, rest, _ := strings.Cut(strings.TrimSpace(v), " ")
		switch {
		case strings.EqualFold(scheme, "Digest"):
			c.scheme, c.challenge, c.count = "Digest", authParameters(rest), 0
		case strings.EqualFold(scheme, "Basic") && c.scheme == "":
			c.scheme = "Basic"
		}
	}
	return c.scheme != ""
}

// authorization is the field's value for the next request, "" for none.
func (c *credentials) authorization(method, target string) string {
	switch c.scheme {
	case "Basic":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.user+":"+c.password))
	case "Digest":
		c.count++
		p := map[string]string{"username": c.user, "realm": c.challenge["realm"], "nonce": c.challenge["nonce"],
			"uri": target, "nc": fmt.Sprintf("%08x", c.count), "cnonce": randomHex(8), "qop": "auth"}
		value := fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s"`, p["username"], p["realm"], p["nonce"], target)
		if c.challenge["qop"] == "" {
			p["qop"] = ""
		} else {
			value += fmt.Sprintf(`, qop=auth, nc=%s, cnonce="%s"`, p["nc"], p["cnonce"])
		}
		value += `, response="` + digestResponse(p, method, c.password) + `"`
		if opaque, ok := c.challenge["opaque"]; ok {
			value += `, opaque="` + opaque + `"`
		}
		return value
	}
	return ""
}

// digestResponse computes the response of RFC 2617 section 3.2.2 (MD5, and qop
// "auth" or none: what CPEs know).
func digestResponse(p map[string]string, method, password string) string {
	a1 := hexMD5(p["username"] + ":" + p["realm"] + ":" + password)
	a2 := hexMD5(method + ":" + p["uri"])
	if p["qop"] == "" {
		return hexMD5(a1 + ":" + p["nonce"] + ":" + a2)
	}
	return hexMD5(strings.Join([]string{a1, p["nonce"], p["nc"], p["cnonce"], p["qop"], a2}, ":"))
}

// checkAuthorization says whose credentials the value holds, and of which
// nonce; ok is false where they are not valid.
func checkAuthorization(value, method string, password func(user string) (string, bool)) (user, nonce string, ok bool) {
	scheme, rest, _ := strings.Cut(value, " ")
	switch {
	case strings.EqualFold(scheme, "Basic"):
		text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
		if err != nil {
			return "", "", false
		}
		user, given, _ := strings.Cut(string(text), ":")
		want, known := password(user)
		return user, "", known && subtle.ConstantTimeCompare([]byte(want), []byte(given)) == 1
	case strings.EqualFold(scheme, "Digest"):
		p := authParameters(rest)
		want, known := password(p["username"])
		return p["username"], p["nonce"], known && p["response"] == digestResponse(p, method, want)
	}
	return "", "", false
}
