package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// mended is a journal of several segments which tests damage and put back. It
// stays in the directory that it was made in: a copy would have to be adopted.
type mended struct {
	t        *testing.T
	plan     plan
	file     string // the config
	journal  string // the directory
	segments map[string][]byte
	names    []string          // of the segments, in order
	records  map[uint64]string // as they were written
}

// makeMended has a device's sessions recorded in four lives of a gateway.
func makeMended(t *testing.T) *mended {
	acs := openACS(t, cwmptest.ACSConfig{Script: chores})
	m := &mended{t: t, plan: plan{acs: acs.Addr(), dir: t.TempDir()}, segments: map[string][]byte{}, records: map[uint64]string{}}
	for i := range 4 {
		r := start(t, m.plan)
		d, err := cwmptest.NewDevice(device(r.url(), fmt.Sprintf("MENDED-%d", i)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Session(context.Background()); err != nil {
			t.Fatal(err)
		}
		d.Close()
		r.close()
		m.file, m.journal = r.file, filepath.Join(r.dir, "journal")
	}
	for line := range strings.Lines(mustCLI(t, "journal", "show", "--config", m.file)) {
		m.records[seqOf(t, line)] = strings.TrimSpace(line)
	}
	files, err := filepath.Glob(filepath.Join(m.journal, "*.jrn"))
	if err != nil || len(files) != 4 {
		t.Fatalf("segments: %v, %v", files, err)
	}
	for _, f := range files {
		if m.segments[filepath.Base(f)], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	m.names = slices.Sorted(maps.Keys(m.segments))
	return m
}

func seqOf(t *testing.T, line string) uint64 {
	t.Helper()
	var r struct{ Seq uint64 }
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return r.Seq
}

// restore puts the segments back and takes the store and all else away.
func (m *mended) restore() {
	m.t.Helper()
	for _, pattern := range []string{"journal/*.jrn*", "journal/gaps", "journal/cursor-*", "audit.db*"} {
		files, _ := filepath.Glob(filepath.Join(filepath.Dir(m.file), pattern))
		for _, f := range files {
			if err := os.Remove(f); err != nil {
				m.t.Fatal(err)
			}
		}
	}
	for name, data := range m.segments {
		m.write(name, data)
	}
}

func (m *mended) write(segment string, data []byte) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.journal, segment), data, 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// frameAt is where the frame n of a segment begins, and where it ends.
func (m *mended) frameAt(segment string, n int) (from, to int) {
	data := m.segments[segment]
	for to = 48; to < len(data); n-- {
		from, to = to, to+int(binary.BigEndian.Uint32(data[to:]))
		if n == 0 {
			return from, to
		}
	}
	m.t.Fatalf("segment %s has no frame %d more", segment, n)
	return 0, 0
}

// first is the number of the first record of frame n.
func (m *mended) first(segment string, n int) uint64 {
	from, _ := m.frameAt(segment, n)
	return binary.BigEndian.Uint64(m.segments[segment][from+16:])
}

func (m *mended) segmentFirst(i int) uint64 {
	n, err := strconv.ParseUint(strings.TrimSuffix(m.names[i], ".jrn"), 10, 64)
	if err != nil {
		m.t.Fatal(err)
	}
	return n
}

// foreign is a segment of another log with the same name.
func (m *mended) foreign(segment string) []byte {
	dir := m.t.TempDir()
	j := journal.New(journal.Config{Directory: dir})
	if err := j.Open(); err != nil {
		m.t.Fatal(err)
	}
	var last journal.Ticket
	first, _ := strconv.ParseUint(strings.TrimSuffix(segment, ".jrn"), 10, 64)
	for last.Seq() < first+3 {
		var err error
		if last, err = j.Append(func(b []byte, _ uint64, _ time.Time) []byte { return append(b, "{}"...) }); err != nil {
			m.t.Fatal(err)
		}
	}
	if err := j.Close(context.Background()); err != nil {
		m.t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "0000000000000001.jrn"))
	if err != nil {
		m.t.Fatal(err)
	}
	return data
}

// damageCase is one way to damage a journal: what is named, and what is lost.
type damageCase struct {
	name        string
	do          func(m *mended)
	segment     int
	offset      func(m *mended) int
	first, last func(m *mended) uint64
	refuses     bool // the gateway does not start
}

func damageCases() []damageCase {
	change := func(segment, frame int, change func(frame []byte)) func(*mended) {
		return func(m *mended) {
			name := m.names[segment]
			data := slices.Clone(m.segments[name])
			from, to := m.frameAt(name, frame)
			change(data[from:to])
			m.write(name, data)
		}
	}
	frameStart := func(segment, frame int) func(*mended) int {
		return func(m *mended) int { from, _ := m.frameAt(m.names[segment], frame); return from }
	}
	frameFirst := func(segment, frame int) func(*mended) uint64 {
		return func(m *mended) uint64 { return m.first(m.names[segment], frame) }
	}
	frameLast := func(segment, frame int) func(*mended) uint64 {
		return func(m *mended) uint64 { return m.first(m.names[segment], frame+1) - 1 }
	}
	segmentFirst := func(segment int) func(*mended) uint64 {
		return func(m *mended) uint64 { return m.segmentFirst(segment) }
	}
	segmentLast := func(segment int) func(*mended) uint64 {
		return func(m *mended) uint64 { return m.segmentFirst(segment+1) - 1 }
	}
	flip := func(b []byte) { b[len(b)/2] ^= 4 }
	return []damageCase{
		{"flipped", change(1, 2, flip), 1, frameStart(1, 2), frameFirst(1, 2), frameLast(1, 2), false},
		{"swapped", change(1, 1, func(b []byte) { b[80], b[81] = b[81]^1, b[80] }), 1, frameStart(1, 1), frameFirst(1, 1), frameLast(1, 1), false},
		{"torn", func(m *mended) {
			name := m.names[1]
			from, _ := m.frameAt(name, 3)
			m.write(name, m.segments[name][:from+20])
		}, 1, frameStart(1, 3), frameFirst(1, 3), segmentLast(1), false},
		{"missing", func(m *mended) { os.Remove(filepath.Join(m.journal, m.names[2])) }, 1,
			func(m *mended) int { return len(m.segments[m.names[1]]) }, func(m *mended) uint64 { return m.last(m.names[1]) + 1 }, segmentLast(2), false},
		{"foreign", func(m *mended) { m.write(m.names[1], m.foreign(m.names[1])) }, 1,
			func(*mended) int { return 28 }, segmentFirst(1), segmentLast(1), false},
		{"foreign of the same name", func(m *mended) { m.write(m.names[0], m.foreign(m.names[0])) }, 0,
			func(*mended) int { return 12 }, segmentFirst(0), segmentLast(0), false},
		{"last segment", change(3, 1, flip), 3, frameStart(3, 1), frameFirst(3, 1), frameLast(3, 1), true},
	}
}
