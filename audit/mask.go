package audit

import (
	"bytes"
	"slices"
)

// masked stands where a part of a text was taken out.
const masked = "***"

var (
	schemeMark = []byte("://")
	// urlEnds are the characters that end a URL within other text.
	urlEnds = " \t\r\n\"'<>`"
)

// hasURL says whether a text holds something with a scheme.
func hasURL(text []byte) bool { return bytes.Contains(text, schemeMark) }

// mayHoldURL says whether a text can hold something that appendMasked masks.
func mayHoldURL(text []byte) bool { return bytes.IndexByte(text, '@') >= 0 || hasURL(text) }

// appendMasked appends a text with every URL in it bare of credentials. whole
// says that the field is a URL, so that one without a scheme is masked too. What
// is left out goes into m.
func appendMasked(dst, text []byte, whole bool, m *memory) []byte {
	if whole && !hasURL(text) {
		lead := len(text) - len(bytes.TrimLeft(text, urlEnds))
		dst, text = append(dst, text[:lead]...), text[lead:]
		if len(text) > 0 && text[0] == '/' && !bytes.HasPrefix(text, []byte("//")) && !isTorn(text) {
			path := bytes.IndexAny(text, "?#")
			if path < 0 {
				path = len(text)
			}
			if bytes.IndexByte(text[:path], ';') < 0 {
				return appendQuery(appendBare(dst, text[:path], m), text[path:], m)
			}
			return appendQuery(appendPath(dst, appendBare(nil, text[:path], m), m), text[path:], m)
		}
		lead = len(text) - len(bytes.TrimLeft(text, "/"))
		return appendURL(append(dst, text[:lead]...), text[lead:], m)
	}
	for {
		i := bytes.Index(text, schemeMark)
		if i < 0 {
			return appendBare(dst, text, m)
		}
		i += len(schemeMark)
		dst = appendBare(dst, text[:i], m)
		text = text[i:]
		end := len(text)
		if !whole {
			if e := bytes.IndexAny(text, urlEnds); e >= 0 {
				end = e
			}
			// Two URLs may stand with a comma between them.
			if next := bytes.Index(text[:end], schemeMark); next > 0 {
				if comma := bytes.LastIndexAny(text[:next], ",;|"); comma > 0 {
					end = comma
				}
			}
		}
		dst = appendURL(dst, text[:end], m)
		text = text[end:]
	}
}

// appendURL appends a URL, of which the scheme is already written: without
// user-info, and with the values of its query (and fragment) masked.
func appendURL(dst, rest []byte, m *memory) []byte {
	query := bytes.IndexAny(rest, "?#")
	if query < 0 {
		query = len(rest)
	}
	base := rest[:query]
	host := userInfoEnd(base)
	if host > 0 {
		_, password, _ := bytes.Cut(base[:host-1], []byte(":"))
		m.add(base[:host-1])
		m.add(password)
	}
	return appendQuery(appendPath(dst, base[host:], m), rest[query:], m)
}

// appendPath appends what stands before a query, with the values of parameters
// in its path masked: a server's session may be one, as in ;jsessionid=….
func appendPath(dst, path []byte, m *memory) []byte {
	for {
		at := bytes.IndexByte(path, ';')
		if at < 0 {
			return append(dst, path...)
		}
		dst = append(dst, path[:at+1]...)
		path = path[at+1:]
		end := bytes.IndexAny(path, ";/\\")
		if end < 0 {
			end = len(path)
		}
		name, value, named := bytes.Cut(path[:end], []byte("="))
		if !named || len(value) == 0 {
			dst = append(dst, path[:end]...)
		} else {
			m.add(value)
			dst = append(append(append(dst, name...), '='), masked...)
		}
		path = path[end:]
	}
}

// userInfoEnd is where the host begins. The user-info ends at the last @ of
// the authority. Where what comes before the first slash is no host and port,
// the slash was part of a password, and the last @ of all counts; so it does
// where another URL stands in the path, or blanks.
func userInfoEnd(base []byte) int {
	authority := base
	if slash := bytes.IndexAny(base, "/\\"); slash >= 0 {
		authority = base[:slash]
	}
	host, last := bytes.LastIndexByte(authority, '@')+1, bytes.LastIndexByte(base, '@')+1
	switch {
	case !isHostPort(authority[host:]) || bytes.Contains(base, schemeMark) || isTorn(base):
		return last
	case host == 0 && last > len(authority) && looksLikeUser(authority, base[last:]):
		return last
	}
	return host
}

// isTorn says whether blanks or quotes stand in what should be one URL.
func isTorn(text []byte) bool {
	return bytes.ContainsAny(bytes.TrimRight(text, urlEnds), urlEnds)
}

