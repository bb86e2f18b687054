package acme

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/libdns/libdns"
	"github.com/miekg/dns"

	"github.com/cwmpgate/cwmpgate/configs"
)

// DNS is who puts the record of a DNS-01 challenge into its zone: a name server
// that takes updates (RFC 2136), a program, or a web server.
type DNS struct {
	Server    configs.Address   `yaml:"server" doc:"The zone's primary server, host and port. It is asked over TCP, and takes updates (RFC 2136) by key_name and key."`
	KeyName   string            `yaml:"key_name" doc:"Name of the key that updates are signed by (TSIG, RFC 8945)."`
	Algorithm string            `yaml:"algorithm" enum:"hmac-sha256|hmac-sha512" doc:"The key's algorithm."`
	Key       configs.Secret    `yaml:"key" doc:"The key, base64-encoded, as file:PATH or env:NAME."`
	Exec      *Exec             `yaml:"exec" doc:"A program that sets and removes records, in place of server."`
	Webhook   *Webhook          `yaml:"webhook" doc:"A web server that does, in place of server."`
	Resolvers []configs.Address `yaml:"resolvers" doc:"Name servers that are asked for the zone of a name, and whether a record can be seen; the system's where there are none."`
	Wait      configs.Duration  `yaml:"wait" doc:"The longest until a record can be seen."`
}

// SetDefaults gives the section its defaults before it is read.
func (d *DNS) SetDefaults() {
	d.Algorithm, d.Wait = "hmac-sha256", configs.Duration(2*time.Minute)
}

// Validate reports what no single key's type can tell.
func (d *DNS) Validate(at configs.At) {
	ways := 0
	for _, is := range []bool{d.Server != "", d.Exec != nil, d.Webhook != nil} {
		if is {
			ways++
		}
	}
	if ways != 1 {
		at.Errorf("", "give one of server, exec and webhook, which sets the records")
	}
	if d.Server != "" && (d.KeyName == "" || d.Key.IsZero()) {
		at.Errorf("server", "updates have to be signed: give key_name and key")
	}
}

// solver answers DNS-01 challenges.
func (d *DNS) solver() *certmagic.DNS01Solver {
	var provider certmagic.DNSProvider = &updater{d}
	switch {
	case d.Exec != nil:
		provider = setter{d.Exec.run}
	case d.Webhook != nil:
		provider = setter{d.Webhook.post}
	}
	s := &certmagic.DNS01Solver{DNSManager: certmagic.DNSManager{
		DNSProvider: provider, TTL: challengeTTL, PropagationTimeout: time.Duration(d.Wait),
	}}
	for _, r := range d.Resolvers {
		s.Resolvers = append(s.Resolvers, r.String())
	}
	return s
}

// What a setter is asked to do, in the words that programs and servers for
// other ACME clients are used to.
const (
	actPresent = "present"
	actCleanUp = "cleanup"
)

// setter is a libdns provider of TXT records whose set does the work: action is
// one of the two above, name ends with a dot.
type setter struct {
	set func(ctx context.Context, action, name, value string) error
}

// AppendRecords adds records to a zone.
func (s setter) AppendRecords(ctx context.Context, zone string, list []libdns.Record) ([]libdns.Record, error) {
	return s.each(ctx, actPresent, zone, list)
}

// DeleteRecords removes records that are exactly these.
func (s setter) DeleteRecords(ctx context.Context, zone string, list []libdns.Record) ([]libdns.Record, error) {
	return s.each(ctx, actCleanUp, zone, list)
}

func (s setter) each(ctx context.Context, action, zone string, list []libdns.Record) ([]libdns.Record, error) {
	for i, record := range list {
		r := record.RR()
		if err := s.set(ctx, action, libdns.AbsoluteName(r.Name, dns.Fqdn(zone)), r.Data); err != nil {
			return list[:i], err
		}
	}
	return list, nil
}

// challengeTTL is short, for the record is there for seconds.
const challengeTTL = time.Minute

// updater is a libdns provider of TXT records.
type updater struct{ cfg *DNS }

// AppendRecords adds records to a zone.
func (u *updater) AppendRecords(ctx context.Context, zone string, list []libdns.Record) ([]libdns.Record, error) {
	return u.update(ctx, zone, list, (*dns.Msg).Insert)
}

// DeleteRecords removes records that are exactly these.
func (u *updater) DeleteRecords(ctx context.Context, zone string, list []libdns.Record) ([]libdns.Record, error) {
	return u.update(ctx, zone, list, (*dns.Msg).Remove)
}

func (u *updater) update(ctx context.Context, zone string, list []libdns.Record, change func(*dns.Msg, []dns.RR)) ([]libdns.Record, error) {
	m := new(dns.Msg).SetUpdate(dns.Fqdn(zone))
	for _, record := range list {
		r := record.RR()
		if r.Type != "TXT" {
			return nil, fmt.Errorf("update %s: %s is not TXT", zone, r.Type)
		}
		change(m, []dns.RR{&dns.TXT{
			Hdr: dns.RR_Header{Name: dns.Fqdn(libdns.AbsoluteName(r.Name, dns.Fqdn(zone))), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: uint32(r.TTL.Seconds())},
			Txt: []string{r.Data},
		}})
	}
	key := dns.Fqdn(u.cfg.KeyName)
	m.SetTsig(key, dns.Fqdn(u.cfg.Algorithm), 300, time.Now().Unix())
	c := dns.Client{Net: "tcp", Timeout: updateTime, TsigSecret: map[string]string{key: strings.TrimSpace(string(u.cfg.Key.Bytes()))}}
	answer, _, err := c.ExchangeContext(ctx, m, u.cfg.Server.String())
	if err == nil && answer.Rcode != dns.RcodeSuccess {
		err = errors.New(dns.RcodeToString[answer.Rcode])
	}
	if err != nil {
		return nil, fmt.Errorf("update %s at %s: %w", zone, u.cfg.Server, err)
	}
	return list, nil
}

// updateTime bounds one update.
const updateTime = 20 * time.Second
