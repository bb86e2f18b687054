package admission

import (
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/cwmpgate/cwmpgate/configs"
	"github.com/cwmpgate/cwmpgate/cwmp"
)

// What a limit does. The closed list of every mode key.
const (
	ModeOff     = "off"
	ModeObserve = "observe" // counted where it would bite; nothing waits and nothing is refused
	ModeEnforce = "enforce"
)

// Rate is a limit of so many in a time.
type Rate struct {
	Mode  string           `yaml:"mode" enum:"off|observe|enforce" doc:"off: no limit; observe: counted where it would bite, never refused; enforce."`
	Count int              `yaml:"count" min:"0" max:"10000000" doc:"How many in the time of per."`
	Per   configs.Duration `yaml:"per" min:"1s" max:"24h" doc:"The time in which there may be so many."`
	Burst int              `yaml:"burst" min:"0" max:"10000000" doc:"How many at one moment; 0: as many as come in a fiftieth of a second, but one at least."`
}

// SetDefaults gives a rate its defaults before its section is read.
func (r *Rate) SetDefaults() { r.Mode, r.Per = ModeOff, configs.Duration(time.Second) }

// Validate reports what no single key's type can tell.
func (r *Rate) Validate(at configs.At) {
	if r.on() && r.Count == 0 {
		at.Errorf("count", "a limit that is not off needs a count of 1 or more")
	}
}

// String is the limit as a person writes it.
func (r Rate) String() string { return fmt.Sprintf("%d in %s", r.Count, r.Per) }

func (r Rate) on() bool { return isOn(r.Mode) }

func isOn(mode string) bool { return mode == ModeObserve || mode == ModeEnforce }

// perSecond is the rate; infinite where it is off.
func (r Rate) perSecond() float64 {
	if !r.on() {
		return float64(rate.Inf)
	}
	return float64(r.Count) / time.Duration(r.Per).Seconds()
}

// smoothness is the share of a second's admissions that may come at one moment:
// in no second is a limit passed by more.
const smoothness = 50

func (r Rate) burst() int {
	if r.Burst > 0 {
		return r.Burst
	}
	return max(1, int(r.perSecond()/smoothness))
}

// Most is a limit of so many at once.
type Most struct {
	Mode  string `yaml:"mode" enum:"off|observe|enforce" doc:"off: no limit; observe: counted where it would bite, never refused; enforce."`
	Count int    `yaml:"count" min:"0" max:"10000000" doc:"How many at once."`
}

// SetDefaults gives the limit its defaults before its section is read.
func (m *Most) SetDefaults() { m.Mode = ModeOff }

// Validate reports what no single key's type can tell.
func (m *Most) Validate(at configs.At) {
	if isOn(m.Mode) && m.Count == 0 {
		at.Errorf("count", "a limit that is not off needs a count of 1 or more")
	}
}

// Adaptive has an ACS's rate follow what the ACS shows.
type Adaptive struct {
	Floor   int              `yaml:"floor" min:"0" max:"10000000" doc:"The rate, in the time of informs.per, below which the limit never falls; 0: the limit does not move. informs.count is where it never rises above."`
	Latency configs.Duration `yaml:"latency" min:"10ms" max:"30s" doc:"An answer to an Inform that takes longer is slow. Where informs is enforced, with a floor or without, no more Informs are with the ACS at once than it may be sent in half of this time."`
}

// SetDefaults gives the section its defaults before it is read.
func (a *Adaptive) SetDefaults() { a.Latency = configs.Duration(2 * time.Second) }

// CPERetry is when CPEs come back that do not read Retry-After.
type CPERetry struct {
	Minimum    configs.Duration `yaml:"minimum" min:"1s" max:"18h" doc:"CWMPRetryMinimumWaitInterval of the CPEs: after a first failure they wait as long, or up to multiplier times as long."`
	Multiplier int              `yaml:"multiplier" min:"1000" max:"65535" doc:"CWMPRetryIntervalMultiplier of the CPEs, in thousandths: by how much both ends of the wait grow with each further failure, ten times at most."`
}

// Settings is what holds for all Informs.
type Settings struct {
	Wait           configs.Duration `yaml:"wait" max:"25s" doc:"How long an Inform may wait for its turn; what cannot be served within is answered 503. CPEs give up after 30 s or later."`
	Queue          int              `yaml:"queue" min:"1" max:"1000000" doc:"Informs waiting at once, of all ACSes."`
	QueueMemory    configs.Size     `yaml:"queue_memory" min:"1MiB" doc:"Memory of the messages that wait; it is part of limits.memory."`
	Floor          int              `yaml:"floor" min:"0" max:"10" doc:"Share in per cent of an ACS's rate that each less urgent class gets at least while it waits."`
	Informs        Rate             `yaml:"informs" doc:"Informs that begin a session, of the whole gateway."`
	Device         Rate             `yaml:"device" doc:"Informs that begin a session, of one device behind one source prefix."`
	Connections    Rate             `yaml:"connections" doc:"New connections of one source prefix; more are closed before a TLS handshake. Where many devices share an address (CGNAT), this is for all of them."`
	Tracked        int              `yaml:"tracked" min:"1000" max:"100000000" doc:"Devices, and source prefixes, whose rate is known at once; 64 bytes each at most. Beyond it the quietest are forgotten."`
	TrustedProxies []configs.Prefix `yaml:"trusted_proxies" doc:"Addresses of load balancers that CPEs come through. Nothing is limited by such an address: admission.connections, limits.connections_per_address and limits.handshakes_per_address do not hold for it."`
	CPERetry       CPERetry         `yaml:"cpe_retry" doc:"When CPEs come back that do not read Retry-After. The Retry-After of the others leaves room for them."`
}

// DefaultSettings has every limit off.
func DefaultSettings() Settings {
	s := Settings{
		Wait: configs.Duration(10 * time.Second), Queue: 10_000, QueueMemory: 128 << 20, Floor: 4, Tracked: 1_000_000,
		CPERetry: CPERetry{Minimum: configs.Duration(5 * time.Second), Multiplier: 2000},
	}
	s.Informs.SetDefaults()
	s.Device.SetDefaults()
	s.Connections.SetDefaults()
	return s
}

// classes is how many there are of cwmp.EventClass.
const classes = int(cwmp.ClassRoutine) + 1

// maxRetries is the highest RetryCount that is told apart: TR-069's waits grow
// no further (section 3.2.1.1).
const maxRetries = 10
