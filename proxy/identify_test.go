package proxy

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/proxy/certs"
)

// A certificate's names are an authority's to choose, and may hold anything.
func TestIdentityValuesStayInTheirField(t *testing.T) {
	cert := &x509.Certificate{
		Subject: pkix.Name{CommonName: "a\r\nX-Other: b\x00\x7f", Organization: []string{"Büro, 1"}}, SerialNumber: big.NewInt(0xabc),
	}
	x := &exchange{shown: &certs.Shown{Certificate: cert}, session: &session{origin: audit.Origin{Identity: audit.IdentityClass}}}
	for what, want := range map[string]string{
		"subject": `CN=a\0D\0AX-Other: b\00\7F,O=Büro\, 1`, "serial": "abc", "verify": "SUCCESS", "identity": "class",
	} {
		if got := x.identityValue(what); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	x = &exchange{}
	for what, want := range map[string]string{"subject": "", "serial": "", "verify": "NONE", "identity": "claimed", "certificate": ""} {
		if got := x.identityValue(what); got != want {
			t.Errorf("without a certificate, %s: %q, want %q", what, got, want)
		}
	}
}
