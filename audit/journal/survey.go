package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Survey is what a journal's directory holds, as far as it can be read.
type Survey struct {
	Log      string   // its id; empty where that cannot be read
	Earlier  []string // logs that were adopted with the directory, oldest first
	Copied   bool     // the directory is not the one that the log was made in
	Segments []SegmentSurvey
	Gaps     []Gap // damage that was passed over
	// Missing are the numbers that no record can be read of, of those that the
	// segments span.
	Missing  []Span
	Problems []Problem
}

// Span is a run of records, both ends included.
type Span struct{ First, Last uint64 }

// SegmentSurvey is one segment, read up to the first bad thing in it.
type SegmentSurvey struct {
	File        string
	First, Last uint64 // records that were read; 0: none
	Frames      int
	Records     uint64
	Bytes       int64     // of the file
	Began       time.Time // of the last record in the first frame
	Ended       time.Time // of the last record
	Problem     *Problem
}

// Look reads a journal's directory from end to end. It changes nothing and
// takes no lock. An error means that the directory could not be looked at.
func Look(dir string) (Survey, error) { return survey(osFS{}, dir) }

func survey(fsys FS, dir string) (Survey, error) {
	d, err := openDirectory(fsys, dir)
	if err != nil {
		return Survey{}, fmt.Errorf("verify journal %s: %w", dir, err)
	}
	s := Survey{Problems: d.problems, Copied: d.copied()}
	for i, l := range d.logs {
		if i < len(d.logs)-1 {
			s.Earlier = append(s.Earlier, l.id.String())
		} else {
			s.Log = l.id.String()
		}
	}
	for _, g := range d.gaps {
		s.Gaps = append(s.Gaps, g.named(d.logs))
	}
	if len(d.firsts) == 0 {
		s.Problems = append(s.Problems, d.empty()...)
		return s, nil
	}
	if p := d.before(); p != nil {
		s.Problems = append(s.Problems, *p)
		s.Missing = append(s.Missing, Span{p.next, d.firsts[0] - 1})
	}
	next := d.firsts[0]
	for i := range d.firsts {
		seg := d.survey(i, func(f frame) {
			s.lacks(next, f.first)
			next = f.last() + 1
		})
		if seg.Problem != nil && errors.Is(seg.Problem.Err, os.ErrNotExist) {
			next = max(next, d.end(i)+1)
			continue // trimmed in the meantime
		}
		s.Segments = append(s.Segments, seg)
		if seg.Problem != nil {
			s.Problems = append(s.Problems, *seg.Problem)
		}
		if i < len(d.firsts)-1 {
			s.lacks(next, d.firsts[i+1])
			next = max(next, d.firsts[i+1])
		}
	}
	return s, nil
}

// lacks notes that from up to the record before to cannot be read.
func (s *Survey) lacks(from, to uint64) {
	if from >= to {
		return
	}
	if n := len(s.Missing); n > 0 && s.Missing[n-1].Last == from-1 {
		s.Missing[n-1].Last = to - 1
		return
	}
	s.Missing = append(s.Missing, Span{from, to - 1})
}

func (d *directory) survey(i int, each func(frame)) SegmentSurvey {
	s := SegmentSurvey{File: segmentName(d.firsts[i])}
	if src, err := d.fs.Open(filepath.Join(d.dir, s.File)); err == nil {
		s.Bytes, _ = src.Size()
		_ = src.Close()
	}
	s.Problem = d.walk(i, func(f frame) bool {
		each(f)
		at := time.UnixMicro(f.at).UTC()
		if s.Frames == 0 {
			s.First, s.Began = f.first, at
		}
		s.Last, s.Ended = f.last(), at
		s.Frames++
		s.Records += uint64(f.count)
		return true
	})
	if s.Problem != nil {
		s.Problem.File = s.File
	}
	return s
}

// empty is what is wrong with a journal of no segments: a cursor that was
// given records of one.
func (d *directory) empty() (problems []Problem) {
	for _, c := range d.cursors {
		if c.seen() > 0 {
			problems = append(problems, Problem{File: cursorPrefix + c.name, Err: endsBefore(1, c)})
		}
	}
	return problems
}

// copied says whether the log file tells that it was made elsewhere.
func (d *directory) copied() bool {
	i, ok := d.fs.(Identifier)
	if !ok || d.place == "" {
		return false
	}
	here, err := i.Identity(filepath.Join(d.dir, logName))
	return err == nil && here != "" && here != d.place
}
