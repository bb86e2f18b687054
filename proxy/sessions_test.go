package proxy

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cwmpgate/cwmpgate/cwmp"
)

var here, elsewhere = netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")

func testSession(t *testing.T, from netip.Prefix) *session {
	return &session{id: newSessionID(), cookie: newCookie(), prefix: from, inFlight: make(chan struct{}, 1), state: cwmp.NewSession(), lease: testNode(t, "http://192.0.2.10:7550").Lease()}
}

func TestKeysThatSeveralSessionsHaveNameNone(t *testing.T) {
	table := newSessions(10, 10, time.Minute)
	a, b := testSession(t, here), testSession(t, here)
	table.add(a, &conn{})
	table.add(b, &conn{})
	table.give(a, "lb=node7")
	if table.withKey("lb=node7", here) != a {
		t.Error("a cookie of one session does not name it")
	}
	table.give(b, "lb=node7")
	if table.withKey("lb=node7", here) != nil {
		t.Error("a cookie of two sessions names one of them")
	}
	table.end(b)
	if table.withKey("lb=node7", here) != a {
		t.Error("an ended session keeps a cookie from naming an open one")
	}
	table.end(a)
}

// A CPE may send a cookie of its own, or an attribute that it takes for one:
// that must name nobody's session.
func TestBroughtKeysNameNoSession(t *testing.T) {
	table := newSessions(10, 10, time.Minute)
	a, b := testSession(t, here), testSession(t, here)
	table.add(a, &conn{})
	table.add(b, &conn{})
	table.brought(a, "Path=/")
	if s := table.withKey("Path=/", here); s != nil {
		t.Errorf("a cookie that a CPE brought along names session %s", s.id)
	}
	table.give(b, "lb=node7")
	table.brought(a, "lb=node7")
	if s := table.withKey("lb=node7", here); s != nil {
		t.Errorf("a cookie that another CPE sends too names session %s", s.id)
	}
	table.give(a, "Path=/")
	if table.withKey("Path=/", here) != a {
		t.Error("a cookie that the ACS has given meanwhile does not name its session")
	}
	table.end(a)
	table.end(b)
	table.forget(a)
	table.forget(b)
	if len(table.byKey) != 0 {
		t.Errorf("%d keys are kept", len(table.byKey))
	}
}

func TestKeysOfASessionAreBounded(t *testing.T) {
	table := newSessions(10, 10, time.Minute)
	s := testSession(t, here)
	table.add(s, &conn{})
	for i := range 10 * maxKeys {
		table.give(s, string(rune('a'+i)))
	}
	if len(s.keys) != maxKeys || len(table.byKey) != maxKeys {
		t.Errorf("%d and %d keys are kept", len(s.keys), len(table.byKey))
	}
	table.end(s)
	table.forget(s)
	if len(table.byKey) != 0 {
		t.Errorf("%d keys of a forgotten session are kept", len(table.byKey))
	}
}

// A DeviceId is a claim: an Inform must not end the session of another address.
func TestRivals(t *testing.T) {
	f := func(what string, from netip.Prefix, device string, want bool) {
		t.Helper()
		table := newSessions(10, 10, time.Minute)
		old := testSession(t, here)
		table.add(old, &conn{})
		table.named(old, "device")
		table.verified(old, "user")
		if got := len(table.rivals(&conn{}, device, from)) == 1; got != want {
			t.Errorf("%s: superseded %v, want %v", what, got, want)
		}
		table.end(old)
	}
	f("same source", here, "device", true)
	f("other source", elsewhere, "device", false)
	f("other device", here, "another", false)
}

// Only once the ACS has accepted the same user for the same device does a
// session elsewhere end.
func TestVerifiedRivals(t *testing.T) {
	table := newSessions(10, 10, time.Minute)
	a, b, c := testSession(t, here), testSession(t, elsewhere), testSession(t, elsewhere)
	for _, s := range []*session{a, b, c} {
		table.add(s, &conn{})
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
		table.end(s)
	}
}

