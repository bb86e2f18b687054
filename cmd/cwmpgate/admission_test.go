package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// informsSum adds a metric of Informs over all its labels.
func informsSum(r *rig, what string) float64 { return r.metrics().sum("cwmpgate_informs_" + what) }

// limited is a plan whose ACS has these limits.
func limited(acs *cwmptest.ACS, limits string) plan {
	return plan{acs: acs.Addr(), reuse: "never, " + limits, level: "info"}
}

// TestAdmission has more devices inform than the ACS's limit and the wait allow:
// those refused are told when to come back, counted and recorded to the last,
// and the log has one line for it.
func TestAdmission(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	p := limited(acs, "informs: {mode: enforce, count: 3, per: 24h, burst: 3}")
	p.sections = "admission: {wait: 50ms}\n"
	r := start(t, p)
	const devices = 20
	refused := 0
	for i := range devices {
		got := raw(t, r.addr, inform(fmt.Sprint("D", i)), 1)
		if len(got) != 1 {
			t.Fatalf("device %d: %d answers", i, len(got))
		}
		if got[0].status == 200 {
			continue
		}
		refused++
		after, err := strconv.Atoi(got[0].header.Get("Retry-After"))
		if got[0].status != 503 || err != nil || after < 1 || !got[0].last {
			t.Errorf("device %d: status %d, Retry-After %q, closes: %v", i, got[0].status, got[0].header.Get("Retry-After"), got[0].last)
		}
	}
	if refused != devices-3 {
		t.Errorf("%d of %d refused, the limit is 3", refused, devices)
	}
	if n := informsSum(r, "refused_total"); n != devices-3 {
		t.Errorf("%v refusals counted", n)
	}
	if n := informsSum(r, "admitted_total"); n != 3 {
		t.Errorf("%v admitted", n)
	}
	if n := strings.Count(r.log.String(), "limit begins to bite"); n != 1 {
		t.Errorf("%d lines of log say that the limit bites", n)
	}
	r.close()
	sum := 0
	all := openArchive(t, r.dir).records()
	for _, d := range ofKind(all, audit.KindDecision) {
		sum += d.Count
		if d.By != audit.ByAdmission || d.Reason != "upstream-rate" || d.Class != "routine" || d.Status != 503 || d.Tenant != "home" || d.ACS != "acs-a" ||
			d.Source != "127.0.0.1/32" || !strings.Contains(d.Limit, "informs = 3 in 24h") {
			t.Errorf("%s", d.line)
		}
	}
	if sum != devices-3 {
		t.Errorf("%d refusals recorded", sum)
	}
	if n := len(ofKind(all, audit.KindRefusal)); n > 0 {
		t.Errorf("%d of them are recorded as malformed too", n)
	}
}

// TestChallengeIsChargedOnce: the Inform that answers a 401 belongs to the one
// that was challenged, whether its connection, a nonce or nothing but the device
// tells so; a second session is another.
func TestChallengeIsChargedOnce(t *testing.T) {
	for _, x := range []struct {
		name   string
		auth   cwmptest.Auth
		quirks cwmptest.Quirks
	}{
		{"digest", cwmptest.AuthDigest, cwmptest.Quirks{}},
		{"digest, new connections", cwmptest.AuthDigest, cwmptest.Quirks{ReconnectEachPost: true}},
		{"basic", cwmptest.AuthBasic, cwmptest.Quirks{}},
		{"basic, new connections", cwmptest.AuthBasic, cwmptest.Quirks{ReconnectEachPost: true}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			acs := openACS(t, cwmptest.ACSConfig{Auth: x.auth})
			p := limited(acs, "informs: {mode: enforce, count: 1, per: 24h, burst: 1}, sessions: {mode: enforce, count: 1}")
			p.sections = "admission: {wait: 50ms}\n"
			r := start(t, p)
			cfg := device(r.url(), "D1")
			cfg.Quirks = x.quirks
			d, err := cwmptest.NewDevice(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Session(context.Background()); err != nil {
				t.Fatalf("the first session: %v", err)
			}
			if n := informsSum(r, "admitted_total"); n != 1 {
				t.Errorf("%v charged for one session", n)
			}
			if _, err := d.Session(context.Background()); err == nil {
				t.Error("a second session was let through")
			}
		})
	}
}

