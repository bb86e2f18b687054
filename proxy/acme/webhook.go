package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/cwmpgate/cwmpgate/configs"
)

// Webhook is a web server that sets and removes the records of DNS-01
// challenges.
type Webhook struct {
	URL      configs.URL      `yaml:"url" required:"true" doc:"Where it is. /present and /cleanup are added to its path, and posted to is {\"fqdn\": the record's name with a dot at its end, \"value\": the text}. Any answer of 2xx is a yes."`
	CA       configs.Path     `yaml:"ca" doc:"PEM file of the certificates that the server's own is verified against; the system's where absent."`
	User     string           `yaml:"user" doc:"User name for it (HTTP Basic)."`
	Password configs.Secret   `yaml:"password" doc:"Its password, as file:PATH or env:NAME."`
	Timeout  configs.Duration `yaml:"timeout" min:"1s" doc:"The longest that one call may take."`
}

// SetDefaults gives the section its defaults before it is read.
func (w *Webhook) SetDefaults() { w.Timeout = configs.Duration(30 * time.Second) }

// Validate reports what no single key's type can tell.
func (w *Webhook) Validate(at configs.At) {
	if _, err := readPool(w.CA); err != nil {
		at.Errorf("ca", "%v", err)
	}
	if u := w.URL.URL(); u.RawQuery != "" || u.User != nil {
		at.Errorf("url", "a query or user in it would be lost: give user and password by their keys")
	}
	if w.User != "" && w.URL.URL().Scheme == "http" && !w.URL.Address().Loopback() {
		at.Errorf("url", "a password would cross the network in clear: use https")
	}
	if (w.User == "") != w.Password.IsZero() {
		at.Errorf("user", "user and password go together")
	}
}

// post calls the server once.
func (w *Webhook) post(ctx context.Context, action, name, value string) error {
	roots, err := readPool(w.CA)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(w.Timeout))
	defer cancel()
	body, err := json.Marshal(map[string]string{"fqdn": name, "value": value})
	if err != nil {
		return err
	}
	target := strings.TrimSuffix(w.URL.String(), "/") + "/" + action
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask for a record: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if w.User != "" {
		req.SetBasicAuth(w.User, string(w.Password.Bytes()))
	}
	client := http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask for a record: %w", err)
	}
	defer res.Body.Close()
	said := tail{}
	if _, err := io.Copy(&said, io.LimitReader(res.Body, maxTail)); err != nil {
		return fmt.Errorf("ask for a record: read the answer of %s: %w", target, err)
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("ask for a record: %s answered %s%s", target, res.Status, said.text())
	}
	return nil
}
