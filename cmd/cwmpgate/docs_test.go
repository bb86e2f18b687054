package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/cwmpgate/cwmpgate/configs"
)

//go:generate go test . -run TestConfigDocs -update

var update = flag.Bool("update", false, "write generated and golden files anew")

// TestConfigDocs holds docs/config.md and the JSON Schema to the types that the
// config file is read into.
func TestConfigDocs(t *testing.T) {
	schema, err := configs.Schema(defaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string][]byte{"../../docs/config.md": configs.Reference(defaultConfig()), "../../configs/cwmpgate.schema.json": schema} {
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the types say; run make docs", file)
		}
	}
}

// TestReferenceConfig holds configs/cwmpgate.yaml to what it says of itself: it
// is right, and but for a site's own parts it holds the defaults.
func TestReferenceConfig(t *testing.T) {
	text, err := os.ReadFile("../../configs/cwmpgate.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// A site's certificate is not here.
	const own = "{certificate: /etc/cwmpgate/cpe.pem, key: /etc/cwmpgate/cpe.key}"
	file := filepath.Join(t.TempDir(), "cwmpgate.yaml")
	if !bytes.Contains(text, []byte(own)) {
		t.Fatalf("configs/cwmpgate.yaml has no certificate %s", own)
	}
	text = bytes.Replace(text, []byte("certificates:"), []byte("self_signed: {directory: state}"), 1)
	text = bytes.Replace(text, []byte("- "+own), nil, 1)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	d := defaultConfig()
	d.Admin.Socket = c.Admin.Socket // beside the journal
	if len(c.Admission.TrustedProxies) == 0 {
		c.Admission.TrustedProxies = nil
	}
	if len(c.Limits.Observe) == 0 {
		c.Limits.Observe = nil
	}
	if len(c.Proof.Witnesses) == 0 {
		c.Proof.Witnesses = nil
	}
	if c.Certificates != d.Certificates || !reflect.DeepEqual(c.Limits, d.Limits) || c.Timeouts != d.Timeouts || c.SourcePrefix != d.SourcePrefix || !reflect.DeepEqual(c.Admission, d.Admission) || !reflect.DeepEqual(c.Proof, d.Proof) || c.Record != d.Record || c.Admin != d.Admin || c.Log != d.Log {
		t.Errorf("configs/cwmpgate.yaml does not hold the defaults")
	}
	j := c.Journal
	j.Directory = d.Journal.Directory
	if j != d.Journal {
		t.Errorf("configs/cwmpgate.yaml: journal %+v, defaults %+v", j, d.Journal)
	}
}
