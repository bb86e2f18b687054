package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cwmpgate/cwmpgate/audit"
)

// question is what the flags of an audit command ask.
type question struct {
	file   string
	filter audit.Filter
	since  string
	until  string
	json   bool
	follow bool
	wide   bool
}

func newAudit() *cobra.Command {
	cmd := &cobra.Command{
		Use: "audit", Short: "Ask the audit store what happened",
		Long: `Audit reads the store of the config file, while the gateway runs or not.

Times are local in tables and UTC in --json; --since and --until take a time
(2026-11-24T23:59, with a zone or local), a date, or how long ago (90m, 24h, 7d).
A device is named by its serial number, OUI-serial or OUI-class-serial.`,
	}
	cmd.AddCommand(
		newAuditView(audit.ViewRecords, "tail", "Print the newest records as they were written"),
		newAuditView(audit.ViewChanges, "changes", "Show what was changed on which device, from what to what, and whether it took effect"),
		newAuditView(audit.ViewTransfers, "transfers", "Show file transfers from their request to their completion"),
		newAuditView(audit.ViewSessions, "sessions", "Show sessions and how they ended"),
		newAuditView(audit.ViewRPCs, "rpcs", "Show every message"),
		newAuditDevice(),
		newAuditExport(),
		newAuditErase(),
		newAuditHold(),
		newAuditRebuild(), newAuditVerify(), newAuditProve(),
	)
	return cmd
}

func newAuditView(view audit.View, name, short string) *cobra.Command {
	q := &question{filter: audit.Filter{View: view}}
	cmd := &cobra.Command{
		Use: name + " --config FILE", Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := q.read(time.Now()); err != nil {
				return err
			}
			return q.answer(cmd)
		},
	}
	f := cmd.Flags()
	q.commonFlags(cmd)
	f.IntVar(&q.filter.Limit, "limit", 100, "the newest `n` rows; 0: all")
	asJSON := "one JSON object a line with every column, null where it has no value; see docs/audit.md"
	if view == audit.ViewRecords {
		asJSON = "the records as they stand, one JSON object a line; see docs/record.md"
		f.BoolVarP(&q.follow, "follow", "f", false, "go on printing records as they come")
	} else {
		f.BoolVar(&q.wide, "wide", false, "do not shorten columns to the terminal's width")
	}
	f.BoolVar(&q.json, "json", false, asJSON)
	for _, own := range filtersOf(view) {
		q.ownFlag(cmd, own)
	}
	return cmd
}

// commonFlags adds the flags that narrow any view.
func (q *question) commonFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	configFlag(cmd, &q.file)
	f.StringVar(&q.filter.Device, "device", "", "only this `device`: serial, OUI-serial or OUI-class-serial")
	f.StringVar(&q.filter.Tenant, "tenant", "", "only this `tenant`")
	f.StringVar(&q.filter.Session, "session", "", "only this `session`")
	f.StringVar(&q.since, "since", "", "only at or after this `time`")
	f.StringVar(&q.until, "until", "", "only before this `time`")
}

// filtersOf are the flags that narrow some views alone.
func filtersOf(view audit.View) []string {
	switch view {
	case audit.ViewRecords:
		return []string{"kind"}
	case audit.ViewChanges:
		return []string{"parameter", "outcome", "rpc", "min-identity"}
	case audit.ViewSessions:
		return []string{"outcome", "min-identity"}
	}
	return []string{"outcome", "rpc", "min-identity"}
}

