package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
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

	clientCA, clientCertificate, clientKey string // PEM files, for targets that verify clients
}

// config writes one into dir.
func config(dir, name, text string) (string, error) {
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// gateway reuses connections to the ACS from session to session, as the others
// do; nothing else is set but places.
func (p *place) gateway(program string, at service, store bool) ([]string, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	p.admin = net127(port)
	clients := ""
	if at.clients {
		clients = fmt.Sprintf(", client_certificates: {mode: required, authorities: [{file: %q}]}", p.clientCA)
	}
	text := fmt.Sprintf(`node: compare
listeners: [{address: %q, tls: {certificates: [{certificate: %q, key: %q}]%s}}]
tenants: [{name: default, upstreams: [{url: "http://%s/", reuse: clean}], redaction: {key: "file:%s/redaction.key"}}]
journal: {directory: %q, max_size: 8GiB}
log: {level: warn}
timeouts: {drain: 1s}
admin: {metrics: %q}
%s`, at.address, p.certificate, p.key, clients, p.acs, at.directory, filepath.Join(at.directory, "journal"), p.admin, p.limits)
	if store {
		text += fmt.Sprintf("store: {sqlite: {file: %q}}\n", filepath.Join(at.directory, "audit.db"))
	}
	path, err := config(at.directory, "cwmpgate.yaml", text)
	return []string{program, "run", "--config", path}, err
}

// nginx keeps bodies in memory; its files lie in its directory.
func (p *place) nginx(at service) ([]string, error) {
	user, clients := "", ""
	if os.Geteuid() == 0 {
		user = "user root;\n" // its workers would not get into the directory else
	}
	if at.clients {
		clients = fmt.Sprintf(" ssl_client_certificate %s; ssl_verify_client on;", p.clientCA)
	}
	path, err := config(at.directory, "nginx.conf", user+fmt.Sprintf(`worker_processes 1; daemon off; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 4096; }
http {
  access_log off; client_body_buffer_size 2m; client_max_body_size 64m; keepalive_requests 1000000000;
  proxy_buffers 16 64k; proxy_buffer_size 64k;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  upstream acs { server %[2]s; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen %[3]s ssl; ssl_certificate %[4]s; ssl_certificate_key %[5]s; ssl_protocols TLSv1.2 TLSv1.3;%[6]s
    location / {
      proxy_pass http://acs; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto https;
    }
  }
}
`, at.directory, p.acs, at.address, p.certificate, p.key, clients))
	if err != nil {
		return nil, err
	}
	program, err := lookProgram(nameNginx)
	return []string{program, "-e", filepath.Join(at.directory, "error.log"), "-c", path}, err
}

func (p *place) haproxy(at service) ([]string, error) {
	clients := ""
	if at.clients {
		clients = " ca-file " + p.clientCA + " verify required"
	}
	path, err := config(at.directory, "haproxy.cfg", fmt.Sprintf(`global
  nbthread 1
  tune.bufsize 65536
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  option http-keep-alive
frontend cpes
  bind %s ssl crt %s%s
  option forwardfor
  default_backend acs
backend acs
  http-reuse always
  server acs %s
`, at.address, p.both, clients, p.acs))
	if err != nil {
		return nil, err
	}
	program, err := lookProgram("haproxy")
	return []string{program, "-db", "-f", path}, err
}

// newReverseProxyCommand is the peer that needs no other program: Go's own.
func newReverseProxyCommand() *cobra.Command {
	var listen, to, certificate, key, clientCA string
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
			cfg := &tls.Config{NextProtos: []string{"http/1.1"}}
			if clientCA != "" {
				cfg.ClientAuth = tls.RequireAndVerifyClientCert
				if cfg.ClientCAs, err = readPool(clientCA); err != nil {
					return err
				}
			}
			server := &http.Server{Addr: listen, Handler: proxy, ReadHeaderTimeout: 10 * time.Second,
				TLSConfig:    cfg,
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
	c.Flags().StringVar(&clientCA, "client-ca", "", "PEM file: require a certificate of clients, and verify it")
	return c
}
