package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Gap is a damaged place that was passed over by command. Readers meet it
// only where nothing good stands: bytes that were put back are read again.
type Gap struct {
	Log     string // of the missing records
	Segment string // file name
	Offset  int64  // byte in that file
	// First to Last are the records that are missing; none is where Last is
	// before First.
	First, Last uint64

	resume int64  // where reading goes on; the end where nothing more is whole
	seed   uint32 // of the checksums, where the header is what is damaged
	told   bool
}

// Missing is how many records are.
func (g Gap) Missing() uint64 { return g.next() - g.First }

// Kept names the file that holds the segment as it was found; empty where no
// bytes were passed over, only numbers.
func (g Gap) Kept() string {
	if g.resume == g.Offset {
		return ""
	}
	return fmt.Sprintf("%s.damaged-%d", g.Segment, g.Offset)
}

// named fills in what stands in no file.
func (g Gap) named(logs []logSpan) Gap {
	g.Log = logOf(logs, g.First).id.String()
	return g
}

// next is the record that reading goes on with.
func (g Gap) next() uint64 { return g.Last + 1 }

// Gaps gives the damage that was passed over since it was last told of.
func (j *Journal) Gaps() []Gap {
	j.mu.Lock()
	defer j.mu.Unlock()
	var untold []Gap
	for _, g := range j.gaps {
		if !g.told {
			untold = append(untold, g.named(j.logs))
		}
	}
	return untold
}

// Told notes durably that a record of these gaps is durable.
func (j *Journal) Told(told []Gap) error {
	j.mu.Lock()
	gaps := slices.Clone(j.gaps)
	j.mu.Unlock()
	for i, g := range gaps {
		gaps[i].told = g.told || slices.Contains(told, g.named(j.logs))
	}
	if err := saveGaps(j.fs, j.dir, gaps); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.gaps = gaps
	return nil
}

// gapOf finds the gap that a record is missing in.
func gapOf(gaps []Gap, seq uint64) (Gap, bool) {
	for _, g := range gaps {
		if g.First <= seq && seq <= g.Last {
			return g, true
		}
	}
	return Gap{}, false
}

func (j *Journal) gapOf(seq uint64) (Gap, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return gapOf(j.gaps, seq)
}

// pass moves the scanner over the place where it stands, if that was passed
// over by command. Missing numbers at a segment's end are passed whatever the
// segment is called: its last frame may have been written once more elsewhere.
func (s *scanner) pass() bool {
	for _, g := range s.gaps {
		switch {
		case g.First != s.next:
		case s.off == s.size && g.next() > s.next:
			s.next = g.next()
			return true
		case g.Segment == s.name && g.Offset == s.off:
			s.off, s.next = min(g.resume, s.size), g.next()
			return true
		}
	}
	return false
}

// damaged says whether an error of one is about what stands in the file.
func damaged(err error) bool {
	return err == io.EOF || torn(err) || errors.Is(err, errFlags) || errors.Is(err, errOrder) || errors.Is(err, errLayout)
}

// stray looks whether a record that is due at the end of the last segment
// stands elsewhere in it: where frames lost their order, the last one to be
// read may not be the last one there is.
func (s *scanner) stray() error {
	if !s.mended() {
		return nil
	}
	f, err := s.search(headerSize, s.next, maxSeq)
	if err == nil && f.count > 0 {
		err = fmt.Errorf("%w: record %d stands at byte %d", errOrder, f.first, f.offset)
	}
	return err
}

// mended says whether damage in the segment was passed over.
func (s *scanner) mended() bool {
	return slices.ContainsFunc(s.gaps, func(g Gap) bool { return g.Segment == s.name })
}

