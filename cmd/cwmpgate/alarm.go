package main

import (
	"time"

	"github.com/rs/zerolog"

	"github.com/cwmpgate/cwmpgate/audit/journal"
)

// sizeAlarm says in the log that the journal comes near its maximum size, or its
// disk near being full, while there is time to do something about it. It belongs
// to the journal's writer.
type sizeAlarm struct {
	log      zerolog.Logger
	settings journalConfig
	free     func(dir string) (int64, bool) // of the disk

	unseen int64     // committed since it last looked at the size
	looked time.Time // when it last looked at the disk
	size   alarm
	disk   alarm
}

// alarm keeps what was said from being said too often.
type alarm struct {
	level int // how many limits are passed
	told  time.Time
}

const alarmAgain = 10 * time.Minute

// at says whether a level is news, or is to be said again; well, that there is
// none any more.
func (a *alarm) at(level int, now time.Time) (say, well bool) {
	before := a.level
	a.level = level
	if level == 0 || level <= before && now.Sub(a.told) < alarmAgain {
		return false, level == 0 && before > 0
	}
	a.told = now
	return true, false
}

// line begins a line of the log: an error at the last level.
func (a *alarm) line(log zerolog.Logger, levels int) *zerolog.Event {
	if a.level == levels {
		return log.Error()
	}
	return log.Warn()
}

// alarmLevels are shares of journal.max_size in percent. Each is taken back a
// little below, so that a size which wavers there does not fill the log.
var alarmLevels = [...]int64{80, 95}

const alarmBack = 5 // percent

// freeLevels are what should be free on the journal's disk, in segments.
var freeLevels = [...]int64{4, 1}

// committed looks at the size again when a hundredth of max_size was added, and
// at the disk once a second: others may fill it.
func (a *sizeAlarm) committed(bytes int, stats func() journal.Stats) {
	if now := time.Now(); now.Sub(a.looked) >= time.Second {
		a.looked = now
		if free, ok := a.free(string(a.settings.Directory)); ok {
			a.lookDisk(free, now)
		}
	}
	a.unseen += int64(bytes)
	if a.unseen < int64(a.settings.MaxSize)/100 {
		return
	}
	a.unseen = 0
	a.look(held(stats(), a.settings), time.Now())
}

func (a *sizeAlarm) look(held int64, now time.Time) {
	most := int64(a.settings.MaxSize)
	level := 0
	for i, share := range alarmLevels {
		if i < a.size.level {
			share -= alarmBack
		}
		if held >= most/100*share {
			level = i + 1
		}
	}
	say, well := a.size.at(level, now)
	if well {
		a.log.Info().Msg("the journal has room again")
	}
	if !say {
		return
	}
	a.size.line(a.log, len(alarmLevels)).
		Int64("held_bytes", held).Int64("max_size_bytes", most).Int64("percent", held*100/most).Str("on_failure", a.settings.OnFailure).
		Msg("the journal comes near journal.max_size with records that the store does not have; see docs/journal.md")
}

func (a *sizeAlarm) lookDisk(free int64, now time.Time) {
	level := 0
	for i, segments := range freeLevels {
		least := segments * a.settings.segment()
		if i < a.disk.level {
			least += least / 4
		}
		if free < least {
			level = i + 1
		}
	}
	say, well := a.disk.at(level, now)
	if well {
		a.log.Info().Int64("free_bytes", free).Msg("the journal's disk has room again")
	}
	if !say {
		return
	}
	a.disk.line(a.log, len(freeLevels)).Int64("free_bytes", free).Str("on_failure", a.settings.OnFailure).
		Msg("the journal's disk is nearly full; see docs/journal.md")
}

// held are the bytes that cannot give way to max_size: what the slowest store
// does not have, and at most a segment more, since segments go as a whole.
// Without a store it is all there is.
func held(s journal.Stats, c journalConfig) int64 {
	if len(s.Cursors) == 0 {
		return s.Bytes
	}
	var lacks int64
	for _, c := range s.Cursors {
		lacks = max(lacks, c.Bytes)
	}
	if lacks == 0 {
		return 0
	}
	return min(s.Bytes, lacks+c.segment())
}
