package acme

import (
	"github.com/rs/zerolog"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newZap is a zap log that goes into ours.
func newZap(log zerolog.Logger) *zap.Logger {
	return zap.New(&core{log: log.With().Str("part", "acme").Logger()})
}

// core passes certmagic's entries on. What it calls info is told at each start
// and renewal, and what it calls debug at each handshake.
type core struct {
	log    zerolog.Logger
	fields []zapcore.Field
}

func levelOf(l zapcore.Level) zerolog.Level {
	switch {
	case l >= zapcore.ErrorLevel:
		return zerolog.ErrorLevel
	case l == zapcore.WarnLevel:
		return zerolog.WarnLevel
	case l == zapcore.InfoLevel:
		return zerolog.InfoLevel
	}
	return zerolog.DebugLevel
}

func (c *core) Enabled(l zapcore.Level) bool {
	return levelOf(l) >= c.log.GetLevel() && levelOf(l) >= zerolog.GlobalLevel()
}

func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{c.log, append(c.fields[:len(c.fields):len(c.fields)], fields...)}
}

func (c *core) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	m := zapcore.NewMapObjectEncoder()
	for _, f := range append(c.fields[:len(c.fields):len(c.fields)], fields...) {
		f.AddTo(m)
	}
	c.log.WithLevel(levelOf(e.Level)).Str("of", e.LoggerName).Fields(m.Fields).Msg(e.Message)
	return nil
}

func (c *core) Sync() error { return nil }
