package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/cwmpgate/cwmpgate/audit"
)

// findSubject finds the one device that a name is of. Where it is of several,
// the error names each, so that the right one can be asked for.
func findSubject(ctx context.Context, r audit.Reader, asked, tenant string) (audit.Subject, error) {
	all, err := audit.FindSubjects(ctx, r, asked, tenant)
	switch {
	case err != nil:
		return audit.Subject{}, fmt.Errorf("ask the store: %w", err)
	case len(all) == 0:
		return audit.Subject{}, withHint(fmt.Errorf("no record is of a device %q", asked), "name it by its serial number, OUI-serial or OUI-class-serial")
	case len(all) == 1:
		return all[0], nil
	}
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = describeSubject(s)
	}
	return audit.Subject{}, withHint(usagef("%q is the name of %d devices: %s", asked, len(all), strings.Join(names, "; ")),
		"say OUI-class-serial, and --tenant where that is the same")
}

// describeSubject names a device so that it can be asked for.
func describeSubject(s audit.Subject) string {
	tenant := s.Tenant
	if tenant == "" {
		tenant = "none"
	}
	return printable(s.Name()) + " of tenant " + printable(tenant)
}
