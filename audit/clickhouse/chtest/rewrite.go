package chtest

import (
	"regexp"
	"strings"
)

var (
	onCluster        = regexp.MustCompile("(?i)\\s+ON\\s+CLUSTER\\s+('[^']*'|`[^`]*`|\"[^\"]*\"|[A-Za-z0-9_{}]+)")
	replicatedEngine = regexp.MustCompile(`(?i)\bReplicated(\w*MergeTree)\b(\s*\()?`)
	replicatedWindow = regexp.MustCompile(`(?i)\breplicated_deduplication_window\b`)
	anyWindow        = regexp.MustCompile(`(?i)\bnon_replicated_deduplication_window\b`)
	settingsClause   = regexp.MustCompile(`(?is)\bSETTINGS\s+[A-Za-z_]`)
	createTable      = regexp.MustCompile(`(?is)^\s*(CREATE|ATTACH)\b`)
)

// singleNode turns the DDL of a replicated cluster into what one server without
// a keeper executes: ON CLUSTER goes, Replicated*MergeTree('path', 'replica', ...)
// becomes *MergeTree(...), with the window of insert deduplication that
// replicated tables have by default.
func singleNode(sql string) string {
	switch firstWord(sql) {
	case "CREATE", "ALTER", "DROP", "RENAME", "TRUNCATE", "OPTIMIZE", "EXCHANGE",
		"DETACH", "ATTACH", "UNDROP", "SYSTEM", "DELETE", "UPDATE":
	default:
		return sql
	}
	sql, replicated := unreplicated(onCluster.ReplaceAllString(sql, ""))
	if !replicated || !createTable.MatchString(sql) {
		return sql
	}
	if sql = replicatedWindow.ReplaceAllString(sql, "non_replicated_deduplication_window"); anyWindow.MatchString(sql) {
		return sql
	}
	const window = "non_replicated_deduplication_window = 10000"
	if m := settingsClause.FindStringIndex(sql); m != nil {
		at := m[0] + len("SETTINGS ")
		return sql[:at] + window + ", " + strings.TrimLeft(sql[at:], " \t\n")
	}
	return strings.TrimRight(sql, "; \t\r\n") + " SETTINGS " + window
}

// unreplicated replaces the engines of replicated tables by plain ones.
func unreplicated(sql string) (plain string, replicated bool) {
	for {
		m := replicatedEngine.FindStringSubmatchIndex(sql)
		if m == nil {
			return sql, replicated
		}
		replicated = true
		engine, rest := sql[m[2]:m[3]], sql[m[1]:]
		if m[4] >= 0 {
			open := m[5] - 1
			end := closing(sql, open)
			args := splitTop(sql[open+1:end-1], ',')
			if len(args) > 1 && isString(args[0]) && isString(args[1]) {
				args = args[2:]
			}
			engine, rest = engine+"("+strings.TrimSpace(strings.Join(args, ","))+")", sql[end:]
		}
		sql = sql[:m[0]] + engine + rest
	}
}

func isString(arg string) bool { return strings.HasPrefix(strings.TrimSpace(arg), "'") }

var syncClause = regexp.MustCompile(`(?is)\s+(SYNC|NO\s+DELAY)\s*;?\s*$`)

// withoutSync removes the SYNC of DROP, DETACH and TRUNCATE: this engine never
// removes the data of dropped tables, and would wait for that for ever.
func withoutSync(sql string) string {
	switch firstWord(sql) {
	case "DROP", "DETACH", "TRUNCATE":
		return syncClause.ReplaceAllString(sql, "")
	}
	return sql
}
