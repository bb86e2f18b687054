package proxy

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp"
)

var here, elsewhere = netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")

func key(text string) sessionKey { return new(tenant).cookieKey([]byte(text)) }

func testSession(t *testing.T, from netip.Prefix) *session {
	return &session{id: newSessionID(), cookie: newCookie(), prefix: from, inFlight: make(chan struct{}, 1), state: cwmp.NewSession(), lease: testNode(t, "http://192.0.2.10:7550").Lease()}
}

func TestKeysThatSeveralSessionsHaveNameNone(t *testing.T) {
	table := newSessions(10, 10, time.Minute, watched{})
	a, b := testSession(t, here), testSession(t, here)
	table.add(a, &conn{}, "")
	table.add(b, &conn{}, "")
	table.give(a, key("lb=node7"))
	if table.withKey(key("lb=node7"), here) != a {
		t.Error("a cookie of one session does not name it")
	}
	table.give(b, key("lb=node7"))
	if table.withKey(key("lb=node7"), here) != nil {
		t.Error("a cookie of two sessions names one of them")
	}
	table.end(b, audit.EndClean)
	if table.withKey(key("lb=node7"), here) != a {
		t.Error("an ended session keeps a cookie from naming an open one")
	}
	table.end(a, audit.EndClean)
}

// A CPE may send a cookie of its own, or an attribute that it takes for one:
// that must name nobody's session.
func TestBroughtKeysNameNoSession(t *testing.T) {
	table := newSessions(10, 10, time.Minute, watched{})
	a, b := testSession(t, here), testSession(t, here)
	table.add(a, &conn{}, "")
	table.add(b, &conn{}, "")
	table.brought(a, key("Path=/"))
	if s := table.withKey(key("Path=/"), here); s != nil {
		t.Errorf("a cookie that a CPE brought along names session %s", s.id)
	}
	table.give(b, key("lb=node7"))
	table.brought(a, key("lb=node7"))
	if s := table.withKey(key("lb=node7"), here); s != nil {
		t.Errorf("a cookie that another CPE sends too names session %s", s.id)
	}
	table.give(a, key("Path=/"))
	if table.withKey(key("Path=/"), here) != a {
		t.Error("a cookie that the ACS has given meanwhile does not name its session")
	}
	table.end(a, audit.EndClean)
	table.end(b, audit.EndClean)
	table.forget(a)
	table.forget(b)
	if len(table.byKey) != 0 {
		t.Errorf("%d keys are kept", len(table.byKey))
	}
}

func TestNoMoreLingerThanMayBeOpen(t *testing.T) {
	table := newSessions(3, 3, time.Minute, watched{})
	var all []*session
	for range 5 {
		s := testSession(t, here)
		table.add(s, &conn{}, "")
		table.end(s, audit.EndClean)
		all = append(all, s)
	}
	for i, s := range all {
		if known := table.withCookie(s.cookie) == s; known != (i >= 2) {
			t.Errorf("ended session %d of 5 is known: %v", i, known)
		}
	}
	if len(table.lingers) != 3 || len(table.byCookie) != 3 {
		t.Errorf("%d linger, %d cookies are known, want 3", len(table.lingers), len(table.byCookie))
	}
}

// A load balancer's cookie may be on every session: it must cost no walk.
func TestHoldersOfAKeyAreBounded(t *testing.T) {
	table := newSessions(1000, 1000, time.Minute, watched{})
	var all []*session
	for range 10 * maxHolders {
		s := testSession(t, here)
		table.add(s, &conn{}, "")
		table.give(s, key("lb=node7"))
		all = append(all, s)
	}
	if h := table.byKey[keyAt{key("lb=node7"), here}]; len(h.list) != maxHolders || h.more != 9*maxHolders {
		t.Errorf("%d are listed, %d counted", len(h.list), h.more)
	}
	if table.withKey(key("lb=node7"), here) != nil || table.withKey(key("lb=node7"), elsewhere) != nil {
		t.Error("a cookie of many sessions names one")
	}
	for _, s := range all {
		table.end(s, audit.EndClean)
		table.forget(s)
	}
	if len(table.byKey)+len(table.given) != 0 {
		t.Errorf("%d and %d keys are kept", len(table.byKey), len(table.given))
	}
}

