package cwmptest

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// fed is a connection that says text and then closes.
func fed(text string) *wire {
	here, there := net.Pipe()
	go func() {
		io.WriteString(there, text)
		there.Close()
	}()
	return newWire(here, 1)
}

func TestReadResponse(t *testing.T) {
	for _, c := range []struct {
		text, body string
		last, bad  bool
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc", false, false},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n", "", false, false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;a=b\r\nab\r\n1\r\nc\r\n0\r\n\r\n", "abc", false, false},
		{"HTTP/1.1 200 OK\r\n\r\nabc", "abc", true, false},
		{"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", "a", true, false},
		{"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\na", "a", false, false},
		{"HTTP/1.1 204 No Content\r\nConnection: foo, close\r\n\r\n", "", true, false},
		{"", "", true, true},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "", true, true},
		{"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "", true, true},
		{"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", "", true, true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", "", true, true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "", true, true},
		{"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "", true, true},
		{"HTTP/1.1 200 OK\r\nA: b\r\n", "", true, true},
		{"HTTP/1.1 200 OK\r\n" + strings.Repeat("a: "+strings.Repeat("b", 1000)+"\r\n", 70), "", true, true},
		{"SIP/2.0 200 OK\r\n\r\n", "", true, true},
	} {
		w := fed(c.text)
		r, last, err := w.readResponse("POST")
		w.Close()
		if (err != nil) != c.bad || err == nil && (string(r.Body) != c.body || last != c.last) {
			t.Errorf("%.80q: body %q, last %v, %v", c.text, r.Body, last, err)
		}
	}
}

func TestAppendChunks(t *testing.T) {
	for _, size := range []int{1, 2, 100} {
		text := "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + string(appendChunks(nil, []byte("abcde"), size))
		w := fed(text)
		r, _, err := w.readRequest()
		w.Close()
		if err != nil || string(r.Body) != "abcde" {
			t.Errorf("chunks of %d: %q, %v", size, r.Body, err)
		}
	}
}

func TestReadMessage(t *testing.T) {
	e := Envelope{ID: "i&1", Header: "<cwmp:HoldRequests>true</cwmp:HoldRequests>", Version: "1-2",
		RPC: FaultRPC(Fault{"9003", "Grün <1>", []ParameterFault{{"A.B", "9005", "x"}}})}
	for _, e := range []Envelope{e, {ID: e.ID, Header: e.Header, Version: e.Version, RPC: e.RPC, Latin1: true, Spaces: true}} {
		m, err := readMessage(e.Append(nil), "text/xml")
		if err != nil {
			t.Fatal(err)
		}
		f := m.fault()
		if m.id != "i&1" || !m.hold || m.method != "Fault" || f.Code != "9003" || f.Text != "Grün <1>" || !slices.Equal(f.Parameters, []ParameterFault{{"A.B", "9005", "x"}}) {
			t.Errorf("%+v, %+v", m, f)
		}
	}
	if m, err := readMessage([]byte(" \r\n"), ""); m != nil || err != nil {
		t.Errorf("an empty message is %+v, %v", m, err)
	}
	if _, err := readMessage([]byte("<Envelope><Body><a/>\xe4</Body></Envelope>"), "text/xml; charset=iso-8859-1"); err != nil {
		t.Errorf("charset of Content-Type: %v", err)
	}
	for _, body := range []string{"x", "<a/>", "<Envelope/>", "<Envelope><Body/></Envelope>", "<Envelope><Body><a/><b/></Body></Envelope>",
		`<?xml version="1.0" encoding="utf-7"?><Envelope><Body><a/></Body></Envelope>`} {
		if _, err := readMessage([]byte(body), ""); err == nil {
			t.Errorf("%s was taken", body)
		}
	}
}

func TestModel(t *testing.T) {
	for _, root := range []string{"InternetGatewayDevice.", "Device."} {
		m := newModel(root, Identity{"Example", "00005E", "Box", "S"}, "http://acs.example.test/", "http://192.0.2.1/")
		names, writable, f := m.names(root, true)
		if f != nil || len(names) < 5 || slices.Contains(names, root) || slices.ContainsFunc(names, func(n string) bool { return strings.Count(n, ".") != 2 }) {
			t.Errorf("next level of %s: %v, %+v", root, names, f)
		}
		if slices.Contains(writable, true) {
			t.Errorf("an object that is no table is writable: %v %v", names, writable)
		}
		names, _, _ = m.names(root, false)
		list, _ := m.get([]string{root})
		if names[0] != root || len(list) < 35 || len(names) < len(list)+8 {
			t.Errorf("%d names, %d parameters", len(names), len(list))
		}
		if _, f := m.get([]string{root + "Nothing."}); f == nil || f.Code != "9005" {
			t.Errorf("unknown path: %+v", f)
		}
		for table := range m.tables {
			for i := range m.tables[table].most {
				if n, f := m.add(table); n != i+1 || f != nil {
					t.Errorf("instance %d, %+v", n, f)
				}
			}
			if _, f := m.add(table); f == nil || f.Code != "9004" {
				t.Errorf("one more than fits: %+v", f)
			}
			if f := m.remove(table + "2."); f != nil || m.byName[table+"2.ExternalPort"] != nil {
				t.Errorf("delete: %+v", f)
			}
			if n, f := m.add(table); n != 5 || f != nil {
				t.Errorf("a number is used again: %d, %+v", n, f)
			}
		}
		for _, bad := range []string{"", root, root + "DeviceInfo.", root + "DeviceInfo.UpTime"} {
			if f := m.remove(bad); f == nil {
				t.Errorf("%q was deleted", bad)
			}
		}
		if f := m.setAttributes(root+"Time.", "7", "", true, false); f == nil || f.Code != "9003" {
			t.Errorf("notification 7: %+v", f)
		}
		if f := m.setAttributes(root+"Time.", "2", "Subscriber", true, true); f != nil || !m.force("Time.NTPServer1", "x") {
			t.Errorf("attributes are not set: %+v", f)
		}
	}
}

func TestLatencies(t *testing.T) {
	var a, b Latencies
	for i := range 1000 {
		a.Add(time.Duration(i+1) * time.Millisecond)
		b.Add(time.Duration(i+1001) * time.Millisecond)
	}
	a.Merge(&b)
	for p, want := range map[float64]time.Duration{0: time.Millisecond, .5: time.Second, .99: 1980 * time.Millisecond, 1: 2 * time.Second} {
		if got := a.Percentile(p); got < want || got > want+want/25+time.Millisecond {
			t.Errorf("percentile %v is %v, want %v", p, got, want)
		}
	}
	if a.N() != 2000 || a.Max() != 2*time.Second || a.Mean() != 1000500*time.Microsecond {
		t.Errorf("%d, %v, %v", a.N(), a.Max(), a.Mean())
	}
	for d := time.Duration(0); d < 1<<40; d = d*9/8 + 1 {
		if i := bucket(d); upper(i) < d || i > 0 && upper(i-1) >= d {
			t.Errorf("%d is in bucket %d, which ends at %d", d, i, upper(i))
		}
	}
	if empty := new(Latencies); empty.Percentile(.5) != 0 || empty.Mean() != 0 {
		t.Error("no durations have a percentile")
	}
}

// FuzzWire reads any bytes as response and request: errors, never a panic.
func FuzzWire(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n0\r\n\r\n"))
	f.Add([]byte("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab"))
	f.Fuzz(func(t *testing.T, text []byte) {
		newWire(&deaf{Reader: bytes.NewReader(text)}, 1).readResponse("POST")
		newWire(&deaf{Reader: bytes.NewReader(text)}, 1).readRequest()
	})
}

// deaf is a connection that takes and forgets what is written.
type deaf struct {
	net.Conn
	io.Reader
}

func (d *deaf) Read(p []byte) (int, error)  { return d.Reader.Read(p) }
func (d *deaf) Write(p []byte) (int, error) { return len(p), nil }

// FuzzAnswer has a device answer any RPC: it must be readable and under its ID.
func FuzzAnswer(f *testing.F) {
	for _, task := range everyTask() {
		f.Add([]byte(task.completed("SN0001#1", "http://acs.example.test").rpc()), `text/xml`)
	}
	f.Add([]byte("<cwmp:DeleteObject/>"), "")
	f.Fuzz(func(t *testing.T, rpc []byte, contentType string) {
		m, err := readMessage(Envelope{ID: "SN0001#1", RPC: string(rpc)}.Append(nil), contentType)
		if err != nil || m == nil || m.method == "Download" || m.method == "Upload" {
			return
		}
		d, err := NewDevice(DeviceConfig{Identity: Identity{Serial: "SN0001"}, URL: "http://acs.example.test/"})
		if err != nil {
			t.Fatal(err)
		}
		v := &visit{d: d, ctx: t.Context()}
		answer := v.answer(m, &Received{})
		again, err := readMessage(answer, "")
		if err != nil || again.id != m.id {
			t.Errorf("answer to %s: %v\n%s", m.method, err, answer)
		}
	})
}
