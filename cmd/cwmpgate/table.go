package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cwmpgate/cwmpgate/audit"
)

// column is one column of a table for people, made from a row of the store.
type column struct {
	title string
	least int // narrower than this a column says nothing
	cell  func(get func(string) any) string
}

// printer writes rows as they come.
type printer interface {
	row(r audit.Row) error
	end() error
}

// jsonLines prints one object a row, its keys in the view's order, each of them
// in every row: null where there is no value.
type jsonLines struct{ w io.Writer }

func (p jsonLines) row(r audit.Row) error {
	_, err := p.w.Write(append(appendRow(nil, r), '\n'))
	return err
}

func (p jsonLines) end() error { return nil }

// appendRow adds a row as a JSON object.
func appendRow(b []byte, r audit.Row) []byte {
	b = append(b, '{')
	for i, name := range r.Columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(append(appendJSON(b, name), ':'), r.Values[i])
	}
	return append(b, '}')
}

// appendJSON adds a value of a row.
func appendJSON(b []byte, v any) []byte {
	if t, ok := v.(time.Time); ok {
		v = t.UTC().Format(timeFormat)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("BUG: " + err.Error()) // texts, numbers and booleans always encode
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}

const timeFormat = "2006-01-02T15:04:05.000000Z"

// recordLines prints records as they stand.
type recordLines struct{ w io.Writer }

func (p recordLines) row(r audit.Row) error {
	_, err := fmt.Fprintln(p.w, r.Text("record"))
	return err
}

func (p recordLines) end() error { return nil }

// table lines columns up. It holds all rows back until the end, since their
// widths are not known before; those who follow get lines.
type table struct {
	w       io.Writer
	width   int // of the terminal, 0: no bound
	columns []column
	rows    [][]string
	empty   string // what to say where there are no rows
}

func (t *table) row(r audit.Row) error {
	cells := make([]string, len(t.columns))
	for i, c := range t.columns {
		cells[i] = printable(c.cell(r.Value))
	}
	t.rows = append(t.rows, cells)
	return nil
}

func (t *table) end() error {
	if len(t.rows) == 0 {
		_, err := fmt.Fprintln(t.w, t.empty)
		return err
	}
	widths := t.widths()
	titles := make([]string, len(t.columns))
	for i, c := range t.columns {
		titles[i] = c.title
	}
	var b strings.Builder
	for _, cells := range append([][]string{titles}, t.rows...) {
		line := ""
		for i, cell := range cells {
			if widths[i] == 0 {
				continue
			}
			line += pad(fit(cell, widths[i]), widths[i]) + "  "
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(t.w, b.String())
	return err
}

// widths gives each column what it needs and, where that is wider than the
// terminal, takes from the widest. A column that is empty in every row is left
// out.
func (t *table) widths() []int {
	widths := make([]int, len(t.columns))
	for _, cells := range t.rows {
		for i, c := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	total := 0
	for i, c := range t.columns {
		if widths[i] > 0 {
			widths[i] = max(widths[i], len(c.title))
			total += widths[i] + 2
		}
	}
	for total-2 > t.width && t.width > 0 {
		widest := -1
		for i, c := range t.columns {
			if widths[i] > max(c.least, len(c.title)) && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
		total--
	}
	return widths
}

// fit shortens s in its middle: of paths and URLs both ends tell most.
func fit(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	if width < 4 {
		return string(r[:width])
	}
	head := (width - 1) / 3
	return string(r[:head]) + "…" + string(r[len(r)-(width-1-head):])
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

// printable keeps a device's text from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, s)
}
