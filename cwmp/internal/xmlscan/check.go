package xmlscan

import (
	"encoding/binary"
	"unicode/utf8"
)

// Eight bytes are looked at together, one per lane of a word.
const (
	lanes = 0x0101010101010101
	tops  = 0x8080808080808080
)

// zeroLanes has the top bit of exactly those lanes that are zero.
func zeroLanes(w uint64) uint64 {
	return ^((w&^tops + lanes*0x7F) | w) & tops
}

// odd has a bit for each lane that is not an ordinary ASCII character: control
// characters other than tab, line feed and carriage return, and bytes from 0x80.
func odd(w uint64) uint64 {
	low := zeroLanes(w & (lanes * 0xE0)) // below 0x20
	if low != 0 {
		low &^= zeroLanes(w^lanes*'\n') | zeroLanes(w^lanes*'\t') | zeroLanes(w^lanes*'\r')
	}
	return low | w&tops
}

// plainPrefix returns the length of the longest prefix of b that is made of
// XML's ASCII characters alone.
func plainPrefix(b []byte) int {
	i := 0
	for ; i+32 <= len(b); i += 32 {
		w0 := binary.LittleEndian.Uint64(b[i:])
		w1 := binary.LittleEndian.Uint64(b[i+8:])
		w2 := binary.LittleEndian.Uint64(b[i+16:])
		w3 := binary.LittleEndian.Uint64(b[i+24:])
		// A lane below 0x20 borrows; the few false alarms are looked at again.
		if ((w0-lanes*0x20)|(w1-lanes*0x20)|(w2-lanes*0x20)|(w3-lanes*0x20)|w0|w1|w2|w3)&tops != 0 {
			if odd(w0)|odd(w1)|odd(w2)|odd(w3) != 0 {
				break
			}
		}
	}
	for i < len(b) && (b[i] >= 0x20 && b[i] < 0x80 || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// checkUTF8 returns the offset of the first thing in b that is no character of
// XML 1.0 (section 2.2) in UTF-8, or len(b), and why it is none.
func checkUTF8(b []byte) (end int, reason Reason, detail string) {
	for i := 0; ; {
		i += plainPrefix(b[i:])
		for i < len(b) && b[i] >= 0x80 {
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n == 1 {
				return i, InvalidEncoding, "the bytes are not UTF-8"
			}
			if r == 0xFFFE || r == 0xFFFF {
				return i, InvalidCharacter, "U+FFFE and U+FFFF are no characters"
			}
			i += n
		}
		if i == len(b) {
			return i, "", ""
		}
		if b[i] < 0x20 && !isBlank(b[i]) {
			return i, InvalidCharacter, "a control character that XML forbids"
		}
	}
}

// firstNotASCII returns the offset of the first byte from 0x80, or len(b).
func firstNotASCII(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		if binary.LittleEndian.Uint64(b[i:])&tops != 0 {
			break
		}
	}
	for i < len(b) && b[i] < 0x80 {
		i++
	}
	return i
}

func countNotASCII(b []byte) (n int) {
	for _, c := range b {
		n += int(c >> 7)
	}
	return n
}

// IsASCII reports whether b has no byte from 0x80.
func IsASCII(b []byte) bool { return firstNotASCII(b) == len(b) }

func isBlank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }
