package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRatiosAreOfOneRound(t *testing.T) {
	r := newResults(scenarios()[0], []*target{{contender: contender{name: "gateway"}}, {contender: contender{name: nameNginx}}})
	for _, cpu := range [][2]float64{{100, 200}, {300, 300}, {600, 400}} {
		r.add("gateway", sample{cpu: cpu[0], done: 10, syncs: syncs{5, 0.01}})
		r.add(nameNginx, sample{cpu: cpu[1], done: 10})
	}
	if got, want := r.ratio("gateway", nameNginx), "1.00 (0.50 to 1.50)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := r.ratio("gateway", nameReverseProxy); got != "-" {
		t.Errorf("ratio to one that did not run is %s", got)
	}
	var out bytes.Buffer
	if err := r.write(&out, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"p50 1ms", "300.0 (100.0 to 600.0)", "0.500 (15), 2.0 ms"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		list []float64
		want spread
	}{{nil, spread{}}, {[]float64{3}, spread{3, 3, 3}}, {[]float64{4, 1}, spread{2.5, 1, 4}}, {[]float64{9, 1, 2}, spread{2, 1, 9}}} {
		if got := spreadOf(c.list); got != c.want {
			t.Errorf("%v: %v, want %v", c.list, got, c.want)
		}
	}
}

func TestCompareFlagsAreRefused(t *testing.T) {
	for want, args := range map[string][]string{
		`"gateway" not set`: nil,
		"--rounds goes":     {"--gateway", "x", "--rounds", "0"},
		"the same core":     {"--gateway", "x", "--load-cpu", "1"},
		`"x" is none of`:    {"--gateway", "x", "--only", "full,x"},
	} {
		err := run(t.Context(), append([]string{"compare"}, args...), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestMemoryFlagsAreRefused(t *testing.T) {
	for want, args := range map[string][]string{
		`"gateway" not set`:   nil,
		"--sessions is 20000": {"--gateway", "x", "--sessions", "20000"},
		"--large is -1":       {"--gateway", "x", "--large", "-1"},
		"at least 284":        {"--gateway", "x", "--limit", "256"},
	} {
		err := run(t.Context(), append([]string{"memory"}, args...), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestMemoryCase(t *testing.T) {
	m := memoryCase{Case: "slow", What: "5 bodies", Empty: 1 << 20, Held: 2 << 20, Peak: 3 << 20, Bound: 3 << 20, Answered: map[int]int{200: 4, 503: 1}}
	if got, want := m.String(), "slow: 5 bodies: RSS 1 MiB before, 2 held, 3 at most, bound 3; bodies 0 MiB at most, 0 bytes when they were gone; 4 answered 200; 1 answered 503"; got != want || m.err() != nil {
		t.Errorf("%s, %v", got, m.err())
	}
	m.Peak++
	if m.err() == nil {
		t.Error("a peak over the bound is right")
	}
	m.Peak, m.Left = 0, 1
	if m.err() == nil {
		t.Error("bytes that are left are right")
	}
}

// TestPeersTakeTheirConfigs has those that are installed read them.
func TestPeersTakeTheirConfigs(t *testing.T) {
	p := &place{directory: t.TempDir(), acs: "127.0.0.1:7550"}
	if err := p.prepare(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		command func(service) ([]string, error)
		check   string
	}{nameNginx: {p.nginx, "-t"}, "haproxy": {p.haproxy, "-c"}} {
		t.Run(name, func(t *testing.T) {
			if _, err := lookProgram(name); err != nil {
				t.Skip(err)
			}
			for _, clients := range []bool{false, true} {
				command, err := c.command(service{t.TempDir(), "127.0.0.1:7551", clients})
				if err != nil {
					t.Fatal(err)
				}
				if out, err := exec.CommandContext(t.Context(), command[0], append(command[1:], c.check)...).CombinedOutput(); err != nil {
					t.Errorf("clients %v: %v: %s", clients, err, out)
				}
			}
		})
	}
}

func TestReverseProxyCommand(t *testing.T) {
	_, acs := openStub(t, false, nil)
	p := &place{directory: t.TempDir()}
	if err := p.prepare(); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"reverse-proxy", "--listen", address, "--upstream", "http://" + acs + "/", "--tls-cert", p.certificate, "--tls-key", p.key, "--client-ca", p.clientCA}, io.Discard, io.Discard)
	}()
	for c := (net.Conn)(nil); c == nil; {
		var err error
		if c, err = net.Dial("tcp", address); err == nil {
			c.Close()
		}
	}
	args := []string{"--target", "https://" + address + "/", "--ca", p.certificate, "--sessions", "20"}
	if r, err := command(t, append(args, "--client-cert", p.clientCertificate, "--client-key", p.clientKey)...); err != nil || r.Failed != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := command(t, args...); err == nil || r.Failed != 20 {
		t.Errorf("without the certificate that it requires: %+v, %v", r, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestFileSystem(t *testing.T) {
	if got := fileSystemOf(filepath.Join("/proc", "self")); got != "proc" && got != "an unknown file system" {
		t.Errorf("/proc is %s", got)
	}
	if d, err := syncTime(t.TempDir()); err != nil || d <= 0 {
		t.Errorf("%v, %v", d, err)
	}
}
