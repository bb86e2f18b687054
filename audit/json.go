package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"
	"unicode/utf8"
)

const lowerHex = "0123456789abcdef"

// appendString appends s as a JSON string, in which RFC 8785 has the quote, the
// backslash and the control characters escaped, no others. What is no UTF-8
// becomes U+FFFD, so that the line can be read by anyone.
func appendString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		if i+8 <= len(s) && isPlain8(eight(s, i)) {
			i += 8
			continue
		}
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if size := runeSize(s, i); size > 1 {
			i += size
			continue
		}
		dst = append(dst, s[from:i]...)
		dst = appendEscape(dst, c)
		i++
		from = i
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

// eight is s[i:i+8] as one number: the compiler makes one load of it.
func eight[T string | []byte](s T, i int) uint64 {
	_ = s[i+7]
	return uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
		uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
}

// isPlain8 tells whether eight bytes at once stand for themselves in a JSON
// string: of ASCII, none of them a control character, quote or backslash. A
// byte under n borrows from its highest bit when n is taken from it.
func isPlain8(v uint64) bool {
	const each, high = 0x0101010101010101, 0x8080808080808080
	quote, backslash := v^'"'*each, v^'\\'*each
	return (v|(v-0x20*each)|(quote-each)|(backslash-each))&high == 0
}

// runeSize is the length of the character at i, 1 where there is none or it is
// of ASCII.
func runeSize[T string | []byte](s T, i int) int {
	var tmp [utf8.UTFMax]byte
	n := copy(tmp[:], s[i:min(i+utf8.UTFMax, len(s))])
	_, size := utf8.DecodeRune(tmp[:n])
	return size
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\t':
		return append(dst, '\\', 't')
	case '\n':
		return append(dst, '\\', 'n')
	case '\f':
		return append(dst, '\\', 'f')
	case '\r':
		return append(dst, '\\', 'r')
	}
	if c >= utf8.RuneSelf {
		return append(dst, "\uFFFD"...)
	}
	return append(dst, '\\', 'u', '0', '0', lowerHex[c>>4], lowerHex[c&15])
}

// appendTime appends t as records write it: UTC, always six digits.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = append(dst, '"')
	dst = appendDigits(dst, max(0, min(year, 9999)), 4)
	dst = appendDigits(append(dst, '-'), int(month), 2)
	dst = appendDigits(append(dst, '-'), day, 2)
	dst = appendDigits(append(dst, 'T'), hour, 2)
	dst = appendDigits(append(dst, ':'), minute, 2)
	dst = appendDigits(append(dst, ':'), second, 2)
	dst = appendDigits(append(dst, '.'), t.Nanosecond()/1000, 6)
	return append(dst, 'Z', '"')
}

func appendDigits(dst []byte, n, width int) []byte {
	for range width {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; width > 0; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
		width--
	}
	return dst
}

// The members of a record. Each begins with its comma: v is always first.
// Those whose value is zero are left out.

func appendMember[T string | []byte](dst []byte, name string, value T) []byte {
	if len(value) == 0 {
		return dst
	}
	return appendString(appendName(dst, name), value)
}

func appendName(dst []byte, name string) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

func appendCount(dst []byte, name string, n int64) []byte {
	if n == 0 {
		return dst
	}
	return strconv.AppendInt(appendName(dst, name), n, 10)
}

func appendInt(dst []byte, name string, n int64) []byte {
	return strconv.AppendInt(appendName(dst, name), n, 10)
}

func appendMoment(dst []byte, name string, t time.Time) []byte {
	if t.IsZero() {
		return dst
	}
	return appendTime(appendName(dst, name), t)
}

func appendTrue(dst []byte, name string, b bool) []byte {
	if !b {
		return dst
	}
	return append(appendName(dst, name), "true"...)
}

func appendNumbers(dst []byte, name string, list []uint64) []byte {
	if len(list) == 0 {
		return dst
	}
	dst = append(appendName(dst, name), '[')
	for i, n := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, n, 10)
	}
	return append(dst, ']')
}

// clip bounds a text that is no value of a message, at a character.
func clip[T string | []byte](s T, most int) T {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

// appendCut appends the first so many bytes of a text that is over the bound,
// how many are left out, and the hash of all.
func appendCut(dst []byte, key string, text []byte, bound int) []byte {
	kept := clip(text, bound)
	dst = append(dst, '"')
	dst = append(dst, key...)
	dst = append(dst, '"', ':')
	dst = appendString(dst, kept)
	dst = appendInt(dst, "cut", int64(len(text)-len(kept)))
	sum := sha256.Sum256(text)
	dst = append(appendName(dst, "sha256"), '"')
	dst = hex.AppendEncode(dst, sum[:])
	return append(dst, '"')
}
