package audit

import (
	"fmt"
	"strings"
)

// Pattern matches parameter paths: `*` stands for one segment, or within one
// for any characters of it; `**` for any number of segments, none included. A
// pattern that ends in a dot stands for everything below it. Case counts not:
// a CPE that spells a name oddly must not slip past.
type Pattern struct {
	segments []string
}

// ParsePattern reads a pattern. It is an error if it is empty or has an empty
// segment within.
func ParsePattern(s string) (Pattern, error) {
	text := strings.ToLower(strings.TrimSpace(s))
	if text == "" {
		return Pattern{}, fmt.Errorf("pattern %q is empty", s)
	}
	if strings.HasSuffix(text, ".") {
		text += "**"
	}
	segments := strings.Split(text, ".")
	for i, segment := range segments {
		if segment == "" {
			return Pattern{}, fmt.Errorf("pattern %q has an empty segment at place %d", s, i+1)
		}
	}
	return Pattern{segments}, nil
}

// Match says whether name, white space around it apart, is of the pattern.
func (p Pattern) Match(name string) bool {
	if len(p.segments) == 0 {
		return false
	}
	return matchSegments(p.segments, strings.ToLower(strings.Trim(name, " \t\r\n")))
}

// matchSegments goes back to the last `**` alone, so that its cost stays
// below pattern times name whatever stands in either.
func matchSegments(pattern []string, name string) bool {
	var star []string
	var starRest string
	more := name != ""
	for more || len(pattern) > 0 {
		if len(pattern) > 0 && pattern[0] == "**" {
			star, starRest = pattern[1:], name
			pattern = star
			if len(pattern) == 0 {
				return true
			}
			continue
		}
		if len(pattern) > 0 && more {
			segment, rest, dot := strings.Cut(name, ".")
			if matchSegment(pattern[0], segment) {
				pattern, name, more = pattern[1:], rest, dot
				continue
			}
		}
		if star == nil || starRest == "" {
			return false
		}
		_, rest, dot := strings.Cut(starRest, ".")
		if !dot {
			return false
		}
		starRest = rest
		pattern, name, more = star, rest, true
	}
	return true
}

// matchSegment matches one segment, `*` being any run of characters.
func matchSegment(pattern, s string) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// MatchDevice says whether a device is the one asked for: by its serial
// number, by OUI-serial, or by OUI-class-serial. The OUI is compared without
// case.
func MatchDevice(asked, oui, class, serial string) bool {
	if asked == "" || asked == serial {
		return true
	}
	rest, ok := strings.CutSuffix(asked, "-"+serial)
	if !ok {
		return false
	}
	if strings.EqualFold(rest, oui) {
		return true
	}
	rest, ok = strings.CutSuffix(rest, "-"+class)
	return ok && strings.EqualFold(rest, oui)
}
