package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/retention"
)

// order is what the flags of audit erase and audit hold ask for.
type order struct {
	file, device, tenant, reason string
	until                        string
	release, yes                 bool
}

// longestReason is how many bytes of a reason stand in a record whole.
const longestReason = 200

func newAuditErase() *cobra.Command {
	o := &order{}
	cmd := &cobra.Command{
		Use: "erase --config FILE --device D --reason TEXT", Short: "Erase everything that the store has of one device", Args: cobra.NoArgs,
		Long: `Erase removes the bytes and salts of all records of one device from the store,
with every row made from them. Their numbers, times, kinds, tenant and leaf hashes
stay, and a system record names them with the reason. The gateway does it while it
runs; while it does not, the command does. Without --yes it only says what it would
do. See docs/privacy.md.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.erase(cmd) },
	}
	o.flags(cmd, "why, for the record; not a name, since it is kept")
	cmd.MarkFlagRequired("device")
	cmd.MarkFlagRequired("reason")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do it")
	return cmd
}

func newAuditHold() *cobra.Command {
	o := &order{}
	cmd := &cobra.Command{
		Use: "hold --config FILE", Short: "Put a device under a legal hold, release it, or list the holds", Args: cobra.NoArgs,
		Long: `Hold records that nothing of a device may be removed, by its age or by command,
until a time or until it is released. Without --device it lists the holds in force.
See docs/privacy.md.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.hold(cmd) },
	}
	o.flags(cmd, "why, for the record")
	cmd.Flags().StringVar(&o.until, "until", "", "until this `time`, such as 2027-12-31; until it is released where absent")
	cmd.Flags().BoolVar(&o.release, "release", false, "end the hold")
	return cmd
}

func (o *order) flags(cmd *cobra.Command, reason string) {
	configFlag(cmd, &o.file)
	cmd.Flags().StringVar(&o.device, "device", "", "this `device`: serial, OUI-serial or OUI-class-serial")
	cmd.Flags().StringVar(&o.tenant, "tenant", "", "the device of this `tenant`")
	cmd.Flags().StringVar(&o.reason, "reason", "", "`text`: "+reason)
}

func (o *order) erase(cmd *cobra.Command) error {
	if err := o.check(); err != nil {
		return err
	}
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	s, n, err := o.look(ctx)
	if err != nil {
		return err
	}
	c, err := loadConfig(o.file)
	if err != nil {
		return err
	}
	if !o.yes {
		_, err := fmt.Fprintf(out, "%s of %s would be erased from the store, and what is not in it yet. Give --yes to do it.\n", plural(n, "record"), describeSubject(s))
		return err
	}
	result, err := o.give(cmd, c, o.request(retention.Erase, s))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, `%s of %s erased from the store; %s.
What stays: their numbers, times, kinds, tenant and leaf hashes, and the reason.
The journal holds copies until they have aged out of it: journal.keep_after_ack (%s) after every store has taken what came with them.
Backups, exports and copies of the store are not reached, nor is what a disk keeps of removed bytes.
`, plural(result.Records, "record"), describeSubject(s), recordedAs(result), c.Journal.KeepAfterAck)
	return err
}

func recordedAs(r retention.Result) string {
	switch {
	case r.First == 0:
		return "an earlier request had been recorded"
	case r.First == r.Last:
		return fmt.Sprintf("record %d says so", r.First)
	}
	return fmt.Sprintf("records %d to %d say so", r.First, r.Last)
}

func (o *order) hold(cmd *cobra.Command) error {
	if o.device == "" {
		if o.reason != "" || o.until != "" || o.release {
			return usagef("name the --device")
		}
		return o.list(cmd)
	}
	now := time.Now()
	until, err := readTime("--until", o.until, now)
	switch {
	case err != nil:
		return err
	case o.until != "" && o.release:
		return usagef("--until is of a hold, not of its --release")
	case o.until != "" && !until.After(now):
		return usagef("--until %s is over", o.until)
	}
	if err := o.check(); err != nil {
		return err
	}
	s, _, err := o.look(cmd.Context())
	if err != nil {
		return err
	}
	c, err := loadConfig(o.file)
	if err != nil {
		return err
	}
	do, done := retention.Hold, "under a legal hold"
	if o.release {
		do, done = retention.Release, "released"
	}
	request := o.request(do, s)
	request.Until = until
	result, err := o.give(cmd, c, request)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is %s; %s\n", describeSubject(s), done, recordedAs(result))
	return err
}

