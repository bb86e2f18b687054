package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// stubACS answers every Inform, asks every device for values, sets some, and
// ends the session. It holds no state but a cookie with the serial number, or,
// byConnection, the serial number of the connection's last Inform.
type stubACS struct {
	byConnection bool
	informed     template
	get, set     template
	listener     net.Listener
	running      sync.WaitGroup

	mu      sync.Mutex
	open    map[net.Conn]bool
	closing bool
	pace    *pace // nil: it answers all at once

	counts acsCounts
}

// acsCounts are what the stub has seen.
type acsCounts struct {
	connections, requests, informs, ended, refused, wrongDevice atomic.Int64
}

func newStubACS(byConnection bool) *stubACS {
	names := make([]string, rpcAsked)
	for i := range names {
		names[i] = fmt.Sprintf("<string>%sLANDevice.1.Hosts.Host.%04d.HostName</string>", deviceRoot, i+1)
	}
	return &stubACS{
		byConnection: byConnection,
		open:         map[net.Conn]bool{},
		informed:     newTemplate("<cwmp:InformResponse><MaxEnvelopes>1</MaxEnvelopes></cwmp:InformResponse>"),
		get: newTemplate(`<cwmp:GetParameterValues><ParameterNames soapenc:arrayType="xsd:string[` + strconv.Itoa(rpcAsked) + `]">` +
			string(bytes.Join(toBytes(names), nil)) + "</ParameterNames></cwmp:GetParameterValues>"),
		set: newTemplate(`<cwmp:SetParameterValues><ParameterList soapenc:arrayType="cwmp:ParameterValueStruct[1]"><ParameterValueStruct>` +
			"<Name>" + deviceRoot + `ManagementServer.PeriodicInformInterval</Name><Value xsi:type="xsd:unsignedInt">3600</Value>` +
			"</ParameterValueStruct></ParameterList><ParameterKey>" + serialMark + "#2</ParameterKey></cwmp:SetParameterValues>"),
	}
}

func toBytes(list []string) [][]byte {
	out := make([][]byte, len(list))
	for i, s := range list {
		out[i] = []byte(s)
	}
	return out
}

// Open listens and serves until Close.
func (a *stubACS) Open(address string, cfg *tls.Config) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen as acs: %w", err)
	}
	if cfg != nil {
		listener = tls.NewListener(listener, cfg)
	}
	a.listener = listener
	a.running.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			a.mu.Lock()
			if a.closing {
				c.Close()
			} else {
				a.open[c] = true
				a.running.Go(func() { a.serve(c) })
			}
			a.mu.Unlock()
		}
	})
	return nil
}

// Close closes listener and connections and waits for all to end.
func (a *stubACS) Close() error {
	err := a.listener.Close()
	a.mu.Lock()
	a.closing = true
	for c := range a.open {
		c.Close()
	}
	a.mu.Unlock()
	a.running.Wait()
	return err
}

func (a *stubACS) serve(c net.Conn) {
	defer func() {
		c.Close()
		a.mu.Lock()
		delete(a.open, c)
		a.mu.Unlock()
	}()
	a.counts.connections.Add(1)
	l := &link{Conn: c, r: bufio.NewReaderSize(c, 8<<10)}
	var out, serial []byte
	for {
		if l.SetReadDeadline(time.Now().Add(5*time.Minute)) != nil || l.readMessage(false) != nil {
			return
		}
		a.counts.requests.Add(1)
		if !a.byConnection {
			serial = append(serial[:0], cookieSerial(l.head.cookies)...)
		}
		if a.pace != nil && string(rpcName(l.body)) == "Inform" && !a.pace.inform() {
			return
		}
		out, serial = a.answer(out[:0], l, serial)
		if _, err := l.Write(out); err != nil || l.head.close {
			return
		}
	}
}

func cookieSerial(cookies []byte) []byte {
	i := bytes.Index(cookies, []byte(cookieName+"="))
	if i < 0 || len(cookies) < i+len(cookieName)+1+len(serialMark) {
		return nil
	}
	i += len(cookieName) + 1
	return cookies[i : i+len(serialMark)]
}

// answer appends the response to the request just read; serial is that of the
// session, which an Inform sets.
func (a *stubACS) answer(out []byte, l *link, serial []byte) (response, session []byte) {
	id := messageID(l.body)
	name := string(rpcName(l.body))
	if !l.head.post || name == "" && len(l.body) > 0 {
		return a.refuse(out, "400 Bad Request"), serial
	}
	if name == "Inform" {
		i := bytes.LastIndexByte(id, '#')
		if i != len(serialMark) {
			return a.refuse(out, "400 Bad Request"), serial
		}
		serial = append(serial[:0], id[:i]...)
		a.counts.informs.Add(1)
		return a.write(out, &a.informed, serial, id, !a.byConnection), serial
	}
	if len(serial) != len(serialMark) {
		return a.refuse(out, "400 Bad Request"), serial
	}
	if !meantFor(id, serial) {
		a.counts.wrongDevice.Add(1)
	}
	switch name {
	case "":
		return a.write(out, &a.get, serial, appendID(nil, serial, '1'), false), serial
	case "GetParameterValuesResponse":
		return a.write(out, &a.set, serial, appendID(nil, serial, '2'), false), serial
	}
	a.counts.ended.Add(1)
	return append(out, "HTTP/1.1 204 No Content\r\n\r\n"...), serial
}

func appendID(dst, serial []byte, n byte) []byte { return append(append(dst, serial...), '#', n) }

func (a *stubACS) write(out []byte, t *template, serial, id []byte, cookie bool) []byte {
	out = append(out, "HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=\"utf-8\"\r\n"...)
	if cookie {
		out = append(append(append(out, "Set-Cookie: "+cookieName+"="...), serial...), "; Path=/\r\n"...)
	}
	out = append(out, "Content-Length: "...)
	out = strconv.AppendInt(out, int64(t.size(id)), 10)
	out = append(out, "\r\n\r\n"...)
	return t.append(out, serial, id)
}

func (a *stubACS) refuse(out []byte, status string) []byte {
	a.counts.refused.Add(1)
	return append(out, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\n\r\n"...)
}

func (c *acsCounts) String() string {
	return fmt.Sprintf("%d connections, %d requests, %d informs, %d sessions ended, %d refused, %d for a wrong device",
		c.connections.Load(), c.requests.Load(), c.informs.Load(), c.ended.Load(), c.refused.Load(), c.wrongDevice.Load())
}
