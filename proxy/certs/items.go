package certs

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cwmpgate/cwmpgate/configs"
)

// What an Item is.
const (
	ItemCertificate = "certificate" // shown to CPEs
	ItemAuthority   = "authority"   // of certificates that CPEs show
	ItemCRL         = "crl"
)

// Item is a certificate or a revocation list, for people and alarms.
type Item struct {
	What    string
	File    string
	Subject string   // of a list: who has issued it
	Names   []string // of the server, that the certificate is for
	Key     string   // kind and size
	SHA256  string   // of a certificate, lower-case hex
	Until   time.Time
	Revoked int // certificates that a list names
}

// IsStale tells whether a revocation list is past its time. One that is not has
// a week or less in the ordinary course of things, and is nothing to warn of.
func (i *Item) IsStale(now time.Time) bool {
	return i.What == ItemCRL && !i.Until.IsZero() && now.After(i.Until)
}

// EndsSoon tells whether an item is to be warned of: a certificate that ends
// within before, or has ended; a list that is stale.
func (i *Item) EndsSoon(now time.Time, before time.Duration) bool {
	return i.IsStale(now) || i.What != ItemCRL && !i.Until.IsZero() && i.Until.Sub(now) < before
}

// ItemOf tells of one certificate.
func ItemOf(what, file string, c *x509.Certificate) Item {
	sum := sha256.Sum256(c.Raw)
	i := Item{What: what, File: file, Subject: c.Subject.String(), Key: keyText(c), SHA256: hex.EncodeToString(sum[:]), Until: c.NotAfter.UTC()}
	if what == ItemCertificate {
		i.Names = namesOf(c)
	}
	return i
}

func keyText(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	}
	return c.PublicKeyAlgorithm.String()
}

// Items are what the listener shows now, and what its own authorities are.
func (s *Server) Items() (list []Item) {
	for i, c := range s.inForce.Load().shown {
		name := configs.Path(filepath.Join(string(s.cfg.SelfSigned.Directory), certName))
		if i < len(s.cfg.Certificates) {
			name = s.cfg.Certificates[i].Certificate
		}
		list = append(list, ItemOf(ItemCertificate, string(name), c.Leaf))
	}
	if s.acme != nil {
		for _, c := range s.acme.Held(s.cfg.ACME) {
			list = append(list, ItemOf(ItemCertificate, "acme", c.Leaf))
		}
	}
	return append(list, s.own.Items()...)
}

// Items are the authorities now in force, and their revocation lists.
func (t *Trust) Items() []Item { return t.inForce.Load().items() }

func (a *authorities) items() (list []Item) {
	for _, l := range a.list {
		list = append(list, ItemOf(ItemAuthority, string(l.file), l.cert))
		for _, r := range a.crls[string(l.cert.RawSubject)] {
			if r.issuer == l.cert {
				list = append(list, Item{What: ItemCRL, File: string(r.file), Subject: r.issuer.Subject.String(), Until: r.next.UTC(), Revoked: len(r.revoked)})
			}
		}
	}
	return list
}

// ItemsOf reads what a listener would show, and its authorities. It makes
// nothing.
func ItemsOf(c Config) (list []Item, err error) {
	for _, f := range c.Certificates {
		cert, err := tls.LoadX509KeyPair(string(f.Certificate), string(f.Key))
		if err != nil {
			return nil, err
		}
		list = append(list, ItemOf(ItemCertificate, string(f.Certificate), cert.Leaf))
	}
	if dir := string(c.SelfSigned.Directory); dir != "" {
		name := configs.Path(filepath.Join(dir, certName))
		cert, err := tls.LoadX509KeyPair(string(name), filepath.Join(dir, keyName))
		if err == nil {
			list = append(list, ItemOf(ItemCertificate, string(name), cert.Leaf))
		} else if !os.IsNotExist(err) {
			return nil, err
		}
	}
	clients, err := ItemsOfClients(c.Clients)
	return append(list, clients...), err
}

// ItemsOfClients reads what authorities there are.
func ItemsOfClients(c Clients) ([]Item, error) {
	t, err := NewTrust(c)
	if err != nil {
		return nil, err
	}
	return t.Items(), nil
}

// ItemsOfFile reads the certificates of one file.
func ItemsOfFile(what string, name configs.Path) (list []Item, err error) {
	text, err := readFile(name)
	if err != nil {
		return nil, err
	}
	certs, err := parseCertificates(name, text)
	for _, c := range certs {
		list = append(list, ItemOf(what, string(name), c))
	}
	return list, err
}