func TestBoundTo(t *testing.T) {
	table := newSessions(10, 10, time.Minute)
	s := testSession(t, here)
	f := func(from netip.Prefix, user string, want bool) {
		t.Helper()
		if got := table.boundTo(s, from, user); got != want {
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
}

// A cookie may be the same on many devices, or be sent by one that was never
// given it: it is looked up among the sessions of the request's source first.
func TestKeysAndSources(t *testing.T) {
	table := newSessions(10, 10, time.Minute)
	mine, theirs := testSession(t, here), testSession(t, elsewhere)
	table.add(mine, &conn{})
	table.add(theirs, &conn{})
	table.give(mine, "serial=1")
	table.brought(theirs, "serial=1")
	table.give(theirs, "serial=2")
	f := func(what, key string, from netip.Prefix, want *session) {
		t.Helper()
		if got := table.withKey(key, from); got != want {
			t.Errorf("%s: %p, want %p", what, got, want)
		}
	}
	f("its owner", "serial=1", here, mine)
	f("who only brought it", "serial=1", elsewhere, nil)
	f("who has nothing of the kind", "serial=2", here, theirs) // to be refused
	table.end(mine)
	f("its owner after the end", "serial=1", here, mine)
	table.give(theirs, "serial=1")
	f("another who has it by now", "serial=1", elsewhere, theirs)
	table.forget(mine)
	f("its owner long after the end", "serial=1", here, theirs)
	table.end(theirs)
	table.forget(theirs)
	if len(table.byKey) != 0 {
		t.Errorf("%d keys are kept", len(table.byKey))
	}
}

func TestEndedSessionLingersAndIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newSessions(1, 1, 10*time.Second)
		s, c := testSession(t, here), &conn{}
		table.add(s, c)
		if table.add(testSession(t, here), &conn{}) == nil {
			t.Error("more sessions than the limit")
		}
		fired := 0
		table.start(s, time.Minute, func() { fired++ })
		if !table.end(s) || table.end(s) {
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
		if table.add(testSession(t, here), &conn{}) != nil {
			t.Error("an ended session still counts")
		}
		table.end(table.all()[0])
		time.Sleep(time.Minute)
	})
}

func TestIdleFollowsTheSession(t *testing.T) {
	table := newSessions(10, 10, time.Minute)
	s, c := testSession(t, here), &conn{}
	table.add(s, c)
	if got := table.idle(c, time.Second); got != time.Second {
		t.Errorf("without a time-out: %s", got)
	}
	table.start(s, 5*time.Minute, func() {})
	if got := table.idle(c, time.Second); got < 5*time.Minute {
		t.Errorf("a session that waits five minutes: %s", got)
	}
	table.end(s)
	if got := table.idle(c, time.Second); got != time.Second {
		t.Errorf("after the end: %s", got)
	}
}

func TestSessionsOfOneAddressAreBounded(t *testing.T) {
	table := newSessions(10, 2, time.Minute)
	first := testSession(t, here)
	table.add(first, &conn{})
	table.add(testSession(t, here), &conn{})
	if got := reasonOf(table.add(testSession(t, here), &conn{})); got != reasonSessionsOfAddress {
		t.Errorf("%q, want %q", got, reasonSessionsOfAddress)
	}
	if err := table.add(testSession(t, elsewhere), &conn{}); err != nil {
		t.Errorf("another address: %v", err)
	}
	table.end(first)
	if err := table.add(testSession(t, here), &conn{}); err != nil {
		t.Errorf("after one has ended: %v", err)
	}
	for _, s := range table.all() {
		table.end(s)
	}
	if len(table.byPrefix) != 0 {
		t.Errorf("%d prefixes are still counted", len(table.byPrefix))
	}
}

func TestTimeOutFollowsTheLastRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newSessions(1, 1, time.Second)
		s := testSession(t, here)
		table.add(s, &conn{})
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
		table.end(s)
		time.Sleep(time.Minute)
	})
}
