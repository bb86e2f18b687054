package certs

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"testing"
)

func pinText(h *holder) string {
	p := pinOf(h.cert)
	return base64.StdEncoding.EncodeToString(p[:])
}

// TestPins: of all that an authority has signed, only what leads over a pinned
// key comes in; so it is when a session is resumed.
func TestPins(t *testing.T) {
	root := issue(t, "root", nil, isCA)
	between := issue(t, "between", root, isCA)
	device, twin := issue(t, "device", between, nil), issue(t, "device", between, nil)
	ca := file(t, root)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, c := range []struct {
			name   string
			pins   []string
			reason string
		}{
			{"none", nil, ""},
			{"the device's", []string{pinText(device)}, ""},
			{"one between", []string{pinText(between)}, ""},
			{"the authority's", []string{pinText(root)}, ""},
			{"one of two", []string{pinText(twin), pinText(device)}, ""},
			{"another device's of the same name", []string{pinText(twin)}, reasonPin},
		} {
			t.Run(tls.VersionName(version)+", "+c.name, func(t *testing.T) {
				s := serverOf(t, Clients{Mode: ModeRequired, Authorities: []Authority{{File: ca, Pins: c.pins}}})
				cfg := client(device.tls(between))
				cfg.MaxVersion = version
				peer, _, err := try(t, s, cfg)
				var refused *Refusal
				if c.reason == "" && (err != nil || len(peer.Chains) == 0) || c.reason != "" && (!errors.As(err, &refused) || refused.Reason != c.reason) {
					t.Errorf("want %q, got %v", c.reason, err)
				}
			})
		}
	}
}

// Two tenants share an authority: the handshake lets in whom either has pinned,
// and each then holds to its own pins, also on a resumed connection.
func TestPinsOfTenants(t *testing.T) {
	root := issue(t, "root", nil, isCA)
	mine, theirs := issue(t, "mine", root, nil), issue(t, "theirs", root, nil)
	ca := file(t, root)
	a := &Clients{Mode: ModeRequired, Authorities: []Authority{{File: ca, Pins: []string{pinText(mine)}}}}
	b := &Clients{Mode: ModeRequired, Authorities: []Authority{{File: ca, Pins: []string{pinText(theirs)}}}}
	s := serverOf(t, Clients{Mode: ModeOff}, a, b)
	trustA, errA := NewTrust(*a)
	trustB, errB := NewTrust(*b)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := client(mine.tls())
		cfg.MaxVersion, cfg.ServerName, cfg.ClientSessionCache = version, "cpe.example.com", tls.NewLRUClientSessionCache(1)
		for _, resumed := range []bool{false, true} {
			peer, state, err := try(t, s, cfg)
			if err != nil || state.DidResume != resumed {
				t.Fatalf("resumed %v, %v", state.DidResume, err)
			}
			if shown, err := trustA.Judge(peer); err != nil || shown == nil {
				t.Errorf("its own tenant: %v", err)
			}
			var refused *Refusal
			if _, err := trustB.Judge(peer); !errors.As(err, &refused) || refused.Reason != reasonPin {
				t.Errorf("the other tenant: %v", err)
			}
		}
	}
}

func TestParsePin(t *testing.T) {
	good := "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
	if _, err := parsePin(good); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", good[:40], good + "\n=", "sha256/" + good, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"} {
		if _, err := parsePin(bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}
