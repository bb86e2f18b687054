package cwmp

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a pattern. TR-106 allows names of 256 characters.
const (
	maxPatternBytes    = 1024
	maxPatternSegments = 64
	maxLeafKey         = 64
)

// Pattern is a data-model path with wildcards, compiled once and then matched
// without allocation; it is safe for concurrent use. Segments stand between dots:
//
//   - one segment: an instance number, an alias, a name; not an empty one
//     **    any number of segments, none included
//     {i}   an instance number, or an alias in brackets
//     a*b   within a segment * is any run of characters, an empty one included
//
// A path that ends with a dot ends with an empty segment, so that "Device.WiFi."
// is matched by itself and by "Device.WiFi.**", but not by "Device.WiFi.*".
// A dot inside an alias, as in "[a.b]", ends no segment.
type Pattern struct {
	text     string
	segments []pathSegment
}

type pathSegment struct {
	kind segmentKind
	text []byte // of literals and globs
}

type segmentKind uint8

const (
	segmentLiteral segmentKind = iota
	segmentGlob
	segmentAny
	segmentDeep
	segmentInstance
)

// CompilePattern reads a pattern of at most 1024 bytes and 64 segments.
func CompilePattern(text string) (*Pattern, error) {
	bad := func(why string) (*Pattern, error) { return nil, fmt.Errorf("path pattern %.64q: %s", text, why) }
	switch {
	case text == "":
		return bad("it is empty")
	case len(text) > maxPatternBytes:
		return bad(fmt.Sprintf("longer than %d bytes", maxPatternBytes))
	case !utf8.ValidString(text):
		return bad("not UTF-8")
	case len(trim([]byte(text))) != len(text):
		return bad("white space around it")
	}
	p := &Pattern{text: text}
	for rest, more := []byte(text), true; more; {
		var seg pathSegment
		seg.text, rest, more = cutSegment(rest)
		switch s := string(seg.text); {
		case s == "*":
			seg.kind = segmentAny
		case s == "**":
			seg.kind = segmentDeep
		case s == "{i}":
			seg.kind = segmentInstance
		case strings.Contains(s, "**"):
			return bad("** must stand alone between dots")
		case strings.ContainsAny(s, "{}"):
			return bad("of braces only {i} is known, alone between dots")
		case strings.Contains(s, "*"):
			seg.kind = segmentGlob
		}
		if n := len(p.segments); seg.kind == segmentDeep && n > 0 && p.segments[n-1].kind == segmentDeep {
			continue
		}
		p.segments = append(p.segments, seg)
		if len(p.segments) > maxPatternSegments {
			return bad(fmt.Sprintf("more than %d segments", maxPatternSegments))
		}
	}
	return p, nil
}

// String is the pattern as it was written.
func (p *Pattern) String() string { return p.text }

// Match says whether the pattern matches the name as it stands: names are
// case-sensitive (TR-106 section 3.1).
func (p *Pattern) Match(name []byte) bool { return p.match(name, false) }

// MatchFold is Match without regard to case and to white space around the name,
// for judging what a CPE might read generously.
func (p *Pattern) MatchFold(name []byte) bool { return p.match(trim(name), true) }

// Reaches says whether an RPC on path touches what the pattern matches: a partial
// path, empty or with a dot at its end, stands for everything below it.
func (p *Pattern) Reaches(path []byte) bool { return p.reaches(path, false) }

// ReachesFold is to Reaches what MatchFold is to Match.
func (p *Pattern) ReachesFold(path []byte) bool { return p.reaches(trim(path), true) }

// match goes back only to the last **: whatever an earlier one could take instead,
// the last one can take as well. So the work is at most segments of the name times
// segments of the pattern.
func (p *Pattern) match(name []byte, fold bool) bool {
	rest, more := name, true
	deep, resume := -1, []byte(nil) // the last **, and where the name goes on behind what it takes
	at := 0
	for more {
		if at < len(p.segments) {
			if p.segments[at].kind == segmentDeep {
				deep, resume = at, rest
				at++
				continue
			}
			seg, after, moreAfter := cutSegment(rest)
			if p.segments[at].match(seg, fold) {
				at, rest, more = at+1, after, moreAfter
				continue
			}
		}
		if deep < 0 {
			return false
		}
		_, resume, more = cutSegment(resume)
		at, rest = deep+1, resume
	}
	for at < len(p.segments) && p.segments[at].kind == segmentDeep {
		at++
	}
	return at == len(p.segments)
}

func (p *Pattern) reaches(path []byte, fold bool) bool {
	if p.match(path, fold) {
		return true
	}
	if len(path) > 0 && path[len(path)-1] != '.' {
		return false
	}
	for _, want := range p.segments {
		seg, rest, more := cutSegment(path)
		if !more || want.kind == segmentDeep {
			return true // the rest of the pattern lies below
		}
		if !want.match(seg, fold) {
			return false
		}
		path = rest
	}
	return false
}

