package chdb

import (
	"errors"
	"regexp"
	"strings"
)

// Setting is one setting of a query, as it came from the client.
type Setting struct {
	Name, Value string
	Optional    bool // an unknown one is ignored, not an error
	Literal     bool // Value is SQL, not text
}

var (
	settingName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)
	setStatement = regexp.MustCompile(`(?is)^\s*SET\s+(.*)$`)
	setPair      = regexp.MustCompile(`(?s)([A-Za-z_][A-Za-z0-9_.]*)\s*=\s*('(?:[^'\\]|\\.|'')*'|[^,\s;]+)`)
)

// unknownSetting is the exception's code of a setting that the engine does not have.
const unknownSetting = 115

// With makes settings hold until restore is called.
func (s *Session) With(settings []Setting) (restore func(), err error) {
	var names []string
	restore = func() {
		for _, n := range names {
			v, ok := s.own[n]
			if !ok {
				v = "DEFAULT"
			}
			// What could be set can be set back.
			s.Exec("SET " + n + " = " + v)
		}
	}
	for _, set := range settings {
		// DROP would wait for ever: this engine never removes dropped tables' data.
		if set.Name == "database_atomic_wait_for_drop_and_detach_synchronously" {
			continue
		}
		if !settingName.MatchString(set.Name) {
			restore()
			return nil, Errorf(unknownSetting, "Setting %s is neither a builtin setting nor started with the prefix 'SQL_'", set.Name)
		}
		v := set.Value
		if !set.Literal {
			v = Quote(v)
		}
		if err := s.Exec("SET " + set.Name + " = " + v); err != nil {
			if e := (*Exception)(nil); set.Optional && errors.As(err, &e) && e.Code == unknownSetting {
				continue
			}
			restore()
			return nil, err
		}
		names = append(names, set.Name)
	}
	return restore, nil
}

// Remember keeps the settings of a SET statement that the client ran itself,
// for With to put back.
func (s *Session) Remember(sql string) {
	m := setStatement.FindStringSubmatch(sql)
	if m == nil {
		return
	}
	for _, p := range setPair.FindAllStringSubmatch(m[1], -1) {
		if strings.EqualFold(p[2], "DEFAULT") {
			delete(s.own, p[1])
		} else {
			s.own[p[1]] = p[2]
		}
	}
}

// Quote makes a string of SQL.
func Quote(v string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'"
}

// QuoteName makes an identifier of SQL.
func QuoteName(v string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(v) + "`"
}
