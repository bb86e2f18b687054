package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"os"
)

// writeNewKey writes 256 random bits in hexadecimal to a file that must not
// exist yet, with mode 0600.
func writeNewKey(file string) error {
	var b [32]byte
	rand.Read(b[:])
	return writeNewFile(file, hex.EncodeToString(b[:])+"\n")
}

// writeNewFile writes a file that must not exist yet, with mode 0600.
func writeNewFile(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	return errors.Join(err, f.Sync(), f.Close())
}
