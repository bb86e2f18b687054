package journal

import "encoding/binary"

// validBehind looks for a frame anywhere behind off that could follow: with
// one there, off is not the end of what was written.
func (s *scanner) validBehind(off int64) (int64, error) {
	f, err := s.search(off+1, s.next, s.next+uint64(s.size))
	return f.offset, err
}

// search gives the first whole frame at or behind base whose first record is
// lo to hi; its count is 0 where there is none.
func (s *scanner) search(base int64, lo, hi uint64) (frame, error) {
	const window = 1 << 20
	buf := make([]byte, window+frameHeaderSize)
	var scratch []byte
	for ; lo <= hi && s.size-base >= frameHeaderSize; base += window {
		part := buf[:min(s.size-base, int64(len(buf)))]
		if err := s.read(part, base); err != nil {
			return frame{}, err
		}
		for i := 0; i < window && i+frameHeaderSize <= len(part); i++ {
			left := s.size - base - int64(i)
			length := int64(binary.BigEndian.Uint32(part[i:]))
			// Cheap tests first: the checksum is tried on few places.
			if length < frameHeaderSize+recordHeaderSize || length > left ||
				binary.BigEndian.Uint32(part[i+12:]) == 0 ||
				binary.BigEndian.Uint64(part[i+16:])-lo > hi-lo {
				continue
			}
			f, b, err := s.at(base+int64(i), scratch)
			if err == nil {
				return f, nil
			}
			scratch = b
		}
	}
	return frame{}, nil
}
