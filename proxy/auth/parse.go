package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of what a CPE may send: what is longer is nobody's.
const (
	maxField      = 4 << 10 // the whole Authorization field
	maxUser       = 256
	maxPassword   = 1 << 10
	maxParameter  = 1 << 10 // one parameter of Digest; uri may be as long as the field
	maxParameters = 24
)

// credentials are an Authorization field, read. What it holds is a claim.
type credentials struct {
	scheme    string // schemeBasic, schemeMD5, schemeSHA256; "": one that is not known
	user      string
	password  string // of Basic
	realm     string
	nonce     string
	uri       string
	response  []byte
	nc        uint32
	ncText    string
	cnonce    string
	algorithm algorithm
}

// parse reads an Authorization field strictly: it is judged by the gateway alone,
// and what two readers could read differently is refused. Errors quote nothing
// of it.
func parse(field []byte) (c credentials, err error) {
	if len(field) > maxField {
		return c, fmt.Errorf("the Authorization field has %d bytes, over %d", len(field), maxField)
	}
	for _, b := range field {
		if b < ' ' && b != '\t' || b == 0x7f {
			return c, errors.New("a control character in Authorization")
		}
	}
	scheme, rest, _ := bytes.Cut(bytes.Trim(field, " \t"), []byte(" "))
	switch {
	case bytes.EqualFold(scheme, []byte("basic")):
		return parseBasic(bytes.Trim(rest, " \t"))
	case bytes.EqualFold(scheme, []byte("digest")):
		return parseDigest(string(rest))
	}
	return c, nil
}

func parseBasic(token []byte) (c credentials, err error) {
	plain, err := base64.StdEncoding.Strict().DecodeString(string(token))
	if err != nil {
		return c, errors.New("the credentials of Basic are not base64")
	}
	user, password, ok := strings.Cut(string(plain), ":")
	if !ok {
		return c, errors.New("the credentials of Basic have no colon")
	}
	if len(password) > maxPassword {
		return c, fmt.Errorf("a password of %d bytes, over %d", len(password), maxPassword)
	}
	c.scheme, c.user, c.password = schemeBasic, user, password
	return c, checkUser(user)
}

func checkUser(user string) error {
	switch {
	case user == "":
		return errors.New("no user")
	case len(user) > maxUser:
		return fmt.Errorf("a user of %d bytes, over %d", len(user), maxUser)
	case !utf8.ValidString(user) || strings.IndexFunc(user, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0:
		return errors.New("the user is not UTF-8, or has a control character")
	}
	return nil
}

func parseDigest(text string) (c credentials, err error) {
	p, err := parameters(text)
	if err != nil {
		return c, err
	}
	c = credentials{user: p["username"], realm: p["realm"], nonce: p["nonce"], uri: p["uri"], cnonce: p["cnonce"], ncText: p["nc"]}
	if _, extended := p["username*"]; extended || p["userhash"] != "" && !strings.EqualFold(p["userhash"], "false") {
		return c, errors.New("the answer to Digest has username* or userhash, which were not asked for")
	}
	var known bool
	c.algorithm, known = algorithmOf(p["algorithm"])
	if !known { // not offered: neither right nor wrong
		return credentials{user: c.user}, checkUser(c.user)
	}
	c.scheme = c.algorithm.scheme()
	for _, name := range []string{"realm", "nonce", "uri", "response", "nc", "cnonce"} {
		if p[name] == "" {
			return c, fmt.Errorf("the answer to Digest has no %s", name)
		}
	}
	if p["qop"] != "auth" {
		return c, errors.New("the answer to Digest is not of qop=auth")
	}
	nc, err := strconv.ParseUint(c.ncText, 16, 32)
	if err != nil || len(c.ncText) != 8 || nc == 0 {
		return c, errors.New("nc is not eight hexadecimal digits from 00000001")
	}
	c.nc = uint32(nc)
	if c.response, err = hex.DecodeString(p["response"]); err != nil || len(c.response) != c.algorithm.size() {
		return c, errors.New("response is not a hash of the algorithm in hexadecimal")
	}
	return c, checkUser(c.user)
}

// parameters reads name=value pairs separated by commas, values quoted or bare,
// names without case. A name may be there once.
func parameters(text string) (map[string]string, error) {
	p := make(map[string]string)
	for rest := strings.Trim(text, " \t"); rest != ""; {
		if rest[0] == ',' { // an empty element, RFC 9110 section 5.6.1
			rest = strings.TrimLeft(rest[1:], " \t")
			continue
		}
		name, after, ok := strings.Cut(rest, "=")
		name = strings.ToLower(strings.TrimRight(name, " \t"))
		if !ok || !isToken(name) {
			return nil, errors.New("the answer to Digest has a parameter that is none")
		}
		value, after, err := parameterValue(strings.TrimLeft(after, " \t"))
		if err != nil {
			return nil, err
		}
		_, twice := p[name]
		switch {
		case twice:
			return nil, errors.New("the answer to Digest has a parameter twice")
		case len(p) == maxParameters:
			return nil, fmt.Errorf("the answer to Digest has over %d parameters", maxParameters)
		case len(value) > maxParameter && name != "uri":
			return nil, fmt.Errorf("a parameter of Digest has over %d bytes", maxParameter)
		}
		p[name] = value
		if rest = strings.TrimLeft(after, " \t"); rest != "" && rest[0] != ',' {
			return nil, errors.New("the answer to Digest has no comma between two parameters")
		}
	}
	return p, nil
}

// parameterValue reads one value off the beginning of text.
func parameterValue(text string) (value, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text, ", \t")
		if end < 0 {
			end = len(text)
		}
		if value = text[:end]; strings.ContainsRune(value, '"') {
			return "", "", errors.New("a quote within a bare value of Digest")
		}
		return value, text[end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return b.String(), text[i+1:], nil
		case '\\':
			if i++; i == len(text) {
				return "", "", errors.New("a quoted value of Digest is not closed")
			}
		}
		b.WriteByte(text[i])
	}
	return "", "", errors.New("a quoted value of Digest is not closed")
}

func isToken(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	}) < 0
}
