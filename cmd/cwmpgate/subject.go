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
	all, err := findSubjects(ctx, r, asked, tenant)
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

// findSubjects gives the devices that a name is of. All records with such a
// serial are looked at, since refusals may know no more of a device than that.
func findSubjects(ctx context.Context, r audit.Reader, asked, tenant string) (found []audit.Subject, err error) {
	seen := map[audit.Spelling]bool{}
	look := func(name string) error {
		for row, err := range r.Query(ctx, audit.Filter{View: audit.ViewRecords, Device: name}) {
			if err != nil {
				return err
			}
			seen[spellingOf(row)] = true
		}
		return nil
	}
	if err := look(asked); err != nil {
		return nil, err
	}
	serials := map[string]bool{asked: true}
	for s := range seen {
		serials[s.Device.Serial] = true
	}
	delete(serials, asked)
	for serial := range serials {
		if err := look(serial); err != nil {
			return nil, err
		}
	}
	var all []audit.Spelling
	for s := range seen {
		all = append(all, s)
	}
	for _, s := range audit.Subjects(all) {
		d := s.Device
		if (tenant == "" || s.Tenant == tenant) && audit.MatchDevice(asked, d.OUI, d.Class, d.Serial) {
			found = append(found, s)
		}
	}
	return found, nil
}

func spellingOf(row audit.Row) audit.Spelling {
	return audit.Spelling{Tenant: row.Text("tenant"), Device: audit.Device{OUI: row.Text("oui"), Class: row.Text("class"), Serial: row.Text("serial")}}
}

// about gives the rows of a view that are of one device.
func about(s audit.Subject, row audit.Row) bool {
	t := spellingOf(row)
	return s.Has(t.Tenant, t.Device.OUI, t.Device.Class, t.Device.Serial)
}
