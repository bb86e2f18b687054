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
	r := &Redactor{listed: listedSecrets(), patterns: set}
	own := bytes.Clone(key)
	r.macs.New = func() any { return &keyed{mac: hmac.New(sha256.New, own)} }
	return r, nil
}

// newKeyless makes the Redactor of those who have no tenant yet: every secret
// becomes "set".
func newKeyless() *Redactor { return &Redactor{listed: listedSecrets()} }

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

// classify tells what the value of a parameter is. folded is the name as fold
// gives it, scratch is lent for the canonical form.
func (r *Redactor) classify(folded, scratch []byte) (class, []byte) {
	last, before := lastSegments(folded)
	if string(last) == "connectionrequesturl" {
		return ownURL, scratch
	}
	if string(last) == "configfile" && string(before) == "deviceconfig" {
		return secret, scratch
	}
	scratch = canonical(scratch[:0], folded)
	if c, ok := r.listed[string(scratch)]; ok {
		return c, scratch
	}
	if r.patterns != nil {
		if _, ok := r.patterns.FindFold(folded); ok {
			return secret, scratch
		}
	}
	if c := guess(last, before); c != plain {
		return c, scratch
	}
	if bytes.HasSuffix(last, []byte("url")) {
		return anyURL, scratch
	}
	return plain, scratch
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

// lastSegments gives the last segment of a path and the one before it that is
// no instance.
func lastSegments(path []byte) (last, before []byte) {
	path = bytes.TrimRight(path, ".")
	dot := bytes.LastIndexByte(path, '.')
	last = path[dot+1:]
	for dot > 0 {
		path = path[:dot]
		dot = bytes.LastIndexByte(path, '.')
		if before = path[dot+1:]; !isInstance(before) && !bytes.HasSuffix(before, []byte("]")) {
			return last, before
		}
	}
	return last, nil
}

func trimSpace(b []byte) []byte { return bytes.Trim(b, " \t\r\n") }
