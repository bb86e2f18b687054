package proxy

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp"
	"github.com/cwmpgate/cwmpgate/proxy/upstream"
)

// session is one living CWMP session: the protocol's state, the facts that
// every record of it bears, and its exclusive way to the ACS.
type session struct {
	id     string
	cookie string
	tenant *tenant
	// SHA-256 of the certificate on the connection that it began on, in hex; and
	// whether that names the device.
	certificate string
	certified   bool
	prefix      netip.Prefix // of the first request's source
	began       time.Time

	// inFlight holds one token: who has it has the session's one request in
	// flight, and may touch what follows.
	inFlight    chan struct{}
	state       *cwmp.Session
	origin      audit.Origin
	acs         atomic.Pointer[acs]
	lease       *upstream.Lease
	sent        bool // a request of it may have reached its ACS
	cookieSent  bool
	undelivered []uint64
	timeout     time.Duration // as the SessionTimeout header says, 0 where it does not
	stats       sessionStats

	// The table's lock guards these.
	conn   *conn     // where its last request came from
	keys   []heldKey // cookies and nonces it is found by
	device string    // key of the device, "" until an Inform was read
	user   string    // HTTP user that was accepted: by the gateway, or by the ACS and then one that names the device
	// The ACS's last answer was 401, before it accepted an Inform.
	challenged bool
	place      *place // nil: it is not admitted, or has handed its place on
	ended      bool
	answers204 bool // the CPE was told the end, so that one more empty POST is ordinary
	timer      *time.Timer
	wait       time.Duration // what the timer was last started with
	deadline   time.Time     // of the CPE's next request; zero while one is served
	fires      time.Time     // when the timer does

	outside  atomic.Pointer[string] // how it was ended by other than its own request
	finished sync.Once
}

type sessionStats struct {
	messages, empty   int
	bytesIn, bytesOut int64
}

// acquire takes the session's one place in flight, or gives up after d.
func (s *session) acquire(d time.Duration) bool {
	select {
	case s.inFlight <- struct{}{}:
		return true
	default:
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case s.inFlight <- struct{}{}:
		return true
	case <-t.C:
		return false
	}
}

func (s *session) release() { <-s.inFlight }

// reaches takes note of what the device's identity rests on, where it is more
// than was known.
func (s *session) reaches(level string) {
	if !s.isKnownBy(level) {
		s.origin.Identity = level
	}
}

// isKnownBy tells whether the device's identity rests on level, or more.
func (s *session) isKnownBy(level string) bool {
	levels := audit.Identities()
	return slices.Index(levels, s.origin.Identity) >= slices.Index(levels, level)
}

// deviceKey is the identity of a device as three fields, never one string that
// a hyphen could make ambiguous.
func deviceKey(tenant string, d audit.Device) string {
	return tenant + "\x00" + d.OUI + "\x00" + d.Class + "\x00" + d.Serial
}
