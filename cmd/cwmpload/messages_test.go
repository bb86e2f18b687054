package main

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

func TestMessages(t *testing.T) {
	mix, err := parseMix("2 PERIODIC=2, 0 BOOTSTRAP+1 BOOT")
	if err != nil {
		t.Fatal(err)
	}
	m := newMessages(8<<10, mix)
	if len(m.informs) != 3 {
		t.Fatalf("%d informs", len(m.informs))
	}
	serial, id := []byte("CWL0000042"), []byte("CWL0000042#17")
	for name, c := range map[string]struct {
		t        *template
		size     int
		contains string
	}{
		"inform":  {&m.informs[0], 4 << 10, "<EventCode>2 PERIODIC</EventCode>"},
		"boot":    {&m.informs[2], 4 << 10, "<EventCode>1 BOOT</EventCode>"},
		"values":  {&m.values, 8 << 10, "<Value xsi:type=\"xsd:string\">CWL0000042</Value>"},
		"set":     {&m.set, 550, "<Status>0</Status>"},
		"refused": {&m.refuse, 680, "<FaultCode>9000</FaultCode>"},
	} {
		text := c.t.append(nil, serial, id)
		if len(text) != c.t.size(id) || len(text) < c.size*9/10 || len(text) > c.size*11/10 {
			t.Errorf("%s has %d bytes, said %d, want about %d", name, len(text), c.t.size(id), c.size)
		}
		if !bytes.Contains(text, []byte(c.contains)) || bytes.Contains(text, []byte(serialMark)) {
			t.Errorf("%s: %s", name, text)
		}
		if string(messageID(text)) != string(id) || !meantFor(messageID(text), serial) || meantFor(id, []byte("CWL0000043")) {
			t.Errorf("%s: ID is %q", name, messageID(text))
		}
		d := xml.NewDecoder(bytes.NewReader(text))
		for {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

func TestReadMessage(t *testing.T) {
	for _, c := range []struct {
		text, body string
		close, bad bool
	}{
		{"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\n\r\nabc", "abc", false, false},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nab\r\n1\r\nc\r\n0\r\n\r\n", "abc", false, false},
		{"HTTP/1.0 200 OK\r\n\r\nabc", "abc", true, false},
		{"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", "", true, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "", false, true},
		{"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n", "", false, true},
		{"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "", false, true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "", false, true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", "", false, true},
		{"HTTP/2 200\r\n\r\n", "", false, true},
		{"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "", false, true},
		{"HTTP/1.1 200 OK\r\n" + strings.Repeat("a: b\r\n", 300) + "\r\n", "", false, true},
	} {
		l := &link{r: bufio.NewReader(strings.NewReader(c.text))}
		err := l.readMessage(true)
		if (err != nil) != c.bad || err == nil && (string(l.body) != c.body || l.head.close != c.close) {
			t.Errorf("%q: body %q, close %v, %v", c.text, l.body, l.head.close, err)
		}
	}
}

func TestReadUsage(t *testing.T) {
	before, err := readUsage([]int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	for sum, until := 0, time.Now().Add(10*time.Second); ; sum++ {
		after, err := readUsage([]int{os.Getpid()})
		if err != nil {
			t.Fatal(err)
		}
		if after.cpu > before.cpu {
			return
		}
		if time.Now().After(until) {
			t.Fatal("no CPU was used in ten seconds of work")
		}
	}
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	stop := showProgress(&out, 10, func() (int64, int64) { return 3, 1 })
	stop()
	if out.Len() != 0 {
		t.Errorf("a short run tells %q", out.String())
	}
}

func BenchmarkSession(b *testing.B) {
	a := newStubACS(false)
	if err := a.Open("127.0.0.1:0", nil); err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	mix, err := parseMix("2 PERIODIC")
	if err != nil {
		b.Fatal(err)
	}
	u, address, err := parseTarget(b.Context(), "http://"+a.listener.Addr().String()+"/", false)
	if err != nil {
		b.Fatal(err)
	}
	l := &load{cfg: loadConfig{target: u, address: address, sessions: b.N, duration: time.Hour, concurrency: 1, devices: 10,
		timeout: time.Minute, messages: newMessages(8<<10, mix)}}
	b.ReportAllocs()
	if t := l.run(b.Context()); len(t.errors) > 0 {
		b.Fatal(t.examples)
	}
}
