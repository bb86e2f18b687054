package journal

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

// The small files, log and cursors, are lines of words for people to read,
// the last of which is a checksum over those before.

const textLimit = 64 << 10

func sealText(lines ...string) []byte {
	var b bytes.Buffer
	for _, l := range lines {
		b.WriteString(l)
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "crc32c %08x\n", crc32.Checksum(b.Bytes(), castagnoli))
	return b.Bytes()
}

// openText checks the first line and the checksum and gives the lines
// between as words.
func openText(text []byte, title string) ([][]string, error) {
	i := bytes.LastIndex(text, []byte("crc32c "))
	if i < 0 || string(text[i:]) != fmt.Sprintf("crc32c %08x\n", crc32.Checksum(text[:i], castagnoli)) {
		return nil, errChecksum
	}
	lines := strings.Split(strings.TrimSuffix(string(text[:i]), "\n"), "\n")
	if lines[0] != title {
		return nil, fmt.Errorf("begins with %q instead of %q", lines[0], title)
	}
	var words [][]string
	for _, l := range lines[1:] {
		w := strings.Fields(l)
		if len(w) == 0 {
			return nil, errors.New("has an empty line")
		}
		words = append(words, w)
	}
	return words, nil
}
