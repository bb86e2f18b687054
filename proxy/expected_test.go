package proxy

import (
	"fmt"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
)

func TestExpectedFiles(t *testing.T) {
	a, b := audit.Device{OUI: "00005E", Serial: "A"}, audit.Device{OUI: "00005E", Serial: "B"}
	k := fileKey{here, "/fw.bin"}
	e := newExpected()
	if _, ok := e.whose(k); ok {
		t.Error("a file that nobody was asked for has a device")
	}
	e.add(expectation{file: k, device: a, key: "1"})
	e.add(expectation{file: k, device: a, key: "2"})
	if x, ok := e.whose(k); !ok || x.device != a {
		t.Errorf("%+v, %v", x, ok)
	}
	if _, ok := e.whose(fileKey{elsewhere, "/fw.bin"}); ok {
		t.Error("another source is taken for the device")
	}
	e.add(expectation{file: k, device: b, key: "1"})
	if x, ok := e.whose(k); ok {
		t.Errorf("asked of two devices behind one address, given to %+v", x)
	}
	e.completed(elsewhere, a, "") // anybody may claim to be the device
	if _, ok := e.whose(k); ok {
		t.Error("a completion from elsewhere was taken for the device's")
	}
	e.completed(here, a, "2")
	e.completed(here, a, "1")
	if x, ok := e.whose(k); !ok || x.device != b {
		t.Errorf("after one device is done: %+v, %v", x, ok)
	}
	e.completed(here, b, "")
	if _, ok := e.whose(k); ok || len(e.owners) != 0 || len(e.files) != 0 {
		t.Errorf("after both are done: %v, %d, %d", ok, len(e.owners), len(e.files))
	}
}

func TestExpectedUploads(t *testing.T) {
	e := newExpected()
	d := audit.Device{Serial: "A"}
	up, down := fileKey{here, "/up?x=1"}, fileKey{here, "/down"}
	e.add(expectation{file: up, device: d, key: "1", upload: true})
	e.add(expectation{file: down, device: d, key: "2"})
	if !e.isUpload(up) || e.isUpload(down) || e.isUpload(fileKey{elsewhere, "/up?x=1"}) || e.isUpload(fileKey{here, "/up"}) {
		t.Error("not that upload alone, from that source alone, is expected")
	}
	e.completed(here, d, "1")
	if e.isUpload(up) {
		t.Error("an upload that is done is still expected")
	}
}

func TestExpectedIsBounded(t *testing.T) {
	e := newExpected()
	for i := range maxExpectedFiles + 100 {
		e.add(expectation{file: fileKey{here, fmt.Sprint("/", i)}, device: audit.Device{Serial: fmt.Sprint(i)}, upload: true})
	}
	if len(e.order) > maxExpectedFiles || len(e.files) > maxExpectedFiles {
		t.Errorf("%d and %d are kept", len(e.order), len(e.files))
	}
	if e.isUpload(fileKey{here, "/0"}) || !e.isUpload(fileKey{here, fmt.Sprint("/", maxExpectedFiles+99)}) {
		t.Error("not the oldest gave way")
	}
	for range 10 * maxExpectedOfFile {
		e.add(expectation{file: fileKey{here, "/same"}})
	}
	if n := len(e.files[fileKey{here, "/same"}]); n > maxExpectedOfFile {
		t.Errorf("%d of one file are kept", n)
	}
}
