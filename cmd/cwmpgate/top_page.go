package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/cwmpgate/cwmpgate/policy/admission"
)

// rowsShown is how many rows a table of the page has at most.
const rowsShown = 15

// writePage writes the state for people. Numbers of Informs are those since
// before, where there is one.
func writePage(w io.Writer, s, before *stateReport) error {
	state := ""
	if s.Draining {
		state = "  draining"
	}
	fmt.Fprintf(w, "cwmpgate %s  %s  %d connections  %d sessions  %s of bodies%s\n", printable(s.Node), s.At.Local().Format("15:04:05"),
		s.Connections, s.Sessions, humanize.IBytes(uint64(s.BodyBytes)), state)
	was := map[string]admission.LaneStats{}
	if before != nil {
		for _, l := range before.ACS {
			was[laneName(l)] = l
		}
	}
	writers := []func(io.Writer){
		func(w io.Writer) { writeACSes(w, s.ACS) },
		func(w io.Writer) { writeClasses(w, s.ACS, was) },
		func(w io.Writer) { writeRefusals(w, s.ACS, was) },
		func(w io.Writer) { writeDevices(w, s) },
	}
	for _, write := range writers {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		write(t)
		if err := t.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func laneName(l admission.LaneStats) string { return l.Tenant + "\x00" + l.ACS }

// writeACSes has the slowest first.
func writeACSes(w io.Writer, all []admission.LaneStats) {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b admission.LaneStats) int { return cmp.Compare(b.AnswerMean, a.AnswerMean) })
	fmt.Fprintln(w, "\nTENANT\tACS\tADMITTED/S\tLIMIT/S\tSESSIONS\tWAITING\tLONGEST\tANSWER\tSLOWEST\tFAILING\tIGNORE RETRY-AFTER")
	for _, l := range all[:min(len(all), rowsShown)] {
		limit := "–"
		if l.Limit > 0 {
			limit = fmt.Sprintf("%.1f", l.Limit)
		}
		fmt.Fprintf(w, "%s\t%s\t%.1f\t%s\t%d\t%d\t%s\t%s\t%s\t%.0f %%\t%.0f %%\n", printable(l.Tenant), printable(l.ACS), l.Rate, limit,
			l.Open, l.Waiting, short(l.Longest), short(l.AnswerMean), short(l.AnswerMost), 100*l.Ill, 100*l.Ignoring)
	}
}

// short is a duration of few digits.
func short(d time.Duration) string {
	switch {
	case d == 0:
		return "–"
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

func writeClasses(w io.Writer, all []admission.LaneStats, was map[string]admission.LaneStats) {
	fmt.Fprintln(w, "\nCLASS\tWAITING\tADMITTED\tHAD TO WAIT\tREFUSED\tGAVE UP\tOVER AN OBSERVED LIMIT")
	if len(all) == 0 {
		return
	}
	for i := range all[0].Classes {
		var sum admission.ClassCounts
		for _, l := range all {
			now, then := l.Classes[i], was[laneName(l)].Classes[i]
			sum.Waiting += now.Waiting
			sum.Admitted += now.Admitted - then.Admitted
			sum.Waited += now.Waited - then.Waited
			sum.Refused += now.Refused - then.Refused
			sum.GaveUp += now.GaveUp - then.GaveUp
			sum.Observed += now.Observed - then.Observed
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\n", admission.Class(i), sum.Waiting, sum.Admitted, sum.Waited, sum.Refused, sum.GaveUp, sum.Observed)
	}
}

func writeRefusals(w io.Writer, all []admission.LaneStats, was map[string]admission.LaneStats) {
	type line struct {
		text string
		n    uint64
	}
	var lines []line
	for _, l := range all {
		for _, reason := range slices.Sorted(maps.Keys(l.Refusals)) {
			if n := l.Refusals[reason] - was[laneName(l)].Refusals[reason]; n > 0 {
				lines = append(lines, line{strings.Join([]string{printable(l.Tenant), printable(l.ACS), reason}, "\t"), n})
			}
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(b.n, a.n) })
	fmt.Fprintln(w, "\nTENANT\tACS\tREFUSED BY\tINFORMS")
	for _, l := range lines[:min(len(lines), rowsShown)] {
		fmt.Fprintf(w, "%s\t%d\n", l.text, l.n)
	}
}

func writeDevices(w io.Writer, s *stateReport) {
	fmt.Fprintln(w, "\nTENANT\tBUSIEST DEVICES\tINFORMS SINCE LAST MINUTE")
	for _, d := range s.Devices {
		fmt.Fprintf(w, "%s\t%s\t%d\n", printable(d.Tenant), printable(d.OUI+"-"+d.Class+"-"+d.Serial), d.Informs)
	}
}
