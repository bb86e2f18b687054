package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// prepare makes the certificate that all serve, and one of a client with its
// authority: all ECDSA P-256.
func (p *place) prepare() error {
	server, err := issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "cwmpload compare"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true,
	}, nil)
	if err != nil {
		return err
	}
	authority, err := issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "cwmpload compare authority"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	if err != nil {
		return err
	}
	client, err := issue(&x509.Certificate{
		Subject:  pkix.Name{CommonName: "cwmpload compare CPE"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, authority)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		path *string
		name string
		text []byte
	}{
		{&p.certificate, "cert.pem", server.text}, {&p.key, "key.pem", server.keyText},
		{&p.both, "both.pem", append(server.text, server.keyText...)},
		{&p.clientCA, "client-ca.pem", authority.text},
		{&p.clientCertificate, "client-cert.pem", client.text}, {&p.clientKey, "client-key.pem", client.keyText},
	} {
		*f.path = filepath.Join(p.directory, f.name)
		if err := os.WriteFile(*f.path, f.text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// made is a certificate with its key, both also as PEM.
type made struct {
	cert          *x509.Certificate
	key           *ecdsa.PrivateKey
	text, keyText []byte
}

// issue has by sign what form says, or form itself where by is nil.
func issue(form *x509.Certificate, by *made) (*made, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	form.SerialNumber, form.BasicConstraintsValid = big.NewInt(1), true
	form.NotBefore, form.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	signer, signerKey := form, key
	if by != nil {
		signer, signerKey = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, form, signer, key.Public(), signerKey)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &made{
		cert: cert, key: key,
		text:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		keyText: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}, nil
}
