package cwmptest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Transfer is a Download or Upload that the ACS asked for.
type Transfer struct {
	CommandKey, FileType string
	Method, URL          string // GET or PUT
	Status               int    // of HTTP, 0: no answer
	Bytes                int64
	SHA256               string // of what was fetched or sent
	Started, Completed   time.Time
	FaultCode            string // "0" where it went well
	FaultString          string
	InSession            bool // done before the RPC was answered, with Status 0
	Answered             bool // the ACS has answered TransferComplete

	user, password string
	finished       bool
}

// transfer answers Download and Upload: done at once, or queued until the
// session is over (TR-069 A.3.2.8).
func (v *visit) transfer(m *message) (string, *Fault) {
	t := &Transfer{CommandKey: m.rpc.value("CommandKey"), FileType: m.rpc.value("FileType"), Method: "GET",
		URL: m.rpc.value("URL"), user: m.rpc.value("Username"), password: m.rpc.value("Password"), FaultCode: "0"}
	if m.method == "Upload" {
		t.Method = "PUT"
	}
	if u, err := url.Parse(t.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return "", &Fault{Code: "9013", Text: "Unsupported protocol for file transfer"}
	}
	t.InSession = v.d.cfg.FetchInSession
	note(v.d, &v.d.transfers, t)
	if t.InSession {
		v.fetch(v.ctx, t)
		if t.FaultCode != "0" {
			return "", &Fault{Code: t.FaultCode, Text: t.FaultString}
		}
	}
	return transferResponse(m.method, t), nil
}

// runTransfers does what was queued; the next session tells of it.
func (d *Device) runTransfers(ctx context.Context) {
	d.mu.Lock()
	queue := append([]*Transfer(nil), d.transfers...)
	d.mu.Unlock()
	for _, t := range queue {
		if t.finished {
			continue
		}
		v := &visit{d: d, ctx: ctx}
		if d.chance(d.cfg.FaultRate) {
			d.finish(t, 0, nil, "9010", "Download failure")
		} else {
			v.fetch(ctx, t)
		}
		v.drop()
		if ctx.Err() != nil {
			return
		}
		command := "M Download"
		if t.Method == "PUT" {
			command = "M Upload"
		}
		d.raise(Event{Code: "7 TRANSFER COMPLETE"}, Event{command, t.CommandKey})
	}
}

// fetch does the transfer over the session's connection where the host is the
// same, else over one of its own; challenges are answered.
func (v *visit) fetch(ctx context.Context, t *Transfer) {
	d := v.d
	d.mu.Lock()
	t.Started = time.Now()
	d.mu.Unlock()
	u, err := url.Parse(t.URL)
	if err != nil {
		d.finish(t, 0, nil, "9010", err.Error())
		return
	}
	own := v.wire == nil || u.Host != d.target.Host || u.Scheme != d.target.Scheme
	w := v.wire
	if own {
		if w, err = d.connect(ctx, u); err != nil {
			d.finish(t, 0, nil, "9015", "Unable to contact file server")
			return
		}
		defer func() { w.Close() }()
	}
	login := credentials{user: t.user, password: t.password}
	for round := 0; ; round++ {
		request := d.fileRequest(t, u, &login)
		r, last, err := roundTrip(ctx, w, request, false, d.cfg.Timeout)
		if last && !own {
			v.drop()
		}
		if err != nil {
			d.finish(t, 0, nil, "9015", "Unable to contact file server")
			return
		}
		if r.Status != 401 || round > 0 || last || !login.learn(r.Header) {
			d.judge(t, r, request.Body)
			return
		}
	}
}

func (d *Device) fileRequest(t *Transfer, u *url.URL, login *credentials) Request {
	r := Request{Method: t.Method, Target: u.RequestURI(), Header: []Field{{"Host", u.Host}, {"User-Agent", "cwmptest"}}}
	if a := login.authorization(r.Method, r.Target); a != "" {
		r.Header = append(r.Header, Field{"Authorization", a})
	}
	if t.Method == "PUT" {
		r.Body = d.uploadFile()
		r.Header = append(r.Header, Field{"Content-Type", "application/octet-stream"},
			Field{"Content-Length", strconv.Itoa(len(r.Body))})
	}
	return r
}

// uploadFile is the device's configuration, as a vendor might write it.
func (d *Device) uploadFile() []byte {
	list, _ := d.model.get([]string{d.cfg.Root})
	var b bytes.Buffer
	for _, p := range list {
		fmt.Fprintf(&b, "%s=%q\n", p.Name, p.Value)
	}
	return b.Bytes()
}

func (d *Device) judge(t *Transfer, r Response, sent []byte) {
	body := r.Body
	if t.Method == "PUT" {
		body = sent
	}
	switch {
	case r.Status/100 == 2:
		d.finish(t, r.Status, body, "0", "")
		if t.Method == "GET" && strings.HasPrefix(t.FileType, "1 ") {
			d.upgraded()
		}
	case r.Status == 401 || r.Status == 403:
		d.finish(t, r.Status, nil, "9012", "File transfer server authentication failure")
	case t.Method == "PUT":
		d.finish(t, r.Status, nil, "9011", "Upload failure")
	default:
		d.finish(t, r.Status, nil, "9016", "Unable to access file")
	}
}

func (d *Device) finish(t *Transfer, status int, body []byte, code, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t.finished, t.Completed = true, time.Now()
	t.Status, t.Bytes, t.FaultCode, t.FaultString = status, int64(len(body)), code, text
	if t.Started.IsZero() {
		t.Started = t.Completed
	}
	if code == "0" {
		sum := sha256.Sum256(body)
		t.SHA256 = hex.EncodeToString(sum[:])
	}
}

// upgraded is the boot into a new firmware.
func (d *Device) upgraded() {
	version := d.Value("DeviceInfo.SoftwareVersion")
	i := strings.LastIndexByte(version, '.')
	n, err := strconv.Atoi(version[i+1:])
	if err != nil {
		version, i, n = version+".", len(version), 0
	}
	d.model.force("DeviceInfo.SoftwareVersion", version[:i+1]+strconv.Itoa(n+1))
	d.raise(Event{Code: "1 BOOT"})
}

func (v *visit) completion(t *Transfer) []byte {
	return v.d.envelope(v.d.nextID(), completionRPC(t))
}

// completed notes that the ACS has answered.
func (v *visit) completed(t *Transfer) {
	v.asked = v.asked[1:]
	v.d.mu.Lock()
	t.Answered = true
	v.d.mu.Unlock()
}
