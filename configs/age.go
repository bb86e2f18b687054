package configs

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Age is how old something may become: whole days, "400d", or "forever". The
// zero Age says nothing.
type Age int32

// Forever is the Age of what is kept.
const Forever Age = -1

// longestAge is as many days as a duration holds.
const longestAge = 106_000

var ageForm = regexp.MustCompile(`^([1-9][0-9]{0,5}d|forever)$`)

func (Age) Syntax() Syntax {
	return Syntax{Name: "age", Wants: "whole days, such as 30d or 400d, or forever", Pattern: ageForm.String()}
}

func (a *Age) UnmarshalText(text []byte) error {
	s := string(text)
	days, err := strconv.Atoi(strings.TrimSuffix(s, "d"))
	switch {
	case s == "forever":
		*a = Forever
		return nil
	case !ageForm.MatchString(s) || err != nil:
		return notA("age", text)
	case days > longestAge:
		return formError(quote(s) + " is longer than any record; write forever")
	}
	*a = Age(days)
	return nil
}

func (a Age) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

func (a Age) String() string {
	switch {
	case a == 0:
		return ""
	case a < 0:
		return "forever"
	}
	return strconv.Itoa(int(a)) + "d"
}

// Before is the moment that is older than this Age at now, and whether there is
// one.
func (a Age) Before(now time.Time) (time.Time, bool) {
	return now.Add(-time.Duration(a) * 24 * time.Hour), a > 0
}