// cutSegment cuts the first segment off; more says whether another follows, which
// may be empty.
func cutSegment(path []byte) (seg, rest []byte, more bool) {
	end := bytes.IndexByte(path, '.')
	if len(path) > 0 && path[0] == '[' {
		if i := bytes.IndexByte(path, ']') + 1; i > 0 && (i == len(path) || path[i] == '.') {
			end = i
		}
	}
	if end < 0 || end == len(path) {
		return path, nil, false
	}
	return path[:end], path[end+1:], true
}

func (s pathSegment) match(seg []byte, fold bool) bool {
	switch s.kind {
	case segmentAny:
		return len(seg) > 0
	case segmentInstance:
		return isInstance(seg)
	case segmentGlob:
		return matchGlob(s.text, seg, fold)
	}
	if fold {
		return bytes.EqualFold(s.text, seg)
	}
	return bytes.Equal(s.text, seg)
}

// isInstance says whether seg is an instance number or an alias in brackets (TR-069
// section 3.6.1).
func isInstance(seg []byte) bool {
	if n := len(seg); n > 2 && seg[0] == '[' && seg[n-1] == ']' {
		return true
	}
	for _, c := range seg {
		if !isDigit(c) {
			return false
		}
	}
	return len(seg) > 0
}

func matchGlob(glob, seg []byte, fold bool) bool {
	i, at := 0, 0
	star, resume := -1, 0
	for i < len(seg) {
		if at < len(glob) && glob[at] == '*' {
			star, resume = at, i
			at++
			continue
		}
		c, n := firstOf(seg[i:], fold)
		if at < len(glob) {
			if g, m := firstOf(glob[at:], fold); g == c {
				i, at = i+n, at+m
				continue
			}
		}
		if star < 0 {
			return false
		}
		_, n = firstOf(seg[resume:], fold)
		resume += n
		i, at = resume, star+1
	}
	for at < len(glob) && glob[at] == '*' {
		at++
	}
	return at == len(glob)
}

// firstOf is the first byte of text, or its first character with case folded away.
func firstOf(text []byte, fold bool) (rune, int) {
	c := rune(text[0])
	if !fold {
		return c, 1
	}
	n := 1
	if c >= utf8.RuneSelf {
		c, n = utf8.DecodeRune(text)
		// The least of the characters that differ in case alone stands for them all.
		for r := unicode.SimpleFold(c); r < c; r = unicode.SimpleFold(r) {
			c = r
		}
	}
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c, n
}

// PatternSet is a list of patterns that is asked about many names: those that end
// in a name are found by it, so that only a few are tried. It is safe for
// concurrent use.
type PatternSet struct {
	patterns []*Pattern
	byLeaf   map[string][]int // by the last segment, case folded away
	others   []int            // those that end in a wildcard, or in a long name
}

// CompilePatterns reads a list of patterns.
func CompilePatterns(texts []string) (*PatternSet, error) {
	s := &PatternSet{byLeaf: map[string][]int{}}
	for i, text := range texts {
		p, err := CompilePattern(text)
		if err != nil {
			return nil, err
		}
		s.patterns = append(s.patterns, p)
		last := p.segments[len(p.segments)-1]
		var buf [maxLeafKey]byte
		key, fits := foldLeaf(buf[:0], last.text)
		if last.kind == segmentLiteral && fits {
			s.byLeaf[string(key)] = append(s.byLeaf[string(key)], i)
		} else {
			s.others = append(s.others, i)
		}
	}
	return s, nil
}

// Find returns the place in the list of the first pattern that matches name.
func (s *PatternSet) Find(name []byte) (index int, ok bool) { return s.find(name, false) }

// FindFold is to Find what Pattern.MatchFold is to Pattern.Match.
func (s *PatternSet) FindFold(name []byte) (index int, ok bool) { return s.find(trim(name), true) }

func (s *PatternSet) find(name []byte, fold bool) (index int, ok bool) {
	index = len(s.patterns)
	var buf [maxLeafKey]byte
	if key, fits := foldLeaf(buf[:0], leaf(name)); fits {
		index = s.first(s.byLeaf[string(key)], index, name, fold)
	}
	index = s.first(s.others, index, name, fold)
	return index, index < len(s.patterns)
}

// first returns the first of the patterns listed that matches, or limit.
func (s *PatternSet) first(list []int, limit int, name []byte, fold bool) int {
	for _, i := range list {
		if i >= limit {
			break
		}
		if s.patterns[i].match(name, fold) {
			return i
		}
	}
	return limit
}

func leaf(path []byte) []byte {
	for {
		seg, rest, more := cutSegment(path)
		if !more {
			return seg
		}
		path = rest
	}
}

// foldLeaf appends the segment with case folded away, if it fits into dst.
func foldLeaf(dst, seg []byte) (key []byte, fits bool) {
	for len(seg) > 0 {
		c, n := firstOf(seg, true)
		if len(dst)+utf8.RuneLen(c) > cap(dst) {
			return nil, false
		}
		dst, seg = utf8.AppendRune(dst, c), seg[n:]
	}
	return dst, true
}