func TestKeysOfASessionAreBounded(t *testing.T) {
	table := newSessions(10, 10, time.Minute, watched{})
	s := testSession(t, here)
	table.add(s, &conn{}, "")
	for i := range 10 * maxKeys {
		table.give(s, key(string(rune('a'+i))))
	}
	if len(s.keys) != maxKeys || len(table.byKey) != maxKeys {
		t.Errorf("%d and %d keys are kept", len(s.keys), len(table.byKey))
	}
	table.end(s, audit.EndClean)
	table.forget(s)
	if len(table.byKey) != 0 {
		t.Errorf("%d keys of a forgotten session are kept", len(table.byKey))
	}
}

// A DeviceId is a claim: an Inform must not end the session of another address.
func TestRivals(t *testing.T) {
	f := func(what string, from netip.Prefix, device string, want bool) {
		t.Helper()
		table := newSessions(10, 10, time.Minute, watched{})
		old := testSession(t, here)
		table.add(old, &conn{}, "")
		table.named(old, "device")
		table.verified(old, "user")
		if got := len(table.rivals(testSession(t, from), &conn{}, device)) == 1; got != want {
			t.Errorf("%s: superseded %v, want %v", what, got, want)
		}
		table.end(old, audit.EndClean)
	}
	f("same source", here, "device", true)
	f("other source", elsewhere, "device", false)
	f("other device", here, "another", false)
}

// Only once the ACS has accepted the same user for the same device does a
// session elsewhere end.
// A certificate that names the device ends its sessions, whatever the source; a
// claim ends none that was begun with one.
func TestCertifiedRivals(t *testing.T) {
	for _, c := range []struct {
		old, new       netip.Prefix
		oldHas, newHas bool
		isRival        bool
	}{
		{here, here, false, false, true},
		{here, elsewhere, false, false, false},
		{here, elsewhere, false, true, true},
		{here, elsewhere, true, true, true},
		{here, here, true, false, false},
		{here, elsewhere, true, false, false},
	} {
		table := newSessions(10, 10, time.Minute, watched{})
		a, b := testSession(t, c.old), testSession(t, c.new)
		a.certified, b.certified = c.oldHas, c.newHas
		table.add(a, &conn{}, "device")
		if rivals, _ := table.add(b, &conn{}, "device"); (len(rivals) > 0) != c.isRival {
			t.Errorf("%+v: %d rivals", c, len(rivals))
		}
	}
}

func TestVerifiedRivals(t *testing.T) {
	table := newSessions(10, 10, time.Minute, watched{})
	a, b, c := testSession(t, here), testSession(t, elsewhere), testSession(t, elsewhere)
	for _, s := range []*session{a, b, c} {
		table.add(s, &conn{}, "")
	}
	table.named(a, "device")
	table.named(b, "device")
	table.named(c, "another")
	if got := table.verified(a, "u"); len(got) != 0 {
		t.Errorf("%d rivals that no user was accepted in", len(got))
	}
	table.verified(c, "u")
	if got := table.verified(b, "u"); len(got) != 1 || got[0] != a {
		t.Errorf("%d rivals, want the one session of that device and user", len(got))
	}
	for _, s := range table.all() {
		table.end(s, audit.EndClean)
	}
}

func TestBoundTo(t *testing.T) {
	table := newSessions(10, 10, time.Minute, watched{})
	s := testSession(t, here)
	f := func(from netip.Prefix, user string, want bool) {
		t.Helper()
		if got := table.boundTo(s, from, "", user); got != want {
			t.Errorf("%s %q: %v, want %v", from, user, got, want)
		}
	}
	f(here, "", true)
	f(here, "anyone", true)
	f(elsewhere, "", false)
	table.verified(s, "u")
	f(here, "", true)
	f(here, "u", true)
	f(here, "v", false)
	f(elsewhere, "u", false) // the user of a request is a claim
	f(elsewhere, "", false)
	if table.boundTo(s, here, "00", "u") {
		t.Error("a certificate came in the middle of a session")
	}
	s.certificate = "00"
	if table.boundTo(s, here, "", "u") || table.boundTo(s, here, "01", "u") || !table.boundTo(s, here, "00", "u") {
		t.Error("a session is not bound to its certificate")
	}
}

