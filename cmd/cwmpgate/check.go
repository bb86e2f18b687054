package main

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newCheck() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "check --config FILE", Short: "Check a config file", Args: cobra.NoArgs,
		Long: `Check reads a config file as run would and reports every mistake at once, each
as file:line:column. It warns of certificates that end soon, of revocation lists
that are out of date, and of names that no certificate is for. It opens no
address and changes nothing.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			public, err := x509.SystemCertPool()
			if err != nil {
				public = x509.NewCertPool() // this system knows none
			}
			warnings, err := c.warnings(time.Now(), public)
			if err != nil {
				return err
			}
			for _, w := range warnings {
				if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is right: %s, %s\n", file, plural(len(c.Listeners), "listener"), plural(len(c.Tenants), "tenant"))
			return err
		},
	}
	configFlag(cmd, &file)
	return cmd
}

// warnings are what is right today and will not be, or only looks right.
func (c *config) warnings(now time.Time, public *x509.CertPool) (list []string, err error) {
	all, err := certificatesOf(c)
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		if i.EndsSoon(now, time.Duration(c.Certificates.WarnBefore)) {
			list = append(list, fmt.Sprintf("%s: %s %s of %q ends at %s", i.of, i.What, i.File, i.Subject, i.Until.Format(time.RFC3339)))
		}
	}
	for _, l := range c.Listeners {
		if l.TLS == nil {
			continue
		}
		of := cmp.Or(l.Name, l.Address.String())
		roots, err := l.TLS.PublicRoots(public)
		if err != nil {
			return nil, fmt.Errorf("listener %s: %w", of, err)
		}
		if len(l.TLS.ACME) > 0 && c.Certificates.ACME != nil && c.Certificates.ACME.Directory.IsZero() {
			roots = append(roots, "CN=ISRG Root X1, of Let's Encrypt")
		}
		for _, root := range roots {
			list = append(list, fmt.Sprintf("listener %s: its certificate leads to the public root %s; a CPE whose firmware is older, or has roots of its operator alone, does not know it: see docs/tls.md", of, root))
		}
	}
	for _, t := range c.Tenants {
		for _, name := range t.Match.SNI {
			for _, l := range c.Listeners {
				of := cmp.Or(l.Name, l.Address.String())
				if l.TLS == nil || t.Match.Listener != "" && t.Match.Listener != of {
					continue
				}
				covered, err := l.TLS.Covers(strings.ToLower(name))
				if err != nil {
					return nil, fmt.Errorf("listener %s: %w", of, err)
				}
				if !covered {
					list = append(list, fmt.Sprintf("tenant %s: listener %s has no certificate for %s, so that a CPE which compares names will not connect", t.Name, of, name))
				}
			}
		}
	}
	return list, nil
}
