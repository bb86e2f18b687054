package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/cwmpgate/cwmpgate/configs"
)

// maxFile is more than a file of certificates or a revocation list may have.
const maxFile = 64 << 20

// files are the contents of files, read once: what is parsed is what was
// compared.
type files struct {
	texts map[configs.Path][]byte
	sum   [sha256.Size]byte // of all
}

// readFiles reads files whole, in order. Those of later count as empty where they
// are absent.
func readFiles(names []configs.Path, later map[configs.Path]bool) (*files, error) {
	f := &files{texts: make(map[configs.Path][]byte)}
	sum := sha256.New()
	for _, name := range names {
		text, err := readFile(name)
		if err != nil && !(later[name] && errors.Is(err, fs.ErrNotExist)) {
			return nil, err
		}
		f.texts[name] = text
		one := sha256.Sum256(text)
		sum.Write(one[:])
	}
	sum.Sum(f.sum[:0])
	return f, nil
}

func readFile(name configs.Path) ([]byte, error) {
	r, err := os.Open(string(name))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s has over %d bytes", name, maxFile)
	}
	return text, nil
}

// parseAuthorities reads PEM text that holds nothing but certificates of CAs.
func parseAuthorities(name configs.Path, text []byte) ([]*x509.Certificate, error) {
	list, err := parseCertificates(name, text)
	if err != nil {
		return nil, err
	}
	for i, c := range list {
		if c.BasicConstraintsValid && !c.IsCA {
			return nil, fmt.Errorf("certificate %d of %s, %s, is no CA", i+1, name, c.Subject)
		}
	}
	return list, nil
}

// parseCertificates reads PEM text that holds nothing but certificates.
func parseCertificates(name configs.Path, rest []byte) (list []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%s holds a %s, where only certificates belong", name, strings.ToLower(block.Type))
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse certificate %d of %s: %w", len(list)+1, name, err)
		}
		list = append(list, cert)
	}
	if len(list) == 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%s is no PEM file of certificates", name)
	}
	return list, nil
}
