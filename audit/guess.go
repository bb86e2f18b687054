package audit

import "bytes"

// qualifiers are the words that vendors put behind the noun: PasswordValue,
// WEPKey1, PINCode. Digits go first, so md is of MD5. What they leave is
// looked at again.
var qualifiers = [...]string{
	"value", "string", "text", "data", "hex", "ascii", "base", "hash", "md", "sha", "pem",
	"encrypted", "plain", "old", "new", "current", "confirm", "code", "primary", "secondary",
}

// nouns end the name of a parameter that holds a credential.
var nouns = [...]string{
	"password", "passwd", "passwrd", "passwort", "pwd", "passphrase", "pass",
	"psk", "secret", "key", "token", "credential", "cred", "community", "cookie",
}

// innocent are names that end like one and hold none.
var innocent = [...]string{
	"parameterkey", "commandkey", "publickey", "bypass", "compass", "lowpass", "highpass", "bandpass",
	"hotkey", "uniquekey", "primarykey", "foreignkey",
}

// guess tells from the last segment of a folded path whether it is named like
// a key or a password; before is the segment that it stands in. Too much is
// better than too little: what is taken for a secret still shows when it
// changes.
func guess(last, before []byte) class {
	name := strip(last)
	if len(name) == 0 || isWord(name, "key") {
		// WEPKey.1.Value, PreSharedKey.1.Key: the object tells.
		if c := guessName(strip(before)); c != plain {
			return c
		}
	}
	return guessName(name)
}

func guessName(name []byte) class {
	if bytes.HasPrefix(name, []byte("numberof")) {
		return plain
	}
	if bytes.HasSuffix(name, []byte("pin")) || bytes.HasSuffix(name, []byte("puk")) {
		return guessedPIN
	}
	for _, word := range innocent {
		if isWord(name, word) {
			return plain
		}
	}
	for _, noun := range nouns {
		if bytes.HasSuffix(name, []byte(noun)) {
			return guessed
		}
	}
	return plain
}

// strip takes digits, a plural s, separators and qualifiers off the end.
func strip(name []byte) []byte {
	for {
		short := bytes.TrimRight(name, "0123456789_-")
		for _, word := range qualifiers {
			if bytes.HasSuffix(short, []byte(word)) {
				short = short[:len(short)-len(word)]
				break
			}
		}
		if n := len(short); n > 3 && short[n-1] == 's' && short[n-2] != 's' {
			short = short[:n-1]
		}
		if len(short) == len(name) {
			return name
		}
		name = short
	}
}

func isWord(name []byte, word string) bool { return string(name) == word }

// isBoolean says whether a value is sent as, and is, a boolean: a guess by
// name is then wrong (UsePassword, ChangePassword).
func isBoolean(value, xsiType []byte) bool {
	if !bytes.HasSuffix(xsiType, []byte(":boolean")) {
		return false
	}
	switch string(trimSpace(value)) {
	case "0", "1", "true", "false":
		return true
	}
	return false
}
