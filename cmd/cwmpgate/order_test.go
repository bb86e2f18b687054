package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// said tells a message in a record from the same message on the wire.
type said struct{ from, id, rpc string }

// mayGoAhead is the fixed list of docs/record.md: these are recorded, too, and
// need not be durable first.
var mayGoAhead = []string{"GetRPCMethods", "GetParameterValues", "GetParameterNames", "GetParameterAttributes",
	"GetQueuedTransfers", "GetAllQueuedTransfers", "GetOptions"}

func (m said) waits() bool {
	return m.rpc != "InformResponse" && !slices.Contains(mayGoAhead, strings.TrimSuffix(m.rpc, "Response"))
}

// durable are, by message, the lines of a trace at which its record had become
// durable: a sync of the segment that began after the record was written has
// succeeded, and so has one of the directory after the segment got its name. The
// first of them where the record was written more than once.
func durable(calls []syscallSeen, dir string) map[said]int {
	found, named := map[said]int{}, map[string]int{}
	for _, c := range calls {
		if strings.HasPrefix(c.name, "rename") && c.result == 0 && filepath.Ext(c.texts[1]) == ".jrn" {
			named[filepath.Base(c.texts[1])] = synced(calls, c.end, func(c syscallSeen) bool { return c.fd == dir })
		}
	}
	for i, w := range calls {
		segment := segmentOf(w.fd, dir)
		if segment == "" || named[segment] == 0 || !strings.HasPrefix(w.name, "write") || w.result != len(w.data()) {
			continue
		}
		after := synced(calls[i:], w.end, func(c syscallSeen) bool { return segmentOf(c.fd, dir) == segment })
		if after == 0 {
			continue
		}
		after = max(after, named[segment])
		for _, m := range messagesIn(w.data()) {
			if at, there := found[m]; !there || after < at {
				found[m] = after
			}
		}
	}
	return found
}

// segmentOf is the name, at its end, of the segment that a file is; empty for
// any other.
func segmentOf(path, dir string) string {
	name := strings.TrimSuffix(filepath.Base(path), ".tmp")
	if filepath.Dir(path) != dir || filepath.Ext(name) != ".jrn" {
		return ""
	}
	return name
}

// synced is the line on which the first sync of what ends that begins after a
// line; 0: none does.
func synced(calls []syscallSeen, after int, what func(syscallSeen) bool) int {
	for _, c := range calls {
		if (c.name == "fdatasync" || c.name == "fsync") && c.result == 0 && c.begin > after && what(c) {
			return c.end
		}
	}
	return 0
}

// messagesIn are the messages whose records stand in a piece of a segment.
func messagesIn(piece string) (all []said) {
	for _, rest := range strings.Split(piece, `{"v":1,`)[1:] {
		var r record
		if json.NewDecoder(strings.NewReader(`{"v":1,`+rest)).Decode(&r) == nil && r.Kind == audit.KindMessage {
			all = append(all, said{r.From, r.ID, r.RPC})
		}
	}
	return all
}

// released are, by message, the lines of a trace at which its first byte may
// have left: the beginning of the write that has the head of its HTTP message.
func released(t *testing.T, calls []syscallSeen, listen, acs string) map[said]int {
	t.Helper()
	found := map[said]int{}
	heads := map[string]syscallSeen{} // by socket, with all that was written since
	for _, c := range calls {
		from, written := "", c.data()
		if local, peer, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(c.fd, "TCP:["), "]"), "->"); ok && written != "" {
			switch {
			case local == listen:
				from = "acs"
			case peer == acs:
				from = "cpe"
			}
		}
		if from == "" {
			continue
		}
		if strings.HasPrefix(written, "POST ") || strings.HasPrefix(written, "HTTP/1.1 ") {
			heads[c.fd] = c
		} else {
			h := heads[c.fd]
			h.texts = append(slices.Clone(h.texts), written)
			heads[c.fd] = h
		}
		h := heads[c.fd]
		id, rpc := idOf(h.data()), rpcOf(h.data())
		if id == "" || rpc == "" || !strings.Contains(h.data(), ":Envelope>") {
			continue
		}
		m := said{from, id, rpc}
		if _, twice := found[m]; twice && found[m] != h.begin {
			t.Fatalf("%v is on the wire twice", m)
		}
		found[m] = h.begin
	}
	return found
}

// rpcOf is the name of the element in a message's body, read as text.
func rpcOf(message string) string {
	_, rest, _ := strings.Cut(message, ":Body>")
	_, rest, _ = strings.Cut(rest, "<")
	if end := strings.IndexAny(rest, " />"); end > 0 {
		_, name, _ := strings.Cut(rest[:end], ":")
		return name
	}
	return ""
}

// ahead are the messages that left before their records were durable.
func ahead(messages []said, durable, released map[said]int) (all []string) {
	for _, m := range messages {
		at, kept := durable[m]
		left, went := released[m]
		if m.waits() && went && (!kept || at >= left) {
			all = append(all, fmt.Sprintf("%v left at line %d of the trace, durable at line %d (0: never)", m, left+1, at))
		}
	}
	return all
}