// A cookie may be the same on many devices, or be sent by one that was never
// given it: it is looked up among the sessions of the request's source first.
func TestKeysAndSources(t *testing.T) {
	table := newSessions(10, 10, time.Minute, watched{})
	mine, theirs := testSession(t, here), testSession(t, elsewhere)
	table.add(mine, &conn{}, "")
	table.add(theirs, &conn{}, "")
	table.give(mine, key("serial=1"))
	table.brought(theirs, key("serial=1"))
	table.give(theirs, key("serial=2"))
	f := func(what, k string, from netip.Prefix, want *session) {
		t.Helper()
		if got := table.withKey(key(k), from); got != want {
			t.Errorf("%s: %p, want %p", what, got, want)
		}
	}
	f("its owner", "serial=1", here, mine)
	f("who only brought it", "serial=1", elsewhere, nil)
	f("who has nothing of the kind", "serial=2", here, theirs) // to be refused
	table.end(mine, audit.EndClean)
	f("its owner after the end", "serial=1", here, mine)
	table.give(theirs, key("serial=1"))
	f("another who has it by now", "serial=1", elsewhere, theirs)
	table.forget(mine)
	f("its owner long after the end", "serial=1", here, theirs)
	table.end(theirs, audit.EndClean)
	table.forget(theirs)
	if len(table.byKey) != 0 {
		t.Errorf("%d keys are kept", len(table.byKey))
	}
}

func TestEndedSessionLingersAndIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newSessions(1, 1, 10*time.Second, watched{})
		s, c := testSession(t, here), &conn{}
		table.add(s, c, "")
		if _, err := table.add(testSession(t, here), &conn{}, ""); err == nil {
			t.Error("more sessions than the limit")
		}
		fired := 0
		table.start(s, time.Minute, func() { fired++ })
		if !table.end(s, audit.EndClean) || table.end(s, audit.EndClean) {
			t.Error("only the first end counts")
		}
		if table.withCookie(s.cookie) != s || table.of(c) != s || table.isOpen(s) {
			t.Error("an ended session is not known for a while")
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if table.withCookie(s.cookie) != nil || table.of(c) != nil {
			t.Error("an ended session is known for ever")
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if fired != 0 {
			t.Error("the time-out of an ended session fired")
		}
		if _, err := table.add(testSession(t, here), &conn{}, ""); err != nil {
			t.Error("an ended session still counts")
		}
		table.end(table.all()[0], audit.EndClean)
		time.Sleep(time.Minute)
	})
}

// TestOneTimerForgetsAll ends sessions one after the other: each is known for
// its time, and hardly longer.
func TestOneTimerForgetsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newSessions(10, 10, 16*time.Second, watched{})
		var ended []*session
		for range 5 {
			s := testSession(t, here)
			table.add(s, &conn{}, "")
			table.end(s, audit.EndClean)
			ended = append(ended, s)
			time.Sleep(3 * time.Second)
			synctest.Wait()
		}
		for i, s := range ended {
			if known := table.withCookie(s.cookie) == s; !known {
				t.Errorf("session %d is forgotten %d s after its end", i, 3*(5-i))
			}
		}
		for i, s := range ended { // 15 s after the first one's end
			time.Sleep(3 * time.Second)
			synctest.Wait()
			if table.withCookie(s.cookie) != nil {
				t.Errorf("session %d is known for more than 18 s", i)
			}
		}
		if len(table.lingers) != 0 {
			t.Errorf("%d sessions linger for ever", len(table.lingers))
		}
	})
}

