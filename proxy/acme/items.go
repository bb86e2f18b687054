package acme

import (
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cwmpgate/cwmpgate/proxy/certs"
)

// Items reads what is kept for names. It asks nobody, and makes nothing.
func Items(c Config, names []string) (list []certs.Item, err error) {
	for _, kind := range c.keys() {
		for _, name := range names {
			// certificates/<issuer>/<name>/<name>.crt, as certmagic lays them out.
			found, err := filepath.Glob(filepath.Join(string(c.Storage), kind, "certificates", "*", name, name+".crt"))
			if err != nil {
				return nil, err
			}
			for _, file := range found {
				text, err := os.ReadFile(file)
				if err != nil && !os.IsNotExist(err) {
					return nil, err
				}
				block, _ := pem.Decode(text)
				if block == nil {
					continue
				}
				cert, err := x509.ParseCertificate(block.Bytes)
				if err != nil {
					return nil, &fs.PathError{Op: "parse certificate of", Path: file, Err: err}
				}
				list = append(list, certs.ItemOf(certs.ItemCertificate, file, cert))
			}
		}
	}
	return list, nil
}