// TestPlaceWithoutCookie: a CPE that comes back from a challenge on a new
// connection, with Basic and no cookie, has its place; one that does so over and
// over is charged anew.
func TestPlaceWithoutCookie(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{Auth: cwmptest.AuthBasic})
	p := limited(acs, "informs: {mode: enforce, count: 1, per: 24h, burst: 1}")
	p.sections = "admission: {wait: 50ms}\n"
	r := start(t, p)
	var got []int
	for range 4 {
		got = append(got, raw(t, r.addr, inform("D1"), 1)[0].status)
	}
	if fmt.Sprint(got) != "[401 401 401 503]" {
		t.Errorf("answers %v", got)
	}
}

// TestGivingUp: a CPE that hangs up while it waits leaves the queue at once, and
// the ACS never hears of it.
func TestGivingUp(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("tls=", secure), func(t *testing.T) {
			var informs atomic.Int64
			acs := openACS(t, cwmptest.ACSConfig{Intercept: func(_ http.ResponseWriter, q *http.Request) bool {
				if q.ContentLength > 0 {
					informs.Add(1)
				}
				return false
			}})
			p := limited(acs, "sessions: {mode: enforce, count: 1}")
			p.tls = secure
			p.sections = "admission: {wait: 25s}\n"
			r := start(t, p)
			dial := func() net.Conn {
				if secure {
					return dialLine(t, r).Conn
				}
				return dialTalker(t, r.addr).c
			}
			first := dial()
			io.WriteString(first, inform("D0"))
			if res, err := http.ReadResponse(bufio.NewReader(first), nil); err != nil || res.StatusCode != 200 {
				t.Fatalf("%v", err)
			}
			var waiting []net.Conn
			for i := range 5 {
				c := dial()
				io.WriteString(c, inform(fmt.Sprint("W", i)))
				waiting = append(waiting, c)
			}
			await(t, "five wait", func() bool { return informsSum(r, "waiting") == 5 })
			for _, c := range waiting {
				c.Close()
			}
			await(t, "nobody waits", func() bool { return informsSum(r, "waiting") == 0 })
			if n := informsSum(r, "given_up_total"); n != 5 {
				t.Errorf("%v gave up", n)
			}
			await(t, "their connections are gone", func() bool { return r.metrics()["cwmpgate_connections_open"] == 1 })
			if n := informs.Load(); n != 1 {
				t.Errorf("the ACS got %d Informs", n)
			}
		})
	}
}

// TestWaitsForItsTurn: with one session at a time, two that come together both
// get through, one after the other; what the CPE sends is whole behind the wait.
func TestWaitsForItsTurn(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{Script: chores})
	p := limited(acs, "sessions: {mode: enforce, count: 1}")
	p.tls = true
	p.sections = "admission: {wait: 25s}\n"
	r := start(t, p)
	const devices = 8
	done := make(chan error, devices)
	for i := range devices {
		cfg := device("https://localhost:"+r.addr[strings.LastIndexByte(r.addr, ':')+1:]+"/acs", fmt.Sprint("D", i))
		cfg.TLS = trust(t, r.dir)
		d, err := cwmptest.NewDevice(cfg)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := d.Session(context.Background())
			done <- err
		}()
	}
	for range devices {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := informsSum(r, "admitted_total"); n != devices {
		t.Errorf("%v admitted", n)
	}
	if informsSum(r, "waited_total") == 0 {
		t.Error("none had to wait")
	}
}

