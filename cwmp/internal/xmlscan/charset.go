package xmlscan

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// The charsets that are read, by the names that Charset returns.
const (
	UTF8        = "utf-8"
	Latin1      = "iso-8859-1"
	Windows1252 = "windows-1252"
	ASCII       = "us-ascii"
)

// lookupCharset returns one of the four for any of its registered names, or "".
func lookupCharset(label []byte) string {
	var lower [24]byte // longer than any of the names
	if len(label) > len(lower) {
		return ""
	}
	for i, c := range label {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		lower[i] = c
	}
	switch string(lower[:len(label)]) {
	case "utf-8", "utf8":
		return UTF8
	case "iso-8859-1", "iso8859-1", "iso_8859-1", "iso_8859-1:1987", "iso-ir-100", "latin1", "latin-1", "l1", "ibm819", "cp819":
		return Latin1
	case "windows-1252", "cp1252", "x-cp1252":
		return Windows1252
	case "us-ascii", "ascii", "us", "ansi_x3.4-1968", "iso646-us", "iso-ir-6":
		return ASCII
	}
	return ""
}

// windows1252 is the range 0x80 to 0x9F; zero where nothing is defined.
var windows1252 = [32]rune{
	0x20AC, 0, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017D, 0,
	0, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0, 0x017E, 0x0178,
}

// runeOf is the character of a byte from 0x80, or 0.
func runeOf(charset string, b byte) rune {
	if charset == Windows1252 && b < 0xA0 {
		return windows1252[b-0x80]
	}
	return rune(b)
}

// ByteOf returns the byte of r in a charset of one byte a character.
func ByteOf(charset string, r rune) (b byte, ok bool) {
	switch {
	case r < 0x80:
		return byte(r), true
	case charset == ASCII || charset == UTF8:
		return 0, false
	case charset == Latin1 && r <= 0xFF, charset == Windows1252 && r >= 0xA0 && r <= 0xFF:
		return byte(r), true
	case charset == Windows1252:
		for i, w := range windows1252 {
			if w == r {
				return byte(0x80 + i), true
			}
		}
	}
	return 0, false
}

var bom = []byte("\xEF\xBB\xBF")

// open finds out how body is encoded and makes s.src of it: the longest valid
// prefix, in UTF-8. What ends it is kept for the error that will follow.
func (s *Scanner) open(body []byte, header string) {
	s.base = 0
	if len(body) >= 2 && (body[0] == 0xFE && body[1] == 0xFF || body[0] == 0xFF && body[1] == 0xFE || body[0] == 0 || body[1] == 0) {
		s.fail(UnknownCharset, 0, "the body is UTF-16, UTF-32 or binary")
		return
	}
	marked := bytes.HasPrefix(body, bom)
	if marked {
		s.base, body = len(bom), body[len(bom):]
	}
	s.src = body // the declaration is ASCII in every charset that is read
	declared := s.declaration()
	if s.err != nil {
		return
	}
	var inXML, inHeader string
	if len(declared) > 0 {
		if inXML = lookupCharset(declared); inXML == "" {
			s.fail(UnknownCharset, s.pos, "the XML declaration names "+quote(declared))
			return
		}
	}
	if label := strings.Trim(header, " \t\"'"); label != "" {
		if inHeader = lookupCharset([]byte(label)); inHeader == "" {
			s.fail(UnknownCharset, s.pos, "Content-Type names "+quote([]byte(label)))
			return
		}
	}
	s.charset = UTF8
	if inHeader != "" {
		s.charset = inHeader
	}
	if inXML != "" {
		s.charset = inXML
	}
	if marked && (inXML != "" && inXML != UTF8 || inHeader != "" && inHeader != UTF8) {
		s.fail(CharsetMismatch, 0, "a byte order mark says UTF-8, a declaration another charset")
		return
	}
	s.decode(body, inXML != "" && inHeader != "" && inXML != inHeader)
}

// decode checks body and transcodes it where it must. Where header and XML name
// different charsets, the body is read up to the first byte that they differ on.
func (s *Scanner) decode(body []byte, disputed bool) {
	if s.charset == UTF8 && !disputed {
		end, reason, detail := checkUTF8(body)
		s.src, s.badReason, s.badDetail = body[:end], reason, detail
		return
	}
	ascii := firstNotASCII(body)
	end, reason, detail := checkUTF8(body[:ascii])
	s.src, s.badReason, s.badDetail = body[:end], reason, detail
	if end < ascii || ascii == len(body) {
		return
	}
	switch {
	case disputed:
		s.badReason, s.badDetail = CharsetMismatch, "Content-Type and XML declaration name different charsets"
	case s.charset == ASCII:
		s.badReason, s.badDetail = InvalidEncoding, "the byte is not in US-ASCII, which is declared"
	default:
		s.transcode(body, ascii)
	}
}

// transcode writes body as UTF-8 into scratch memory, up to its first bad byte.
func (s *Scanner) transcode(body []byte, from int) {
	more := 1 // bytes that a character takes beyond its one
	if s.charset == Windows1252 {
		more = 2
	}
	wide := slices.Grow(s.wide[:0], len(body)+more*countNotASCII(body[from:]))
	wide = append(wide, body[:from]...)
	for i := from; i < len(body); {
		if n := plainPrefix(body[i:]); n > 0 {
			wide = append(wide, body[i:i+n]...)
			i += n
			continue
		}
		if body[i] < 0x80 {
			s.badReason, s.badDetail = InvalidCharacter, "a control character that XML forbids"
			break
		}
		r := runeOf(s.charset, body[i])
		if r == 0 {
			s.badReason, s.badDetail = InvalidEncoding, "the byte is not defined in Windows-1252"
			break
		}
		wide = utf8.AppendRune(wide, r)
		i++
	}
	s.wide, s.src, s.transcoded = wide, wide, true
}

// Original returns the offset in the body of an offset in s.src. A character is
// one byte of the body there where it was transcoded. Asking in rising order
// is cheap.
func (s *Scanner) Original(at int) int {
	if !s.transcoded {
		return s.base + at
	}
	if at < s.seen {
		s.seen, s.seenOriginal = 0, 0
	}
	for _, c := range s.src[s.seen:at] {
		if c&0xC0 != 0x80 {
			s.seenOriginal++
		}
	}
	s.seen = at
	return s.base + s.seenOriginal
}
