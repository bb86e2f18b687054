package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/journal"
)

func newJournalVerify() *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "verify --config FILE", Short: "Read the whole journal and name what is damaged", Args: cobra.NoArgs,
		Long: `Verify reads every segment and every frame of the journal, prints what stands in
each, and names the first damaged place of each file with its byte. It takes no
lock and changes nothing. The exit code is 1 where something is damaged; a write
that did not finish at the journal's end is no damage, and neither is what was
passed over by command.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := journalDirectory(file)
			if err != nil {
				return err
			}
			s, err := journal.Look(dir)
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(newVerdict(s))
			} else {
				err = printSurvey(cmd.OutOrStdout(), s)
			}
			return errors.Join(err, verdictOn(s, dir, file))
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object; see docs/journal.md")
	return cmd
}

// verdictOn is the error of a damaged journal; nil: it is whole.
func verdictOn(s journal.Survey, dir, file string) error {
	places := 0
	var first *journal.Problem
	for i, p := range s.Problems {
		if !p.Torn {
			places++
			if first == nil {
				first = &s.Problems[i]
			}
		}
	}
	if first == nil {
		return nil
	}
	err := fmt.Errorf("journal %s is damaged: %s, the first in %s", dir, plural(places, "place"), first)
	for _, seg := range s.Segments {
		if seg.File == first.File {
			return withHint(err, "with the gateway stopped, cwmpgate journal skip --config %s %s %d goes on behind it; look at docs/journal.md first", file, first.File, first.Offset)
		}
	}
	return withHint(err, "see docs/journal.md")
}

func printSurvey(w io.Writer, s journal.Survey) error {
	for _, id := range s.Earlier {
		fmt.Fprintf(w, "earlier log %s\n", id)
	}
	fmt.Fprintf(w, "log %s\n", s.Log)
	if s.Copied {
		fmt.Fprintln(w, "this directory is a copy: see cwmpgate journal adopt --help")
	}
	t := &table{w: w, columns: surveyColumns(), empty: "no segments"}
	var first, last uint64
	for _, seg := range s.Segments {
		if err := t.row(surveyRow(seg)); err != nil {
			return err
		}
		if first == 0 {
			first = seg.First
		}
		last = max(last, seg.Last)
	}
	if err := t.end(); err != nil {
		return err
	}
	for _, g := range s.Gaps {
		fmt.Fprintf(w, "passed over: %s\n", describeGap(g))
	}
	for _, p := range s.Problems {
		what := "damaged"
		if p.Torn {
			what = "unfinished write"
		}
		fmt.Fprintf(w, "%s: %s\n", what, p)
	}
	for _, m := range s.Missing {
		fmt.Fprintf(w, "%s not there to be read\n", areRecords(m.First, m.Last))
	}
	if len(s.Missing) > 0 || first == 0 {
		return nil
	}
	end := ""
	if n := len(s.Segments); n > 0 && s.Segments[n-1].Problem != nil && !s.Segments[n-1].Problem.Torn {
		end = "; what is behind them cannot be told before the damage is passed over"
	}
	_, err := fmt.Fprintf(w, "records %d to %d, without holes%s\n", first, last, end)
	return err
}

func surveyColumns() []column {
	plain := func(name string) column {
		return column{title: name, least: 4, cell: func(get func(string) any) string { s, _ := get(name).(string); return s }}
	}
	var columns []column
	for _, name := range surveyNames {
		columns = append(columns, plain(name))
	}
	return columns
}

var surveyNames = []string{"segment", "first", "last", "records", "frames", "bytes", "began", "ended", "state"}

func surveyRow(s journal.SegmentSurvey) audit.Row {
	state := "whole"
	if s.Problem != nil {
		state = fmt.Sprintf("damaged at byte %d", s.Problem.Offset)
		if s.Problem.Torn {
			state = fmt.Sprintf("unfinished at byte %d", s.Problem.Offset)
		}
	}
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	return audit.Row{Columns: surveyNames, Values: []any{
		s.File, number(s.First), number(s.Last), number(s.Records), strconv.Itoa(s.Frames), strconv.FormatInt(s.Bytes, 10),
		timeText(s.Began), timeText(s.Ended), state,
	}}
}

// verdict is a survey as --json prints it.
type verdict struct {
	Log      string           `json:"log"`
	Earlier  []string         `json:"earlier"`
	Copied   bool             `json:"copied"`
	Segments []verdictSegment `json:"segments"`
	Damaged  []verdictPlace   `json:"damaged"`
	// Unfinished is a write at the journal's end that did not finish yet.
	Unfinished []verdictPlace `json:"unfinished"`
	Passed     []verdictGap   `json:"passed_over"`
	Missing    []verdictSpan  `json:"missing"`
}

type verdictSegment struct {
	Segment string `json:"segment"`
	verdictSpan
	Records uint64 `json:"records"`
	Frames  int    `json:"frames"`
	Bytes   int64  `json:"bytes"`
	Began   string `json:"began,omitempty"`
	Ended   string `json:"ended,omitempty"`
}

type verdictPlace struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Error  string `json:"error"`
}

type verdictGap struct {
	Segment string `json:"segment"`
	Offset  int64  `json:"offset"`
	Missing uint64 `json:"missing"`
	Log     string `json:"log"`
	verdictSpan
	Kept string `json:"kept,omitempty"`
}

// verdictSpan has no numbers where there are no records.
type verdictSpan struct {
	First uint64 `json:"first,omitempty"`
	Last  uint64 `json:"last,omitempty"`
}

func newVerdict(s journal.Survey) verdict {
	v := verdict{
		Log: s.Log, Earlier: append([]string{}, s.Earlier...), Copied: s.Copied, Segments: []verdictSegment{},
		Damaged: []verdictPlace{}, Unfinished: []verdictPlace{}, Passed: []verdictGap{}, Missing: []verdictSpan{},
	}
	for _, seg := range s.Segments {
		row := verdictSegment{Segment: seg.File, verdictSpan: verdictSpan{seg.First, seg.Last}, Records: seg.Records, Frames: seg.Frames, Bytes: seg.Bytes}
		if seg.Frames > 0 {
			row.Began, row.Ended = seg.Began.Format(timeFormat), seg.Ended.Format(timeFormat)
		}
		v.Segments = append(v.Segments, row)
	}
	for _, p := range s.Problems {
		place := verdictPlace{p.File, p.Offset, p.Err.Error()}
		if p.Torn {
			v.Unfinished = append(v.Unfinished, place)
		} else {
			v.Damaged = append(v.Damaged, place)
		}
	}
	for _, g := range s.Gaps {
		gap := verdictGap{Segment: g.Segment, Offset: g.Offset, Missing: g.Missing(), Log: g.Log, Kept: g.Kept()}
		if g.Missing() > 0 {
			gap.verdictSpan = verdictSpan{g.First, g.Last}
		}
		v.Passed = append(v.Passed, gap)
	}
	for _, m := range s.Missing {
		v.Missing = append(v.Missing, verdictSpan{m.First, m.Last})
	}
	return v
}
