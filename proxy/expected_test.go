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
	e.add(k, expectation{device: a, key: "1"})
	e.add(k, expectation{device: a, key: "2"})
	if x, ok := e.whose(k); !ok || x.device != a {
		t.Errorf("%+v, %v", x, ok)
	}
	if _, ok := e.whose(fileKey{elsewhere, "/fw.bin"}); ok {
		t.Error("another source is taken for the device")
	}
	e.add(k, expectation{device: b, key: "1"})
	if x, ok := e.whose(k); ok {
		t.Errorf("asked of two devices behind one address, given to %+v", x)
	}
	e.completed(a, "2")
	e.completed(a, "1")
	if x, ok := e.whose(k); !ok || x.device != b {
		t.Errorf("after one device is done: %+v, %v", x, ok)
	}
	e.completed(b, "")
	if _, ok := e.whose(k); ok || len(e.order) != 0 || len(e.files) != 0 {
		t.Errorf("after both are done: %v, %d, %d", ok, len(e.order), len(e.files))
	}
}

func TestExpectedUploads(t *testing.T) {
	e := newExpected()
	d := audit.Device{Serial: "A"}
	up, down := fileKey{here, "/up?x=1"}, fileKey{here, "/down"}
	e.add(up, expectation{device: d, key: "1", upload: true})
	e.add(down, expectation{device: d, key: "2"})
	if !e.isUpload(up) || e.isUpload(down) || e.isUpload(fileKey{elsewhere, "/up?x=1"}) || e.isUpload(fileKey{here, "/up"}) {
		t.Error("not that upload alone, from that source alone, is expected")
	}
	e.completed(d, "1")
	if e.isUpload(up) {
		t.Error("an upload that is done is still expected")
	}
}

func TestExpectedIsBounded(t *testing.T) {
	e := newExpected()
	for i := range maxExpectedFiles + 100 {
		e.add(fileKey{here, fmt.Sprint("/", i)}, expectation{upload: true})
	}
	if len(e.order) > maxExpectedFiles || len(e.files) > maxExpectedFiles {
		t.Errorf("%d and %d are kept", len(e.order), len(e.files))
	}
	if e.isUpload(fileKey{here, "/0"}) || !e.isUpload(fileKey{here, fmt.Sprint("/", maxExpectedFiles+99)}) {
		t.Error("not the oldest gave way")
	}
	for range 10 * maxExpectedOfFile {
		e.add(fileKey{here, "/same"}, expectation{})
	}
	if n := len(e.files[fileKey{here, "/same"}]); n > maxExpectedOfFile {
		t.Errorf("%d of one file are kept", n)
	}
}
