package journal

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	magic   = "cwmpjrnl"
	version = 1

	headerSize       = 48
	frameHeaderSize  = 32
	recordHeaderSize = saltSize + 4
	saltSize         = 16

	// afterSuspect is the header flag that says: a write to the segment
	// before this one failed, so its bytes from this one's first record on
	// are void.
	afterSuspect = 1

	segmentSuffix = ".jrn"
	tempSuffix    = ".tmp"
	lockName      = "lock"
	logName       = "log"
	cursorPrefix  = "cursor-"
)

// What can be wrong with a frame. The first three are what a write that never
// finished looks like; the others cannot come from one.
var (
	errShort    = errors.New("frame is cut short")
	errLength   = errors.New("frame has an impossible length")
	errChecksum = errors.New("checksum mismatch")
	errFlags    = errors.New("frame has flags unknown to version 1")
	errOrder    = errors.New("frame has the wrong first record")
	errLayout   = errors.New("records do not fill their frame")
)

// torn says whether an unfinished write can explain the error.
func torn(err error) bool {
	return errors.Is(err, errShort) || errors.Is(err, errLength) || errors.Is(err, errChecksum)
}

// CorruptionError is damage that no crash explains, with its place. Nothing
// was discarded.
type CorruptionError struct {
	Segment string // file name
	Offset  int64  // byte in that file
	Err     error
}

func (e *CorruptionError) Error() string {
	return fmt.Sprintf("journal segment %s: %v at byte %d", e.Segment, e.Err, e.Offset)
}

func (e *CorruptionError) Unwrap() error { return e.Err }

type logID [16]byte

func (id logID) String() string { return hex.EncodeToString(id[:]) }

func parseLogID(s string) (id logID, err error) {
	if len(s) != hex.EncodedLen(len(id)) || strings.ToLower(s) != s {
		return id, fmt.Errorf("log id %q is not 32 hex digits", s)
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return id, fmt.Errorf("log id %q is not 32 hex digits", s)
	}
	return id, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type header struct {
	flags uint16
	log   logID
	first uint64
	at    int64 // microseconds since 1970; no record of the segment is earlier
}

// marshal also returns the checksum, from which those of the frames go on: no
// frame of another segment can pass for one of this.
func (h header) marshal() (b []byte, crc uint32) {
	b = append(make([]byte, 0, headerSize), magic...)
	b = binary.BigEndian.AppendUint16(b, version)
	b = binary.BigEndian.AppendUint16(b, h.flags)
	b = append(b, h.log[:]...)
	b = binary.BigEndian.AppendUint64(b, h.first)
	b = binary.BigEndian.AppendUint64(b, uint64(h.at))
	crc = crc32.Checksum(b, castagnoli)
	return binary.BigEndian.AppendUint32(b, crc), crc
}

// parseHeader is marshal's other way.
func parseHeader(b []byte) (h header, crc uint32, err error) {
	if len(b) < headerSize {
		return h, 0, errors.New("header is cut short")
	}
	if string(b[:8]) != magic {
		return h, 0, errors.New("not a journal segment")
	}
	if v := binary.BigEndian.Uint16(b[8:]); v != version {
		return h, 0, fmt.Errorf("format version %d, this program knows %d", v, version)
	}
	crc = binary.BigEndian.Uint32(b[44:])
	if crc32.Checksum(b[:44], castagnoli) != crc {
		return h, 0, fmt.Errorf("header: %w", errChecksum)
	}
	h.flags = binary.BigEndian.Uint16(b[10:])
	if h.flags&^afterSuspect != 0 {
		return h, 0, fmt.Errorf("header has flags %#x unknown to version 1", h.flags)
	}
	h.log = logID(b[12:28])
	h.first = binary.BigEndian.Uint64(b[28:])
	h.at = int64(binary.BigEndian.Uint64(b[36:]))
	return h, crc, nil
}

// seal fills in the header of a frame for which the first frameHeaderSize
// bytes were left free.
func seal(frame []byte, seed uint32, first uint64, count uint32, at int64) {
	binary.BigEndian.PutUint32(frame[0:], uint32(len(frame)))
	binary.BigEndian.PutUint32(frame[8:], 0)
	binary.BigEndian.PutUint32(frame[12:], count)
	binary.BigEndian.PutUint64(frame[16:], first)
	binary.BigEndian.PutUint64(frame[24:], uint64(at))
	binary.BigEndian.PutUint32(frame[4:], frameChecksum(frame, seed))
}

func frameChecksum(frame []byte, seed uint32) uint32 {
	return crc32.Update(crc32.Update(seed, castagnoli, frame[:4]), castagnoli, frame[8:])
}

// frame is one commit as it was read.
type frame struct {
	offset int64
	first  uint64
	count  uint32
	at     int64
	bytes  []byte // all of it, header included
}

func (f frame) last() uint64 { return f.first + uint64(f.count) - 1 }

// records calls each with the records in order until it returns false; the
// layout was checked when the frame was read.
func (f frame) records(each func(Entry) bool) bool {
	rest := f.bytes[frameHeaderSize:]
	for i := range uint64(f.count) {
		e := Entry{Seq: f.first + i, Salt: [saltSize]byte(rest)}
		n := recordHeaderSize + int(binary.BigEndian.Uint32(rest[saltSize:]))
		e.Bytes = rest[recordHeaderSize:n:n]
		rest = rest[n:]
		if !each(e) {
			return false
		}
	}
	return true
}

// scanner walks the frames of one segment. It never allocates more than the
// file is long.
type scanner struct {
	src  Source
	size int64
	name string // of the file
	head header
	seed uint32
	off  int64  // of the next frame
	next uint64 // its first record
	buf  []byte // of the last frame; nil: the next one gets a new one
	gaps []Gap
}

// openSegment checks name and header.
func openSegment(fsys FS, path string) (*scanner, error) {
	src, err := fsys.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open segment %s: %w", filepath.Base(path), err)
	}
	s := &scanner{src: src, name: filepath.Base(path)}
	if err := s.start(); err != nil {
		_ = src.Close()
		return nil, err
	}
	return s, nil
}

