package audit

import (
	"strings"

	"github.com/cwmpgate/cwmpgate/cwmp"
)

// Pattern matches parameter paths, without regard to case and white space
// around them: a CPE that spells a name oddly must not slip past. See
// cwmp.Pattern for its wildcards; one that ends in a dot stands for everything
// below it.
type Pattern struct {
	path *cwmp.Pattern
}

// ParsePattern reads a pattern.
func ParsePattern(s string) (Pattern, error) {
	p, err := cwmp.CompilePattern(patternText(s))
	return Pattern{p}, err
}

func patternText(s string) string {
	s = strings.TrimSpace(s)
	if strings.HasSuffix(s, ".") {
		s += "**"
	}
	return s
}

// Match says whether a name is of the pattern. The zero Pattern matches none.
func (p Pattern) Match(name string) bool {
	return p.path != nil && p.path.MatchFold([]byte(name))
}

// MatchDevice says whether a device is the one asked for: by its serial
// number, by OUI-serial, or by OUI-class-serial. The OUI is compared without
// case. Everyone is asked for by "".
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
