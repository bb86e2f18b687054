package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

const (
	serialForm  = "CWL%07d"
	serialMark  = "CWL0000000"
	idMark      = "@ID@"
	informSize  = 4 << 10
	deviceRoot  = "InternetGatewayDevice."
	rpcAsked    = 20 // names in the stub's GetParameterValues
	cookieName  = "cwmpload"
	maxDevices  = 10_000_000
	maxGPVBytes = 32 << 20
)

// template is a message made beforehand, cut where its cwmp:ID stands; serial
// numbers have one length and are written over.
type template struct {
	before, after []byte
	inBefore      []int // where the serial number stands
	inAfter       []int
}

func newTemplate(rpc string) template {
	text := cwmptest.Envelope{ID: idMark, RPC: rpc}.Append(nil)
	before, after, _ := bytes.Cut(text, []byte(idMark))
	return template{before, after, marks(before), marks(after)}
}

func marks(text []byte) (at []int) {
	for i := 0; ; i += len(serialMark) {
		n := bytes.Index(text[i:], []byte(serialMark))
		if n < 0 {
			return at
		}
		i += n
		at = append(at, i)
	}
}

func (t *template) size(id []byte) int { return len(t.before) + len(id) + len(t.after) }

// append writes the message of the device under that ID.
func (t *template) append(dst, serial, id []byte) []byte {
	dst = appendPatched(dst, t.before, t.inBefore, serial)
	dst = append(dst, id...)
	return appendPatched(dst, t.after, t.inAfter, serial)
}

func appendPatched(dst, text []byte, at []int, serial []byte) []byte {
	start := len(dst)
	dst = append(dst, text...)
	for _, i := range at {
		copy(dst[start+i:], serial)
	}
	return dst
}

// messages are all that a simulated CPE sends.
type messages struct {
	informs []template // one for each unit of the event mix
	values  template
	set     template
	refuse  template
}

// newMessages makes them: an Inform of about 4 KiB for each kind of session, a
// GetParameterValuesResponse of about size bytes.
func newMessages(size int, mix []eventShare) *messages {
	m := &messages{
		values: fit(size, cwmptest.ValuesRPC),
		set:    newTemplate("<cwmp:SetParameterValuesResponse><Status>0</Status></cwmp:SetParameterValuesResponse>"),
		refuse: newTemplate(cwmptest.FaultRPC(cwmptest.Fault{Code: "9000", Text: "Method not supported"})),
	}
	id := cwmptest.Identity{Manufacturer: "Example Networks", OUI: "00005E", ProductClass: "Load", Serial: serialMark}
	now := time.Now().UTC().Format("2006-01-02T15:04:05Z")
	for _, e := range mix {
		inform := fit(informSize, func(list []cwmptest.Parameter) string { return cwmptest.InformRPC(id, e.events, 0, now, list) })
		for range e.share {
			m.informs = append(m.informs, inform)
		}
	}
	return m
}

// fit has a message of n parameters made that is of about that size.
func fit(size int, rpc func([]cwmptest.Parameter) string) template {
	one, two := newTemplate(rpc(parameters(1))), newTemplate(rpc(parameters(2)))
	each := two.size(nil) - one.size(nil)
	return newTemplate(rpc(parameters(1 + max(0, size-one.size(nil))/each)))
}

// parameters are n, of which the first names the device.
func parameters(n int) []cwmptest.Parameter {
	list := []cwmptest.Parameter{{Name: deviceRoot + "DeviceInfo.SerialNumber", Value: serialMark}}
	for i := 1; i < n; i++ {
		list = append(list, cwmptest.Parameter{Name: fmt.Sprintf("%sLANDevice.1.Hosts.Host.%04d.HostName", deviceRoot, i),
			Value: fmt.Sprintf("host-%06d.example.net", i)})
	}
	return list
}

// eventShare is one kind of session and how often it comes among 100 or so.
type eventShare struct {
	events []cwmptest.Event
	share  int
}

// parseMix reads "2 PERIODIC=9,0 BOOTSTRAP+1 BOOT=1".
func parseMix(text string) ([]eventShare, error) {
	var mix []eventShare
	total := 0
	for part := range strings.SplitSeq(text, ",") {
		codes, weight, found := strings.Cut(part, "=")
		e := eventShare{share: 1}
		if found {
			n, err := strconv.Atoi(strings.TrimSpace(weight))
			if err != nil || n < 1 || n > 1000 {
				return nil, fmt.Errorf("events: share %q is not a number from 1 to 1000", weight)
			}
			e.share = n
		}
		for code := range strings.SplitSeq(codes, "+") {
			if code = strings.TrimSpace(code); code == "" {
				return nil, fmt.Errorf("events: empty event code in %q", text)
			}
			e.events = append(e.events, cwmptest.Event{Code: code})
		}
		if total += e.share; total > 10_000 {
			return nil, fmt.Errorf("events: shares sum up to over 10000")
		}
		mix = append(mix, e)
	}
	return mix, nil
}

// messageID reads the cwmp:ID of a message, nil where there is none.
func messageID(body []byte) []byte {
	i := bytes.Index(body, []byte(":ID"))
	if i < 0 {
		return nil
	}
	rest := body[i:]
	from := bytes.IndexByte(rest, '>')
	if from < 0 {
		return nil
	}
	rest = rest[from+1:]
	to := bytes.IndexByte(rest, '<')
	if to < 0 {
		return nil
	}
	return bytes.TrimSpace(rest[:to])
}

// meantFor says whether an ID names this device; IDs that name none pass.
func meantFor(id, serial []byte) bool {
	i := bytes.LastIndexByte(id, '#')
	return i < 0 || bytes.Equal(id[:i], serial)
}

// rpcName is the name of the element behind the Body's start tag.
func rpcName(body []byte) []byte {
	i := bytes.Index(body, []byte(":Body"))
	if i < 0 {
		return nil
	}
	rest := body[i:]
	from := bytes.IndexByte(rest, '<')
	if from < 0 {
		return nil
	}
	rest = rest[from+1:]
	to := bytes.IndexAny(rest, "> /\t\r\n")
	if to < 0 {
		return nil
	}
	if colon := bytes.IndexByte(rest[:to], ':'); colon >= 0 {
		return rest[colon+1 : to]
	}
	return rest[:to]
}
