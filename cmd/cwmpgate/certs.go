package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/configs"
	"github.com/cwmpgate/cwmpgate/proxy/acme"
	"github.com/cwmpgate/cwmpgate/proxy/certs"
)

func newCerts() *cobra.Command {
	var file string
	var asJSON, wide bool
	cmd := &cobra.Command{
		Use: "certs --config FILE", Short: "List certificates, authorities and revocation lists, and until when they hold", Args: cobra.NoArgs,
		Long: `Certs reads the files of a config as run would, and lists what is shown to CPEs
and ACSes, the authorities that each side is verified against, and revocation
lists. What ends first stands first. It asks no running gateway: one looks for
changes of these files by itself (certificates.check_every).`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			rows, err := certificateRows(c)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			var p printer = jsonLines{out}
			if !asJSON {
				t := &table{w: out, columns: certificateTable(time.Now()), width: terminalWidth(out), empty: "no listener has TLS"}
				if wide {
					t.width = 0
				}
				p = t
			}
			for _, r := range rows {
				if err := p.row(r); err != nil {
					return err
				}
			}
			return p.end()
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line; see docs/tls.md")
	cmd.Flags().BoolVar(&wide, "wide", false, "do not shorten columns to the terminal's width")
	cmd.AddCommand(newCertsAudit())
	return cmd
}

var certificateColumns = []string{"of", "what", "file", "subject", "names", "key", "sha256", "until", "revoked"}

func certificateTable(now time.Time) []column {
	return []column{text("OF", "of", 8), text("WHAT", "what", 9), text("SUBJECT", "subject", 12), text("NAMES", "names", 12), text("KEY", "key", 8),
		{"UNTIL", 19, func(get func(string) any) string { return moment(get("until")) }},
		{"LEFT", 8, func(get func(string) any) string { return leftCell(get("until"), now) }},
		text("FILE", "file", 16)}
}

// leftCell is how long something still holds.
func leftCell(until any, now time.Time) string {
	t, ok := until.(time.Time)
	switch {
	case !ok:
		return ""
	case t.Before(now):
		return "OVER"
	case t.Sub(now) < 48*time.Hour:
		return fmt.Sprintf("%d h", int(t.Sub(now).Hours()))
	}
	return fmt.Sprintf("%d days", int(t.Sub(now).Hours()/24))
}

// heldItem is an item with who has it.
type heldItem struct {
	of string
	certs.Item
}

// certificateRows is all that a config has, what ends first standing first.
func certificateRows(c *config) (rows []audit.Row, err error) {
	list, err := certificatesOf(c)
	if err != nil {
		return nil, err
	}
	for _, i := range list {
		var until, revoked any
		if !i.Until.IsZero() {
			until = i.Until
		}
		if i.What == certs.ItemCRL {
			revoked = int64(i.Revoked)
		}
		rows = append(rows, audit.Row{Columns: certificateColumns, Values: []any{
			i.of, i.What, i.File, i.Subject, strings.Join(i.Names, " "), i.Key, i.SHA256, until, revoked,
		}})
	}
	return rows, nil
}

// certificatesOf is the same, for who does not print it.
func certificatesOf(c *config) (list []heldItem, err error) {
	add := func(of string, items []certs.Item, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", of, err)
		}
		for _, i := range items {
			list = append(list, heldItem{of, i})
		}
		return nil
	}
	for _, l := range c.Listeners {
		if l.TLS == nil {
			continue
		}
		name := l.Name
		if name == "" {
			name = l.Address.String()
		}
		items, err := certs.ItemsOf(*l.TLS)
		if c.Certificates.ACME != nil && err == nil {
			var kept []certs.Item
			kept, err = acme.Items(*c.Certificates.ACME, l.TLS.ACME)
			items = append(items, kept...)
		}
		if err := add("listener "+name, items, err); err != nil {
			return nil, err
		}
	}
	for _, t := range c.Tenants {
		if t.Clients != nil {
			items, err := certs.ItemsOfClients(*t.Clients)
			if err := add("tenant "+t.Name, items, err); err != nil {
				return nil, err
			}
		}
		upstreams := t.Upstreams
		if t.Files.Upstream != nil {
			upstreams = append(slices.Clone(upstreams), *t.Files.Upstream)
		}
		for _, u := range upstreams {
			for what, name := range map[string]configs.Path{certs.ItemAuthority: u.TLS.CA, certs.ItemCertificate: u.TLS.Certificate} {
				if name == "" {
					continue
				}
				items, err := certs.ItemsOfFile(what, name)
				if err := add("tenant "+t.Name+" to "+u.URL.String(), items, err); err != nil {
					return nil, err
				}
			}
		}
	}
	slices.SortStableFunc(list, func(a, b heldItem) int {
		switch {
		case a.Until.IsZero() == b.Until.IsZero():
			return a.Until.Compare(b.Until)
		case b.Until.IsZero():
			return -1
		}
		return 1
	})
	return list, nil
}

