package audit

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
)

// Spelling is a device as a record names it, with the record's tenant.
type Spelling struct {
	Tenant string
	Device Device
}

func (s Spelling) compare(t Spelling) int {
	return cmp.Or(
		strings.Compare(s.Tenant, t.Tenant), strings.Compare(s.Device.OUI, t.Device.OUI), strings.Compare(s.Device.Class, t.Device.Class),
		strings.Compare(s.Device.Serial, t.Device.Serial), strings.Compare(s.Device.Manufacturer, t.Device.Manufacturer))
}

// Subject is one device of one tenant, under all the spellings that records
// have of it.
type Subject struct {
	Spelling // its fullest
	All      []Spelling
}

// Name is the longest form of the device's name: OUI-class-serial.
func (s Subject) Name() string { return s.Device.OUI + "-" + s.Device.Class + "-" + s.Device.Serial }

// Has says whether a row with these columns is about the subject.
func (s Subject) Has(tenant, oui, class, serial string) bool {
	return slices.ContainsFunc(s.All, func(a Spelling) bool {
		return a.Tenant == tenant && a.Device.OUI == oui && a.Device.Class == class && a.Device.Serial == serial
	})
}

// Subjects puts together the spellings that are of one device: OUIs are
// compared without case, manufacturers not at all. A spelling that lacks what
// was not read of a message (tenant, OUI, class) is of the device that it fits;
// where it fits several, it is a subject of its own.
func Subjects(all []Spelling) []Subject {
	all = slices.SortedFunc(slices.Values(all), Spelling.compare)
	all = slices.Compact(all)
	var subjects []Subject
	for _, s := range all {
		if i := slices.IndexFunc(subjects, func(t Subject) bool { return sameDevice(s, t.Spelling) }); i >= 0 {
			subjects[i].All = append(subjects[i].All, s)
			continue
		}
		subjects = append(subjects, Subject{s, []Spelling{s}})
	}
	full := func(s Subject) bool {
		return !slices.ContainsFunc(subjects, func(t Subject) bool { return lacks(s.Spelling, t.Spelling) })
	}
	var whole, apart []Subject
	for _, s := range subjects {
		if full(s) {
			whole = append(whole, s)
		}
	}
	for _, s := range subjects {
		if full(s) {
			continue
		}
		fits := func(t Subject) bool { return lacks(s.Spelling, t.Spelling) }
		first := slices.IndexFunc(whole, fits)
		if slices.ContainsFunc(whole[first+1:], fits) {
			apart = append(apart, s)
			continue
		}
		whole[first].All = append(whole[first].All, s.All...)
	}
	return append(whole, apart...)
}

func sameDevice(s, t Spelling) bool {
	return s.Tenant == t.Tenant && s.Device.Serial == t.Device.Serial && s.Device.Class == t.Device.Class &&
		strings.EqualFold(s.Device.OUI, t.Device.OUI)
}

// lacks says whether s is t but for what it does not say.
func lacks(s, t Spelling) bool {
	fits := func(a, b string) bool { return a == "" || strings.EqualFold(a, b) }
	return s.Device.Serial == t.Device.Serial && !sameDevice(s, t) &&
		(s.Tenant == "" || s.Tenant == t.Tenant) && fits(s.Device.OUI, t.Device.OUI) && (s.Device.Class == "" || s.Device.Class == t.Device.Class)
}

// About says whether a row of a view is about the subject.
func (s Subject) About(r Row) bool {
	return s.Has(r.Text("tenant"), r.Text("oui"), r.Text("class"), r.Text("serial"))
}

// Same says whether two spellings are of one device, see Subjects.
func (s Spelling) Same(t Spelling) bool { return sameDevice(s, t) }

// FindSubjects gives the devices that a name is of, within a tenant where one is
// given; see MatchDevice. All records with such a serial are looked at, since a
// refusal may know no more of a device than that. Of manufacturers it knows none.
func FindSubjects(ctx context.Context, r Reader, asked, tenant string) (found []Subject, err error) {
	seen := map[Spelling]bool{}
	look := func(name string) error {
		for row, err := range r.Query(ctx, Filter{View: ViewRecords, Device: name}) {
			if err != nil {
				return err
			}
			seen[Spelling{row.Text("tenant"), Device{OUI: row.Text("oui"), Class: row.Text("class"), Serial: row.Text("serial")}}] = true
		}
		return nil
	}
	if err := look(asked); err != nil {
		return nil, err
	}
	serials := map[string]bool{}
	for s := range seen {
		serials[s.Device.Serial] = true
	}
	delete(serials, asked) // looked at
	for serial := range serials {
		if err := look(serial); err != nil {
			return nil, err
		}
	}
	for _, s := range Subjects(slices.Collect(maps.Keys(seen))) {
		d := s.Device
		if (tenant == "" || s.Tenant == tenant) && MatchDevice(asked, d.OUI, d.Class, d.Serial) {
			found = append(found, s)
		}
	}
	return found, nil
}
