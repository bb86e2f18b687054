package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cwmpgate/cwmpgate/audit"
)

// The formats of an export. The closed list.
const (
	formatJSONL   = "jsonl"
	formatCSV     = "csv"
	formatParquet = "parquet"
)

// ownFilters are the flags that narrow some views alone.
var ownFilters = []string{"kind", "parameter", "outcome", "rpc", "min-identity"}

// export is what the flags of an export ask for.
type export struct {
	question
	view        string
	format      string
	out         string
	spreadsheet bool
}

// parquetWriter is a store that makes Parquet itself.
type parquetWriter interface {
	ExportParquet(ctx context.Context, f audit.Filter, w io.Writer) error
}

func newAuditExport() *cobra.Command {
	e := &export{}
	views := make([]string, len(audit.Views()))
	for i, v := range audit.Views() {
		views[i] = string(v)
	}
	formats := []string{formatJSONL, formatCSV, formatParquet}
	cmd := &cobra.Command{
		Use: "export --config FILE", Short: "Write all rows of a view, or all that is known of a device, for other programs", Args: cobra.NoArgs,
		Long: `Export writes every row of one view, oldest first, as JSON lines (as --json gives
them), CSV or Parquet. With --device and no --view it writes all views of that one
device as JSON lines, each with its view: what a request of the person behind it
asks for. See docs/audit.md.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := e.read(time.Now(), cmd); err != nil {
				return err
			}
			return e.run(cmd)
		},
	}
	f := cmd.Flags()
	e.commonFlags(cmd)
	f.StringVar(&e.view, "view", "", "this `view`: "+strings.Join(views, ", "))
	cmd.RegisterFlagCompletionFunc("view", cobra.FixedCompletions(views, cobra.ShellCompDirectiveNoFileComp))
	for _, own := range ownFilters {
		e.ownFlag(cmd, own)
	}
	f.IntVar(&e.filter.Limit, "limit", 0, "the newest `n` rows of the view; 0: all")
	f.StringVar(&e.format, "format", formatJSONL, "as `format`: "+strings.Join(formats, ", "))
	cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	f.BoolVar(&e.spreadsheet, "spreadsheet", false, "in CSV put ' before what a spreadsheet would run as a formula")
	f.StringVarP(&e.out, "output", "o", "", "into this `file`, which is there when it is whole; standard output where absent")
	return cmd
}

// read checks the flags' values against the view.
func (e *export) read(now time.Time, cmd *cobra.Command) error {
	e.filter.View = audit.View(e.view)
	switch {
	case e.view == "" && e.filter.Device == "":
		return usagef("name a --view to export, or a --device to export all views of")
	case e.view != "" && !slices.Contains(audit.Views(), e.filter.View):
		return usagef("--view %q is none of %v", e.view, audit.Views())
	case !slices.Contains([]string{formatJSONL, formatCSV, formatParquet}, e.format):
		return usagef("--format %q is none of %s, %s, %s", e.format, formatJSONL, formatCSV, formatParquet)
	case e.view == "" && e.format != formatJSONL:
		return usagef("--format %s has the columns of one view: name a --view, or take %s for all", e.format, formatJSONL)
	case e.spreadsheet && e.format != formatCSV:
		return usagef("--spreadsheet is for --format %s", formatCSV)
	}
	allowed := []string{}
	if e.view != "" {
		allowed = append(filtersOf(e.filter.View), "limit", "session")
	}
	for _, flag := range append(slices.Clone(ownFilters), "limit", "session") {
		if !cmd.Flags().Changed(flag) || slices.Contains(allowed, flag) {
			continue
		}
		if e.view == "" {
			return usagef("--%s narrows one view: name a --view", flag)
		}
		return usagef("--%s is not for --view %s", flag, e.view)
	}
	return e.question.read(now)
}

func (e *export) run(cmd *cobra.Command) error {
	ctx := cmd.Context()
	store, err := openStore(ctx, e.file, true)
	if err != nil {
		return err
	}
	defer store.Close()
	if e.out == "" {
		out := bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10)
		return errors.Join(e.write(ctx, store, out), out.Flush())
	}
	return writeWhole(e.out, func(w io.Writer) error { return e.write(ctx, store, w) })
}

// write writes the whole export.
func (e *export) write(ctx context.Context, r audit.Reader, w io.Writer) error {
	switch e.format {
	case formatParquet:
		p, ok := r.(parquetWriter)
		if !ok {
			return withHint(errors.New("this store writes no Parquet: ClickHouse does, over its HTTP interface"),
				"take --format %s or %s here, or ask the gateway's ClickHouse store", formatJSONL, formatCSV)
		}
		return p.ExportParquet(ctx, e.filter, w)
	case formatCSV:
		c := &csvLines{w: w, guard: e.spreadsheet}
		if err := c.header(e.filter.View.Columns()); err != nil {
			return err
		}
		_, err := e.print(ctx, r, c)
		return err
	}
	if e.view != "" {
		var p printer = jsonLines{w}
		if e.filter.View == audit.ViewRecords {
			p = recordLines{w}
		}
		_, err := e.print(ctx, r, p)
		return err
	}
	return e.writeSubject(ctx, r, w)
}

// writeSubject writes all views of one device. That of another of the same name
// is nothing for who asked.
func (e *export) writeSubject(ctx context.Context, r audit.Reader, w io.Writer) error {
	s, err := findSubject(ctx, r, e.filter.Device, e.filter.Tenant)
	if err != nil {
		return err
	}
	f := e.filter
	f.Device, f.Tenant = s.Device.Serial, ""
	for _, f.View = range audit.Views() {
		for row, err := range r.Query(ctx, f) {
			if err != nil {
				return fmt.Errorf("ask the store: %w", err)
			}
			if !s.About(row) {
				continue
			}
			if _, err := w.Write(append(appendOfView(nil, f.View, row), '\n')); err != nil {
				return err
			}
		}
	}
	return nil
}

// appendOfView adds a row as a JSON object that says which view it is of. A
// record stands in it as it is.
func appendOfView(b []byte, view audit.View, row audit.Row) []byte {
	b = appendJSON(append(b, `{"view":`...), string(view))
	if view == audit.ViewRecords {
		return append(append(append(b, `,"record":`...), row.Text("record")...), '}')
	}
	return append(append(b, ','), appendRow(nil, row)[1:]...)
}

// csvLines writes CSV by RFC 4180: lines end with CR LF, a cell is quoted where
// it must be, and a line break in it stays as it is. What has no value is an
// empty cell.
type csvLines struct {
	w     io.Writer
	guard bool // against formulas
	line  []byte
}

func (c *csvLines) header(columns []string) error {
	for i, name := range columns {
		c.cell(i, name)
	}
	return c.end()
}

func (c *csvLines) row(r audit.Row) error {
	for i, v := range r.Values {
		switch v := v.(type) {
		case nil:
			c.cell(i, "")
		case string:
			// A spreadsheet takes for a formula what begins so, and runs it.
			if c.guard && v != "" && strings.ContainsRune("=+-@\t\r\n", rune(v[0])) {
				v = "'" + v
			}
			c.cell(i, v)
		case time.Time:
			c.cell(i, v.UTC().Format(timeFormat))
		default:
			c.cell(i, fmt.Sprint(v))
		}
	}
	return c.end()
}

func (c *csvLines) cell(i int, text string) {
	if i > 0 {
		c.line = append(c.line, ',')
	}
	if !strings.ContainsAny(text, "\",\r\n") {
		c.line = append(c.line, text...)
		return
	}
	c.line = append(append(append(c.line, '"'), strings.ReplaceAll(text, `"`, `""`)...), '"')
}

// end ends a line.
func (c *csvLines) end() error {
	_, err := c.w.Write(append(c.line, '\r', '\n'))
	c.line = c.line[:0]
	return err
}

// writeWhole writes a file aside and gives it its name when it is whole and on
// the medium, with mode 0600: what is in it is as private as the store.
func writeWhole(name string, write func(io.Writer) error) (err error) {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+".part-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", name, err)
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	out := bufio.NewWriterSize(f, 64<<10)
	if err := write(out); err != nil {
		return err
	}
	if err := errors.Join(out.Flush(), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
