package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/cwmpgate/cwmpgate/cwmp"
)

//go:embed secrets.tsv
var secretList string

const (
	// minKey is the shortest redaction key taken: HMAC gains nothing from a
	// shorter one, and an empty one would make every hash guessable.
	minKey = 16
	// minHashed is the shortest secret, in characters, whose keyed hash is
	// shown: whoever holds the key could try all shorter ones.
	minHashed = 8
)

// class says what a parameter's name tells about its value.
type class uint8

const (
	plain      class = iota
	secret           // replaced by a keyed hash
	pin              // replaced by "set": too few values are possible
	guessed          // secret by the look of its name alone: a boolean stays readable
	guessedPIN       // pin, likewise
	ownURL           // the CPE's own ConnectionRequestURL: its path is a credential
	anyURL           // named as a URL: masked as one even where it has no scheme
)

// Redactor keeps secrets out of records, under one tenant's key. It is safe
// for concurrent use.
type Redactor struct {
	listed   map[string]class
	leaves   map[string]bool // last segments of those listed
	patterns *cwmp.PatternSet
	macs     sync.Pool // of *keyed; it makes none where there is no key
}

type keyed struct {
	mac hash.Hash
	sum [sha256.Size]byte
}

// NewRedactor makes a Redactor. The key is the tenant's, of 16 bytes or more;
// the patterns name further secret parameters, see ParsePattern.
func NewRedactor(key []byte, patterns []string) (*Redactor, error) {
	if len(key) < minKey {
		return nil, fmt.Errorf("redaction key has %d bytes, needs at least %d", len(key), minKey)
	}
	texts := make([]string, len(patterns))
	for i, text := range patterns {
		texts[i] = patternText(text)
	}
	set, err := cwmp.CompilePatterns(texts)
	if err != nil {
		return nil, fmt.Errorf("redaction: %w", err)
	}
	r := newKeyless()
	if len(patterns) > 0 {
		r.patterns = set
	}
	own := bytes.Clone(key)
	r.macs.New = func() any { return &keyed{mac: hmac.New(sha256.New, own)} }
	return r, nil
}

// newKeyless makes the Redactor of those who have no tenant yet: every secret
// becomes "set".
func newKeyless() *Redactor {
	r := &Redactor{listed: listedSecrets(), leaves: make(map[string]bool)}
	for path := range r.listed {
		r.leaves[path[strings.LastIndexByte(path, '.')+1:]] = true
	}
	return r
}

