package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// ErrNoDamage says that there is nothing to pass over at a place.
var ErrNoDamage = errors.New("there is no damage")

// Skip passes over one damaged place, as Look names it, in a journal that
// nobody writes: readers go on behind it, with the first record that is whole.
// The segment is left as it is, and a copy of it is kept beside (see
// Gap.Kept) which outlives the segment. The step is one file that changes in
// one step; a crash before it leaves at most the copy.
func Skip(cfg Config, segment string, offset int64) (Gap, error) {
	g, err := skip(cfg.withDefaults(), segment, offset)
	if err != nil {
		return Gap{}, fmt.Errorf("pass over byte %d of segment %s: %w", offset, segment, err)
	}
	return g, nil
}

func skip(cfg Config, segment string, offset int64) (Gap, error) {
	// Locking makes a directory where none is.
	if _, err := cfg.FS.List(cfg.Directory); err != nil {
		return Gap{}, err
	}
	if l, ok := cfg.FS.(Locker); ok {
		held, err := l.Lock(cfg.Directory)
		if err != nil {
			return Gap{}, err
		}
		defer held.Close()
	}
	d, err := openDirectory(cfg.FS, cfg.Directory)
	if err != nil {
		return Gap{}, err
	}
	if len(d.problems) > 0 {
		p := d.problems[0]
		return Gap{}, fmt.Errorf("file %q has to be put right first: %w", p.File, p.Err)
	}
	g, err := d.gap(segment, offset)
	if err != nil {
		return Gap{}, err
	}
	if kept := g.Kept(); kept != "" {
		if err := keep(d.fs, filepath.Join(d.dir, segment), filepath.Join(d.dir, kept)); err != nil {
			return Gap{}, fmt.Errorf("keep a copy: %w", err)
		}
	}
	return g.named(d.logs), saveGaps(d.fs, d.dir, append(d.needed(), g))
}

// needed are the gaps that a reader may still come to or that nobody was told
// of.
func (d *directory) needed() []Gap {
	return slices.DeleteFunc(slices.Clone(d.gaps), func(g Gap) bool {
		behind := func(c *Cursor) bool { return c.committed < g.Last }
		return g.told && g.next() <= d.firsts[0] && !slices.ContainsFunc(d.cursors, behind)
	})
}

// gap finds out what passing over a damaged place means.
func (d *directory) gap(segment string, offset int64) (Gap, error) {
	first, ok := parseSegmentName(segment)
	i := slices.Index(d.firsts, first)
	if !ok || i < 0 {
		return Gap{}, fmt.Errorf("there is no such segment: %w", os.ErrNotExist)
	}
	if p := d.before(); i == 0 && p != nil && offset == 0 {
		return Gap{Segment: segment, First: p.next, Last: first - 1}, nil
	}
	p := d.walk(i, func(frame) bool { return true })
	switch {
	case p == nil:
		return Gap{}, ErrNoDamage
	case p.Torn:
		return Gap{}, fmt.Errorf("%w: %v at byte %d is a write that did not finish, which the gateway cuts off when it starts", ErrNoDamage, p.Err, p.Offset)
	case p.Offset != offset:
		return Gap{}, fmt.Errorf("%w there: the first one is at byte %d: %v", ErrNoDamage, p.Offset, p.Err)
	}
	src, err := d.fs.Open(filepath.Join(d.dir, segment))
	if err != nil {
		return Gap{}, err
	}
	defer src.Close()
	size, err := src.Size()
	if err != nil {
		return Gap{}, err
	}
	return d.measure(i, p, &scanner{src: src, size: size, name: segment})
}

// measure finds the whole frame that reading can go on with: that of the
// lowest number that is due, wherever in the segment it stands.
func (d *directory) measure(i int, p *Problem, sc *scanner) (Gap, error) {
	g := Gap{Segment: sc.name, Offset: p.Offset, First: p.next}
	seeds, err := d.seeds(i, sc)
	if err != nil {
		return Gap{}, err
	}
	end := d.end(i)
	var best frame
	for _, seed := range seeds {
		sc.seed = seed
		for off := int64(headerSize); best.first != p.next; {
			f, err := sc.search(off, p.next, end)
			if err != nil {
				return Gap{}, err
			}
			if f.count == 0 {
				break
			}
			if f.last() <= end && (best.count == 0 || f.first < best.first) {
				best, g.seed = f, seed
			}
			off = f.offset + int64(len(f.bytes))
		}
	}
	switch {
	case best.count > 0:
		g.Last, g.resume = best.first-1, best.offset
	case i < len(d.firsts)-1:
		g.Last, g.resume = max(end, p.next-1), sc.size
	default:
		g.Last, g.resume = d.lastLost(p, sc), sc.size
	}
	return g, nil
}

// seeds are the checksums that the segment's frames may go on from: that of
// its header, or where that is damaged of what it must have been.
func (d *directory) seeds(i int, sc *scanner) ([]uint32, error) {
	if sc.size < headerSize {
		return nil, nil
	}
	b := make([]byte, headerSize)
	if err := sc.read(b, 0); err != nil {
		return nil, err
	}
	log := logOf(d.logs, d.firsts[i])
	stored := binary.BigEndian.Uint32(b[44:])
	if h, _, err := parseHeader(b); err == nil {
		if h.log != log.id || h.first != d.firsts[i] {
			return nil, nil // its records are not of this place
		}
		return []uint32{stored}, nil
	}
	var seeds []uint32
	h := header{log: log.id, first: d.firsts[i], at: int64(binary.BigEndian.Uint64(b[36:]))}
	for h.flags = range uint16(afterSuspect + 1) {
		_, crc := h.marshal()
		seeds = append(seeds, crc)
	}
	if logID(b[12:28]) == log.id && binary.BigEndian.Uint64(b[28:]) == h.first {
		seeds = append(seeds, stored)
	}
	return seeds, nil
}

// lastLost is the last record that stood at the damaged end of the journal, as
// far as cursors and the frame's header tell: no number may be given out twice.
func (d *directory) lastLost(p *Problem, sc *scanner) uint64 {
	last := p.next - 1
	if p.next == d.firsts[len(d.firsts)-1] {
		last = p.next // a segment has its name only with a record in it
	}
	for _, c := range d.cursors {
		last = max(last, c.seen())
	}
	var h [frameHeaderSize]byte
	if p.Offset < headerSize || sc.size-p.Offset < frameHeaderSize || sc.read(h[:], p.Offset) != nil {
		return last
	}
	length, count := binary.BigEndian.Uint32(h[0:]), binary.BigEndian.Uint32(h[12:])
	if binary.BigEndian.Uint64(h[16:]) == p.next && length <= maxRecord && count <= length/recordHeaderSize && count > 0 {
		last = max(last, p.next+uint64(count)-1)
	}
	return last
}

// keep copies a file aside and returns when the copy is on the medium.
func keep(fsys FS, from, to string) error {
	src, err := fsys.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	size, err := src.Size()
	if err != nil {
		return err
	}
	f, err := writeAside(fsys, to)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, io.NewSectionReader(src, 0, size)); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return putInPlace(fsys, to)
}
