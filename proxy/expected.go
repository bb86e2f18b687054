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
	mu     sync.Mutex
	files  map[fileKey][]*expectation
	owners map[owner][]*expectation
	order  []*expectation // oldest first; bounds the whole
}

type fileKey struct {
	source netip.Prefix
	target string
}

// owner is a device as far as an address can vouch for it.
type owner struct {
	source netip.Prefix
	device audit.Device
}

type expectation struct {
	file     fileKey
	device   audit.Device
	session  string
	identity string
	key      string // CommandKey
	upload   bool   // the device is to send the file rather than to fetch it
	done     bool
}

const (
	maxExpectedFiles    = 16384
	maxExpectedOfFile   = 16
	maxExpectedOfDevice = 64
	maxExpectedTarget   = 2 << 10 // bytes
)

func newExpected() *expected {
	return &expected{files: make(map[fileKey][]*expectation), owners: make(map[owner][]*expectation)}
}

// add takes note of one file; the oldest gives way.
func (e *expected) add(x expectation) {
	if len(x.file.target) > maxExpectedTarget {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	o := owner{x.file.source, x.device}
	if len(e.files[x.file]) >= maxExpectedOfFile || len(e.owners[o]) >= maxExpectedOfDevice {
		return
	}
	for len(e.order) >= maxExpectedFiles {
		e.forget(e.order[0])
		e.order = e.order[1:]
	}
	e.files[x.file] = append(e.files[x.file], &x)
	e.owners[o] = append(e.owners[o], &x)
	e.order = append(e.order, &x)
}

// forget takes x out of both maps; it stays in the order, marked, until its
// turn comes.
func (e *expected) forget(x *expectation) {
	if x.done {
		return
	}
	x.done = true
	dropFrom(e.files, x.file, x)
	dropFrom(e.owners, owner{x.file.source, x.device}, x)
}

func dropFrom[K comparable](m map[K][]*expectation, k K, x *expectation) {
	if list := slices.DeleteFunc(m[k], func(y *expectation) bool { return y == x }); len(list) > 0 {
		m[k] = list
	} else {
		delete(m, k)
	}
}

// completed forgets what a device was asked for under a CommandKey, or all of
// it where the completion names none. The device is a claim: only what was asked
// of it at the same source is forgotten.
func (e *expected) completed(source netip.Prefix, d audit.Device, key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, x := range slices.Clone(e.owners[owner{source, d}]) {
		if key == "" || x.key == key {
			e.forget(x)
		}
	}
}

// whose returns the one device that was asked for the file.
func (e *expected) whose(k fileKey) (x expectation, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, f := range e.files[k] {
		if i > 0 && f.device != x.device {
			return expectation{}, false
		}
		x, ok = *f, true
	}
	return x, ok
}

// isDownload tells whether a device of that source was asked to fetch that file.
func (e *expected) isDownload(k fileKey) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.files[k], func(x *expectation) bool { return !x.upload })
}

// isUpload tells whether a device of that source was asked to send that file.
func (e *expected) isUpload(k fileKey) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.files[k], func(x *expectation) bool { return x.upload })
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
	if err != nil || !strings.EqualFold(u.Host, string(x.req.Host)) && !x.tenant.isOwn(u.Host) {
		return
	}
	o := &x.session.origin
	x.tenant.expected.add(expectation{
		file:   fileKey{x.conn.prefix, u.RequestURI()},
		device: o.Device, session: o.Session, identity: o.Identity, key: kept(key),
		upload: upload && u.EscapedPath() != x.path,
	})
}

// completedFile forgets a file that the CPE says it is done with.
func (x *exchange) completedFile() {
	if x.message == nil {
		return
	}
	if done, ok := x.message.RPC.(*cwmp.TransferComplete); ok {
		x.tenant.expected.completed(x.conn.prefix, x.session.origin.Device, kept(done.CommandKey))
	}
}
