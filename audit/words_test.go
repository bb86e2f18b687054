package audit

import "testing"

// TestPlain8 puts every byte at every place among neighbours that make the
// arithmetic borrow: what must be escaped never passes, what need not does.
func TestPlain8(t *testing.T) {
	for _, fill := range []byte{' ', '!', '#', 'a', '[', ']', 0x7f} {
		for place := range 8 {
			for c := range 256 {
				text := []byte{fill, fill, fill, fill, fill, fill, fill, fill}
				text[place] = byte(c)
				want := c >= 0x20 && c < 0x80 && c != '"' && c != '\\'
				if got := isPlain8(eight(text, 0)); got != want {
					t.Errorf("%q: %v, want %v", text, got, want)
				}
			}
		}
	}
}
