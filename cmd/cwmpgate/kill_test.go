package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// TestKillRounds kills the real program under load, again and again, and starts
// it on the same directory. In the end the store has what went over the wire, by
// the account that the simulators kept: nothing is missing that was released,
// and nothing is there twice. CWMPGATE_KILL_ROUNDS sets another number of rounds;
// at most a hundred of them have one directory.
func TestKillRounds(t *testing.T) {
	t.Parallel()
	rounds := number(t, "CWMPGATE_KILL_ROUNDS", 20)
	var all killed
	groups := (rounds + 99) / 100
	for group := uint64(0); groups > 0 && !t.Failed(); group++ {
		n := rounds / groups
		rounds -= n
		groups--
		t.Run(fmt.Sprint(n, " with seed ", *seed+group), func(t *testing.T) { killRounds(t, *seed+group, n, &all) })
	}
	t.Logf("figures: kill rounds: %d kills, %d records, %d RPCs that reached a CPE", all.rounds, all.records, all.rpcs)
}

// killed adds up what TestKillRounds has seen.
type killed struct{ rounds, records, rpcs int }

func killRounds(t *testing.T, seed uint64, rounds int, all *killed) {
	random := rand.New(rand.NewPCG(seed, 9))
	listen, admin := ports(t)
	acs := openACS(t, cwmptest.ACSConfig{Character: cwmptest.ConnectionBound, Script: changes(), FileBase: "http://" + listen,
		Files: map[string][]byte{"/fw.bin": []byte(strings.Repeat("firmware", 2000))}})
	// What is released before its record is durable is lost for certain where the
	// journal takes its time.
	file := plan{acs: acs.Addr(), listen: listen, admin: admin, level: "warn", journal: ", max_delay: 40ms",
		sections: "timeouts: {session: 2s, session_reply: 2s}\n"}.write(t)
	fleet, err := cwmptest.NewFleet(cwmptest.FleetConfig{
		Devices: 24, Sessions: 1 << 30, Concurrency: 12, Rate: 300, Seed: seed,
		Each: func(i int, cfg *cwmptest.DeviceConfig) {
			*cfg = device("http://"+listen+"/acs", cfg.Identity.Serial)
			cfg.FaultRate, cfg.Seed = 0.25, seed+uint64(i)
			cfg.Quirks = []cwmptest.Quirks{{}, {ReconnectEachPost: true}, {WrongID: true}}[i%3]
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := spawn(t, file, admin)
	running, stop := context.WithCancel(context.Background())
	defer stop()
	var ran sync.WaitGroup
	ran.Go(func() { fleet.Run(running) })
	more := func(n int) {
		until := len(acs.Deliveries()) + n
		await(t, "the ACS has sent more", func() bool { return len(acs.Deliveries()) >= until })
	}
	for range rounds {
		more(5 + random.IntN(40))
		chance := time.NewTimer(time.Duration(random.IntN(40)) * time.Millisecond)
		<-chance.C
		c.kill()
		c = spawn(t, file, admin)
	}
	more(40)
	stop()
	ran.Wait()
	if code := c.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, c.log)
	}
	all.rounds += rounds
	checkKilled(t, openArchive(t, c.dir), fleet, acs, rounds, all)
}

// changes gives each session a set, and some a read, an object or a file too.
func changes() func(cwmptest.Informed) []cwmptest.Task {
	var mu sync.Mutex
	n := 0
	return func(i cwmptest.Informed) []cwmptest.Task {
		mu.Lock()
		defer mu.Unlock()
		n++
		list := []cwmptest.Task{cwmptest.SetParameterValues(
			cwmptest.Parameter{Name: testRoot + "Time.NTPServer1", Value: fmt.Sprintf("ntp%d.example.com", n), Type: "string"},
			cwmptest.Parameter{Name: testRoot + "ManagementServer.PeriodicInformInterval", Value: fmt.Sprint(1000 + n), Type: "unsignedInt"})}
		switch n % 4 {
		case 1:
			list = append(list, cwmptest.GetParameterValues(testRoot+"DeviceInfo."))
		case 2:
			list = append(list, cwmptest.AddObject(testRoot+"WANDevice.1.WANConnectionDevice.1.WANIPConnection.1.PortMapping."))
		case 3:
			list = append(list, cwmptest.Download("", "1 Firmware Upgrade Image", "/fw.bin"))
		}
		return list
	}
}

func checkKilled(t *testing.T, a *archive, fleet *cwmptest.Fleet, acs *cwmptest.ACS, rounds int, sum *killed) {
	t.Helper()
	all := a.records()
	checkLedger(t, all)
	byID := map[string]record{} // of the ACS's RPCs
	answers := map[uint64][]record{}
	informs := map[string]int{}
	for _, m := range ofKind(all, audit.KindMessage) {
		switch {
		case m.From == "acs" && kindOf(m) == "request" && m.Verdict == "pass":
			if old, twice := byID[m.ID]; twice {
				t.Errorf("%s %s is there twice: %d and %d", m.RPC, m.ID, old.Seq, m.Seq)
			}
			byID[m.ID] = m
		case m.From == "cpe" && m.Answers > 0:
			answers[m.Answers] = append(answers[m.Answers], m)
		case m.RPC == "Inform":
			informs[m.ID]++
			if informs[m.ID] > 1 {
				t.Errorf("Inform %s is there twice", m.ID)
			}
		}
	}
	if n := len(acs.Informs()); len(informs) < n {
		t.Errorf("%d Informs in the store of %d at the ACS", len(informs), n)
	}
	known := map[string]cwmptest.Task{}
	for _, x := range acs.Deliveries() {
		known[x.ID] = x.Task
		m, there := byID[x.ID]
		if x.Answered && !isRead(x.Task.Method) && (!there || len(answers[m.Seq]) != 1) {
			t.Errorf("%s %s: the ACS has its answer; request in the store: %v, answers: %d", x.Task.Method, x.ID, there, len(answers[m.Seq]))
		}
	}
	for id, m := range byID {
		if known[id].Method != m.RPC || len(answers[m.Seq]) > 1 {
			t.Errorf("%s %s in the store: the ACS sent %q; %d answers", m.RPC, id, known[id].Method, len(answers[m.Seq]))
		}
	}
	checkSets(t, a, fleet, acs, byID)
	checkDownloads(t, a, fleet)
	starts := 0
	for _, s := range ofKind(all, audit.KindSystem) {
		if s.What == audit.SystemStart {
			starts++
		}
	}
	if starts != rounds+1 {
		t.Errorf("%d starts recorded of %d", starts, rounds+1)
	}
	sum.records += len(all)
	sum.rpcs += len(known)
}

func isRead(method string) bool { return strings.HasPrefix(method, "Get") }

// checkSets: every set that a device received stands in the store with its
// parameters and, where the ACS took the answer, with its outcome.
func checkSets(t *testing.T, a *archive, fleet *cwmptest.Fleet, acs *cwmptest.ACS, byID map[string]record) {
	t.Helper()
	changed := map[uint64][]row{}
	for _, c := range a.rows(audit.Filter{View: audit.ViewChanges, RPC: "SetParameterValues"}) {
		changed[uint64(c.number("seq"))] = append(changed[uint64(c.number("seq"))], c)
	}
	answered := map[string]bool{}
	for _, x := range acs.Deliveries() {
		answered[x.ID] = x.Answered
	}
	sets, judged := 0, 0
	for _, d := range fleet.Devices() {
		for _, s := range d.Sets() {
			sets++
			m, there := byID[s.ID]
			list := changed[m.Seq]
			if !there || len(list) != len(s.Parameters) || m.Device.Serial != d.Identity().Serial {
				t.Errorf("%s received %s: in the store: %v, with %d parameters of %d", d.Identity().Serial, s.ID, there, len(list), len(s.Parameters))
				continue
			}
			for i, p := range s.Parameters {
				want, code := outcomeOf(s, p.Name)
				got := list[i].text("outcome")
				if list[i].text("parameter") != p.Name || list[i].text("new") != p.Value {
					t.Errorf("%s: %s = %q is %s = %q in the store", s.ID, p.Name, p.Value, list[i].text("parameter"), list[i].text("new"))
				}
				if !answered[s.ID] {
					continue // the answer did not come through
				}
				judged++
				if got != want || list[i].text("fault_code") != code {
					t.Errorf("%s %s: outcome %s %q, not %s %q", s.ID, p.Name, got, list[i].text("fault_code"), want, code)
				}
			}
		}
	}
	if sets < 50 || judged < 50 {
		t.Errorf("only %d sets, %d outcomes judged", sets, judged)
	}
}

// outcomeOf is what the device's answer means for one parameter.
func outcomeOf(s cwmptest.SetResult, name string) (outcome, code string) {
	switch {
	case s.Fault == nil && s.Status == "0":
		return audit.OutcomeAccepted, ""
	case s.Fault == nil:
		return audit.OutcomeAfterReboot, ""
	case len(s.Fault.Parameters) == 0:
		return audit.OutcomeNoDetail, s.Fault.Code
	}
	for _, f := range s.Fault.Parameters {
		if f.Name == name {
			return audit.OutcomeRefused, f.Code
		}
	}
	return audit.OutcomeNotApplied, s.Fault.Code
}

// checkDownloads: every download that a device has reported, and whose report the
// ACS has answered, is one transfer in the store, from its request to its end.
func checkDownloads(t *testing.T, a *archive, fleet *cwmptest.Fleet) {
	t.Helper()
	stored := map[string][]row{}
	for _, r := range a.rows(audit.Filter{View: audit.ViewTransfers}) {
		if r.text("rpc") == "Download" {
			stored[r.text("command_key")] = append(stored[r.text("command_key")], r)
		}
	}
	judged := 0
	for _, d := range fleet.Devices() {
		for _, x := range d.Transfers() {
			if !x.Answered {
				continue
			}
			judged++
			want, code := audit.OutcomeCompleted, ""
			if x.FaultCode != "0" {
				want, code = audit.OutcomeFailed, x.FaultCode
			}
			list := stored[x.CommandKey]
			if len(list) != 1 || list[0].text("outcome") != want || list[0].text("serial") != d.Identity().Serial || code != "" && list[0].text("fault_code") != code {
				t.Errorf("download %s of %s, %s: %v", x.CommandKey, d.Identity().Serial, want, list)
			}
		}
	}
	if judged == 0 {
		t.Error("no download was reported")
	}
}
