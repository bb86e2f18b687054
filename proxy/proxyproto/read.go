// Package proxyproto reads what a load balancer says of a connection before the
// connection's own bytes: HAProxy's PROXY protocol, versions 1 and 2. It reads
// not one byte more.
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// MaxLength bounds what version 2 may say behind its first 16 bytes: addresses
// and extensions. Balancers send some hundred.
const MaxLength = 4096

// ErrHeader is wrapped by every error of Read that is not one of reading: the
// peer does not begin as the protocol says.
var ErrHeader = errors.New("no PROXY header")

// signature begins every header of version 2.
const signature = "\r\n\r\n\x00\r\nQUIT\n"

// maxText is the longest header of version 1, its line end included.
const maxText = 107

// shortest is the length of the shortest header there is, "PROXY UNKNOWN\r\n".
const shortest = 15

// Read reads a header of either version and gives the client that the
// connection is from. It is the zero AddrPort where the balancer speaks for
// itself, as its health checks do, or does not know: the connection is then from
// who made it. What stands in extensions is not looked at, but for the checksum.
func Read(r io.Reader) (netip.AddrPort, error) {
	var begin [shortest]byte
	if _, err := io.ReadFull(r, begin[:]); err != nil {
		return netip.AddrPort{}, fmt.Errorf("read the PROXY header: %w", err)
	}
	switch {
	case bytes.HasPrefix(begin[:], []byte("PROXY ")):
		return readText(r, begin[:])
	case bytes.HasPrefix(begin[:], []byte(signature)):
		return readBinary(r, begin[:])
	}
	return bad("it begins with %q", begin[:])
}

// more reads what must still come: io.EOF is for who has said nothing at all.
func more(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if err == io.EOF && len(b) > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("read the PROXY header: %w", err)
	}
	return nil
}

func bad(format string, args ...any) (netip.AddrPort, error) {
	return netip.AddrPort{}, fmt.Errorf("%w: %s", ErrHeader, fmt.Sprintf(format, args...))
}

// readText reads version 1. Its end is not known before it is there, so that it
// is read byte by byte.
func readText(r io.Reader, begin []byte) (netip.AddrPort, error) {
	line := append(make([]byte, 0, maxText), begin...)
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		if len(line) == maxText {
			return bad("a line of more than %d bytes", maxText)
		}
		line = line[:len(line)+1]
		if err := more(r, line[len(line)-1:]); err != nil {
			return netip.AddrPort{}, err
		}
	}
	text := string(line[:len(line)-2])
	fields := strings.Split(text, " ")
	if len(fields) >= 2 && fields[1] == "UNKNOWN" {
		return netip.AddrPort{}, nil // whatever else it says (section 2.1)
	}
	if len(fields) != 6 || fields[1] != "TCP4" && fields[1] != "TCP6" {
		return bad("%q", text)
	}
	var ends [2]netip.AddrPort
	for i := range ends {
		a, err := netip.ParseAddr(fields[2+i])
		port, ok := parsePort(fields[4+i])
		if err != nil || !ok || a.Zone() != "" || a.Is4() != (fields[1] == "TCP4") {
			return bad("%q", text)
		}
		ends[i] = netip.AddrPortFrom(a.Unmap(), port)
	}
	return client(ends[0])
}

// parsePort takes a number in the one form that the text has (section 2.1).
func parsePort(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && strconv.FormatUint(n, 10) == s
}

// Of version 2: the second half of byte 12, and byte 13 (section 2.2).
const (
	commandLocal = 0
	commandProxy = 1
	overTCP4     = 0x11
	overTCP6     = 0x21
	unspecified  = 0x00
)

func readBinary(r io.Reader, begin []byte) (netip.AddrPort, error) {
	var last [1]byte
	if err := more(r, last[:]); err != nil {
		return netip.AddrPort{}, err
	}
	head := append(begin[:shortest:shortest], last[0])
	command, over, length := head[12]&0x0f, head[13], int(binary.BigEndian.Uint16(head[14:]))
	switch {
	case head[12]>>4 != 2:
		return bad("version %d", head[12]>>4)
	case command != commandLocal && command != commandProxy:
		return bad("command %d", command)
	case length > MaxLength:
		return bad("%d bytes of addresses and extensions, over %d", length, MaxLength)
	}
	rest := make([]byte, length)
	if err := more(r, rest); err != nil {
		return netip.AddrPort{}, err
	}
	size := 0
	switch over {
	case overTCP4:
		size = 4
	case overTCP6:
		size = 16
	default:
		if command == commandProxy && over != unspecified {
			return bad("connections of protocol %#02x, which are not of TCP", over)
		}
	}
	if len(rest) < 2*size+4 && size > 0 {
		return bad("%d bytes are too few for its addresses", len(rest))
	}
	extensions := rest
	if size > 0 {
		extensions = rest[2*size+4:]
	}
	if err := checkExtensions(head, rest, extensions, over == unspecified || command == commandLocal); err != nil {
		return netip.AddrPort{}, err
	}
	if command == commandLocal || size == 0 {
		return netip.AddrPort{}, nil
	}
	a, _ := netip.AddrFromSlice(rest[:size])
	return client(netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(rest[2*size:])))
}

// typeChecksum is the extension that has a CRC-32c of the whole header
// (section 2.2.3).
const typeChecksum = 0x03

// checkExtensions holds the header to its checksum, where it has one. Where the
// address part is of no known form there may be no extensions to be read.
func checkExtensions(head, rest, extensions []byte, loose bool) error {
	for left := extensions; len(left) > 0; {
		if len(left) < 3 || len(left) < 3+int(binary.BigEndian.Uint16(left[1:])) {
			if loose {
				return nil
			}
			_, err := bad("an extension is cut off")
			return err
		}
		kind, value := left[0], left[3:3+int(binary.BigEndian.Uint16(left[1:]))]
		left = left[3+len(value):]
		if kind != typeChecksum || len(value) != 4 {
			continue
		}
		said := binary.BigEndian.Uint32(value)
		clear(value)
		sum := crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, rest)
		if sum != said {
			_, err := bad("its checksum is %08x, it is said to be %08x", sum, said)
			return err
		}
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// client is who a header names. An address that nobody can come from is no
// client's.
func client(a netip.AddrPort) (netip.AddrPort, error) {
	if ip := a.Addr(); ip.IsUnspecified() || ip.IsMulticast() {
		return bad("client %s", ip)
	}
	return a, nil
}
