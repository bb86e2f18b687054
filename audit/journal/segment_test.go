package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/v1.jrn and v1.golden anew")

// oneFile is a file system of one segment.
type oneFile struct {
	FS
	data []byte
}

func (f oneFile) Open(string) (Source, error) { return sourceOf{bytes.NewReader(f.data)}, nil }

type sourceOf struct{ *bytes.Reader }

func (sourceOf) Close() error           { return nil }
func (s sourceOf) Size() (int64, error) { return s.Reader.Size(), nil }

// makeSegment writes records as the format has them, by hand.
func makeSegment(first uint64, flags uint32, commits ...[]string) []byte {
	h := header{log: logID([]byte("0123456789abcdef")), first: first, at: 1795564799123455}
	data, crc := h.marshal()
	for i, texts := range commits {
		buf := make([]byte, frameHeaderSize)
		for _, text := range texts {
			buf = append(buf, strings.Repeat(text[:1], saltSize)...)
			buf = binary.BigEndian.AppendUint32(buf, uint32(len(text)))
			buf = append(buf, text...)
		}
		seal(buf, crc, first, uint32(len(texts)), h.at+int64(i)+1)
		binary.BigEndian.PutUint32(buf[8:], flags)
		binary.BigEndian.PutUint32(buf[4:], frameChecksum(buf, crc))
		data = append(data, buf...)
		first += uint64(len(texts))
	}
	return data
}

// A segment of each version of the format stays readable for ever.
func TestVersion1(t *testing.T) {
	file, golden := filepath.Join("testdata", "v1.jrn"), filepath.Join("testdata", "v1.golden")
	if *update {
		data := makeSegment(41, 0, []string{`{"v":1,"seq":41}`}, []string{`{"v":1,"seq":42}`, `{"v":1,"seq":43,"text":"käse"}`}, []string{"x"})
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sc, err := openSegment(oneFile{data: data}, segmentName(41))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "log %s first %d at %d flags %d\n", sc.head.log, sc.head.first, sc.head.at, sc.head.flags)
	for {
		f, err := sc.frame()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "frame at byte %d, %d bytes, %d records, at %d\n", f.offset, len(f.bytes), f.count, f.at)
		f.records(func(e Entry) bool {
			fmt.Fprintf(&out, "%d %x %s\n", e.Seq, e.Salt, e.Bytes)
			return true
		})
	}
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("read:\n%swanted:\n%s", out.String(), want)
	}
}

