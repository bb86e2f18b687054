package audit

import "bytes"

// addressSchemes begin addresses of people and telephones, which are no
// credentials.
var addressSchemes = [...]string{"mailto:", "email:", "e-mail:", "sip:", "sips:", "xmpp:"}

// appendBare appends a text in which no URL has a scheme. //user@host and
// user:password@host are found all the same; admin@example.com stays.
func appendBare(dst, text []byte, m *memory) []byte {
	for {
		at := bytes.IndexByte(text, '@')
		if at < 0 {
			return append(dst, text...)
		}
		start := bytes.LastIndexAny(text[:at], urlEnds) + 1
		end := bytes.IndexAny(text[at:], urlEnds)
		if end < 0 {
			end = len(text) - at
		}
		end += at
		dst = appendWord(append(dst, text[:start]...), text[start:end], m)
		text = text[end:]
	}
}

// appendWord appends a word with an @ in it.
func appendWord(dst, word []byte, m *memory) []byte {
	if i := bytes.Index(word, []byte("//")); i >= 0 && bytes.IndexByte(word[:i], ':') < 0 && bytes.IndexByte(word[:i], '@') < 0 {
		i += len("//")
		return appendURL(append(dst, word[:i]...), word[i:], m)
	}
	lead := 0
	for _, scheme := range addressSchemes {
		if n := len(scheme); len(word) >= n && bytes.EqualFold(word[:n], []byte(scheme)) {
			lead = n
		}
	}
	host := userInfoEnd(word[lead:])
	if host == 0 { // the @ is in what would be a path
		return append(dst, word...)
	}
	info := word[lead : lead+host-1]
	_, password, _ := bytes.Cut(info, []byte(":"))
	if len(password) == 0 {
		return append(dst, word...)
	}
	m.add(info)
	m.add(password)
	dst = append(append(dst, word[:lead]...), masked...)
	rest := word[lead+host-1:]
	query := bytes.IndexAny(rest, "?#")
	if query < 0 {
		query = len(rest)
	}
	return appendQuery(appendPath(dst, rest[:query], m), rest[query:], m)
}

// maskWords takes out of a fault's text what stands behind a word like
// password= in it. The result is text itself where there is no such word.
func maskWords(text []byte) []byte {
	var out []byte
	from := 0
	for i := 0; i < len(text); {
		if isBoundary(text, i) {
			i++
			continue
		}
		start := i
		for i < len(text) && !isBoundary(text, i) {
			i++
		}
		user, is := namesSecret(text[start:i])
		if !is {
			continue
		}
		option := text[bytes.LastIndexAny(text[:start], " \t\r\n")+1] == '-'
		value, end := assigned(text, i, option, user)
		if value == end || bytes.HasPrefix(text[value:], []byte(masked)) {
			continue
		}
		out = append(append(out, text[from:value]...), masked...)
		i, from = end, end
	}
	if from == 0 {
		return text
	}
	return append(out, text[from:]...)
}

// namesSecret says whether a word is one that a login or a secret is told
// behind.
func namesSecret(word []byte) (user, is bool) {
	const longest = 64
	if len(word) > longest {
		return false, false
	}
	var scratch [longest]byte
	folded := fold(scratch[:0], word)
	switch string(folded) {
	case "user", "username", "login":
		return true, true
	}
	return false, guessName(word, strip(folded)) != plain
}

// assigned gives the place of what the word that ends at i is said to be:
// behind = or :, in quotes, as an element's text, or behind an option --word. Of a user's
// name a colon says nothing: "login: refused".
func assigned(text []byte, i int, option, user bool) (start, end int) {
	at := i
	if at < len(text) && (text[at] == '"' || text[at] == '\'') {
		at++ // "password": "…"
	}
	element := at < len(text) && text[at] == '>'
	at = skipSpace(text, at)
	sign := at < len(text) && (text[at] == '=' || text[at] == ':' && (!user || at > i) || element)
	for at < len(text) && (text[at] == '=' || text[at] == ':' || text[at] == '>') && sign {
		at++
	}
	at = skipSpace(text, at)
	ends := " \t\r\n"
	switch {
	case at < len(text) && (text[at] == '"' || text[at] == '\''):
		ends = string(text[at : at+1])
		at++
	case element:
		ends = "<"
	case !sign && !(option && at > i):
		return 0, 0
	}
	n := bytes.IndexAny(text[at:], ends)
	if n < 0 {
		n = len(text) - at
	}
	return at, at + n
}

func skipSpace(text []byte, i int) int {
	for i < len(text) && isSpace(text[i]) {
		i++
	}
	return i
}
