package journal

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// logSpan is one log of the directory; only adoption makes more than one.
type logSpan struct {
	id   logID
	last uint64 // its last record; of the directory's own log: no end
}

const logTitle = "cwmpgate journal 1"

// openLog reads or makes the file that names the log.
func (j *Journal) openLog(exists, segments bool) error {
	if !exists {
		if segments {
			return fmt.Errorf("there are segments but no file %q", logName)
		}
		return j.writeLog([]logSpan{{id: newLogID(), last: maxSeq}})
	}
	text, err := readFile(j.fs, j.path(logName), textLimit)
	if err != nil {
		return err
	}
	logs, place, err := parseLog(text)
	if err != nil {
		return fmt.Errorf("file %q: %w", logName, err)
	}
	j.logs = logs
	here, err := j.identity(logName)
	if err != nil {
		return err
	}
	if place != "" && here != "" && place != here && !j.cfg.Adopt {
		return fmt.Errorf("%w of log %s: two gateways must not go on with the same log, so it has to be adopted first", ErrCopied, j.log())
	}
	return nil
}

func newLogID() (id logID) {
	rand.Read(id[:]) // never fails
	return id
}

func (j *Journal) identity(name string) (string, error) {
	if i, ok := j.fs.(Identifier); ok {
		return i.Identity(j.path(name))
	}
	return "", nil
}

// writeLog replaces the log file, which names its own identity: a rename
// keeps that, a copy does not.
func (j *Journal) writeLog(logs []logSpan) error {
	name := j.path(logName)
	f, err := j.fs.Append(name + tempSuffix)
	if err != nil {
		return err
	}
	defer f.Close()
	place, err := j.identity(logName + tempSuffix)
	if err != nil {
		return err
	}
	if err := write(f, formatLog(logs, place)); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := putInPlace(j.fs, name); err != nil {
		return err
	}
	j.logs = logs
	return nil
}

func formatLog(logs []logSpan, place string) []byte {
	lines := []string{logTitle}
	for _, l := range logs[:len(logs)-1] {
		lines = append(lines, fmt.Sprintf("earlier %s %d", l.id, l.last))
	}
	lines = append(lines, "log "+logs[len(logs)-1].id.String())
	if place != "" {
		lines = append(lines, "place "+place)
	}
	return sealText(lines...)
}

func parseLog(text []byte) (logs []logSpan, place string, err error) {
	lines, err := openText(text, logTitle)
	if err != nil {
		return nil, "", err
	}
	own := false
	for _, w := range lines {
		span := logSpan{last: maxSeq}
		switch {
		case w[0] == "earlier" && len(w) == 3 && !own:
			span.last, err = strconv.ParseUint(w[2], 10, 64)
		case w[0] == "log" && len(w) == 2 && !own:
			own = true
		case w[0] == "place" && len(w) == 2 && own:
			place = w[1]
			continue
		default:
			return nil, "", fmt.Errorf("line %q is not understood", strings.Join(w, " "))
		}
		if err != nil {
			return nil, "", err
		}
		if span.id, err = parseLogID(w[1]); err != nil {
			return nil, "", err
		}
		logs = append(logs, span)
	}
	if !own || !bytes.Equal(formatLog(logs, place), text) {
		return nil, "", errors.New("is not written as version 1 has it")
	}
	return logs, place, nil
}

// logOf is the log that a record belongs to.
func (j *Journal) logOf(seq uint64) logSpan { return logOf(j.logs, seq) }

func logOf(logs []logSpan, seq uint64) (l logSpan) {
	for _, l = range logs {
		if seq <= l.last {
			break
		}
	}
	return l
}

// adopt gives a copied directory a log id of its own from the next record on,
// which begins a segment.
func (j *Journal) adopt() error {
	if j.failed != nil {
		return j.failed
	}
	logs := slices.Clone(j.logs)
	logs[len(logs)-1].last = j.next - 1
	logs = append(logs, logSpan{id: newLogID(), last: maxSeq})
	if err := j.writeLog(logs); err != nil {
		return fmt.Errorf("adopt: %w", err)
	}
	j.release()
	return nil
}
