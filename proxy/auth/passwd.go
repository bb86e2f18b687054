package auth

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// Line kinds of a file of users.
const (
	KindBasic  = "basic"
	KindMD5    = "md5"
	KindSHA256 = "sha-256"
)

// Lines are the lines of a user with a password, one of each kind.
func Lines(user, password, realm string, kinds []string) (lines []string, err error) {
	switch err := checkUser(user); {
	case err != nil:
		return nil, err
	case strings.ContainsRune(user, ':') || strings.HasPrefix(user, "#"):
		return nil, fmt.Errorf("user %q has a colon, or begins with #", user)
	case password == "":
		return nil, errors.New("the password is empty")
	case strings.ContainsAny(password, "\x00\r\n"):
		return nil, errors.New("the password has a line break or NUL in it")
	case !isRealm(realm):
		return nil, fmt.Errorf("realm %q is not 1 to %d printable ASCII characters without quotes, backslashes and colons", realm, maxRealm)
	}
	for _, k := range kinds {
		switch k {
		case KindBasic:
			if len(password) > maxBcryptPassword {
				return nil, fmt.Errorf("the password has over %d bytes, more than bcrypt looks at", maxBcryptPassword)
			}
			hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
			if err != nil {
				return nil, fmt.Errorf("hash the password: %w", err)
			}
			lines = append(lines, user+":"+string(hash))
		case KindMD5, KindSHA256:
			a := algMD5
			if k == KindSHA256 {
				a = algSHA256
			}
			lines = append(lines, user+":"+realm+":"+hex.EncodeToString(a.sum(user, realm, password)))
		default:
			return nil, fmt.Errorf("%q is none of %s, %s and %s", k, KindBasic, KindMD5, KindSHA256)
		}
	}
	return lines, nil
}

// Edit puts a user's lines at the end of a file's text. Those that were there of
// the user for Basic, and for Digest in the realm, are taken out, so that no
// password before stays good; with no realm all are. What else stands there
// stays as it is. found tells whether any was taken out.
func Edit(text []byte, user, realm string, lines []string) (edited []byte, found bool) {
	for line := range bytes.Lines(text) {
		l := strings.TrimRight(string(line), "\r\n")
		parts := strings.Split(l, ":")
		if parts[0] == user && (realm == "" || len(parts) != 3 || parts[1] == realm) {
			found = true
			continue
		}
		edited = append(edited, line...)
	}
	if len(edited) > 0 && len(lines) > 0 && edited[len(edited)-1] != '\n' {
		edited = append(edited, '\n')
	}
	for _, l := range lines {
		edited = append(append(edited, l...), '\n')
	}
	return edited, found
}
