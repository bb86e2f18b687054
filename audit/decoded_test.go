package audit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/cwmp"
)

// TestDecodedRecordIsTheSame: a message that comes over the wire makes the
// same record as one made by hand.
func TestDecodedRecordIsTheSame(t *testing.T) {
	d := cwmp.NewDecoder(cwmp.DefaultLimits())
	byHand, decoded := testOrigin(t), testOrigin(t)
	e := newEncoder(64<<10, newKeyless())
	for _, s := range samples() {
		want := encode(e, byHand, s, Pass, 42)
		m, err := d.Decode(cwmp.Append(nil, s.message), "")
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if s.name == "charset" {
			m.Charset = s.message.Charset // Append writes UTF-8
		}
		s.message = m
		if got := encode(e, decoded, s, Pass, 42); !bytes.Equal(got, want) {
			t.Errorf("%s differs\n--- by hand\n%s\n--- decoded\n%s", s.name, want, got)
		}
	}
}

// TestCorpus records what real and real-looking peers send, where the folder
// is given: canonical, projected, and with none of the secrets it plants.
func TestCorpus(t *testing.T) {
	dir := os.Getenv("CWMPGATE_CORPUS")
	if dir == "" {
		t.Skip("CWMPGATE_CORPUS is not set")
	}
	secrets := []string{"s3cr3t-17", "pw-17-hidden", "plain-31-secret", "wifi-31-secret", "pass-31-secret", "acs-32-secret", `"fleet`, "fleet:"}
	d := cwmp.NewDecoder(cwmp.DefaultLimits())
	e := newEncoder(64<<10, newKeyless())
	messages := 0
	for _, glob := range []string{"field/*.xml", "freeacs/*.xml", "genieacs-session/*.http"} {
		paths, err := filepath.Glob(filepath.Join(dir, glob))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			body, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, after, ok := bytes.Cut(body, []byte("\r\n\r\n")); ok {
				body = after
			}
			m, err := d.Decode(body, "")
			if err != nil {
				continue // to be refused, or no message at all
			}
			messages++
			from := cwmp.PartyCPE
			if strings.Contains(path, "acs") && !strings.Contains(path, "cpe") {
				from = cwmp.PartyACS
			}
			record := encode(e, testOrigin(t), sample{message: m, from: from}, Pass, 1)
			checkCanonical(t, record)
			for _, secret := range secrets {
				if bytes.Contains(record, []byte(secret)) {
					t.Errorf("%s: %q stands in %s", path, secret, record)
				}
			}
			if err := Project(testLog, 1, record, new(Rows)); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if messages == 0 {
		t.Error("no message in ", dir)
	}
	t.Log(fmt.Sprint(messages, " messages"))
}
