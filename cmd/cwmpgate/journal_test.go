package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
)

// TestJournalMended damages a journal that no store has seen yet in each way.
// Verify names the place, the gateway stops or its store does and says which
// command helps, and behind skip all that is not lost comes to the store once,
// with a record of what is missing.
func TestJournalMended(t *testing.T) {
	m := makeMended(t)
	for _, tt := range damageCases() {
		t.Run(tt.name, func(t *testing.T) {
			m.t = t
			m.restore()
			mustCLI(t, "journal", "verify", "--config", m.file)
			tt.do(m)
			segment, offset := m.names[tt.segment], tt.offset(m)
			checkVerify(t, m, tt.refuses, segment, offset)
			checkShow(t, m, segment, offset)
			checkRefusal(t, m, tt.refuses, segment, offset)
			first, last := tt.first(m), tt.last(m)
			out := mustCLI(t, "journal", "skip", "--config", m.file, segment, fmt.Sprint(offset))
			if !strings.Contains(out, areRecords(first, last)+" missing") {
				t.Errorf("skip says %q, missing are %d to %d", out, first, last)
			}
			if out := mustCLI(t, "journal", "verify", "--config", m.file); !strings.Contains(out, "passed over: "+segment) {
				t.Errorf("verify says\n%s", out)
			}
			checkGoesOn(t, m, segment, offset, first, last)
			if out := mustCLI(t, "journal", "verify", "--json", "--config", m.file); !json.Valid([]byte(out)) || !strings.Contains(out, `"damaged":[]`) {
				t.Errorf("verify says\n%s", out)
			}
		})
	}
}

// last is the last record that stands in a segment: the next one may hold it
// too, since each life writes the last frame of the one before once more.
func (m *mended) last(segment string) (last uint64) {
	data := m.segments[segment]
	for at := 48; at < len(data); at += int(binary.BigEndian.Uint32(data[at:])) {
		last = binary.BigEndian.Uint64(data[at+16:]) + uint64(binary.BigEndian.Uint32(data[at+12:])) - 1
	}
	return last
}

