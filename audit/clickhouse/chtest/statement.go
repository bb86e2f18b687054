package chtest

import (
	"regexp"
	"strings"
)

// The engine parses SQL. This file only finds out what a front end must know
// before the engine sees a statement: whether rows follow it, and whether it
// answers with rows.

// nextToken gives the token at or after i, without spaces and comments before
// it: a word, a quoted string, or one other character.
func nextToken(s string, i int) (start, end int) {
	for i < len(s) {
		switch c := s[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
			i++
		case strings.HasPrefix(s[i:], "--") || strings.HasPrefix(s[i:], "#!") || strings.HasPrefix(s[i:], "# "):
			n := strings.IndexByte(s[i:], '\n')
			if n < 0 {
				return len(s), len(s)
			}
			i += n + 1
		case strings.HasPrefix(s[i:], "/*"):
			n := strings.Index(s[i:], "*/")
			if n < 0 {
				return len(s), len(s)
			}
			i += n + 2
		case c == '\'' || c == '"' || c == '`':
			for j := i + 1; j < len(s); j++ {
				if s[j] == '\\' {
					j++
				} else if s[j] == c {
					return i, j + 1
				}
			}
			return i, len(s)
		case isWord(c):
			j := i
			for j < len(s) && isWord(s[j]) {
				j++
			}
			return i, j
		default:
			return i, i + 1
		}
	}
	return len(s), len(s)
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// tokens walks over a statement, from index i on.
type tokens struct {
	sql string
	i   int
}

// word is the next token, in capitals; empty at the end.
func (t *tokens) word() string {
	start, end := nextToken(t.sql, t.i)
	return strings.ToUpper(t.sql[start:end])
}

// at is where the next token starts.
func (t *tokens) at() int {
	start, _ := nextToken(t.sql, t.i)
	return start
}

func (t *tokens) next() { _, t.i = nextToken(t.sql, t.i) }

// closing gives the index after the bracket that closes the one at i.
func closing(s string, i int) int {
	depth := 0
	for {
		start, end := nextToken(s, i)
		if start == len(s) {
			return start
		}
		switch s[start:end] {
		case "(":
			depth++
		case ")":
			if depth--; depth == 0 {
				return end
			}
		}
		i = end
	}
}

// firstWord is a statement's first keyword, in capitals.
func firstWord(sql string) string {
	t := tokens{sql: sql}
	for t.word() == "(" {
		t.next()
	}
	return t.word()
}

var insertInside = regexp.MustCompile(`(?i)\bINSERT\s+INTO\b`)

// answersRows tells whether sql has a result: running it again does no harm then.
func answersRows(sql string) bool {
	switch firstWord(sql) {
	case "SELECT", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS", "FROM", "VALUES", "CHECK":
		return true
	case "WITH":
		return !insertInside.MatchString(sql)
	}
	return false
}

var temporary = regexp.MustCompile(`(?i)^\s*\w+\s+(OR\s+REPLACE\s+)?TEMPORARY\b`)

// changesSession tells of statements that leave something behind in a session.
func changesSession(sql string) bool {
	w := firstWord(sql)
	return w == "SET" || w == "USE" || temporary.MatchString(sql)
}

// streams tells whether the engine can give the result of sql block by block.
func streams(sql string) bool {
	w := firstWord(sql)
	return (w == "SELECT" || w == "WITH" || w == "FROM") && answersRows(sql)
}

var formatClause = regexp.MustCompile(`(?is)\s+FORMAT\s+([A-Za-z0-9]+)\s*(SETTINGS\s[^()]*)?;?\s*$`)

// withoutFormat removes the FORMAT clause, which the native protocol ignores,
// and gives its format.
func withoutFormat(sql string) (string, string) {
	sql = strings.TrimRight(sql, "; \t\r\n")
	if m := formatClause.FindStringSubmatchIndex(sql); m != nil && firstWord(sql) != "INSERT" {
		format, settings := sql[m[2]:m[3]], ""
		if m[4] >= 0 {
			settings = " " + sql[m[4]:m[5]]
		}
		return sql[:m[0]] + settings, format
	}
	return sql, ""
}

// unescapeTSV undoes the escapes of TabSeparated.
func unescapeTSV(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\'`, `'`, `\n`, "\n", `\t`, "\t", `\r`, "\r", `\0`, "\x00", `\b`, "\b", `\f`, "\f").Replace(s)
}

// columnsOf reads names and types from the first two lines of TSVWithNamesAndTypes.
func columnsOf(tsv []byte) (columns []column) {
	names, rest, ok := strings.Cut(string(tsv), "\n")
	types, _, ok2 := strings.Cut(rest, "\n")
	if !ok || !ok2 {
		return nil
	}
	t := strings.Split(types, "\t")
	for i, n := range strings.Split(names, "\t") {
		columns = append(columns, column{unescapeTSV(n), unescapeTSV(t[i])})
	}
	return columns
}
