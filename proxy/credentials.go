package proxy

import (
	"bytes"
	"encoding/base64"

	"github.com/cwmpgate/cwmpgate/proxy/h1"
)

// credentials is what an Authorization field shows without its secrets: the
// user it names and, for Digest, the nonce it answers. The field itself is
// relayed untouched, however odd it is.
type credentials struct {
	user  string
	nonce string
}

// readCredentials reads an Authorization field tolerantly (RFC 7617, RFC 7616).
// What it cannot read it leaves empty: such a field is the ACS's to refuse.
func readCredentials(fields []h1.Field) (c credentials) {
	value := field(fields, "authorization")
	scheme, rest, _ := bytes.Cut(bytes.TrimLeft(value, " \t"), []byte(" "))
	switch {
	case bytes.EqualFold(scheme, []byte("basic")):
		plain, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(rest)))
		if err != nil {
			return c
		}
		user, _, _ := bytes.Cut(plain, []byte(":"))
		c.user = string(user)
	case bytes.EqualFold(scheme, []byte("digest")):
		eachParameter(rest, func(name, value string) {
			switch name {
			case "username":
				c.user = value
			case "nonce":
				c.nonce = value
			}
		})
	}
	return c
}

// challengeNonces calls f with the nonce of each Digest challenge in a response.
func challengeNonces(fields []h1.Field, f func(nonce string)) {
	for i := range fields {
		if !isName(fields[i].Name, "www-authenticate") {
			continue
		}
		eachParameter(fields[i].Value, func(name, value string) {
			// The first parameter of a challenge stands behind its scheme.
			if at := len(name) - len("nonce"); name == "nonce" || at > 0 && name[at:] == "nonce" && name[at-1] == ' ' {
				f(value)
			}
		})
	}
}

// eachParameter walks name=value pairs separated by commas, values quoted or
// bare, names folded to lower case. It is bounded by the length of b.
func eachParameter(b []byte, f func(name, value string)) {
	for len(b) > 0 {
		name, rest, ok := bytes.Cut(b, []byte("="))
		if !ok {
			return
		}
		name = bytes.ToLower(bytes.Trim(name, " \t,"))
		rest = bytes.TrimLeft(rest, " \t")
		var value []byte
		if len(rest) > 0 && rest[0] == '"' {
			i := 1
			for ; i < len(rest) && rest[i] != '"'; i++ {
				if rest[i] == '\\' && i+1 < len(rest) {
					i++
				}
				value = append(value, rest[i])
			}
			b = rest[min(i+1, len(rest)):]
		} else {
			end := bytes.IndexByte(rest, ',')
			if end < 0 {
				end = len(rest)
			}
			value, b = bytes.TrimRight(rest[:end], " \t"), rest[end:]
		}
		f(string(name), string(value))
	}
}
