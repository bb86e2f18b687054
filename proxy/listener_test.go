package proxy

import (
	"context"
	"maps"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestGate(t *testing.T) {
	g := newGate(Limits{Connections: 3, ConnectionsPerAddress: 2, Handshakes: 1, HandshakesPerAddress: 1}, watched{})
	f := func(p netip.Prefix, want string) {
		t.Helper()
		if got := g.enter(p, false); got != want {
			t.Errorf("%s: %q, want %q", p, got, want)
		}
	}
	f(here, "")
	f(here, "")
	f(here, "too-many-connections-of-address")
	f(elsewhere, "")
	f(netip.MustParsePrefix("192.0.2.3/32"), "too-many-connections")
	g.leave(here)
	f(here, "")
	for range 2 {
		g.leave(here)
	}
	g.leave(elsewhere)
	if g.count() != 0 || len(g.sources) != 0 {
		t.Errorf("%d connections and %d sources are still counted", g.count(), len(g.sources))
	}
}

// Who says nothing in its handshakes must not keep another source from its own.
func TestHandshakesOfOneSourceLeaveRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(Limits{Connections: 100, ConnectionsPerAddress: 100, Handshakes: 4, HandshakesPerAddress: 2}, watched{})
		g.enter(here, false)
		g.enter(elsewhere, false)
		soon := func() time.Time { return time.Now().Add(10 * time.Second) }
		var shaken func()
		for range 2 {
			if shaken = g.handshake(context.Background(), here, soon()); shaken == nil {
				t.Fatal("a free place was refused")
			}
		}
		turn := make(chan bool)
		go func() { turn <- g.handshake(context.Background(), here, soon()) != nil }()
		go func() { turn <- g.handshake(context.Background(), here, time.Now().Add(time.Second)) != nil }()
		synctest.Wait()
		if g.handshake(context.Background(), elsewhere, soon()) == nil {
			t.Error("a silent source keeps another out")
		}
		if <-turn {
			t.Error("more than a source's share are under way")
		}
		shaken()
		if !<-turn {
			t.Error("a place that became free was given to nobody")
		}
	})
}

func TestFlood(t *testing.T) {
	var f flood
	now := time.Unix(1000, 0)
	for i := range 2 * orphansRecorded {
		if got := f.allow(here, now); got != (i < orphansRecorded) {
			t.Errorf("number %d: %v", i, got)
		}
	}
	if !f.allow(elsewhere, now) {
		t.Error("another source is held back")
	}
	if !f.allow(here, now.Add(time.Second)) {
		t.Error("a second later the source is still held back")
	}
}

// TestGateExempts: connections whose peer has shown who it is do not count for
// their source, nor do those of a trusted one.
func TestGateExempts(t *testing.T) {
	l := Defaults().Limits
	l.ConnectionsPerAddress = 2
	g := newGate(l, watched{})
	here, proxy := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	for range 2 {
		g.enter(here, false)
	}
	if g.enter(here, false) == "" {
		t.Fatal("a third was let in")
	}
	g.verified(here, 1)
	if got := g.enter(here, false); got != "" {
		t.Errorf("beside a verified one: %s", got)
	}
	g.verified(here, -1)
	g.leave(here)
	if g.enter(here, false) == "" {
		t.Error("a third was let in again")
	}
	for range 5 {
		if got := g.enter(proxy, true); got != "" {
			t.Errorf("of a trusted proxy: %s", got)
		}
	}
	if n := cap(g.sources[proxy].shakes); n != l.Handshakes {
		t.Errorf("a trusted proxy may have %d handshakes under way", n)
	}
}

// TestWatchedLimits: a limit that is only watched lets everybody in, and counts
// who would have been turned away; the others hold.
func TestWatchedLimits(t *testing.T) {
	over := map[string]int{}
	w := watched{limits: map[string]bool{limitConnections: true, limitHandshakesPerAddress: true, limitSessions: true}, over: func(limit string) { over[limit]++ }}
	g := newGate(Limits{Connections: 1, ConnectionsPerAddress: 3, Handshakes: 2, HandshakesPerAddress: 1}, w)
	for i, want := range []string{"", "", "", "too-many-connections-of-address"} {
		if got := g.enter(here, false); got != want {
			t.Errorf("connection %d: %q, want %q", i, got, want)
		}
	}
	soon := time.Now().Add(time.Millisecond)
	var places []func()
	for i, want := range []bool{true, true, false} {
		shaken := g.handshake(context.Background(), here, soon)
		if (shaken != nil) != want {
			t.Errorf("handshake %d is let through: %t", i, !want)
		}
		places = append(places, shaken)
	}
	for _, shaken := range places[:2] {
		shaken()
	}
	if len(g.shakes)+len(g.sources[here].shakes) != 0 {
		t.Error("a place was not given back")
	}
	table := newSessions(1, 2, time.Minute, w)
	for i, want := range []bool{true, true, false} {
		if _, err := table.add(testSession(t, here), &conn{}, ""); (err == nil) != want {
			t.Errorf("session %d: %v", i, err)
		}
	}
	if want := map[string]int{limitConnections: 3, limitHandshakesPerAddress: 2, limitSessions: 2}; !maps.Equal(over, want) {
		t.Errorf("counted were %v, want %v", over, want)
	}
}
