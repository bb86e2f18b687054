package chtest

import (
	"strings"
	"testing"
)

func TestRewrites(t *testing.T) {
	for _, c := range [][2]string{
		{"CREATE TABLE z ON CLUSTER c (a UInt8) ENGINE = ReplicatedMergeTree ORDER BY a", "CREATE TABLE z (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 10000"},
		{"CREATE TABLE z (a UInt8) ENGINE = ReplicatedMergeTree () ORDER BY a SETTINGS replicated_deduplication_window = 5;", "CREATE TABLE z (a UInt8) ENGINE = MergeTree() ORDER BY a SETTINGS non_replicated_deduplication_window = 5;"},
		{"create table z (a UInt8) engine ReplicatedCollapsingMergeTree('/a/{uuid}, b', '{replica}', sign) order by a settings x = 1", "create table z (a UInt8) engine CollapsingMergeTree(sign) order by a settings non_replicated_deduplication_window = 10000, x = 1"},
		{"ALTER TABLE z ON CLUSTER '{cluster}' ADD COLUMN b String", "ALTER TABLE z ADD COLUMN b String"},
		{"SELECT 'x ON CLUSTER y'", "SELECT 'x ON CLUSTER y'"},
		{"DROP TABLE z ON CLUSTER c SYNC", "DROP TABLE z"},
	} {
		if got := withoutSync(singleNode(c[0])); got != c[1] {
			t.Errorf("%s\n got %s\nwant %s", c[0], got, c[1])
		}
	}
}

func TestParseInsert(t *testing.T) {
	for sql, want := range map[string]string{
		"INSERT INTO a.b (x, `y)`) SETTINGS async_insert = 0, s = 'FORMAT' FORMAT Native": "a.b|(x, `y)`)|SETTINGS async_insert = 0, s = 'FORMAT'|Native|",
		"insert into t values": "t|||Values|",
		"INSERT INTO TABLE FUNCTION file('x.csv', CSV) (a) FORMAT CSV\n1,2": "file('x.csv', CSV)|(a)||CSV|1,2",
		"/* c */ INSERT INTO t -- x\n FORMAT JSONEachRow {\"a\": 1}":        "t|||JSONEachRow|{\"a\": 1}",
		"INSERT INTO t VALUES (1)":                                          "no",
		"INSERT INTO t SELECT 1":                                            "no",
		"INSERT INTO t (SELECT 1)":                                          "no",
		"INSERT INTO t WITH 1 AS x SELECT x":                                "no",
		"SELECT 'INSERT INTO t FORMAT Native'":                              "no",
	} {
		ins, ok := parseInsert(sql)
		got := strings.Join([]string{ins.target, ins.columns, ins.settings, ins.format, ins.inline}, "|")
		if !ok {
			got = "no"
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", sql, got, want)
		}
	}
}
