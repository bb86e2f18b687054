package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

// place is what all targets have in common.
type place struct {
	directory        string
	acs              string // address
	admin            string // address of the metrics of the gateway begun last
	certificate, key string // PEM files
	both             string // in one
	limits           string // a section of the gateway's config, "" for the defaults
}

// prepare makes the certificate that all serve: ECDSA, as CPEs' servers have.
func (p *place) prepare() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cwmpload compare"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	certText := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyText := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	for _, f := range []struct {
		path *string
		name string
		text []byte
	}{{&p.certificate, "cert.pem", certText}, {&p.key, "key.pem", keyText}, {&p.both, "both.pem", append(certText, keyText...)}} {
		*f.path = filepath.Join(p.directory, f.name)
		if err := os.WriteFile(*f.path, f.text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// config writes one into dir.
func config(dir, name, text string) (string, error) {
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// gateway reuses connections to the ACS from session to session, as the others
// do; nothing else is set but places.
func (p *place) gateway(program, dir, address string, store bool) ([]string, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	p.admin = net127(port)
	text := fmt.Sprintf(`node: compare
listeners: [{address: %q, tls: {certificates: [{certificate: %q, key: %q}]}}]
tenants: [{name: default, upstreams: [{url: "http://%s/", reuse: clean}], redaction: {key: "file:%s/redaction.key"}}]
journal: {directory: %q, max_size: 8GiB}
log: {level: warn}
timeouts: {drain: 1s}
admin: {metrics: %q}
%s`, address, p.certificate, p.key, p.acs, dir, filepath.Join(dir, "journal"), p.admin, p.limits)
	if store {
		text += fmt.Sprintf("store: {sqlite: {file: %q}}\n", filepath.Join(dir, "audit.db"))
	}
	path, err := config(dir, "cwmpgate.yaml", text)
	return []string{program, "run", "--config", path}, err
}

// nginx keeps bodies in memory; its files lie in dir.
func (p *place) nginx(dir, address string) ([]string, error) {
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;\n" // its workers would not get into dir else
	}
	path, err := config(dir, "nginx.conf", user+fmt.Sprintf(`worker_processes 1; daemon off; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 4096; }
http {
  access_log off; client_body_buffer_size 2m; client_max_body_size 64m; keepalive_requests 1000000000;
  proxy_buffers 16 64k; proxy_buffer_size 64k;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  upstream acs { server %[2]s; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen %[3]s ssl; ssl_certificate %[4]s; ssl_certificate_key %[5]s; ssl_protocols TLSv1.2 TLSv1.3;
    location / {
      proxy_pass http://acs; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto https;
    }
  }
}
`, dir, p.acs, address, p.certificate, p.key))
	if err != nil {
		return nil, err
	}
	program, err := lookProgram(nameNginx)
	return []string{program, "-e", filepath.Join(dir, "error.log"), "-c", path}, err
}

func (p *place) haproxy(dir, address string) ([]string, error) {
	path, err := config(dir, "haproxy.cfg", fmt.Sprintf(`global
  nbthread 1
  tune.bufsize 65536
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  option http-keep-alive
frontend cpes
  bind %s ssl crt %s
  option forwardfor
  default_backend acs
backend acs
  http-reuse always
  server acs %s
`, address, p.both, p.acs))
	if err != nil {
		return nil, err
	}
	program, err := lookProgram("haproxy")
	return []string{program, "-db", "-f", path}, err
}

// newReverseProxyCommand is the peer that needs no other program: Go's own.
func newReverseProxyCommand() *cobra.Command {
	var listen, to, certificate, key string
	c := &cobra.Command{
		Use: "reverse-proxy", Hidden: true, Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		Short: "Run Go's ReverseProxy, for compare",
		RunE: func(c *cobra.Command, _ []string) error {
			u, err := url.Parse(to)
			if err != nil {
				return err
			}
			if err := checkLoopback(c.Context(), listen, false); err != nil {
				return err
			}
			proxy := &httputil.ReverseProxy{
				Rewrite: func(r *httputil.ProxyRequest) {
					r.SetURL(u)
					r.SetXForwarded()
					r.Out.Host = r.In.Host
				},
				Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
				ErrorLog:  log.New(io.Discard, "", 0),
			}
			server := &http.Server{Addr: listen, Handler: proxy, ReadHeaderTimeout: 10 * time.Second,
				TLSConfig:    &tls.Config{NextProtos: []string{"http/1.1"}},
				TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
			stop := context.AfterFunc(c.Context(), func() { server.Close() })
			defer stop()
			if err := server.ListenAndServeTLS(certificate, key); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		},
	}
	c.Flags().StringVar(&listen, "listen", "", "address")
	c.Flags().StringVar(&to, "upstream", "", "URL")
	c.Flags().StringVar(&certificate, "tls-cert", "", "PEM file")
	c.Flags().StringVar(&key, "tls-key", "", "PEM file")
	return c
}