func TestFrameRefused(t *testing.T) {
	good := makeSegment(1, 0, []string{"one", "two"})
	mend := func(change func(frame []byte)) []byte {
		data := bytes.Clone(good)
		change(data[headerSize:])
		frame := data[headerSize:]
		seed := binary.BigEndian.Uint32(data[44:])
		binary.BigEndian.PutUint32(frame[4:], frameChecksum(frame, seed))
		return data
	}
	for _, tt := range []struct {
		name string
		data []byte
		want error
	}{
		{"good", good, nil},
		{"flags", makeSegment(1, 4, []string{"one"}), errFlags},
		{"no records", mend(func(f []byte) { f[15] = 0 }), errLayout},
		{"fewer records than bytes", mend(func(f []byte) { f[15] = 1 }), errLayout},
		{"more records than bytes", mend(func(f []byte) { f[15] = 3 }), errLayout},
		{"very many records", mend(func(f []byte) { f[12] = 0xff }), errLayout},
		{"record too long", mend(func(f []byte) { f[frameHeaderSize+saltSize] = 0xff }), errLayout},
		{"wrong first record", mend(func(f []byte) { f[23] = 2 }), errOrder},
		{"number too large", mend(func(f []byte) { f[16] = 0xff }), errLayout},
		{"length too small", mend(func(f []byte) { f[3] = 51 }), errLength},
		{"length too large", mend(func(f []byte) { f[0] = 0x7f }), errShort},
		{"unfinished", good[:len(good)-1], errShort},
		{"flipped", append(bytes.Clone(good[:len(good)-1]), 'x'), errChecksum},
	} {
		sc, err := openSegment(oneFile{data: tt.data}, segmentName(1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sc.frame(); !errors.Is(err, tt.want) || (tt.want == nil) != (err == nil) {
			t.Errorf("%s: %v instead of %v", tt.name, err, tt.want)
		}
	}
	h := header{first: 1, flags: 2}
	data, _ := h.marshal()
	if _, err := openSegment(oneFile{data: data}, segmentName(1)); err == nil || !strings.Contains(err.Error(), "flags 0x2 unknown") {
		t.Errorf("header flags: %v", err)
	}
}

func TestSegmentName(t *testing.T) {
	for name, want := range map[string]uint64{
		"0000000000000001.jrn": 1, segmentName(maxSeq): maxSeq,
		"0000000000000000.jrn": 0, "1.jrn": 0, "000000000000000a.jrn": 0, "+000000000000001.jrn": 0, "0000000000000001.jrn.tmp": 0,
	} {
		if got, ok := parseSegmentName(name); got != want && ok || ok != (want > 0) {
			t.Errorf("%s is %d, %v", name, got, ok)
		}
	}
}

// Whatever bytes stand in a segment: no panic, no more memory than the file
// is long, and what is accepted makes the same bytes again. With mend the
// checksums are put right first, so that damage behind them is seen.
func FuzzSegment(f *testing.F) {
	f.Add(makeSegment(1, 0, []string{"one"}, []string{"two", "three"}), false)
	f.Add(makeSegment(1, 0, []string{"one"}, []string{"two", "three"}), true)
	f.Add(makeSegment(1, 1, []string{"one"}), true)
	f.Fuzz(func(t *testing.T, data []byte, mend bool) {
		if mend {
			data = mendChecksums(bytes.Clone(data))
		}
		sc, err := openSegment(oneFile{data: data}, segmentName(1))
		if err != nil {
			return
		}
		again, crc := sc.head.marshal()
		for {
			fr, err := sc.frame()
			if err != nil {
				if err != io.EOF && torn(err) {
					if at, err := sc.validBehind(sc.off); err != nil || at > 0 && at <= sc.off {
						t.Fatalf("valid behind %d: %d, %v", sc.off, at, err)
					}
				}
				break
			}
			if len(fr.bytes) > len(data) {
				t.Fatal("frame is longer than the file")
			}
			buf := make([]byte, frameHeaderSize)
			fr.records(func(e Entry) bool {
				buf = append(buf, e.Salt[:]...)
				buf = binary.BigEndian.AppendUint32(buf, uint32(len(e.Bytes)))
				buf = append(buf, e.Bytes...)
				return true
			})
			seal(buf, crc, fr.first, fr.count, fr.at)
			again = append(again, buf...)
		}
		if !bytes.Equal(again, data[:sc.off]) {
			t.Fatalf("accepted %x, which is %x again", data[:sc.off], again)
		}
	})
}

func mendChecksums(data []byte) []byte {
	if len(data) < headerSize {
		return data
	}
	crc := crc32.Checksum(data[:44], castagnoli)
	binary.BigEndian.PutUint32(data[44:], crc)
	for rest := data[headerSize:]; len(rest) >= frameHeaderSize; {
		n := min(int64(binary.BigEndian.Uint32(rest)), int64(len(rest)))
		if n < frameHeaderSize {
			break
		}
		binary.BigEndian.PutUint32(rest[4:], frameChecksum(rest[:n], crc))
		rest = rest[n:]
	}
	return data
}

// The text files are read from disk as well, and are as strict: what is
// accepted is written the same.
func FuzzText(f *testing.F) {
	f.Add("committed 3\ncut 00112233445566778899aabbccddeeff 4 9\n", true)
	f.Add("earlier 00112233445566778899aabbccddeeff 4\nlog 00112233445566778899aabbccddeeff\nplace x\n", false)
	f.Fuzz(func(t *testing.T, lines string, cursor bool) {
		if cursor {
			text := sealText(strings.Split(cursorTitle+"\n"+strings.TrimSuffix(lines, "\n"), "\n")...)
			if committed, open, err := parseCursor(text); err == nil && !bytes.Equal(formatCursor(committed, open), text) {
				t.Errorf("%q is %q again", text, formatCursor(committed, open))
			}
			return
		}
		text := sealText(strings.Split(logTitle+"\n"+strings.TrimSuffix(lines, "\n"), "\n")...)
		if logs, place, err := parseLog(text); err == nil && !bytes.Equal(formatLog(logs, place), text) {
			t.Errorf("%q is %q again", text, formatLog(logs, place))
		}
	})
}

// FuzzGaps: as FuzzText, for the file that says what was passed over.
func FuzzGaps(f *testing.F) {
	f.Add("gap 0000000000000001.jrn 48 1 3 120 89abcdef told\ngap 0000000000000009.jrn 0 4 9 0 00000000 untold\n")
	f.Add("gap 0000000000000001.jrn 48 3 1 120 89abcdef told\n")
	f.Fuzz(func(t *testing.T, lines string) {
		text := sealText(strings.Split(gapsTitle+"\n"+strings.TrimSuffix(lines, "\n"), "\n")...)
		gaps, err := parseGaps(text)
		if err == nil && !bytes.Equal(formatGaps(gaps), text) {
			t.Errorf("%q is %q again", text, formatGaps(gaps))
		}
		for _, g := range gaps {
			if g.First == 0 || g.Last > maxSeq || g.next() < g.First || g.Offset < 0 || g.resume < 0 {
				t.Errorf("%q gives %+v", text, g)
			}
		}
	})
}
