// Package acmetest runs pebble, an ACME CA for tests, on loopback.
package acmetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Pebble is an ACME CA whose certificates live for seconds. It takes every name
// for this machine's.
type Pebble struct {
	Directory  string // URL
	CA         string // file of its own certificate; the key is in key.pem beside it
	HTTP, TLS  int    // ports at which it looks for the answers to challenges
	DNS        string // address of its name server, which takes updates for Zone
	TXT        string // directory: the lines of a file are TXT records of its name
	names      *nameServer
	management string
	trusted    *http.Client
}

// patience is how long a test waits for it: certmagic tries again after a minute.
const patience = 90 * time.Second

// freePort is one that nobody listens at, on any address. It is below those that
// outgoing connections take, which would keep others from listening there later.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 10_000 + mathrand.IntN(20_000)
		l, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		l.Close()
		return port
	}
	t.Fatal("no port is free")
	return 0
}

// Config is what a Pebble does.
type Config struct {
	Validity time.Duration     // of certificates
	Accounts map[string]string // MAC keys by key ID, base64url-encoded; where there are any, an account must be bound to one
}

// Start runs it until the test ends. Its program is built from the module of
// tools, two directories above the test's.
func Start(t testing.TB, c Config) *Pebble {
	t.Helper()
	program, err := exec.LookPath("go")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	binary := filepath.Join(dir, "pebble")
	if out, err := exec.CommandContext(ctx, program, "build", "-modfile=../../tools/go.mod", "-o", binary, "github.com/letsencrypt/pebble/v2/cmd/pebble").CombinedOutput(); err != nil {
		t.Fatalf("build pebble: %v\n%s", err, out)
	}
	p := &Pebble{HTTP: freePort(t), TLS: freePort(t), CA: filepath.Join(dir, "cert.pem")}
	p.trusted = writeCertificate(t, dir)
	listen := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	p.management = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	cfg := map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": p.management, "certificate": p.CA, "privateKey": filepath.Join(dir, "key.pem"),
		"httpPort": p.HTTP, "tlsPort": p.TLS, "keyAlgorithm": "ecdsa",
		"profiles":                       map[string]any{"default": map[string]any{"description": "short", "validityPeriod": int(c.Validity.Seconds())}},
		"externalAccountBindingRequired": len(c.Accounts) > 0, "externalAccountMACKeys": c.Accounts,
	}}
	p.TXT = t.TempDir()
	p.names = &nameServer{txt: map[string][]string{}, dir: p.TXT}
	p.DNS = serveDNS(t, p.names)
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, binary, "-config", file, "-dnsserver", p.DNS)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("pebble:\n%s", text[max(0, len(text)-4000):])
		}
	})
	p.Directory = "https://" + listen + "/dir"
	Await(t, "pebble answers", func() bool {
		res, err := p.trusted.Get(p.Directory)
		if err == nil {
			res.Body.Close()
		}
		return err == nil
	})
	return p
}

// Roots are what clients verify its certificates against.
func (p *Pebble) Roots(t testing.TB) *x509.CertPool {
	t.Helper()
	res, err := p.trusted.Get("https://" + p.management + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatalf("pebble's root: %v, %s", err, text)
	}
	return pool
}

// Await waits for what must come.
func Await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	until := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(until) {
			t.Fatalf("waited in vain: %s", what)
		}
		pause := time.NewTimer(20 * time.Millisecond)
		<-pause.C
	}
}

// writeCertificate makes pebble's own, and a client that trusts it.
func writeCertificate(t testing.TB, dir string) *http.Client {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pebble"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		text := pem.EncodeToMemory(block)
		pool.AppendCertsFromPEM(text)
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
}

// Records is how many TXT records are left at the name server.
func (p *Pebble) Records() int { return p.names.records() }

// Own is pebble's own certificate, signed by itself.
func (p *Pebble) Own(t testing.TB) tls.Certificate {
	t.Helper()
	c, err := tls.LoadX509KeyPair(p.CA, filepath.Join(filepath.Dir(p.CA), "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Of the zone that the name server has, and of who may update it.
const (
	Zone    = "example.test."
	KeyName = "gateway."
	Key     = "c2VjcmV0LW9mLXRoZS10ZXN0cy0xMjM0NTY3ODkwMTI="
)

// nameServer has the zone; every name in it is this machine's.
type nameServer struct {
	mu  sync.Mutex
	txt map[string][]string
	dir string
}

// texts are the TXT records of a name.
func (n *nameServer) texts(name string) []string {
	name = strings.ToLower(name)
	lines, err := os.ReadFile(filepath.Join(n.dir, filepath.Base(name)))
	if err != nil {
		return n.txt[name]
	}
	return append(strings.Fields(string(lines)), n.txt[name]...)
}

func (n *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := new(dns.Msg).SetReply(q)
	ask := q.Question[0]
	soa := &dns.SOA{Hdr: dns.RR_Header{Name: Zone, Rrtype: dns.TypeSOA, Class: dns.ClassINET}, Ns: "ns." + Zone, Mbox: "root." + Zone}
	switch {
	case q.Opcode == dns.OpcodeUpdate && (q.IsTsig() == nil || w.TsigStatus() != nil || ask.Name != Zone):
		a.Rcode = dns.RcodeNotAuth
	case q.Opcode == dns.OpcodeUpdate:
		for _, rr := range q.Ns {
			name, text := strings.ToLower(rr.Header().Name), rr.(*dns.TXT).Txt[0]
			if rr.Header().Class == dns.ClassNONE {
				n.txt[name] = slices.DeleteFunc(n.txt[name], func(t string) bool { return t == text })
			} else {
				n.txt[name] = append(n.txt[name], text)
			}
		}
		a.SetTsig(KeyName, dns.HmacSHA256, 300, time.Now().Unix())
	case ask.Qtype == dns.TypeA:
		a.Answer = append(a.Answer, &dns.A{Hdr: dns.RR_Header{Name: ask.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(127, 0, 0, 1)})
	case ask.Qtype == dns.TypeTXT:
		for _, text := range n.texts(ask.Name) {
			a.Answer = append(a.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: ask.Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{text}})
		}
	case ask.Qtype == dns.TypeSOA && strings.EqualFold(ask.Name, Zone):
		a.Answer = append(a.Answer, soa)
	default:
		a.Ns = append(a.Ns, soa)
	}
	w.WriteMsg(a)
}

// records is how many TXT records there are.
func (n *nameServer) records() (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, list := range n.txt {
		count += len(list)
	}
	return count
}

// serveDNS runs the name server until the test ends.
func serveDNS(t testing.TB, handler *nameServer) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(t)))) // pebble asks over TCP
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenPacket("udp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	for _, s := range []*dns.Server{{Listener: listener}, {PacketConn: conn}} {
		s.Handler, s.TsigSecret = handler, map[string]string{KeyName: Key}
		s.MsgAcceptFunc = func(h dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }
		serving.Go(func() { s.ActivateAndServe() })
	}
	t.Cleanup(func() {
		listener.Close()
		conn.Close()
		serving.Wait()
	})
	return listener.Addr().String()
}
