package proxy

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cwmpgate/cwmpgate/cwmp"
	"github.com/cwmpgate/cwmpgate/proxy/h1"
)

// fakeSource is a connection's body, from memory.
type fakeSource struct{ io.Reader }

func (f fakeSource) ReadBody(dst []byte, max int64) ([]byte, error) {
	b, err := io.ReadAll(f.Reader)
	return append(dst, b...), err
}
func (f fakeSource) Body() io.Reader { return f.Reader }

func reasonOf(err error) string {
	var r *refusal
	if errors.As(err, &r) {
		return r.reason
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestBufferCountsWhatItHolds(t *testing.T) {
	f := func(size int, declared, max, budgetMax int64, want string) {
		t.Helper()
		bs := &buffers{budget: newBudget(budgetMax, 2*budgetMax)}
		b := buffer{from: bs}
		body := strings.Repeat("x", size)
		err := b.readFrom(fakeSource{iotest.HalfReader(strings.NewReader(body))}, declared, max, "limits.body")
		if got := reasonOf(err); got != want {
			t.Errorf("%d bytes, declared %d, max %d, budget %d: %q, want %q", size, declared, max, budgetMax, got, want)
		}
		if err == nil && string(b.bytes) != body {
			t.Errorf("%d bytes came back as %d", size, len(b.bytes))
		}
		if err == nil && bs.budget.used.Load() < int64(size) {
			t.Errorf("%d bytes are held, %d counted", size, bs.budget.used.Load())
		}
		b.free()
		if used := bs.budget.used.Load(); used != 0 {
			t.Errorf("%d bytes still counted after free", used)
		}
	}
	f(0, 0, 100, 1<<20, "")
	f(10, 10, 100, 1<<20, "")
	f(200<<10, 200<<10, 1<<20, 1<<20, "")
	f(200<<10, -1, 1<<20, 1<<20, "")
	f(200<<10, -1, 100<<10, 1<<20, reasonBodyTooLarge)
	f(200<<10, 200<<10, 100<<10, 1<<20, reasonBodyTooLarge)
	f(200<<10, 200<<10, 1<<20, 100<<10, reasonMemory)
	f(10<<10, 10<<10, 1<<20, 1<<10, reasonMemory)
}

// A peer that announces a large body and sends none of it must hold no memory.
func TestAnnouncedBodyHoldsNoMemory(t *testing.T) {
	bs := &buffers{budget: newBudget(64<<20, 64<<20)}
	b := buffer{from: bs}
	defer b.free()
	err := b.readFrom(fakeSource{iotest.ErrReader(io.ErrUnexpectedEOF)}, 16<<20, 16<<20, "limits.body")
	if err == nil {
		t.Fatal("a body that never came was read")
	}
	if used := bs.budget.used.Load(); used > maxPooled {
		t.Errorf("%d bytes are held for an announcement", used)
	}
}

// While a large body is copied to a larger buffer both are in memory, and both
// are counted.
func TestGrowingCountsBothBuffers(t *testing.T) {
	for _, x := range []struct {
		memory int64
		want   string
	}{{3 << 20, ""}, {3<<20 - 1, reasonMemoryOfAddress}} {
		bs := &buffers{budget: newBudget(2*x.memory, x.memory)}
		b := buffer{from: bs, source: here}
		if err := b.grow(1 << 20); err != nil {
			t.Fatal(err)
		}
		if got := reasonOf(b.grow(2 << 20)); got != x.want {
			t.Errorf("from 1 to 2 MiB with %d for large bodies: %q, want %q", x.memory, got, x.want)
		}
		if used := bs.budget.used.Load(); used != int64(cap(b.bytes)) {
			t.Errorf("%d bytes are counted for a buffer of %d", used, cap(b.bytes))
		}
		b.free()
		if bs.budget.used.Load() != 0 || len(bs.budget.of) != 0 {
			t.Errorf("%d bytes are still counted", bs.budget.used.Load())
		}
	}
}

// Neither the small bodies of many nor the large ones of one source may take
// all there is.
func TestBudgetIsShared(t *testing.T) {
	b := newBudget(800, 400)
	f := func(n int64, source netip.Prefix, large bool, want string) {
		t.Helper()
		if got := reasonOf(b.take(n, source, large)); got != want {
			t.Errorf("%d from %s, large %v: %q, want %q", n, source, large, got, want)
		}
	}
	f(400, here, true, "")
	f(1, here, true, reasonMemoryOfAddress)
	f(1, here, false, "")
	f(299, elsewhere, true, "")
	f(1, elsewhere, true, reasonMemory) // the last eighth is for small ones
	f(100, elsewhere, false, "")
	f(1, elsewhere, false, reasonMemory)
	b.give(400, here, true)
	b.give(1, here, false)
	b.give(299, elsewhere, true)
	b.give(100, elsewhere, false)
	if b.used.Load() != 0 || len(b.of) != 0 {
		t.Errorf("%d bytes and %d sources are still counted", b.used.Load(), len(b.of))
	}
}

func TestDecodingALargeBodyIsCounted(t *testing.T) {
	bs := &buffers{budget: newBudget(8<<20, 8<<20)}
	b := buffer{from: bs, source: here}
	if err := b.readFrom(fakeSource{strings.NewReader(strings.Repeat("x", 1<<20))}, 1<<20, 2<<20, "limits.body"); err != nil {
		t.Fatal(err)
	}
	if err := b.decoding(); err != nil {
		t.Fatal(err)
	}
	if used := bs.budget.used.Load(); used < 4<<20 {
		t.Errorf("%d bytes are counted for a body of 1 MiB while it is read", used)
	}
	if got := reasonOf(b.take(8<<20, true)); got != reasonMemoryOfAddress {
		t.Errorf("%q, want %q", got, reasonMemoryOfAddress)
	}
	b.free()
	if used := bs.budget.used.Load(); used != 0 {
		t.Errorf("%d bytes still counted after free", used)
	}
}

func pack(t *testing.T, c string, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch c {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "zlib":
		w = zlib.NewWriter(&out)
	case "raw":
		w, _ = flate.NewWriter(&out, 6)
	}
	w.Write(plain)
	w.Close()
	return out.Bytes()
}

func TestInflate(t *testing.T) {
	plain := bytes.Repeat([]byte("<a>b</a>"), 5000)
	f := func(packed []byte, c coding, max int64, want string) {
		t.Helper()
		b := buffer{from: &buffers{budget: newBudget(64<<20, 64<<20)}}
		defer b.free()
		err := b.inflate(packed, c, max)
		if got := reasonOf(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if err == nil && !bytes.Equal(b.bytes, plain) {
			t.Errorf("inflated to %d bytes of %d", len(b.bytes), len(plain))
		}
	}
	f(pack(t, "gzip", plain), codingGzip, 1<<20, "")
	f(pack(t, "zlib", plain), codingDeflate, 1<<20, "")
	f(pack(t, "raw", plain), codingDeflate, 1<<20, "")
	f(pack(t, "gzip", plain), codingGzip, 1<<10, reasonInflatedTooLarge)
	f(append(pack(t, "gzip", plain), 0), codingGzip, 1<<20, reasonInflate)
	f(append(pack(t, "gzip", plain), pack(t, "gzip", plain)...), codingGzip, 1<<20, reasonInflate)
	f(append(pack(t, "zlib", plain), 'x'), codingDeflate, 1<<20, reasonInflate)
	f(pack(t, "gzip", plain)[:20], codingGzip, 1<<20, reasonInflate)
	f(pack(t, "gzip", nil), codingGzip, 1<<20, reasonInflate)
	f([]byte("not packed"), codingGzip, 1<<20, reasonInflate)
}

func TestContentCoding(t *testing.T) {
	f := func(want coding, reason string, values ...string) {
		t.Helper()
		var fields []h1.Field
		for _, v := range values {
			fields = append(fields, h1.Field{Name: []byte("Content-Encoding"), Value: []byte(v)})
		}
		got, err := contentCoding(fields)
		if got != want || reasonOf(err) != reason {
			t.Errorf("%q: %v %q, want %v %q", values, got, reasonOf(err), want, reason)
		}
	}
	f(codingNone, "")
	f(codingNone, "", "identity")
	f(codingGzip, "", "GZip")
	f(codingDeflate, "", "deflate")
	f(0, reasonEncoding, "gzip, gzip")
	f(0, reasonEncoding, "gzip", "gzip")
	f(0, reasonEncoding, "br")
}

func TestCharsetOf(t *testing.T) {
	const plain, accent = "<a>b</a>", "<a>caf\xc3\xa9</a>"
	f := func(body, want, reason string, types ...string) {
		t.Helper()
		var fields []h1.Field
		for _, v := range types {
			fields = append(fields, h1.Field{Name: []byte("content-TYPE"), Value: []byte(v)})
		}
		if got, err := charsetOf(fields, []byte(body)); got != want || reasonOf(err) != reason {
			t.Errorf("%q: %q %q, want %q %q", types, got, reasonOf(err), want, reason)
		}
	}
	f(accent, "utf-8", "", `text/xml; charset="utf-8"`)
	f(accent, "UTF-8", "", `Text/XML;Charset=UTF-8`)
	f(accent, "utf-8", "", `TEXT/XML ;charset="utf-8" ; x=y`)
	f(accent, "iso-8859-1", "", `text/xml; x=y; charset = iso-8859-1`)
	f(accent, "", "", `text/xml`)
	f(accent, "", "", ``)
	f(accent, "", "")
	f(accent, "", "", `text/xml; x="a;charset=utf-16"`)
	f(accent, "utf-8", "", `text/xml; charset=utf-8; charset=UTF-8`)
	f(plain, "utf-8", "", `text/xml; charset=utf-8; charset=iso-8859-1`)
	f(accent, "", string(cwmp.ReasonCharsetMismatch), `text/xml; charset=utf-8; charset=iso-8859-1`)
	f(accent, "", string(cwmp.ReasonCharsetMismatch), `text/xml; charset=utf-8`, `text/xml; charset=iso-8859-1`)
}