func newCertsAudit() *cobra.Command {
	var file, profile, since string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "audit --config FILE", Short: "Show which devices a stricter TLS profile would cut off", Args: cobra.NoArgs,
		Long: `Audit reads the store for the TLS version and suite that each device came to
agree on last, and lists the devices that a profile does not serve. Both sides
take the best that they know, so that a device which agreed on less has no better.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains(certs.Profiles(), profile) {
				return usagef("--profile %q is none of %s", profile, strings.Join(certs.Profiles(), ", "))
			}
			from, err := readTime("--since", since, time.Now())
			if err != nil {
				return err
			}
			store, err := openStore(cmd.Context(), file, true)
			if err != nil {
				return err
			}
			defer store.Close()
			spoken, err := spokenBy(cmd.Context(), store, from)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			var p printer = jsonLines{out}
			if !asJSON {
				p = &table{w: out, columns: spokenTable, width: terminalWidth(out), empty: fmt.Sprintf("profile %s serves all of %s seen", profile, plural(len(spoken), "device"))}
			}
			for _, s := range spoken {
				if at := slices.Index(certs.Profiles(), s.needs); at >= 0 && at <= slices.Index(certs.Profiles(), profile) {
					continue
				}
				row := audit.Row{Columns: spokenColumns, Values: []any{s.at, s.tenant, s.oui, s.class, s.serial, s.tls, s.cipher, s.needs}}
				if err := p.row(row); err != nil {
					return err
				}
			}
			return p.end()
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringVar(&profile, "profile", certs.ProfileStrict, "the `profile` to try: "+strings.Join(certs.Profiles(), ", "))
	cmd.Flags().StringVar(&since, "since", "30d", "look only at sessions since this `time`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line; see docs/tls.md")
	return cmd
}

var spokenColumns = []string{"at", "tenant", "oui", "class", "serial", "tls", "cipher", "needs"}

var spokenTable = []column{
	{"LAST SEEN", 19, func(get func(string) any) string { return moment(get("at")) }}, text("TENANT", "tenant", 6),
	{"DEVICE", 12, deviceCell}, text("TLS", "tls", 3), text("SUITE", "cipher", 12), text("NEEDS", "needs", 12),
}

// spoken is what a device has agreed on last.
type spoken struct {
	at                         time.Time
	tenant, oui, class, serial string
	tls, cipher, needs         string
}

// spokenBy reads the first record of each session, in which its connection is.
func spokenBy(ctx context.Context, r audit.Reader, since time.Time) (list []*spoken, err error) {
	type key struct{ tenant, oui, class, serial string }
	of := map[key]*spoken{}
	for row, err := range r.Query(ctx, audit.Filter{View: audit.ViewRecords, Kind: audit.KindMessage, Since: since}) {
		if err != nil {
			return nil, fmt.Errorf("ask the store: %w", err)
		}
		get := func(name string) any { return row.Values[slices.Index(row.Columns, name)] }
		bytes, _ := get("record").(string)
		if !strings.Contains(bytes, `"connection":{`) {
			continue
		}
		var rec struct{ Connection struct{ TLS, Cipher string } }
		if json.Unmarshal([]byte(bytes), &rec) != nil || rec.Connection.TLS == "" {
			continue
		}
		s := &spoken{tls: rec.Connection.TLS, cipher: rec.Connection.Cipher, needs: certs.Serves(rec.Connection.TLS, rec.Connection.Cipher)}
		s.at, _ = get("at").(time.Time)
		s.tenant, _ = get("tenant").(string)
		s.oui, _ = get("oui").(string)
		s.class, _ = get("class").(string)
		s.serial, _ = get("serial").(string)
		k := key{s.tenant, s.oui, s.class, s.serial}
		if before := of[k]; before != nil {
			*before = *s
			continue
		}
		of[k] = s
		list = append(list, s)
	}
	return list, nil
}