// openKnown opens a segment of the log that its first record belongs to, or
// one whose header was passed over.
func openKnown(fsys FS, path string, logs []logSpan, gaps []Gap) (*scanner, error) {
	s, err := openSegment(fsys, path)
	if err == nil && logs != nil && s.head.log != logOf(logs, s.head.first).id {
		_ = s.Close()
		err = &CorruptionError{s.name, 12, fmt.Errorf("belongs to another log, %s", s.head.log)}
	}
	if err == nil {
		s.gaps = gaps
		return s, nil
	}
	var c *CorruptionError
	if !errors.As(err, &c) {
		return nil, err
	}
	first, _ := parseSegmentName(c.Segment)
	i := slices.IndexFunc(gaps, func(g Gap) bool { return g.Segment == c.Segment && g.Offset == c.Offset && g.First == first })
	if i < 0 {
		return nil, err
	}
	src, err := fsys.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open segment %s: %w", c.Segment, err)
	}
	size, err := src.Size()
	if err != nil {
		_ = src.Close()
		return nil, fmt.Errorf("read segment %s: %w", c.Segment, err)
	}
	g := gaps[i]
	// Whether the segment before has a void tail is not known any more.
	return &scanner{
		src: src, size: size, name: c.Segment, gaps: gaps, seed: g.seed,
		head: header{flags: afterSuspect, log: logOf(logs, first).id, first: first},
		off:  min(g.resume, size), next: g.next(),
	}, nil
}

const (
	gapsName  = "gaps"
	gapsTitle = "cwmpgate journal gaps 1"
	gapsLimit = 1 << 20
)

// loadGaps reads the file that says what was passed over, where there is one.
func loadGaps(fsys FS, dir string, names []string) ([]Gap, error) {
	if !slices.Contains(names, gapsName) {
		return nil, nil
	}
	text, err := readFile(fsys, filepath.Join(dir, gapsName), gapsLimit)
	if err != nil {
		return nil, err
	}
	gaps, err := parseGaps(text)
	if err != nil {
		return nil, fmt.Errorf("file %q: %w", gapsName, err)
	}
	return gaps, nil
}

func saveGaps(fsys FS, dir string, gaps []Gap) error {
	text := formatGaps(gaps)
	if len(text) > gapsLimit {
		return fmt.Errorf("write journal gaps: there are too many, %d", len(gaps))
	}
	if err := replaceFile(fsys, filepath.Join(dir, gapsName), text); err != nil {
		return fmt.Errorf("write journal gaps: %w", err)
	}
	return nil
}

func formatGaps(gaps []Gap) []byte {
	lines := []string{gapsTitle}
	for _, g := range gaps {
		state := "untold"
		if g.told {
			state = "told"
		}
		lines = append(lines, fmt.Sprintf("gap %s %d %d %d %d %08x %s", g.Segment, g.Offset, g.First, g.next(), g.resume, g.seed, state))
	}
	return sealText(lines...)
}

func parseGaps(text []byte) ([]Gap, error) {
	lines, err := openText(text, gapsTitle)
	if err != nil {
		return nil, err
	}
	var gaps []Gap
	for _, w := range lines {
		g, ok := parseGap(w)
		if !ok {
			return nil, fmt.Errorf("line %q is not understood", strings.Join(w, " "))
		}
		gaps = append(gaps, g)
	}
	if !bytes.Equal(formatGaps(gaps), text) {
		return nil, errors.New("is not written as version 1 has it")
	}
	return gaps, nil
}

func parseGap(w []string) (g Gap, ok bool) {
	if len(w) != 8 || w[0] != "gap" {
		return g, false
	}
	var numbers [4]uint64
	for i := range numbers {
		n, err := strconv.ParseUint(w[2+i], 10, 63)
		if err != nil {
			return g, false
		}
		numbers[i] = n
	}
	seed, err := strconv.ParseUint(w[6], 16, 32)
	_, named := parseSegmentName(w[1])
	g = Gap{
		Segment: w[1], Offset: int64(numbers[0]), First: numbers[1], Last: numbers[2] - 1,
		resume: int64(numbers[3]), seed: uint32(seed), told: w[7] == "told",
	}
	return g, err == nil && named && 0 < g.First && g.First <= numbers[2] && numbers[2] <= maxSeq
}
