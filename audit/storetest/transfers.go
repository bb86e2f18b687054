package storetest

import (
	"github.com/cwmpgate/cwmpgate/audit"
)

const image = "http://files.example.com/fw.bin"

// begin is a log with the session of a device.
func begin(name string) (*Log, *Session) {
	l := NewLog(name)
	l.Start()
	return l, l.Session(router, "s-1")
}

var transfers = audit.Filter{View: audit.ViewTransfers}

// The lives of transfers: a request, its answer, the bytes, the completion.
var transferTests = []test{
	{"a whole life", func(t T, s Store) {
		l, cpe := begin("life")
		cpe.Inform([]string{"2 PERIODIC"})
		seq := cpe.Download("dl-1", image)
		a := cpe.Started()
		cpe.Bytes("GET", image, 401, 77, "") // a page, no part of the file
		cpe.Bytes("GET", image, 206, 400, "")
		cpe.Bytes("GET", image, 206, 600, "abcd")
		c := cpe.Complete("dl-1", "0", "2026-11-24T20:00:00Z", "2026-11-24T20:05:00Z")
		cpe.Confirm()
		settle(t, s, l)
		expect(t, ask(t, s, transfers), want{
			"at": l.At(seq), "log": l.ID, "seq": seq, "tenant": "isp", "oui": "00005E", "class": "HG", "serial": "T1", "identity": "http",
			"session": "s-1", "acs": "acs-a", "rpc": "Download", "command_key": "dl-1", "file_type": "1 Firmware Upgrade Image",
			"url": image, "file_size": "1000", "target": "fw.bin", "outcome": "completed", "status": "1",
			"http_status": 206, "bytes": 1000, "sha256": "abcd", "start": "2026-11-24T20:00:00Z", "finish": "2026-11-24T20:05:00Z",
			"fault_code": "", "fault_text": "", "answered": a, "completed": c,
		})
	}},
	{"each state", func(t T, s Store) {
		l, cpe := begin("states")
		cpe.Inform([]string{"2 PERIODIC"})
		cpe.Download("refused", image)
		cpe.Fault("9001", "Request denied")
		cpe.Download("started", image)
		cpe.Started()
		done := cpe.Download("done", image)
		cpe.Done()
		cpe.Download("failed", image)
		cpe.Started()
		cpe.Complete("failed", "9010", unknownTime, unknownTime)
		cpe.Confirm()
		cpe.Download("cancelled", image)
		cpe.Started()
		cpe.Ask("CancelTransfer", member("CommandKey", "cancelled"))
		cpe.Accept()
		cpe.Denied("Download", member("CommandKey", "denied"), member("URL", image))
		cpe.Download("unanswered", image)
		settle(t, s, l)
		expect(t, ask(t, s, transfers),
			want{"command_key": "refused", "outcome": "refused", "fault_code": "9001", "fault_text": "Request denied"},
			want{"command_key": "started", "outcome": "started", "completed": nil, "bytes": nil, "http_status": nil},
			want{"seq": done, "outcome": "completed", "status": "0", "completed": nil, "start": "2026-11-24T20:00:00Z"},
			want{"command_key": "failed", "outcome": "failed", "fault_code": "9010", "fault_text": "download failure", "start": unknownTime},
			want{"command_key": "cancelled", "outcome": "cancelled"},
			want{"command_key": "denied", "outcome": "denied"},
			want{"command_key": "unanswered", "outcome": "unanswered", "answered": nil})
	}},
	{"no valid Status", func(t T, s Store) {
		l, cpe := begin("unclear")
		cpe.Inform([]string{"2 PERIODIC"})
		cpe.Download("two", image)
		cpe.Accept(member("Status", "2"))
		cpe.Download("empty", image)
		cpe.Accept(member("Status", ""))
		cpe.Ask("Upload", member("CommandKey", "none"), member("FileType", "2 Vendor Log File"), member("URL", image))
		cpe.Accept()
		cpe.Download("done", image)
		cpe.Accept(member("Status", "2"))
		c := cpe.Complete("done", "0", unknownTime, unknownTime)
		settle(t, s, l)
		expect(t, ask(t, s, transfers),
			want{"command_key": "two", "outcome": "unclear", "status": "2"}, want{"command_key": "empty", "outcome": "unclear"},
			want{"command_key": "none", "outcome": "unclear"}, want{"command_key": "done", "outcome": "completed", "completed": c})
	}},
	{"lost, then complete", func(t T, s Store) {
		l, cpe := begin("lost-complete")
		cpe.Inform([]string{"2 PERIODIC"})
		seq := cpe.Download("a", image)
		cpe.End("superseded", []uint64{seq}, nil)
		seq = cpe.Download("b", image)
		cpe.End("timeout", []uint64{seq}, []uint64{seq})
		cpe.Complete("a", "0", unknownTime, unknownTime)
		cpe.Complete("b", "0", unknownTime, unknownTime)
		settle(t, s, l)
		expect(t, ask(t, s, transfers),
			want{"command_key": "a", "outcome": "completed"},
			want{"command_key": "b", "outcome": "undelivered"},
			want{"command_key": "b", "outcome": "unattached", "rpc": "TransferComplete"})
	}},
	{"two open", func(t T, s Store) {
		l, cpe := begin("ambiguous")
		cpe.Inform([]string{"2 PERIODIC"})
		for range 2 {
			cpe.Download("", image)
			cpe.Started()
		}
		write(t, s, l.All())
		expect(t, ask(t, s, transfers), want{"outcome": "started"}, want{"outcome": "started"})
		first := cpe.Complete("", "0", unknownTime, unknownTime)
		cpe.Confirm()
		cpe.Download("", image)
		cpe.Started()
		settle(t, s, l)
		expect(t, ask(t, s, transfers),
			want{"outcome": "ambiguous", "rpc": "Download", "completed": nil},
			want{"outcome": "ambiguous", "rpc": "Download"},
			want{"outcome": "ambiguous", "rpc": "TransferComplete", "seq": first},
			want{"outcome": "started", "rpc": "Download"})
		for range 2 {
			cpe.Complete("", "0", unknownTime, unknownTime)
			cpe.Confirm()
		}
		last := cpe.Download("", image) // all were closed: this one is alone
		cpe.Started()
		cpe.Complete("", "0", unknownTime, unknownTime)
		cpe.Confirm()
		settle(t, s, l)
		rows := ask(t, s, transfers)
		expect(t, rows[len(rows)-1:], want{"seq": last, "outcome": "completed"})
		expect(t, ask(t, s, audit.Filter{View: audit.ViewTransfers, Outcome: "ambiguous", RPC: "Download"}), want{}, want{}, want{})
	}},
	{"one after the other", func(t T, s Store) {
		l, cpe := begin("sequence")
		cpe.Inform([]string{"2 PERIODIC"})
		var rows []want
		for _, code := range []string{"0", "9010", "0"} {
			seq := cpe.Download("same", image)
			cpe.Started()
			c := cpe.Complete("same", code, unknownTime, unknownTime)
			cpe.Confirm()
			outcome := "completed"
			if code != "0" {
				outcome = "failed"
			}
			rows = append(rows, want{"seq": seq, "completed": c, "outcome": outcome})
		}
		settle(t, s, l)
		expect(t, ask(t, s, transfers), rows...)
	}},
	{"keys and devices are apart", func(t T, s Store) {
		l, cpe := begin("apart")
		other := l.Session(modem, "s-2")
		for _, s := range []*Session{cpe, other} {
			s.Inform([]string{"2 PERIODIC"})
			s.Download("same", image)
			s.Started()
			s.Download("other", image)
			s.Started()
		}
		other.Complete("same", "0", unknownTime, unknownTime)
		settle(t, s, l)
		expect(t, ask(t, s, transfers),
			want{"outcome": "started", "serial": "T1"}, want{"outcome": "started"},
			want{"outcome": "completed", "serial": "C-D"}, want{"outcome": "started"})
	}},
	{"nobody asked", func(t T, s Store) {
		l, cpe := begin("unattached")
		cpe.Inform([]string{"7 TRANSFER COMPLETE"})
		seq := cpe.Complete("never-issued", "0", unknownTime, unknownTime)
		cpe.Confirm()
		cpe.Download("never-issued", image)
		cpe.Started()
		cpe.Tell("AutonomousTransferComplete", member("AnnounceURL", ""), member("TransferURL", "http://192.0.2.9/log"), member("IsDownload", "0"),
			member("FileType", "4 Vendor Log File"), member("FileSize", "12"), member("TargetFileName", ""),
			`"FaultStruct":`+object(member("FaultCode", "9011"), member("FaultString", "upload failure")), member("StartTime", "soon"), member("CompleteTime", ""))
		bytes := cpe.Bytes("GET", "http://files.example.com/other.bin", 404, 99, "")
		settle(t, s, l)
		expect(t, ask(t, s, transfers),
			want{"seq": seq, "outcome": "unattached", "command_key": "never-issued", "rpc": "TransferComplete", "start": unknownTime, "fault_code": ""},
			want{"outcome": "started", "rpc": "Download"},
			want{"outcome": "failed", "rpc": "AutonomousTransferComplete", "url": "http://192.0.2.9/log", "fault_code": "9011", "start": "soon", "finish": ""},
			want{"seq": bytes, "outcome": "relayed", "rpc": "GET", "http_status": 404, "bytes": 0, "sha256": ""})
	}},
	{"said again", func(t T, s Store) {
		l, cpe := begin("again")
		cpe.Inform([]string{"2 PERIODIC"})
		cpe.Download("dl", image)
		cpe.Started()
		first := cpe.Complete("dl", "0", unknownTime, unknownTime)
		cpe.End("acs-error", []uint64{first}, nil)
		again := l.Session(router, "s-2")
		again.Inform([]string{"7 TRANSFER COMPLETE"})
		again.Complete("dl", "0", unknownTime, unknownTime)
		again.Confirm()
		settle(t, s, l)
		expect(t, ask(t, s, transfers), want{"outcome": "completed", "completed": first})
	}},
	{"said again behind a fault", func(t T, s Store) {
		l, cpe := begin("again-fault")
		cpe.Inform([]string{"2 PERIODIC"})
		cpe.Download("dl", image)
		cpe.Started()
		first := cpe.Complete("dl", "0", unknownTime, unknownTime)
		cpe.Reject("8005", "Retry request")
		open := cpe.Download("dl", image)
		cpe.Started()
		for range 2 {
			cpe.Complete("dl", "0", unknownTime, unknownTime)
			cpe.Reject("8005", "Retry request")
		}
		cpe.Complete("dl", "0", unknownTime, unknownTime)
		cpe.Confirm()
		settle(t, s, l)
		expect(t, ask(t, s, transfers), want{"outcome": "completed", "completed": first}, want{"seq": open, "outcome": "started"})
	}},
	{"said again as the response was lost", func(t T, s Store) {
		l, cpe := begin("again-undelivered")
		cpe.Inform([]string{"2 PERIODIC"})
		cpe.Download("dl", image)
		cpe.Started()
		first := cpe.Complete("dl", "0", unknownTime, unknownTime)
		lost := cpe.Confirm()
		cpe.End("timeout", nil, []uint64{lost})
		again := l.Session(router, "s-2")
		again.Inform([]string{"7 TRANSFER COMPLETE"})
		open := again.Download("dl", image)
		again.Started()
		again.Complete("dl", "0", unknownTime, unknownTime)
		again.Confirm()
		again.End("clean", nil, nil)
		settle(t, s, l)
		expect(t, ask(t, s, transfers), want{"outcome": "completed", "completed": first}, want{"seq": open, "outcome": "started"})
		third := l.Session(router, "s-3")
		c := third.Complete("dl", "0", unknownTime, unknownTime)
		settle(t, s, l)
		expect(t, ask(t, s, transfers), want{"completed": first}, want{"outcome": "completed", "completed": c})
	}},
	{"files that did not go through", func(t T, s Store) {
		l, cpe := begin("broken")
		refused := cpe.Broken("PUT", "http://files.example.com/log", 0, 0, "refused with 413")
		cut := cpe.Broken("GET", image, 200, 17, "read file: connection reset by peer")
		whole := cpe.Bytes("GET", image, 200, 1000, "abcd")
		settle(t, s, l)
		expect(t, ask(t, s, transfers),
			want{"seq": refused, "rpc": "PUT", "outcome": "failed", "http_status": 0, "bytes": 0},
			want{"seq": cut, "rpc": "GET", "outcome": "failed", "http_status": 200, "bytes": 17},
			want{"seq": whole, "outcome": "relayed"})
		expect(t, ask(t, s, audit.Filter{View: audit.ViewTransfers, Outcome: "failed"}), want{"seq": refused}, want{"seq": cut})
	}},
	{"files and requests", func(t T, s Store) {
		l, cpe := begin("files")
		cpe.Inform([]string{"2 PERIODIC"})
		for _, key := range []string{"a", "b"} {
			cpe.Download(key, image)
			cpe.Started()
			cpe.Bytes("GET", "/fw.bin", 200, 100*int64(len(key)+len(l.Entries)), key)
		}
		cpe.Download("c", "http://files.example.com/third.bin")
		cpe.Started()
		settle(t, s, l)
		expect(t, ask(t, s, transfers),
			want{"command_key": "a", "sha256": "a", "http_status": 200},
			want{"command_key": "b", "sha256": "b"},
			want{"command_key": "c", "sha256": "", "bytes": nil})
		cpe.Bytes("GET", "http://files.example.com/third.bin", 503, 55, "")
		settle(t, s, l)
		expect(t, ask(t, s, transfers), want{}, want{}, want{"command_key": "c", "sha256": "", "http_status": 503, "bytes": 0})
	}},
	{"a completion in a later log", func(t T, s Store) {
		l, cpe := begin("first-log")
		cpe.Inform([]string{"2 PERIODIC"})
		cpe.Download("dl", image)
		cpe.Started()
		settle(t, s, l)
		later, cpe := begin("second-log")
		later.Now = l.Now
		c := cpe.Complete("dl", "0", unknownTime, unknownTime)
		settle(t, s, later)
		expect(t, ask(t, s, transfers), want{"outcome": "completed", "completed": c, "log": l.ID})
	}},
	{"a cancel closes what was open", func(t T, s Store) {
		l, cpe := begin("cancel")
		cpe.Inform([]string{"2 PERIODIC"})
		cpe.Download("dl", image)
		cpe.Started()
		cpe.Ask("CancelTransfer", member("CommandKey", "dl"))
		cpe.Accept()
		cpe.Download("dl", image)
		cpe.Started()
		cpe.Ask("CancelTransfer", member("CommandKey", "dl"))
		cpe.Fault("9021", "Cancellation of file transfer not permitted")
		cpe.Complete("dl", "0", unknownTime, unknownTime)
		settle(t, s, l)
		expect(t, ask(t, s, transfers), want{"outcome": "cancelled"}, want{"outcome": "completed"})
	}},
}
