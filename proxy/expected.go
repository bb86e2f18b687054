package proxy

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp"
)

// expected remembers which device was asked to fetch or send which file, so
// that the file's bytes, which come on a connection without session or
// DeviceId, are recorded as that device's. It is known by source prefix and
// request target; where several devices behind one prefix were asked for the
// same, nobody's name is put to the bytes.
type expected struct {
	mu    sync.Mutex
	files map[fileKey][]expectation
	order []fileKey // oldest first; bounds the whole
}

type fileKey struct {
	prefix netip.Prefix
	target string
}

type expectation struct {
	device   audit.Device
	session  string
	identity string
	key      string // CommandKey
	upload   bool   // the device is to send the file rather than to fetch it
}

const (
	maxExpectedFiles  = 16384
	maxExpectedOfFile = 16
)

func newExpected() *expected {
	return &expected{files: make(map[fileKey][]expectation)}
}

// add takes note of one file; the oldest gives way.
func (e *expected) add(k fileKey, x expectation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.files[k]
	if len(list) >= maxExpectedOfFile {
		return
	}
	if len(e.order) >= maxExpectedFiles {
		e.drop(e.order[0])
		e.order = e.order[1:]
		list = e.files[k]
	}
	e.files[k] = append(list, x)
	e.order = append(e.order, k)
}

// drop forgets the oldest expectation of a file.
func (e *expected) drop(k fileKey) {
	list := e.files[k]
	if len(list) == 0 {
		return
	}
	if len(list) == 1 {
		delete(e.files, k)
		return
	}
	e.files[k] = list[1:]
}

// completed forgets what a device was asked for under a CommandKey, or all of
// it where the completion names none.
func (e *expected) completed(d audit.Device, key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	kept := e.order[:0]
	for _, k := range e.order {
		list := e.files[k]
		i := 0
		for i < len(list) && !(list[i].device == d && (key == "" || list[i].key == key)) {
			i++
		}
		if i == len(list) {
			kept = append(kept, k)
			continue
		}
		if list = append(list[:i:i], list[i+1:]...); len(list) == 0 {
			delete(e.files, k)
		} else {
			e.files[k] = list
		}
	}
	e.order = kept
}

// whose returns the one device that was asked for the file.
func (e *expected) whose(k fileKey) (x expectation, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, f := range e.files[k] {
		if i > 0 && f.device != x.device {
			return expectation{}, false
		}
		x, ok = f, true
	}
	return x, ok
}

// isUpload tells whether a device of that source was asked to send that file.
func (e *expected) isUpload(k fileKey) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.files[k], func(x expectation) bool { return x.upload })
}

// expectFile takes note of a file that the ACS asks the CPE to transfer through
// the gateway. The path that the session's messages go to is never learned as
// an upload's: an ACS could switch its own record off by it.
func (x *exchange) expectFile() {
	if x.answer == nil {
		return
	}
	var rawURL, key cwmp.Text
	upload := false
	switch rpc := x.answer.RPC.(type) {
	case *cwmp.Download:
		rawURL, key = rpc.URL, rpc.CommandKey
	case *cwmp.ScheduleDownload:
		rawURL, key = rpc.URL, rpc.CommandKey
	case *cwmp.Upload:
		rawURL, key, upload = rpc.URL, rpc.CommandKey, true
	default:
		return
	}
	u, err := url.Parse(string(rawURL.Trim()))
	if err != nil || !strings.EqualFold(u.Host, string(x.req.Host)) && !x.tenant.upstream.IsAuthority(u.Host) {
		return
	}
	o := &x.session.origin
	x.tenant.expected.add(fileKey{x.conn.prefix, u.RequestURI()}, expectation{
		device: o.Device, session: o.Session, identity: o.Identity, key: string(key.Trim()),
		upload: upload && u.EscapedPath() != x.path,
	})
}

// completedFile forgets a file that the CPE says it is done with.
func (x *exchange) completedFile() {
	if x.message == nil {
		return
	}
	if done, ok := x.message.RPC.(*cwmp.TransferComplete); ok {
		x.tenant.expected.completed(x.session.origin.Device, string(done.CommandKey.Trim()))
	}
}
