package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
)

// writeNewKey writes 256 random bits in hexadecimal to a file that must not
// exist yet, with mode 0600.
func writeNewKey(file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	var b [32]byte
	rand.Read(b[:])
	if _, err := fmt.Fprintln(f, hex.EncodeToString(b[:])); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