// TestAddressRate closes a source's connections over its rate before they have
// said anything, and records them; a trusted proxy has no such limit.
func TestAddressRate(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	const limit = "connections: {mode: enforce, count: 3, per: 24h, burst: 3}"
	p := plan{acs: acs.Addr(), tls: true, sections: "admission: {" + limit + "}\n"}
	r := start(t, p)
	refused := 0
	for range 10 {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	await(t, "seven are refused", func() bool {
		return r.metrics()[`cwmpgate_connections_refused_total{reason="address-rate"}`] == 7
	})
	if n := r.metrics()["cwmpgate_tls_handshakes_total"]; n != 0 {
		t.Errorf("%v handshakes", n)
	}
	r.close()
	for _, d := range ofKind(openArchive(t, r.dir).records(), audit.KindDecision) {
		refused += d.Count
		if d.Reason != "address-rate" || d.Status != 0 || d.Source != "127.0.0.1/32" || !strings.Contains(d.Limit, "admission.connections = 3 in 24h") {
			t.Errorf("%s", d.line)
		}
	}
	if refused != 7 {
		t.Errorf("%d recorded", refused)
	}
	p = plan{acs: acs.Addr(), sections: "admission: {trusted_proxies: [127.0.0.0/8], " + limit + "}\n"}
	r = start(t, p)
	for i := range 10 {
		if got := raw(t, r.addr, inform(fmt.Sprint("D", i)), 1); len(got) != 1 || got[0].status != 200 {
			t.Errorf("connection %d of the proxy: %v", i, got)
		}
	}
}

// TestObserved counts what a limit would refuse, and lets it pass.
func TestObserved(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	p := limited(acs, "informs: {mode: observe, count: 3, per: 24h, burst: 3}")
	p.sections = "admission: {wait: 50ms}\n"
	r := start(t, p)
	for i := range 8 {
		if got := raw(t, r.addr, inform(fmt.Sprint("D", i)), 1); len(got) != 1 || got[0].status != 200 {
			t.Errorf("device %d: %v", i, got)
		}
	}
	if n := r.metrics()[`cwmpgate_informs_over_total{tenant="home",acs="acs-a",class="routine",limit="upstream-rate"}`]; n != 5 {
		t.Errorf("%v counted as over", n)
	}
}

// TestStopWhileWaiting: a gateway that stops sends those away that wait.
func TestStopWhileWaiting(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	p := limited(acs, "sessions: {mode: enforce, count: 1}")
	p.sections = "admission: {wait: 25s}\n"
	r := start(t, p)
	if status, _ := dialTalker(t, r.addr).say(inform("D0")); status != 200 {
		t.Fatal(status)
	}
	waits := dialTalker(t, r.addr)
	answered := make(chan int, 1)
	go func() {
		io.WriteString(waits.c, inform("D1"))
		res, err := http.ReadResponse(waits.b, nil)
		if err != nil {
			answered <- 0
			return
		}
		answered <- res.StatusCode
	}()
	await(t, "one waits", func() bool { return informsSum(r, "waiting") == 1 })
	r.close()
	if status := <-answered; status != 503 {
		t.Errorf("status %d", status)
	}
	if d := ofKind(openArchive(t, r.dir).records(), audit.KindDecision); len(d) != 1 || d[0].Reason != "draining" || d[0].Count != 1 {
		t.Errorf("%+v", d)
	}
}

// TestLaterWhereTheACSIsAway: Informs that were admitted and reach nobody are
// told to come back at the rate that the ACS survives, not all at once.
func TestLaterWhereTheACSIsAway(t *testing.T) {
	r := start(t, plan{acs: "127.0.0.1:1", reuse: "never, informs: {mode: enforce, count: 2, per: 1s, burst: 60}", sections: "timeouts: {retry_after: 1s, drain: 1s}\n"})
	var afters []int
	const devices = 40
	for i := range devices {
		got := raw(t, r.addr, inform(fmt.Sprint("D", i)), 1)
		if len(got) != 1 || got[0].status != 503 {
			t.Fatalf("device %d: %+v", i, got)
		}
		after, err := strconv.Atoi(got[0].header.Get("Retry-After"))
		if err != nil || after < 1 {
			t.Errorf("device %d: Retry-After %q", i, got[0].header.Get("Retry-After"))
		}
		afters = append(afters, after)
	}
	if n := r.metrics().sum(`cwmpgate_refusals_total`); n != devices {
		t.Errorf("%v refused", n)
	}
	slices.Sort(afters)
	// By timeouts.retry_after alone they would be back within one second; half of
	// them are taken for such as come by timers of their own.
	if spread := afters[devices-1] - afters[0]; spread < 8 {
		t.Errorf("%d devices come back within %d seconds, where two a second are survived: %v", devices, spread, afters)
	}
}