// looksLikeUser: in user:123/w@host the password begins like a port. What has
// no dot is no host that a CPE can reach, and what has one is none where
// something that can only be an authority stands behind the @.
func looksLikeUser(authority, rest []byte) bool {
	name, _, port := bytes.Cut(authority, []byte(":"))
	switch {
	case !port || authority[0] == '[':
		return false
	case bytes.IndexByte(name, '.') < 0:
		return string(name) != "localhost"
	}
	next, _, more := bytes.Cut(rest, []byte("/"))
	host, _, ported := bytes.Cut(next, []byte(":"))
	label := host[bytes.LastIndexByte(host, '.')+1:]
	return (more || ported) && len(label) < len(host) && len(label) > 0 && isHostPort(next) &&
		(label[0] > '9' || bytes.Count(host, []byte(".")) == 3)
}

func isHostPort(authority []byte) bool {
	if bytes.ContainsAny(authority, urlEnds) {
		return false
	}
	port := bytes.LastIndexByte(authority, ':')
	if port < 0 || bytes.HasSuffix(authority, []byte("]")) {
		return true
	}
	for _, c := range authority[port+1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return port+1 < len(authority)
}

// appendQuery appends a query or fragment with its names but not its values.
// What has no name, or one that may be a URL itself, is taken for a value.
func appendQuery(dst, query []byte, m *memory) []byte {
	for len(query) > 0 {
		dst = append(dst, query[0]) // ? & ; or #
		query = query[1:]
		end := bytes.IndexAny(query, "&;#")
		if end < 0 {
			end = len(query)
		}
		pair := query[:end]
		query = query[end:]
		name, value, named := bytes.Cut(pair, []byte("="))
		switch {
		case named && !bytes.ContainsAny(name, ":/@?"):
			dst = append(dst, name...)
			dst = append(dst, '=')
			if len(value) > 0 {
				m.add(value)
				dst = append(dst, masked...)
			}
		case len(pair) > 0:
			m.add(pair)
			dst = append(dst, masked...)
		}
	}
	return dst
}

// appendOwnURL appends a ConnectionRequestURL without its path, which is the
// credential of it. It reports false where the text has no authority to keep.
func appendOwnURL(dst, text []byte, m *memory) ([]byte, bool) {
	text = trimSpace(text)
	i := bytes.Index(text, schemeMark)
	if i < 0 {
		return dst, false
	}
	i += len(schemeMark)
	rest := text[i:]
	end := bytes.IndexAny(rest, "/\\?#")
	if end < 0 {
		end = len(rest)
	}
	authority := rest[:end]
	if !isHostPort(authority[bytes.LastIndexByte(authority, '@')+1:]) {
		return dst, false
	}
	dst = append(dst, text[:i]...)
	dst = append(dst, authority[bytes.LastIndexByte(authority, '@')+1:]...)
	if rest = rest[end:]; len(rest) > 1 || len(rest) == 1 && rest[0] != '/' {
		m.add(rest[1:])
		return append(append(dst, '/'), masked...), true
	}
	return append(dst, rest...), true
}

// memory holds the secrets of the last message of each party, so that a fault
// that repeats one of them can be told. Its size is bounded: once it is full,
// fault texts are masked whole.
type memory struct {
	text []byte
	ends []int
	full bool
}

const memoryLimit = 8 << 10

func (m *memory) reset() {
	m.text, m.ends, m.full = m.text[:0], m.ends[:0], false
}

func (m *memory) add(value []byte) {
	value = trimSpace(value)
	if m == nil || len(value) == 0 || m.full {
		return
	}
	if len(m.text)+len(value) > memoryLimit || len(m.ends) >= 1024 {
		m.full = true
		return
	}
	m.text = append(m.text, value...)
	m.ends = append(m.ends, len(m.text))
}

// mask replaces every secret in text, the longest first, so that none leaves
// its tail behind a shorter one. The result is text itself where none is in it.
func (m *memory) mask(text []byte) []byte {
	if m.full {
		return []byte(masked)
	}
	if len(m.ends) == 0 {
		return text
	}
	values := make([][]byte, 0, len(m.ends))
	start := 0
	for _, end := range m.ends {
		values = append(values, m.text[start:end])
		start = end
	}
	slices.SortFunc(values, func(a, b []byte) int { return len(b) - len(a) })
	for _, value := range values {
		text = replaceSecret(text, value)
	}
	return text
}

func replaceSecret(text, value []byte) []byte {
	at := findSecret(text, value, 0)
	if at < 0 {
		return text
	}
	out := make([]byte, 0, len(text)+len(masked))
	from := 0
	for at >= 0 {
		out = append(out, text[from:at]...)
		out = append(out, masked...)
		from = at + len(value)
		at = findSecret(text, value, from)
	}
	return append(out, text[from:]...)
}

// findSecret finds value in text from a place on. A secret of one to three
// characters counts only as a word of its own, else every text would be full
// of it.
func findSecret(text, value []byte, from int) int {
	for from <= len(text) {
		i := bytes.Index(text[from:], value)
		if i < 0 {
			return -1
		}
		i += from
		if len(value) > 3 || isBoundary(text, i-1) && isBoundary(text, i+len(value)) {
			return i
		}
		from = i + 1
	}
	return -1
}

func isBoundary(text []byte, i int) bool {
	if i < 0 || i >= len(text) {
		return true
	}
	c := text[i]
	return !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80)
}