// TestSyncBeforeRelease looks at the real program's system calls: of every
// message that must be recorded first, the sync of the segment with its record
// has returned before the first byte of it is written to a socket, both ways.
func TestSyncBeforeRelease(t *testing.T) {
	needStrace(t)
	t.Parallel()
	listen, admin := ports(t)
	acs := openACS(t, cwmptest.ACSConfig{FileBase: "http://" + listen, Files: map[string][]byte{"/fw.bin": []byte("firmware")},
		Script: func(i cwmptest.Informed) []cwmptest.Task {
			if len(i.Events) > 0 && strings.HasPrefix(i.Events[0].Code, "7") {
				return nil
			}
			return []cwmptest.Task{
				cwmptest.GetRPCMethods(),
				cwmptest.GetParameterNames(testRoot, true),
				cwmptest.GetParameterValues(testRoot + "DeviceInfo."),
				cwmptest.SetParameterValues(cwmptest.Parameter{Name: testRoot + "Time.NTPServer1", Value: i.Identity.Serial, Type: "string"}),
				cwmptest.AddObject(testRoot + "WANDevice.1.WANConnectionDevice.1.WANIPConnection.1.PortMapping."),
				cwmptest.GetParameterAttributes(testRoot + "Time.NTPServer1"),
				cwmptest.Download("key", "1 Firmware Upgrade Image", "/fw.bin"),
				cwmptest.Reboot("key"),
			}
		}})
	file := plan{acs: acs.Addr(), listen: listen, admin: admin, level: "warn"}.write(t)
	dir := filepath.Dir(file)
	trace := filepath.Join(dir, "trace")
	c := spawnUnder(t, file, admin, append([]string{"strace", "-o", trace}, straceArgs...)...)
	for i, faults := range []float64{0, 0, 1} {
		cfg := device("http://"+listen+"/acs", fmt.Sprintf("ORDER%d", i))
		cfg.FaultRate = faults
		d, err := cwmptest.NewDevice(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // the later ones report the download and the reboot
			if _, err := d.Session(t.Context()); err != nil {
				t.Errorf("session of %s: %v", cfg.Identity.Serial, err)
			}
		}
		d.Close()
	}
	if code := c.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, c.log)
	}
	var messages []said
	for _, r := range ofKind(openArchive(t, dir).records(), audit.KindMessage) {
		messages = append(messages, said{r.From, r.ID, r.RPC})
	}
	calls := readTrace(t, trace)
	kept, left := durable(calls, filepath.Join(dir, "journal")), released(t, calls, listen, acs.Addr())
	waiting := map[string]int{}
	for _, m := range messages {
		if _, went := left[m]; !went {
			t.Errorf("%v is recorded and was not seen on the wire", m)
		}
		if m.waits() {
			waiting[m.from]++
		}
	}
	if len(left) != len(messages) || waiting["cpe"] < 20 || waiting["acs"] < 10 || len(messages) < waiting["cpe"]+waiting["acs"]+20 {
		t.Fatalf("%d messages recorded, %d on the wire; %v had to wait", len(messages), len(left), waiting)
	}
	for _, m := range ahead(messages, kept, left) {
		t.Error(m)
	}
	t.Logf("%d system calls; %d messages, of which %d from CPEs and %d from the ACS had to wait", len(calls), len(messages), waiting["cpe"], waiting["acs"])
	t.Run("would be noticed", func(t *testing.T) { noticed(t, calls, messages, dir, listen, acs.Addr()) })
}

// noticed changes the trace to that of a gateway which does it wrong.
func noticed(t *testing.T, calls []syscallSeen, messages []said, dir, listen, acs string) {
	journal := filepath.Join(dir, "journal")
	wrong := func(calls []syscallSeen) int {
		return len(ahead(messages, durable(calls, journal), released(t, calls, listen, acs)))
	}
	must := 0
	kept, gone := durable(calls, journal), released(t, calls, listen, acs)
	for _, m := range messages {
		if !m.waits() {
			continue
		}
		if must++; must%12 != 1 {
			continue
		}
		// The end of the sync and the beginning of the first write change places.
		swapped := slices.Clone(calls)
		at, left := kept[m], gone[m]
		for i := range swapped {
			switch {
			case swapped[i].end == at:
				swapped[i].end = left
			case swapped[i].begin == left:
				swapped[i].begin = at
			}
		}
		if wrong(swapped) == 0 {
			t.Errorf("%v sent before its sync had ended is not noticed", m)
		}
	}
	for what, skip := range map[string]func(*syscallSeen){
		"no sync of a segment": func(c *syscallSeen) {
			if strings.HasSuffix(c.fd, ".jrn") || strings.HasSuffix(c.fd, ".jrn.tmp") {
				c.name = strings.Replace(c.name, "sync", "", 1)
			}
		},
		"syncs that fail": func(c *syscallSeen) {
			if strings.Contains(c.name, "sync") {
				c.result = -int(syscall.EIO)
			}
		},
		"other segments synced": func(c *syscallSeen) {
			if strings.Contains(c.name, "sync") {
				c.fd = filepath.Join(journal, "ffffffffffffffff.jrn")
			}
		},
	} {
		changed := slices.Clone(calls)
		for i := range changed {
			skip(&changed[i])
		}
		if n := wrong(changed); n != must {
			t.Errorf("%s: noticed for %d messages of %d", what, n, must)
		}
	}
	unnamed := slices.DeleteFunc(slices.Clone(calls), func(c syscallSeen) bool { return c.name == "fsync" && c.fd == journal })
	if n := wrong(unnamed); n != must {
		t.Errorf("a segment whose name is not synced is noticed for %d messages of %d", n, must)
	}
}
