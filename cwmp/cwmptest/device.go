package cwmptest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"time"
)

var (
	// ErrBusy is returned by a Session while another one of the device runs.
	ErrBusy = errors.New("device is in a session")
	// ErrGaveUp is returned by a device that has met a 4xx and never comes back.
	ErrGaveUp = errors.New("device has given up")
)

// DeviceConfig says what a [Device] is and how it speaks. URL and Identity.Serial
// are needed; all else has defaults.
type DeviceConfig struct {
	Identity Identity
	URL      string // of the ACS, or of what stands before it
	Dial     string // host:port to connect to in place of URL's
	Root     string // "InternetGatewayDevice." (default) or "Device."
	Version  string // of the cwmp namespace, default "1-0"

	Username, Password string      // for HTTP authentication; none where empty
	BasicUnasked       bool        // sends Basic before it is challenged
	TLS                *tls.Config // for https; with ClientSessionCache it resumes, with Certificates it is mTLS

	Quirks         Quirks
	Gzip           bool // compresses bodies, until it meets 415
	Chunked        bool // Transfer-Encoding: chunked
	ExpectContinue bool // Expect: 100-continue on every POST with a body
	KeepConnection bool // the connection stays open from session to session
	FetchInSession bool // a Download is fetched before it is answered, over the session's connection where it can

	FaultRate            float64 // share of RPCs and transfers answered by a fault, 0 to 1
	Seed                 uint64  // of what is left to chance
	ConnectionRequestURL string
	Timeout              time.Duration // of one request, default 30 s
	KeepExchanges        int           // exchanges kept with their bodies, the oldest go first; 0: none
}

// Device is one CPE with a data model of some forty parameters. One session
// runs at a time; everything else may be called at any time. Of what it knows to
// have happened it keeps the last 7,500 entries of each list, or more.
type Device struct {
	cfg    DeviceConfig
	target *url.URL
	model  *model

	visiting sync.Mutex
	jar      []cookie
	kept     *wire
	wires    int
	serial   uint64 // of the messages it sent by itself
	retries  int
	plain    bool // gzip was refused once
	gaveUp   bool

	mu        sync.Mutex
	random    *rand.Rand
	pending   []Event
	transfers []*Transfer
	truth     deviceTruth
}

// deviceTruth is what the device knows to have happened.
type deviceTruth struct {
	exchanges    []Exchange
	received     []*Received
	sets         []SetResult
	misdelivered []Misdelivery
}

// Received is an RPC of the ACS that reached the device, and how it answered.
type Received struct {
	ID, Method string
	Connection int // counted by the device from 1
	Fault      *Fault
	Answered   bool // the response to its answer was read
}

// SetResult is a SetParameterValues with the device's answer: a Status, or a Fault.
type SetResult struct {
	ID         string
	Parameters []Parameter
	Key        string
	Status     string
	Fault      *Fault
}

// Misdelivery is a message at a party it was not meant for.
type Misdelivery struct {
	At      string // "cpe" or "acs"
	Serial  string // of the device that got it, or whose session it came in
	MeantBy string // the cwmp:ID, key or serial number that says otherwise
	Method  string
}

// NewDevice makes a device; it does nothing until Session is called.
func NewDevice(cfg DeviceConfig) (*Device, error) {
	target, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", cfg.Identity.Serial, err)
	}
	if target.Scheme != "http" && target.Scheme != "https" || target.Host == "" {
		return nil, fmt.Errorf("device %s: %q is no http or https URL", cfg.Identity.Serial, cfg.URL)
	}
	if cfg.Root == "" {
		cfg.Root = "InternetGatewayDevice."
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	if cfg.Identity.OUI == "" {
		cfg.Identity.OUI = "00005E"
	}
	if cfg.Identity.Manufacturer == "" {
		cfg.Identity.Manufacturer = "Example Networks"
	}
	if cfg.ConnectionRequestURL == "" {
		cfg.ConnectionRequestURL = "http://192.0.2.10:7547/" + url.PathEscape(cfg.Identity.Serial)
	}
	d := &Device{cfg: cfg, target: target, random: rand.New(rand.NewPCG(cfg.Seed, 0x63776d70))}
	d.model = newModel(cfg.Root, cfg.Identity, cfg.URL, cfg.ConnectionRequestURL)
	d.pending = []Event{{Code: "0 BOOTSTRAP"}, {Code: "1 BOOT"}}
	return d, nil
}

