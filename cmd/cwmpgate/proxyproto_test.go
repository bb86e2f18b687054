package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// dialFrom connects from an address of loopback.
func dialFrom(t *testing.T, from, addr, first string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, first); err != nil {
		t.Fatal(err)
	}
	return c
}

// informed sends an Inform over c, by TLS, and gives the status; 0 where the
// connection does not come so far.
func informed(t *testing.T, c net.Conn, dir, serial string) int {
	t.Helper()
	cfg := trust(t, dir)
	cfg.ServerName = "127.0.0.1"
	tc := tls.Client(c, cfg)
	defer tc.Close()
	if err := tc.Handshake(); err != nil {
		return 0
	}
	status, _ := (&talker{t, tc, bufio.NewReader(tc)}).say(inform(serial))
	return status
}

const proxyHeaderV2 = "\r\n\r\n\x00\r\nQUIT\n"

// TestProxyProtocol: whom a connection is from is what a load balancer of ours
// says, in records, limits and towards the ACS, and nobody else.
func TestProxyProtocol(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	p := plan{
		acs: acs.Addr(), tls: true, listenerKeys: "proxy_protocol: trusted",
		sections: "admission: {trusted_proxies: [127.0.0.1/32], connections: {mode: enforce, count: 2, per: 24h, burst: 2}}\ntimeouts: {handshake: 500ms, drain: 1s}\n",
	}
	r := start(t, p)
	refused := func(reason string) float64 {
		return r.metrics()[fmt.Sprintf("cwmpgate_connections_refused_total{reason=%q}", reason)]
	}
	for i, x := range []struct {
		from, header string
		status       int
		peer         string
	}{
		{"127.0.0.1", "PROXY TCP4 192.0.2.7 198.51.100.1 56324 7547\r\n", 200, "192.0.2.7:56324"},
		{"127.0.0.1", proxyHeaderV2 + "\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\xdc\x05\x1d\x7b", 200, "192.0.2.7:56325"},
		{"127.0.0.1", "PROXY TCP4 192.0.2.7 198.51.100.1 56326 7547\r\n", 0, ""}, // the third of that address
		{"127.0.0.1", "PROXY TCP6 2001:db8::7 2001:db8::1 1000 7547\r\n", 200, "[2001:db8::7]:1000"},
		{"127.0.0.1", proxyHeaderV2 + "\x20\x00\x00\x00", 200, "127.0.0.1:"}, // for itself
		{"127.0.0.1", "", 0, ""},
		{"127.0.0.2", "", 200, "127.0.0.2:"},
		{"127.0.0.2", "PROXY TCP4 192.0.2.9 198.51.100.1 56324 7547\r\n", 0, ""},
	} {
		serial := fmt.Sprint("PP-", i)
		if status := informed(t, dialFrom(t, x.from, r.addr, x.header), r.dir, serial); status != x.status {
			t.Errorf("%s with %q: status %d, want %d", x.from, x.header, status, x.status)
		}
		if x.status == 0 {
			continue
		}
		var record *record
		await(t, "it is in the store", func() bool {
			for _, one := range openArchive(t, r.dir).records() {
				if one.Device.Serial == serial && one.Connection != nil {
					record = &one
				}
			}
			return record != nil
		})
		if !strings.HasPrefix(record.Connection.Peer, x.peer) {
			t.Errorf("%s with %q is from %s in the record, want %s", x.from, x.header, record.Connection.Peer, x.peer)
		}
		address, _, _ := net.SplitHostPort(record.Connection.Peer)
		for _, in := range acs.Informs() {
			if in.Identity.Serial == serial && in.Header.Get("X-Forwarded-For") != address {
				t.Errorf("the ACS is told that it is from %s", in.Header.Get("X-Forwarded-For"))
			}
		}
	}
	if n := refused("address-rate"); n != 1 {
		t.Errorf("%v refused for their address", n)
	}
	if n := refused("proxy-header"); n != 1 {
		t.Errorf("%v refused for want of a header", n)
	}
	if n := r.metrics()[`cwmpgate_tls_handshake_failures_total{reason="not-tls"}`]; n != 1 {
		t.Errorf("%v said what is not TLS", n)
	}
	// One that says half of it, and one that only looks whether somebody is there.
	dialFrom(t, "127.0.0.1", r.addr, "PROXY TCP4 192.0.2.7 198.5")
	dialFrom(t, "127.0.0.1", r.addr, "").Close()
	await(t, "the half header is late", func() bool { return refused("proxy-header-late") == 1 })
	await(t, "all have gone", func() bool { return r.metrics()["cwmpgate_connections_open"] == 0 })
	r.close()
	found := 0
	for _, d := range ofKind(openArchive(t, r.dir).records(), audit.KindDecision) {
		switch {
		case d.Reason == "address-rate" && d.Source == "192.0.2.7/32", d.Reason == "proxy-header" && d.Source == "127.0.0.1/32", d.Reason == "proxy-header-late":
			found++
		default:
			t.Errorf("%s", d.line)
		}
	}
	if found != 3 {
		t.Errorf("%d decisions are recorded", found)
	}

	p.listenerKeys, p.dir = "proxy_protocol: required", ""
	r = start(t, p)
	if status := informed(t, dialFrom(t, "127.0.0.2", r.addr, ""), r.dir, "PP-A"); status != 0 || refused("not-a-proxy") != 1 {
		t.Errorf("not a proxy: status %d, %v refused", status, refused("not-a-proxy"))
	}
	if status := informed(t, dialFrom(t, "127.0.0.1", r.addr, "PROXY TCP4 192.0.2.7 198.51.100.1 56324 7547\r\n"), r.dir, "PP-B"); status != 200 {
		t.Errorf("behind a proxy: status %d", status)
	}
}

