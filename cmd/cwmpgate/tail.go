package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

// tailLines prints one line a record for people.
type tailLines struct{ w io.Writer }

// recordSummary is what a line shows of a record, whatever its kind.
type recordSummary struct {
	Tenant, Session, From, RPC, ID, Verdict, How, Method, URL, Reason, What, Why string
	N, Status, Count, Answers                                                    int64
	Device                                                                       struct{ OUI, Serial string }
}

func (p tailLines) row(r audit.Row) error {
	var at time.Time
	var kind, text string
	var seq int64
	for i, c := range r.Columns {
		switch v := r.Values[i].(type) {
		case time.Time:
			at = v
		case int64:
			if c == "seq" {
				seq = v
			}
		case string:
			switch c {
			case "kind":
				kind = v
			case "record":
				text = v
			}
		}
	}
	var s recordSummary
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return fmt.Errorf("read record %d: %w", seq, err)
	}
	_, err := fmt.Fprintf(p.w, "%s  %6d  %-8s  %s\n", at.Local().Format("2006-01-02 15:04:05.000"), seq, kind, printable(s.line(kind)))
	return err
}

func (p tailLines) end() error { return nil }

func (s *recordSummary) line(kind string) string {
	words := []string{}
	add := func(format string, v any) {
		if t := fmt.Sprint(v); t != "" && t != "0" {
			words = append(words, fmt.Sprintf(format, v))
		}
	}
	add("%v", s.Tenant)
	add("%v", strings.Trim(s.Device.OUI+"-"+s.Device.Serial, "-"))
	add("%v", s.Session)
	switch kind {
	case "message":
		add("%v", s.From)
		add("%v", s.RPC)
		add("id %v", s.ID)
		add("answers %v", s.Answers)
		if s.Verdict != "pass" {
			add("%v", s.Verdict)
		}
	case "session":
		add("ended: %v", s.How)
	case "transfer":
		add("%v", s.Method)
		add("%v", s.URL)
		add("status %v", s.Status)
	case "system":
		add("%v", s.What)
		add("%v", s.Why)
	default:
		add("%v", s.From)
		add("%v", s.Reason)
		if s.Count > 1 {
			add("%v times", s.Count)
		}
	}
	return strings.Join(words, " ")
}