func (s *scanner) start() (err error) {
	name := s.name
	if s.size, err = s.src.Size(); err != nil {
		return fmt.Errorf("read segment %s: %w", name, err)
	}
	b := make([]byte, min(headerSize, s.size))
	if err := s.read(b, 0); err != nil {
		return fmt.Errorf("read segment %s: %w", name, err)
	}
	if s.head, s.seed, err = parseHeader(b); err != nil {
		return &CorruptionError{name, 0, err}
	}
	if first, ok := parseSegmentName(name); !ok || first != s.head.first {
		return &CorruptionError{name, 28, fmt.Errorf("header says first record %d", s.head.first)}
	}
	s.off, s.next = headerSize, s.head.first
	return nil
}

func (s *scanner) Close() error { return s.src.Close() }

func (s *scanner) read(p []byte, off int64) error {
	n, err := s.src.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		// The size was asked before: somebody else shortens the file.
		return io.ErrUnexpectedEOF
	}
	return err
}

// frame reads the next frame, behind what was passed over by command; io.EOF
// at the end of the file, where next is then behind missing numbers. With any
// other error the scanner stands where it is about. The frame lives until the
// next call, unless buf is set to nil between.
func (s *scanner) frame() (frame, error) {
	for passed := 0; ; passed++ {
		f, err := s.one()
		if err == nil || !damaged(err) || passed > len(s.gaps) || !s.pass() {
			return f, err
		}
	}
}

// one reads the frame that stands here.
func (s *scanner) one() (frame, error) {
	if s.off == s.size {
		return frame{}, io.EOF
	}
	f, buf, err := s.at(s.off, s.buf)
	s.buf = buf
	if err != nil {
		return frame{}, err
	}
	if f.first != s.next {
		return frame{}, fmt.Errorf("%w: %d instead of %d", errOrder, f.first, s.next)
	}
	s.off += int64(len(f.bytes))
	s.next += uint64(f.count)
	return f, nil
}

// at reads the frame at an offset into buf, whatever its first record is.
func (s *scanner) at(off int64, buf []byte) (frame, []byte, error) {
	var h [frameHeaderSize]byte
	left := s.size - off
	if left < frameHeaderSize {
		return frame{}, buf, errShort
	}
	if err := s.read(h[:], off); err != nil {
		return frame{}, buf, err
	}
	length := int64(binary.BigEndian.Uint32(h[0:]))
	f := frame{
		offset: off,
		count:  binary.BigEndian.Uint32(h[12:]),
		first:  binary.BigEndian.Uint64(h[16:]),
		at:     int64(binary.BigEndian.Uint64(h[24:])),
	}
	switch {
	case length < frameHeaderSize+recordHeaderSize:
		return frame{}, buf, errLength
	case length > left:
		return frame{}, buf, errShort
	}
	buf = slices.Grow(buf[:0], int(length))[:length]
	if err := s.read(buf, off); err != nil {
		return frame{}, buf, err
	}
	f.bytes = buf
	if frameChecksum(buf, s.seed) != binary.BigEndian.Uint32(h[4:]) {
		return frame{}, buf, errChecksum
	}
	if flags := binary.BigEndian.Uint32(h[8:]); flags != 0 {
		return frame{}, buf, fmt.Errorf("%w: %#x", errFlags, flags)
	}
	return f, buf, f.check()
}

func (f frame) check() error {
	rest := f.bytes[frameHeaderSize:]
	for range f.count {
		if len(rest) < recordHeaderSize {
			return errLayout
		}
		n := uint64(binary.BigEndian.Uint32(rest[saltSize:]))
		if uint64(len(rest)-recordHeaderSize) < n {
			return errLayout
		}
		rest = rest[recordHeaderSize+n:]
	}
	if f.count == 0 || len(rest) != 0 || f.first > maxSeq-uint64(f.count) {
		return errLayout
	}
	return nil
}

// maxSeq is the last number that a segment's name has room for.
const maxSeq = 9999_9999_9999_9999

func segmentName(first uint64) string { return fmt.Sprintf("%016d%s", first, segmentSuffix) }

func parseSegmentName(name string) (first uint64, ok bool) {
	digits, found := strings.CutSuffix(name, segmentSuffix)
	if !found || len(digits) != 16 {
		return 0, false
	}
	for _, d := range []byte(digits) {
		if d < '0' || d > '9' {
			return 0, false
		}
	}
	first, err := strconv.ParseUint(digits, 10, 64)
	return first, err == nil && first > 0
}