func checkVerify(t *testing.T, m *mended, atEnd bool, segment string, offset int) {
	t.Helper()
	numbers := "not there to be read"
	if atEnd {
		numbers = "what is behind them cannot be told"
	}
	code, out, stderr := cli("journal", "verify", "--config", m.file)
	if place := fmt.Sprintf("damaged: %s: byte %d: ", segment, offset); code != 1 || !strings.Contains(out, place) || !strings.Contains(out, numbers) {
		t.Errorf("verify: exit code %d, without %q:\n%s", code, place, out)
	}
	if hint := fmt.Sprintf("cwmpgate journal skip --config %s %s %d", m.file, segment, offset); !strings.Contains(stderr, hint) {
		t.Errorf("verify does not name %q:\n%s", hint, stderr)
	}
	code, out, _ = cli("journal", "verify", "--config", m.file, "--json")
	var v struct {
		Segments []struct{ Segment string }
		Damaged  []struct {
			File   string
			Offset int
		}
		Missing []struct{ First, Last uint64 }
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 1 || len(v.Damaged) != 1 || v.Damaged[0].File != segment || v.Damaged[0].Offset != offset || len(v.Missing) > 1 {
		t.Errorf("verify --json: exit code %d, %v: %s", code, err, out)
	}
}

// checkShow: what stands before the damage is printed, and where it stops.
func checkShow(t *testing.T, m *mended, segment string, offset int) {
	t.Helper()
	code, out, stderr := cli("journal", "show", "--config", m.file)
	next := uint64(1)
	for line := range strings.Lines(out) {
		if strings.TrimSpace(line) != m.records[next] {
			t.Errorf("show prints instead of record %d: %s", next, line)
		}
		next++
	}
	if code != 1 || !strings.Contains(stderr, segment) || !strings.Contains(stderr, fmt.Sprintf("at byte %d", offset)) {
		t.Errorf("show: exit code %d, %s", code, stderr)
	}
}

// checkRefusal: a gateway that cannot start, or whose store stops, says why and
// which command helps.
func checkRefusal(t *testing.T, m *mended, refuses bool, segment string, offset int) {
	t.Helper()
	if refuses {
		code, _, stderr := cli("run", "--config", m.file)
		hint := fmt.Sprintf("cwmpgate journal skip --config %s %s %d", m.file, segment, offset)
		if code != 1 || !strings.Contains(stderr, hint) {
			t.Errorf("run: exit code %d, without %q: %s", code, hint, stderr)
		}
		return
	}
	r := start(t, m.plan)
	await(t, "the store stops", func() bool { return strings.Contains(r.log.String(), "cwmpgate journal verify names") })
	if code, _, stderr := cli("journal", "skip", "--config", m.file, segment, fmt.Sprint(offset)); code != 1 || !strings.Contains(stderr, "stop the gateway") {
		t.Errorf("skip beside a gateway: exit code %d, %s", code, stderr)
	}
	r.close()
	// The two records of this life belong to what is to come.
	for line := range strings.Lines(mustCLI(t, "journal", "show", "--config", m.file, "--from", fmt.Sprint(len(m.records)+1), "--limit", "2")) {
		if !strings.Contains(line, `"kind":"system"`) {
			t.Errorf("behind the damage: %s", line)
		}
	}
}

// checkGoesOn: the store gets everything but the missing, each once, and the
// record of the gap.
func checkGoesOn(t *testing.T, m *mended, segment string, offset int, first, last uint64) {
	t.Helper()
	r := start(t, m.plan)
	await(t, "the store has come to the end", func() bool { s := r.gate.journal.Stats(); return s.Cursors[0].Committed == s.Durable })
	r.close()
	seen, gaps := map[uint64]int{}, 0
	for _, rec := range openArchive(t, filepath.Dir(m.file)).records() {
		seen[rec.Seq]++
		if line, ok := m.records[rec.Seq]; ok && line != rec.line {
			t.Errorf("record %d is\n%s, was\n%s", rec.Seq, rec.line, line)
		}
		if rec.Kind != audit.KindSystem || rec.What != audit.SystemGap {
			continue
		}
		gaps++
		want := map[string]string{"segment": segment, "offset": fmt.Sprint(offset), "count": fmt.Sprint(last + 1 - first), "log": rec.Log, "first": fmt.Sprint(first), "last": fmt.Sprint(last)}
		if kept := rec.Detail["kept"]; kept != "" {
			want["kept"] = kept
			if _, err := os.Stat(filepath.Join(m.journal, kept)); err != nil {
				t.Error(err)
			}
		}
		if !maps.Equal(rec.Detail, want) {
			t.Errorf("the gap record says %v, not %v", rec.Detail, want)
		}
	}
	for seq := range m.records {
		if missing := first <= seq && seq <= last; seen[seq] != 1 && !missing || seen[seq] != 0 && missing {
			t.Errorf("record %d is there %d times; missing are %d to %d", seq, seen[seq], first, last)
		}
	}
	if gaps != 1 {
		t.Errorf("%d gap records", gaps)
	}
}

// A write that did not finish is no damage, and a journal in use can be read.
func TestJournalVerifyInUse(t *testing.T) {
	m := makeMended(t)
	name := m.names[3]
	m.write(name, m.segments[name][:len(m.segments[name])-3])
	os.Remove(filepath.Join(m.journal, "cursor-sqlite"))
	os.Remove(filepath.Join(m.journal, "cursor-proof"))
	if out := mustCLI(t, "journal", "verify", "--config", m.file); !strings.Contains(out, "unfinished write: "+name) {
		t.Errorf("verify says\n%s", out)
	}
	m.restore()
	r := start(t, m.plan)
	if out := mustCLI(t, "journal", "verify", "--config", m.file); !strings.Contains(out, "without holes") {
		t.Errorf("verify says\n%s", out)
	}
	if out := mustCLI(t, "journal", "show", "--config", m.file, "--from", "2", "--to", "5", "--limit", "3"); out != m.records[2]+"\n"+m.records[3]+"\n"+m.records[4]+"\n" {
		t.Errorf("show says\n%s", out)
	}
	if code, _, stderr := cli("journal", "adopt", "--yes", "--config", m.file); code != 1 || !strings.Contains(stderr, "stop the gateway") {
		t.Errorf("adopt beside a gateway: exit code %d, %s", code, stderr)
	}
	if code, _, stderr := cli("run", "--config", m.file); code != 1 || !strings.Contains(stderr, "hint: stop the gateway") {
		t.Errorf("a second gateway: exit code %d, %s", code, stderr)
	}
	r.close()
}

// An adopted journal goes on under a new log id, and a store gets both logs.
func TestJournalAdopt(t *testing.T) {
	m := makeMended(t)
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "journal"), os.DirFS(m.journal)); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(dir, "journal", "cursor-sqlite")) // the store is another
	p := m.plan
	p.dir = dir
	file := p.write(t)
	if out := mustCLI(t, "journal", "verify", "--config", file); strings.Contains(out, "is a copy") {
		code, _, stderr := cli("run", "--config", file)
		if hint := "cwmpgate journal adopt --config " + file + " --yes"; code != 1 || !strings.Contains(stderr, hint) {
			t.Errorf("run: exit code %d, without %q: %s", code, hint, stderr)
		}
	}
	logBefore, err := os.ReadFile(filepath.Join(dir, "journal", "log"))
	if err != nil {
		t.Fatal(err)
	}
	out := mustCLI(t, "journal", "adopt", "--config", file)
	if now, _ := os.ReadFile(filepath.Join(dir, "journal", "log")); string(now) != string(logBefore) || !strings.Contains(out, "--yes") {
		t.Errorf("adopt without --yes: %s", out)
	}
	out = mustCLI(t, "journal", "adopt", "--yes", "--config", file)
	var old, fresh string
	var last, next uint64
	if _, err := fmt.Sscanf(out, "old log %s up to record %d\nnew log %s from record %d on", &old, &last, &fresh, &next); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	old, fresh = strings.TrimSuffix(old, ","), strings.TrimSuffix(fresh, ",")
	if last != uint64(len(m.records)) || next != last+1 || old == fresh {
		t.Errorf("adopt says %s", out)
	}
	r := start(t, p)
	await(t, "the store has come to the end", func() bool { s := r.gate.journal.Stats(); return s.Cursors[0].Committed == s.Durable })
	r.close()
	for _, rec := range openArchive(t, dir).records() {
		want := old
		if rec.Seq > last {
			want = fresh
		}
		if rec.Log != want || rec.Seq <= last && rec.line != m.records[rec.Seq] {
			t.Errorf("record %d: %s", rec.Seq, rec.line)
		}
		delete(m.records, rec.Seq)
	}
	if len(m.records) > 0 {
		t.Errorf("%d records did not come to the store", len(m.records))
	}
}