// listedSecrets reads the Forum's list into the form that canonical gives.
func listedSecrets() map[string]class {
	list := make(map[string]class)
	for line := range strings.Lines(secretList) {
		line = strings.TrimRight(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		path, kind, _ := strings.Cut(line, "\t")
		c := secret
		if kind == "pin" {
			c = pin
		}
		list[string(canonical(nil, fold(nil, []byte(path))))] = c
	}
	return list
}

// nameScratch is scratch memory for names that are looked at.
type nameScratch struct{ leaf, folded, canonical []byte }

// classify tells what the value of a parameter is. Most names are done with
// once their last segment has been looked at.
func (r *Redactor) classify(name []byte, n *nameScratch) class {
	sent := trimSpace(leafOf(name))
	n.leaf = fold(n.leaf[:0], sent)
	leaf := n.leaf
	noun := strip(leaf)
	c := guessName(sent, noun)
	listed := r.leaves[string(leaf)]
	bare := len(noun) == 0 || string(noun) == "key" // its object tells
	config := string(leaf) == "configfile"
	switch {
	case isOwnURL(noun):
		return ownURL
	case listed, bare, config, r.patterns != nil:
	case c == plain && bytes.HasSuffix(leaf, []byte("url")):
		return anyURL
	default:
		return c
	}
	n.folded = fold(n.folded[:0], name)
	if listed {
		n.canonical = canonical(n.canonical[:0], n.folded)
		if c, ok := r.listed[string(n.canonical)]; ok {
			return c
		}
	}
	if r.patterns != nil {
		if _, ok := r.patterns.FindFold(n.folded); ok {
			return secret
		}
	}
	object := objectOf(n.folded)
	switch {
	case config && string(object) == "deviceconfig":
		return secret
	case bare && c == plain:
		return guess(strip(object))
	case c == plain && bytes.HasSuffix(leaf, []byte("url")):
		return anyURL
	}
	return c
}

// isOwnURL says whether a name is that of the CPE's ConnectionRequestURL, or one
// that a vendor gives to such a URL of its own.
func isOwnURL(noun []byte) bool {
	for _, word := range [...]string{"connectionrequesturl", "connectionrequrl", "connrequesturl", "connrequrl"} {
		if endsIn(noun, word) {
			return true
		}
	}
	return false
}

// appendSecret appends what stands in a record in place of a secret, quoted.
// White space around it is no part of it, for pretty-printers add some.
func (r *Redactor) appendSecret(dst, value []byte, c class) []byte {
	value = trimSpace(value)
	if c == pin || c == guessedPIN || utf8.RuneCount(value) < minHashed {
		return append(dst, `"set"`...)
	}
	k, ok := r.macs.Get().(*keyed)
	if !ok {
		return append(dst, `"set"`...)
	}
	k.mac.Reset()
	k.mac.Write(value)
	sum := k.mac.Sum(k.sum[:0])
	dst = append(dst, '"')
	dst = hex.AppendEncode(dst, sum[:8])
	r.macs.Put(k)
	return append(dst, '"')
}

// fold appends the name in lower case and without white space, so that no odd
// spelling of it slips past: the two letters outside ASCII that Unicode folds
// into it count as what they look like.
func fold(dst, name []byte) []byte {
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			dst = append(dst, c+'a'-'A')
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		case c == 0xC5 && i+1 < len(name) && name[i+1] == 0xBF: // U+017F, long s
			dst = append(dst, 's')
			i++
		case c == 0xE2 && i+2 < len(name) && name[i+1] == 0x84 && name[i+2] == 0xAA: // U+212A, Kelvin
			dst = append(dst, 'k')
			i += 2
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// canonical appends the path below its root with every instance number and
// alias as {i}. Some CPEs leave the root out or begin with a dot.
func canonical(dst, folded []byte) []byte {
	rest := bytes.TrimLeft(folded, ".")
	for _, root := range [...]string{"device.", "internetgatewaydevice.", "services."} {
		if len(rest) > len(root) && string(rest[:len(root)]) == root {
			rest = rest[len(root):]
		}
	}
	for len(rest) > 0 {
		end := segmentEnd(rest)
		segment := rest[:end]
		rest = rest[end:]
		if isInstance(segment) {
			dst = append(dst, "{i}"...)
		} else {
			dst = append(dst, segment...)
		}
		if len(rest) > 0 {
			dst = append(dst, '.')
			rest = rest[1:]
		}
	}
	return dst
}

// segmentEnd is where the first segment ends: an alias may hold dots.
func segmentEnd(path []byte) int {
	from := 0
	if path[0] == '[' {
		from = bytes.IndexByte(path, ']') + 1
	}
	if dot := bytes.IndexByte(path[from:], '.'); dot >= 0 {
		return from + dot
	}
	return len(path)
}

func isInstance(segment []byte) bool {
	if len(segment) == 0 {
		return false
	}
	if segment[0] == '[' || segment[0] == '{' || segment[0] == '*' {
		return true
	}
	for _, c := range segment {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// leafOf is the last segment of a path.
func leafOf(path []byte) []byte {
	for n := len(path); n > 0 && (path[n-1] == '.' || isSpace(path[n-1])); n-- {
		path = path[:n-1]
	}
	return path[bytes.LastIndexByte(path, '.')+1:]
}

// objectOf is the last segment before the leaf that is no instance.
func objectOf(path []byte) []byte {
	path = bytes.TrimRight(path, ".")
	for dot := bytes.LastIndexByte(path, '.'); dot > 0; {
		path = path[:dot]
		dot = bytes.LastIndexByte(path, '.')
		if s := path[dot+1:]; !isInstance(s) && !bytes.HasSuffix(s, []byte("]")) {
			return s
		}
	}
	return nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// trimSpace takes XML's white space away at both ends.
func trimSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}
