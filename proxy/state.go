package proxy

import (
	"cmp"
	"strings"
	"time"

	"github.com/cwmpgate/cwmpgate/policy/admission"
)

// State is how the gateway stands, for an operator who watches it.
type State struct {
	At          time.Time             `json:"at"`
	Draining    bool                  `json:"draining"`
	Connections int                   `json:"connections"`
	Sessions    int                   `json:"sessions"`
	BodyBytes   int64                 `json:"body_bytes"`
	ACS         []admission.LaneStats `json:"acs"` // one for each ACS of each tenant
	Devices     []DeviceRate          `json:"devices"`
}

// busiest is how many devices a State has.
const busiest = 10

// State tells how the gateway stands now.
func (g *Gateway) State() State {
	now := g.now()
	return State{
		At: now.UTC(), Draining: g.draining(), Connections: g.gate.count(), Sessions: g.sessions.count(), BodyBytes: g.buffers.budget.used.Load(),
		ACS: g.admission.Stats(), Devices: g.busy.most(busiest, now),
	}
}

// splitKey is deviceKey undone.
func splitKey(key string) DeviceRate {
	parts := strings.SplitN(key, "\x00", 4)
	return DeviceRate{Tenant: parts[0], OUI: parts[1], Class: parts[2], Serial: parts[3]}
}

func compareDevices(a, b DeviceRate) int {
	return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.OUI, b.OUI), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Serial, b.Serial))
}