// list prints the holds in force.
func (o *order) list(cmd *cobra.Command) error {
	store, err := openStore(cmd.Context(), o.file, true)
	if err != nil {
		return err
	}
	defer store.Close()
	holds, err := retention.Holds(cmd.Context(), store, time.Now())
	if err != nil {
		return fmt.Errorf("ask the store: %w", err)
	}
	t := &table{w: cmd.OutOrStdout(), width: terminalWidth(cmd.OutOrStdout()), empty: "no device is under a legal hold",
		columns: []column{text("TENANT", "tenant", 6), text("DEVICE", "device", 12), text("UNTIL", "until", 19), text("REASON", "reason", 20)}}
	for _, h := range holds {
		var until any = "released"
		if !h.Until.IsZero() {
			until = h.Until
		}
		name := audit.Subject{Spelling: h.Spelling}.Name()
		if err := t.row(audit.Row{Columns: []string{"tenant", "device", "until", "reason"}, Values: []any{h.Tenant, name, until, h.Reason}}); err != nil {
			return err
		}
	}
	return t.end()
}

func (o *order) check() error {
	switch {
	case o.reason == "":
		return usagef("give a --reason: it is recorded")
	case len(o.reason) > longestReason:
		return usagef("--reason has %d bytes; %d are recorded at most", len(o.reason), longestReason)
	}
	return nil
}

// look finds the device and how many records there are of it.
func (o *order) look(ctx context.Context) (s audit.Subject, n int, err error) {
	store, err := openStore(ctx, o.file, true)
	if err != nil {
		return s, 0, err
	}
	defer store.Close()
	if s, err = findSubject(ctx, store, o.device, o.tenant); err != nil {
		return s, 0, err
	}
	for row, err := range store.Query(ctx, audit.Filter{View: audit.ViewRecords, Device: s.Device.Serial}) {
		if err != nil {
			return s, 0, fmt.Errorf("ask the store: %w", err)
		}
		if s.About(row) {
			n++
		}
	}
	return s, n, nil
}

func (o *order) request(do string, s audit.Subject) retention.Request {
	return retention.Request{Do: do, Tenant: s.Tenant, OUI: s.Device.OUI, Class: s.Device.Class, Serial: s.Device.Serial, Reason: o.reason}
}

// give has a request carried out: by the gateway, which holds the journal while
// it runs, and else here.
func (o *order) give(cmd *cobra.Command, c *config, request retention.Request) (retention.Result, error) {
	ctx := cmd.Context()
	var result retention.Result
	g, err := buildBooks(c, newLog(c.Log, cmd.ErrOrStderr()).Level(zerolog.WarnLevel))
	if err != nil {
		return result, err
	}
	if g.keeper == nil {
		return result, errors.New("there is no store to remove records from")
	}
	err = g.openBooks(ctx)
	switch {
	case errors.Is(err, journal.ErrLocked):
		err = g.close()
		if err == nil {
			result, err = askGateway(ctx, requestsOf(c), request, cmd.ErrOrStderr())
		}
	case err != nil:
		err = hintJournal(errors.Join(err, g.close()), o.file)
	default:
		result, err = g.carryOut(ctx, request)
	}
	if err == nil && result.Error != "" {
		err = errors.New(result.Error)
	}
	return result, err
}

// carryOut carries a request out on a journal that no gateway runs on.
func (g *gate) carryOut(ctx context.Context, request retention.Request) (retention.Result, error) {
	shipping, stop := context.WithCancel(ctx)
	shipped := make(chan error, 1)
	go func() {
		err := g.shipper.Run(shipping)
		if err != nil {
			stop() // the store takes no more
		}
		shipped <- err
	}()
	result := g.do(shipping, request)
	g.recorder.Close()
	stop()
	return result, errors.Join(<-shipped, g.close())
}

// askGateway gives a request to the gateway and waits for its result.
func askGateway(ctx context.Context, dir requests, request retention.Request, stderr io.Writer) (result retention.Result, err error) {
	id, err := dir.put(request)
	if err != nil {
		return result, withHint(fmt.Errorf("give the gateway the request: %w", err), "run this as the user whom the gateway runs as")
	}
	fmt.Fprintln(stderr, "the gateway runs, and carries it out; it waits for its store where that is behind")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		result, ok, err := dir.result(id)
		if ok || err != nil {
			return result, err
		}
		select {
		case <-ctx.Done():
			return result, errors.New("not waited for: the gateway carries the request out all the same")
		case <-tick.C:
		}
	}
}