// Identity is the device's DeviceId.
func (d *Device) Identity() Identity { return d.cfg.Identity }

// Value is that of a parameter, the root left out: "DeviceInfo.SoftwareVersion".
func (d *Device) Value(name string) string { return d.model.value(name) }

// Change sets a parameter as a user or the device itself does; the next session
// tells of it where the ACS asked for that.
func (d *Device) Change(name, value string) {
	if d.model.force(name, value) {
		d.raise(Event{Code: "4 VALUE CHANGE"})
	}
}

// Due says that the next session has something to tell but "2 PERIODIC".
func (d *Device) Due() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.pending) > 0
}

// raise keeps events until an Inform with them was answered (TR-069 3.7.1.5).
func (d *Device) raise(events ...Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range events {
		if !slices.Contains(d.pending, e) {
			d.pending = append(d.pending, e)
		}
	}
}

func (d *Device) chance(rate float64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return rate > 0 && d.random.Float64() < rate
}

// Exchanges are the last ones, as they went over the wire.
func (d *Device) Exchanges() []Exchange { return copied(d, &d.truth.exchanges) }

// Received are the ACS's RPCs, in order.
func (d *Device) Received() []Received {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]Received, len(d.truth.received))
	for i, r := range d.truth.received {
		list[i] = *r
	}
	return list
}

// Sets are the SetParameterValues and what became of each.
func (d *Device) Sets() []SetResult { return copied(d, &d.truth.sets) }

// Misdelivered are the messages that were meant for other devices.
func (d *Device) Misdelivered() []Misdelivery { return copied(d, &d.truth.misdelivered) }

// Transfers are the downloads and uploads, as they stand now.
func (d *Device) Transfers() []Transfer {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]Transfer, len(d.transfers))
	for i, t := range d.transfers {
		list[i] = *t
	}
	return list
}

func copied[T any](d *Device, list *[]T) []T {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(*list)
}

// note adds to a list of the truth.
func note[T any](d *Device, list *[]T, v T) {
	d.mu.Lock()
	defer d.mu.Unlock()
	*list = appendKept(*list, v, 10_000)
}

// appendKept lets go of the oldest quarter when a list is full: what runs for
// days must not grow for days.
func appendKept[T any](list []T, v T, most int) []T {
	if len(list) >= most {
		list = slices.Clone(list[most/4:])
	}
	return append(list, v)
}

// Close closes a connection that was kept open; the device may be used again.
func (d *Device) Close() error {
	d.visiting.Lock()
	defer d.visiting.Unlock()
	if d.kept == nil {
		return nil
	}
	err := d.kept.Close()
	d.kept = nil
	return err
}

// Session runs one session from Inform to its end, and after it the transfers
// that it asked for. Without events it tells what is pending, or "2 PERIODIC".
// An error says that the session did not come to its regular end; the Report
// is filled in both cases.
func (d *Device) Session(ctx context.Context, events ...Event) (Report, error) {
	if !d.visiting.TryLock() {
		return Report{}, ErrBusy
	}
	defer d.visiting.Unlock()
	if d.gaveUp {
		return Report{}, ErrGaveUp
	}
	d.raise(events...)
	v := &visit{d: d, ctx: ctx, login: credentials{user: d.cfg.Username, password: d.cfg.Password}}
	if d.cfg.BasicUnasked {
		v.login.scheme = "Basic"
	}
	v.report.Started = time.Now()
	err := v.run()
	v.close(err == nil)
	v.report.Took = time.Since(v.report.Started)
	v.report.Err = err
	if err != nil {
		d.retries++
		if d.cfg.Quirks.GiveUpOn4xx && v.report.Status/100 == 4 {
			d.gaveUp = true
		}
		return v.report, fmt.Errorf("session of %s: %w", d.cfg.Identity.Serial, err)
	}
	d.runTransfers(ctx)
	return v.report, nil
}