func TestIdleFollowsTheSession(t *testing.T) {
	table := newSessions(10, 10, time.Minute, watched{})
	s, c := testSession(t, here), &conn{}
	table.add(s, c, "")
	if got := table.idle(c, time.Second); got != time.Second {
		t.Errorf("without a time-out: %s", got)
	}
	table.start(s, 5*time.Minute, func() {})
	if got := table.idle(c, time.Second); got < 5*time.Minute {
		t.Errorf("a session that waits five minutes: %s", got)
	}
	table.end(s, audit.EndClean)
	if got := table.idle(c, time.Second); got != time.Second {
		t.Errorf("after the end: %s", got)
	}
}

func TestSessionsOfOneAddressAreBounded(t *testing.T) {
	table := newSessions(10, 2, time.Minute, watched{})
	first := testSession(t, here)
	table.add(first, &conn{}, "")
	table.add(testSession(t, here), &conn{}, "")
	_, err := table.add(testSession(t, here), &conn{}, "")
	if got := reasonOf(err); got != reasonSessionsOfAddress {
		t.Errorf("%q, want %q", got, reasonSessionsOfAddress)
	}
	if _, err := table.add(testSession(t, elsewhere), &conn{}, ""); err != nil {
		t.Errorf("another address: %v", err)
	}
	table.end(first, audit.EndClean)
	if _, err := table.add(testSession(t, here), &conn{}, ""); err != nil {
		t.Errorf("after one has ended: %v", err)
	}
	for _, s := range table.all() {
		table.end(s, audit.EndClean)
	}
	if len(table.byPrefix) != 0 {
		t.Errorf("%d prefixes are still counted", len(table.byPrefix))
	}
}

func TestTimeOutFollowsTheLastRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newSessions(1, 1, time.Second, watched{})
		s := testSession(t, here)
		table.add(s, &conn{}, "")
		began := time.Now()
		var over atomic.Int64 // nanoseconds
		end := func() { over.Store(int64(time.Since(began))) }
		wait := func(until time.Duration) {
			t.Helper()
			time.Sleep(until - time.Since(began))
			synctest.Wait()
			if d := over.Load(); d != 0 {
				t.Fatalf("timed out after %s", time.Duration(d))
			}
		}
		table.start(s, 30*time.Second, end)
		wait(20 * time.Second)
		table.stop(s) // a request is served for longer than the time-out
		wait(100 * time.Second)
		table.start(s, 300*time.Second, end)
		wait(200 * time.Second)
		table.stop(s)
		table.start(s, 30*time.Second, end) // less than the timer was set to
		wait(229 * time.Second)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if d := time.Duration(over.Load()); d != 230*time.Second {
			t.Errorf("timed out after %s, want 230 s", d)
		}
		table.end(s, audit.EndClean)
		time.Sleep(time.Minute)
	})
}

// Of two Informs of a device at the same moment the later one supersedes.
func TestAddReturnsWhatItSupersedes(t *testing.T) {
	table := newSessions(10, 10, time.Minute, watched{})
	a, b, other := testSession(t, here), testSession(t, here), testSession(t, elsewhere)
	for i, s := range []*session{a, b, other} {
		rivals, err := table.add(s, &conn{}, "device")
		if want := map[int]int{0: 0, 1: 1, 2: 0}[i]; err != nil || len(rivals) != want {
			t.Errorf("number %d: %d rivals, %v; want %d", i, len(rivals), err, want)
		}
	}
	for _, s := range table.all() {
		table.end(s, audit.EndClean)
	}
}

func TestWhenNone(t *testing.T) {
	table := newSessions(10, 10, time.Minute, watched{})
	<-table.whenNone()
	s := testSession(t, here)
	table.add(s, &conn{}, "")
	none := table.whenNone()
	select {
	case <-none:
		t.Error("a session is open")
	default:
	}
	table.end(s, audit.EndShutdown)
	<-none
	if table.toldTheEnd(s) {
		t.Error("a CPE that was cut short has been told the end")
	}
}