func TestJournalUsage(t *testing.T) {
	file := plan{acs: "127.0.0.1:1"}.write(t)
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"verify"}, 1, "no such file"},
		{[]string{"show"}, 1, "no such file"},
		{[]string{"adopt", "--yes"}, 1, "no such file"},
		{[]string{"skip", "0000000000000001.jrn", "48"}, 1, "no such file"},
		{[]string{"skip", "0000000000000001.jrn", "here"}, 2, "is no offset"},
		{[]string{"skip"}, 2, "accepts 2 arg(s)"},
		{[]string{"show", "--limit", "-1"}, 2, "is negative"},
		{[]string{"show", "--from", "4", "--to", "3"}, 2, "is before --from 4"},
	} {
		code, _, stderr := cli(slices.Concat([]string{"journal"}, tt.args, []string{"--config", file})...)
		if code != tt.code || !strings.Contains(stderr, tt.want) {
			t.Errorf("journal %v: exit code %d, %s", tt.args, code, stderr)
		}
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(file), "journal")); err == nil {
		t.Error("a journal was made")
	}
	// A certificate that is not there keeps nobody from the journal.
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), "reuse: never", "reuse: never-so", 1))
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := cli("journal", "verify", "--config", file); code != 1 || !strings.Contains(stderr, "no such file") {
		t.Errorf("with a mistake elsewhere: exit code %d, %s", code, stderr)
	}
}
