package main

import (
	"time"

	"github.com/rs/zerolog"

	"github.com/cwmpgate/cwmpgate/audit/journal"
)

// sizeAlarm says in the log that the journal comes near its maximum size, while
// there is time to do something about it. It belongs to the journal's writer.
type sizeAlarm struct {
	log      zerolog.Logger
	settings journalConfig

	unseen int64 // committed since it last looked
	level  int   // of alarmLevels, how many are passed
	told   time.Time
}

// alarmLevels are shares of journal.max_size in percent. Each is taken back a
// little below, so that a size which wavers there does not fill the log.
var alarmLevels = [...]int64{80, 95}

const (
	alarmBack  = 5 // percent
	alarmAgain = 10 * time.Minute
)

// committed looks again when a hundredth of max_size was added.
func (a *sizeAlarm) committed(bytes int, stats func() journal.Stats) {
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
		if i < a.level {
			share -= alarmBack
		}
		if held >= most/100*share {
			level = i + 1
		}
	}
	before := a.level
	a.level = level
	if level == 0 && before > 0 {
		a.log.Info().Msg("the journal has room again")
	}
	if level == 0 || level <= before && now.Sub(a.told) < alarmAgain {
		return
	}
	a.told = now
	line := a.log.Warn()
	if level == len(alarmLevels) {
		line = a.log.Error()
	}
	line.Int64("held_bytes", held).Int64("max_size_bytes", most).Int64("percent", held*100/most).Str("on_failure", a.settings.OnFailure).
		Msg("the journal comes near journal.max_size with records that the store does not have; see docs/journal.md")
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
	return min(s.Bytes, lacks+min(int64(c.SegmentSize), int64(c.MaxSize)/8))
}