// ownFlag adds one of them.
func (q *question) ownFlag(cmd *cobra.Command, name string) {
	f := cmd.Flags()
	fixed := func(values []string) {
		cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	switch name {
	case "kind":
		f.StringVar(&q.filter.Kind, name, "", "only this `kind` of record: "+strings.Join(audit.Kinds(), ", "))
		fixed(audit.Kinds())
	case "parameter":
		f.StringVar(&q.filter.Parameter, name, "", "only parameters of this `path`; * stands for one step, ** for any number")
	case "outcome":
		f.StringVar(&q.filter.Outcome, name, "", "only this `outcome`: "+strings.Join(outcomesOf(q.filter.View), ", "))
		fixed(outcomesOf(q.filter.View))
	case "rpc":
		f.StringVar(&q.filter.RPC, name, "", "only this `RPC`")
	case "min-identity":
		f.StringVar(&q.filter.Identity, name, "", "only what is known of its device by at least this `level`: "+strings.Join(audit.Identities(), ", "))
		fixed(audit.Identities())
	}
}

// outcomesOf are the outcomes that rows of a view can have; of no view, those
// of any.
func outcomesOf(view audit.View) []string {
	switch view {
	case audit.ViewSessions:
		return audit.SessionEnds()
	case "":
		return slices.Concat(audit.Outcomes(), audit.SessionEnds())
	}
	return audit.Outcomes()
}

// read checks the flags' values and resolves times against now.
func (q *question) read(now time.Time) (err error) {
	if q.filter.Since, err = readTime("--since", q.since, now); err != nil {
		return err
	}
	if q.filter.Until, err = readTime("--until", q.until, now); err != nil {
		return err
	}
	if q.filter.Limit < 0 {
		return usagef("--limit %d is negative", q.filter.Limit)
	}
	if o := q.filter.Outcome; o != "" && !slices.Contains(outcomesOf(q.filter.View), o) {
		return usagef("--outcome %q is none of %s", o, strings.Join(outcomesOf(q.filter.View), ", "))
	}
	if i := q.filter.Identity; i != "" && !slices.Contains(audit.Identities(), i) {
		return usagef("--min-identity %q is none of %s", i, strings.Join(audit.Identities(), ", "))
	}
	if k := q.filter.Kind; k != "" && !slices.Contains(audit.Kinds(), k) {
		return usagef("--kind %q is none of %s", k, strings.Join(audit.Kinds(), ", "))
	}
	return checkParameter(q.filter.Parameter)
}

// checkParameter refuses a pattern that is none, and one that no parameter can
// have: an empty step is a slip of the hand. Dots in an alias are no steps.
func checkParameter(path string) error {
	if path == "" {
		return nil
	}
	if _, err := audit.ParsePattern(path); err != nil {
		return usagef("--parameter: %w", err)
	}
	for i, alias := 0, false; i+1 < len(path); i++ {
		switch {
		case path[i] == '[':
			alias = true
		case path[i] == ']':
			alias = false
		case !alias && path[i:i+2] == "..":
			return usagef("--parameter %q has an empty step between two dots; * stands for one step, ** for any number", path)
		}
	}
	return nil
}

// readTime reads a moment or how long ago it was.
func readTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	ago := text
	days := 0
	if n, rest, ok := strings.Cut(text, "d"); ok {
		if _, err := fmt.Sscanf(n, "%d", &days); err == nil && fmt.Sprint(days) == n {
			ago = rest
		}
	}
	if days > 0 && ago == "" {
		return now.AddDate(0, 0, -days), nil
	}
	if d, err := time.ParseDuration(ago); err == nil && d >= 0 {
		return now.AddDate(0, 0, -days).Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef("%s %q is no time; write 2026-11-24T23:59, 2026-11-24, or how long ago: 90m, 24h, 7d", flag, text)
}

// answer prints what the store has.
func (q *question) answer(cmd *cobra.Command) error {
	ctx := cmd.Context()
	store, err := openStore(ctx, q.file, true)
	if err != nil {
		return err
	}
	defer store.Close()
	p := q.printer(cmd)
	last, err := q.print(ctx, store, p)
	if q.follow && ctx.Err() != nil {
		return nil // whoever follows has seen enough
	}
	if err != nil {
		return err
	}
	if q.follow {
		return q.followOn(ctx, store, p, last)
	}
	return p.end()
}

func (q *question) printer(cmd *cobra.Command) printer {
	out := cmd.OutOrStdout()
	switch {
	case q.json && q.filter.View == audit.ViewRecords:
		return recordLines{out}
	case q.json:
		return jsonLines{out}
	case q.filter.View == audit.ViewRecords:
		return tailLines{out}
	}
	t := &table{w: out, columns: tableColumns(q.filter.View), width: terminalWidth(out), empty: "nothing matches"}
	if q.wide {
		t.width = 0
	}
	return t
}

// print asks once and returns the place to go on from.
func (q *question) print(ctx context.Context, r audit.Reader, p printer) (last uint64, err error) {
	for row, err := range r.Query(ctx, q.filter) {
		if err != nil {
			return last, fmt.Errorf("ask the store: %w", err)
		}
		if err := p.row(row); err != nil {
			return last, err
		}
		last = max(last, uint64(row.Number("seq")))
	}
	return last, nil
}

// followOn asks for what has come since, until the caller has enough. Another
// process writes the store, so it is asked again rather than told.
func (q *question) followOn(ctx context.Context, r audit.Reader, p printer, last uint64) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	q.filter.Limit = 1000
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		q.filter.After = last
		next, err := q.print(ctx, r, p)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		last = max(last, next)
	}
}

func newAuditRebuild() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "rebuild --config FILE", Short: "Make the store's tables anew from its ledger", Args: cobra.NoArgs,
		Long: `Rebuild makes every table that the audit commands read anew from the records
in the ledger. The ledger itself is not touched. Readers see the old tables
until the new ones are complete.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := openStore(cmd.Context(), file, false)
			if err != nil {
				return err
			}
			defer store.Close()
			if err := store.Rebuild(cmd.Context()); err != nil {
				return fmt.Errorf("rebuild: %w", err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "rebuilt from the ledger")
			return err
		},
	}
	configFlag(cmd, &file)
	return cmd
}
