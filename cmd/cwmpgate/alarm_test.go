package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/cwmpgate/cwmpgate/audit/journal"
)

// TestSizeAlarm: once a level, again after a while, and back only some way below.
func TestSizeAlarm(t *testing.T) {
	const most = 1000
	var log bytes.Buffer
	a := &sizeAlarm{log: zerolog.New(&log), settings: journalConfig{MaxSize: most, SegmentSize: 50, OnFailure: "stop"},
		free: func(string) (int64, bool) { return 0, false }}
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for i, x := range []struct {
		held  int64
		after time.Duration
		says  string
	}{
		{790, 0, ""}, {800, 0, `{"level":"warn","held_bytes":800,"max_size_bytes":1000,"percent":80,"on_failure":"stop"`},
		{940, time.Second, ""}, {760, time.Second, ""}, {810, time.Second, ""}, {820, 10 * time.Minute, `{"level":"warn","held_bytes":820`},
		{950, time.Second, `{"level":"error","held_bytes":950`}, {910, time.Second, ""}, {999, 9 * time.Minute, ""},
		{960, 2 * time.Minute, `{"level":"error"`}, {890, time.Second, ""}, {950, time.Second, `{"level":"error"`},
		{740, time.Second, `{"level":"info","message":"the journal has room again"`}, {700, time.Hour, ""}, {960, time.Second, `{"level":"error"`},
	} {
		log.Reset()
		now = now.Add(x.after)
		a.look(x.held, now)
		if got := log.String(); !strings.HasPrefix(got, x.says) || x.says == "" && got != "" {
			t.Errorf("step %d, %d bytes: %q, want %q", i, x.held, got, x.says)
		}
	}
	looked := 0
	stats := func() journal.Stats { looked++; return journal.Stats{} }
	for range 100 {
		a.committed(3, stats)
	}
	if looked != 25 || a.disk.level != 0 {
		t.Errorf("looked %d times for 300 of %d bytes", looked, most)
	}
	for _, x := range []struct {
		stats journal.Stats
		held  int64
	}{
		{journal.Stats{Bytes: 900}, 900},
		{journal.Stats{Bytes: 900, Cursors: []journal.CursorStats{{Bytes: 0}}}, 0},
		{journal.Stats{Bytes: 900, Cursors: []journal.CursorStats{{Bytes: 0}, {Bytes: 700}}}, 750},
		{journal.Stats{Bytes: 900, Cursors: []journal.CursorStats{{Bytes: 890}}}, 900},
	} {
		if got := held(x.stats, a.settings); got != x.held {
			t.Errorf("%+v holds %d, want %d", x.stats, got, x.held)
		}
	}
}

// TestDiskAlarm: likewise of what is free on the journal's disk, whoever fills it.
func TestDiskAlarm(t *testing.T) {
	var log bytes.Buffer
	var free int64
	a := &sizeAlarm{log: zerolog.New(&log), settings: journalConfig{Directory: "there", MaxSize: 1000, SegmentSize: 100, OnFailure: "stop"},
		free: func(dir string) (int64, bool) { return free, dir == "there" }}
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for i, x := range []struct {
		free  int64
		after time.Duration
		says  string
	}{
		{400, 0, ""}, {399, time.Second, `{"level":"warn","free_bytes":399,"on_failure":"stop"`}, {450, time.Second, ""}, {101, time.Second, ""},
		{99, time.Second, `{"level":"error","free_bytes":99`}, {120, time.Second, ""}, {0, 11 * time.Minute, `{"level":"error"`},
		{126, time.Hour, `{"level":"warn"`}, {500, time.Second, `{"level":"info","free_bytes":500`}, {400, time.Hour, ""}, {50, time.Second, `{"level":"error"`},
	} {
		log.Reset()
		now = now.Add(x.after)
		a.lookDisk(x.free, now)
		if got := log.String(); !strings.HasPrefix(got, x.says) || x.says == "" && got != "" {
			t.Errorf("step %d, %d bytes free: %q, want %q", i, x.free, got, x.says)
		}
	}
	log.Reset()
	free, a.disk = 10, alarm{}
	a.committed(1, func() journal.Stats { return journal.Stats{} })
	a.committed(1, func() journal.Stats { return journal.Stats{} }) // within a second
	if n := strings.Count(log.String(), "nearly full"); n != 1 {
		t.Errorf("said %d times: %s", n, log.String())
	}
	if n, known := diskFree(t.TempDir()); known && n <= 0 {
		t.Errorf("%d bytes are free", n)
	}
	if _, known := diskFree("/there/is/none"); known {
		t.Error("what is free where nothing is")
	}
}
