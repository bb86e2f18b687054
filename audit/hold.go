package audit

import "time"

// Hold says that nothing of a device may be removed from here on, or, released,
// that it may again.
type Hold struct {
	Spelling
	Reason   string
	Until    time.Time // zero: until it is released
	Released bool
}

// System makes the record.
func (h Hold) System() System {
	s := System{What: SystemHold, Why: "audit hold", exact: true}
	if h.Released {
		s.What, s.Why = SystemRelease, "audit hold --release"
	}
	for _, p := range []Pair{
		{"tenant", h.Tenant}, {"oui", h.Device.OUI}, {"class", h.Device.Class}, {"serial", h.Device.Serial}, {"reason", clip(h.Reason, longestName)},
	} {
		if p.Value != "" {
			s.Detail = append(s.Detail, p)
		}
	}
	if !h.Until.IsZero() {
		s.Detail = append(s.Detail, Pair{"until", h.Until.UTC().Format(timeLayout)})
	}
	return s
}

// Covers says whether a record with this spelling may be of the held device.
func (h *Hold) Covers(s Spelling) bool {
	return sameDevice(s, h.Spelling) || lacks(s, h.Spelling) || lacks(h.Spelling, s)
}

// hold reads a hold or its release.
func (d *reader) hold(released bool) *Hold {
	h := &Hold{Reason: d.detail["reason"], Released: released, Spelling: Spelling{
		Tenant: d.detail["tenant"], Device: Device{OUI: d.detail["oui"], Class: d.detail["class"], Serial: d.detail["serial"]}}}
	if _, ok := d.detail["until"]; ok {
		h.Until = d.moment("until")
	}
	return h
}