// TestProxyProtocolConfig: without load balancers there is nobody to be believed.
func TestProxyProtocolConfig(t *testing.T) {
	file := plan{acs: "192.0.2.1:7550", listenerKeys: "proxy_protocol: trusted"}.write(t)
	if _, err := loadConfig(file); err == nil || !strings.Contains(err.Error(), "listeners[0].proxy_protocol") || !strings.Contains(err.Error(), "admission.trusted_proxies") {
		t.Errorf("%v", err)
	}
}

// TestProxyProtocolIPv6: a load balancer is known by its address, not by the
// network that limits count by.
func TestProxyProtocolIPv6(t *testing.T) {
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skipf("no IPv6 here: %v", err)
	} else {
		l.Close()
	}
	acs := openACS(t, cwmptest.ACSConfig{})
	for trusted, status := range map[string]int{"::1/128": 200, "::/128": 400} {
		r := start(t, plan{acs: acs.Addr(), listen: "[::1]:0", listenerKeys: "proxy_protocol: trusted", sections: "admission: {trusted_proxies: [\"" + trusted + "\"]}\n"})
		got := raw(t, r.addr, "PROXY TCP6 2001:db8::7 2001:db8::1 1000 7547\r\n"+inform("PP-6"), 1)
		if len(got) != 1 || got[0].status != status {
			t.Errorf("trusted is %s: %+v, want %d", trusted, got, status)
		}
		r.close()
	}
}

// TestVerifiedIsExempt: who has shown a certificate does not use up what its
// address may have, and who has not does.
func TestVerifiedIsExempt(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	dir := t.TempDir()
	a := newAuthority(t, "devices")
	a.write(t, dir, "devices.pem")
	shown := a.client(t, "00005E-V")
	r := start(t, plan{acs: acs.Addr(), tls: true, dir: dir, tlsKeys: "client_certificates: {mode: optional, authorities: [{file: devices.pem}]}",
		sections: "admission: {connections: {mode: enforce, count: 2, per: 24h, burst: 2}}\n"})
	for i := range 6 {
		if err := visit(t, r, "V", shown); err != nil {
			t.Fatalf("session %d with a certificate: %v", i, err)
		}
	}
	passed := 0
	for range 6 {
		if visit(t, r, "V") == nil {
			passed++
		}
	}
	if passed != 2 {
		t.Errorf("%d sessions without a certificate, the limit is 2", passed)
	}
}
