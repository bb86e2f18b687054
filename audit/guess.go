package audit

import (
	"bytes"
	"slices"
)

// qualifiers are the words that vendors put behind the noun: PasswordValue,
// WEPKey1, PINCode. Digits go first, so md is of MD5. What they leave is
// looked at again.
var qualifiers = [...]string{
	"value", "string", "text", "data", "hex", "ascii", "base", "hash", "md", "sha", "pem",
	"encrypted", "enc", "plain", "old", "new", "current", "confirm", "code", "primary", "secondary",
	"content", "contents",
}

// nouns end the name of a parameter that holds a credential.
var nouns = [...]string{
	"password", "passwd", "passwrd", "passwort", "pwd", "passphrase", "pass",
	"psk", "secret", "key", "token", "credential", "cred", "community", "cookie",
	"configfile", "config_file", "configurationfile", // a whole configuration with all that is in it
	"adminpw", "userpw", "rootpw", "loginpw", "webpw", "wifipw", "wlanpw", "guestpw", "ppppw", "ftppw", "httppw",
}

// innocent are names that end like one and hold none.
var innocent = [...]string{
	"parameterkey", "commandkey", "publickey", "bypass", "compass", "lowpass", "highpass", "bandpass",
	"hotkey", "uniquekey", "primarykey", "foreignkey",
}

// guess tells from the last segment of a folded path, stripped, whether it is
// named like a key or a password. Too much is better than too little: what is
// taken for a secret still shows when it changes.
func guess(name []byte) class {
	if len(name) < 3 {
		return plain
	}
	for _, noun := range nounsBy[name[len(name)-1]] {
		if endsIn(name, noun) {
			if isInnocent(name) {
				return plain
			}
			return guessed
		}
	}
	if endsIn(name, "pin") || endsIn(name, "puk") {
		return guessedPIN
	}
	return plain
}

// guessName is guess for a name as it was sent, of which noun is the folded and
// stripped form: that PW is a word of its own shows in its letters alone, as in
// AdminPW and admin_pw, but not StepW.
func guessName(name, noun []byte) class {
	if c := guess(noun); c != plain {
		return c
	}
	n := len(noun)
	if n < 2 || !endsIn(noun, "pw") || len(name) < n || !bytes.EqualFold(name[:n], noun) {
		return plain // where blanks stand in it, letters say nothing
	}
	p := name[n-2]
	if n > 2 && isLetter(name[n-3]) && !('A' <= p && p <= 'Z' && 'a' <= name[n-3] && name[n-3] <= 'z') {
		return plain
	}
	return guessed
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// Words by their last letter, in the order in which they stand above: nearly
// every name would be asked for nearly every word in vain.
var qualifiersBy, nounsBy = byLastLetter(qualifiers[:]), byLastLetter(nouns[:])

func byLastLetter(words []string) (by [256][]string) {
	for _, word := range words {
		last := word[len(word)-1]
		by[last] = append(by[last], word)
	}
	return by
}

// endsIn is strings.HasSuffix for a name.
func endsIn(name []byte, word string) bool {
	return len(name) >= len(word) && string(name[len(name)-len(word):]) == word
}

func isInnocent(name []byte) bool {
	if bytes.HasPrefix(name, []byte("numberof")) {
		return true
	}
	for _, word := range innocent {
		if string(name) == word {
			return true
		}
	}
	return false
}

// strip takes digits, a plural s, separators and qualifiers off the end.
func strip(name []byte) []byte {
	for {
		short := name
		for n := len(short); n > 0 && (short[n-1] <= '9' && short[n-1] >= '0' || short[n-1] == '_' || short[n-1] == '-'); n-- {
			short = short[:n-1]
		}
		if n := len(short); n > 0 {
			for _, word := range qualifiersBy[short[n-1]] {
				if endsIn(short, word) {
					short = short[:n-len(word)]
					break
				}
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

// isBoolean says whether a value is sent as, and is, a boolean: a guess by
// name is then wrong (UsePassword, ChangePassword).
func isBoolean(value, xsiType []byte) bool {
	if !isSchemaType(xsiType) || !bytes.HasSuffix(xsiType, []byte(":boolean")) {
		return false
	}
	switch string(trimSpace(value)) {
	case "0", "1", "true", "false":
		return true
	}
	return false
}

// schemaTypes are what a Value can be, in lower case: those of TR-106 and what
// else of XML Schema and SOAP is seen in their place.
var schemaTypes = [...]string{
	"string", "int", "unsignedint", "boolean", "datetime", "base64", "base64binary", "hexbinary", "long", "unsignedlong", "decimal",
	"anysimpletype", "anytype", "anyuri", "byte", "date", "double", "float", "integer", "negativeinteger", "nonnegativeinteger",
	"nonpositiveinteger", "normalizedstring", "positiveinteger", "short", "time", "token", "unsignedbyte", "unsignedshort",
}

// isSchemaType says whether an xsi:type is one of the usual. Beside a secret
// another one may be anything, the secret too.
func isSchemaType(xsiType []byte) bool {
	local := xsiType
	if prefix, after, ok := bytes.Cut(xsiType, []byte(":")); ok {
		switch string(prefix) {
		case "xsd", "xs", "xsi", "soap-enc", "soapenc", "cwmp":
			local = after
		}
	}
	const longest = len("nonnegativeinteger")
	if len(local) > longest {
		return false
	}
	var scratch [longest]byte
	folded := fold(scratch[:0], local)
	return slices.ContainsFunc(schemaTypes[:], func(t string) bool { return string(folded) == t })
}
