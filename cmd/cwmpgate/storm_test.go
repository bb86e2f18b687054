package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// runLoad runs cwmpload and reads the JSON that it prints.
func runLoad(t *testing.T, into any, args ...string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("CPEs connect from many loopback addresses")
	}
	cmd := exec.CommandContext(t.Context(), buildLoad(t), append(args, "--json")...)
	var trouble strings.Builder
	cmd.Stderr = &trouble
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%v: %s", err, trouble.String())
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
}

// TestStorm is a small run of "cwmpload storm": a fleet informs at once, before
// an ACS that falls over past its rate, and every CPE is served. What was refused
// is in the store to the last.
func TestStorm(t *testing.T) {
	const cpes, urgent, rate = 500, 10, 300
	port, err := loopbackPort()
	if err != nil {
		t.Fatal(err)
	}
	acs := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	// Less than the ACS can do, so that a busy machine does not push it over.
	r := start(t, plan{acs: acs, tls: true, level: "info", reuse: fmt.Sprintf("never, informs: {mode: enforce, count: %d}, adaptive: {latency: 500ms}", rate*2/3),
		sections: "admission: {wait: 1s, cpe_retry: {minimum: 1s}}\nlimits: {sessions_per_address: 10000}\n"})
	var got struct {
		Served       int `json:"served"`
		UrgentServed int `json:"urgent_served"`
		Refused      map[string]int
		RetryAfter   int `json:"longest_retry_after"`
		ACS          struct{ Informs, Falls int }
		Ended        int `json:"acs_sessions_ended"`
		WrongDevice  int `json:"wrong_device"`
	}
	runLoad(t, &got, "storm", "--target", "https://"+r.addr+"/acs", "--insecure", "--acs", acs, "--acs-rate", strconv.Itoa(rate),
		"--cpes", strconv.Itoa(cpes), "--urgent", strconv.Itoa(urgent), "--spread", "500ms", "--connections", "400", "--sources", "50",
		"--ignore", "30", "--retry-minimum", "1s", "--duration", "2m")
	if got.Served != cpes || got.UrgentServed != urgent || got.WrongDevice != 0 || got.Ended < cpes+urgent {
		t.Errorf("%+v", got)
	}
	if got.ACS.Falls > 0 || got.ACS.Informs != cpes+urgent {
		t.Errorf("the ACS fell %d times, and got %d Informs for %d sessions", got.ACS.Falls, got.ACS.Informs, cpes+urgent)
	}
	t.Logf("figures: %+v", got)
	refused := got.Refused["status-503"]
	if refused == 0 || len(got.Refused) != 1 || got.RetryAfter < 1 {
		t.Errorf("refused: %v, longest Retry-After %d", got.Refused, got.RetryAfter)
	}
	if n := informsSum(r, "refused_total"); n != float64(refused) {
		t.Errorf("%v refusals counted, the CPEs saw %d", n, refused)
	}
	r.close()
	sum := 0
	for _, d := range ofKind(openArchive(t, r.dir).records(), audit.KindDecision) {
		sum += d.Count
	}
	if sum != refused {
		t.Errorf("%d refusals recorded, the CPEs saw %d", sum, refused)
	}
}

// TestFloodLeavesOthersAlive floods the listener with handshakes from one address
// while others make new full ones: every one of the others gets through, and the
// flood does not.
func TestFloodLeavesOthersAlive(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	const others = 100
	r := start(t, plan{acs: acs.Addr(), tls: true, level: "info", sections: "admission: {connections: {mode: enforce, count: 1, per: 10s, burst: 20}}\n"})
	var got struct {
		Calm, Flooded struct{ Others, Succeeded int }
	}
	runLoad(t, &got, "flood", "--target", "https://"+r.addr+"/acs", "--insecure", "--others", strconv.Itoa(others), "--rate", "50", "--attackers", "32", "--limit", "50000")
	if got.Calm.Succeeded != others || got.Flooded.Succeeded != others {
		t.Errorf("%+v", got)
	}
	m := r.metrics()
	shaken := m["cwmpgate_tls_handshakes_total"]
	if refused := m[`cwmpgate_connections_refused_total{reason="address-rate"}`]; refused == 0 || shaken < 2*others+20 {
		t.Errorf("%v handshakes, %v connections refused", shaken, refused)
	}
	await(t, "all connections are gone", func() bool { return r.metrics()["cwmpgate_connections_open"] == 0 })
	r.close()
	sum := 0
	for _, d := range ofKind(openArchive(t, r.dir).records(), audit.KindDecision) {
		sum += d.Count
		if d.Reason != "address-rate" || d.Source != "127.9.0.1/32" {
			t.Errorf("%s", d.line)
		}
	}
	if float64(sum) != m[`cwmpgate_connections_refused_total{reason="address-rate"}`] {
		t.Errorf("%d refusals recorded", sum)
	}
}
