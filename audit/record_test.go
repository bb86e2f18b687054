package audit

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/cwmp"
)

// encode gives the record of one message as the journal would hold it.
func encode(e *encoder, o *Origin, s sample, v Verdict, seq uint64) []byte {
	e.log = testLog
	e.message("gw-1", o, &cwmp.Turn{From: s.from, Message: s.message, Answers: s.answers}, v)
	return e.join(nil, seq, noon)
}

func TestMessageRecords(t *testing.T) {
	origin := testOrigin(t) // one session, so that faults know the secrets of their requests
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			record := encode(newEncoder(64<<10, newKeyless()), origin, s, Pass, 42)
			checkCanonical(t, record)
			golden(t, "records/"+s.name+".json", append(record, '\n'))
		})
	}
}

func TestOtherRecords(t *testing.T) {
	connection := &Connection{
		Peer: "192.0.2.7:40001", Listener: ":7547", TLS: "1.3", Cipher: "TLS_AES_128_GCM_SHA256", SNI: "acs.example.net",
		Certificate: &Certificate{Subject: "CN=T1,O=Example", Serial: "0a", SHA256: strings.Repeat("ab", 32), NotAfter: noon.AddDate(1, 0, 0)},
	}
	cases := []struct {
		name string
		make func(e *encoder, o *Origin)
	}{
		{"connection", func(e *encoder, o *Origin) {
			o.Connection = connection
			e.message("gw-1", o, &cwmp.Turn{From: cwmp.PartyCPE, Message: say("Inform", "1", testInform())}, Edit)
		}},
		{"session", func(e *encoder, o *Origin) {
			e.session("gw-1", o, &SessionEnd{Begin: noon.Add(-time.Second), End: noon, How: EndClean, Messages: 6, Empty: 2, BytesIn: 4096, BytesOut: 900,
				Open: []uint64{7, 9}, Undelivered: []uint64{9}})
		}},
		{"transfer", func(e *encoder, o *Origin) {
			e.transfer("gw-1", o, &Transfer{Peer: "192.0.2.7:40002", Method: "GET", URL: "/fw/@b/b.bin?sig=plain-secret-01", Status: 200, Bytes: 7340032,
				SHA256: strings.Repeat("cd", 32), Began: noon, Duration: 1500 * time.Millisecond, Complete: true})
		}},
		{"transfer-nobody", func(e *encoder, _ *Origin) {
			e.transfer("", nil, &Transfer{Method: "GET", URL: "http://a:plain-secret-02@files.example.net", Range: true, Error: "http://x/?a=plain-secret-03: reset"})
		}},
		{"refusal", func(e *encoder, o *Origin) {
			e.refusal("gw-1", o, &Refusal{From: "cpe", Reason: "invalid-character", Offset: 812, Path: "Envelope/Body/Inform/ParameterList[3]/Value",
				Size: 4000, Status: 400, Peer: "192.0.2.7:40001", Source: "192.0.2.7/32", Listener: ":7547"}, 12)
		}},
		{"refusal-bare", func(e *encoder, _ *Origin) {
			e.refusal("gw-1", nil, &Refusal{From: "cpe", Reason: "body-too-large", Offset: -1, Size: -1, Status: 413}, 1)
		}},
		{"security", func(e *encoder, o *Origin) {
			e.security("gw-1", o, &Security{Reason: "identity-mismatch", Claimed: "00005E-T2", Verified: "00005E-T1", Peer: "192.0.2.7:40001"}, 2)
		}},
		{"decision", func(e *encoder, o *Origin) {
			e.decision("gw-1", o, &Decision{By: ByAdmission, Reason: "upstream-rate", Limit: "tenants[].upstreams[].informs = 200 in 1s", Class: "boot",
				Status: 503, Peer: "192.0.2.7:40001", Source: "192.0.2.7/32", Listener: ":7547"}, 12)
		}},
		{"system", func(e *encoder, _ *Origin) {
			e.system("gw-1", &System{What: SystemStart, Why: "command", Detail: []Pair{{"version", "1.0"}, {"a \"b\"", ""}}})
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := newEncoder(64<<10, newKeyless())
			e.log = testLog
			c.make(e, testOrigin(t))
			record := e.join(nil, 42, noon)
			checkCanonical(t, record)
			golden(t, "records/"+c.name+".json", append(record, '\n'))
		})
	}
}

// TestNoSecretInAnyRecord sends every sample through one session, with every
// secret planted in it, and looks for them in every form that bytes can have.
func TestNoSecretInAnyRecord(t *testing.T) {
	for _, origin := range []*Origin{testOrigin(t), {}} {
		e := newEncoder(40, newKeyless()) // so small that cutting, too, must not help one out
		for _, bound := range []int{40, 64 << 10} {
			e.body.bound = bound
			for _, s := range samples() {
				record := encode(e, origin, s, Pass, 1)
				for _, p := range planted {
					if bytes.Contains(record, []byte(p)) {
						t.Errorf("%s: %q stands in %s", s.name, p, record)
					}
				}
			}
		}
	}
}

// TestEveryRPCIsSampled keeps the tests over samples whole.
func TestEveryRPCIsSampled(t *testing.T) {
	seen := make(map[cwmp.Method]bool)
	for _, s := range samples() {
		if s.message.Kind == cwmp.KindRequest {
			seen[s.message.Method] = true
		}
	}
	for m := cwmp.MethodVendor; m <= cwmp.MethodKicked; m++ {
		if !seen[m] {
			t.Errorf("no sample of %s", m)
		}
	}
}

// TestSecretsStayComparable: the same secret gives the same hash, white space
// around it apart, another one another, and another key another.
func TestSecretsStayComparable(t *testing.T) {
	hash := func(r *Redactor, value string) string { return string(r.appendSecret(nil, []byte(value), secret)) }
	a := testRedactor(t)
	b, err := NewRedactor([]byte("another key of some length"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := hash(a, "hunter2hunter2"); len(got) != 18 || got != hash(a, "\n hunter2hunter2 ") {
		t.Errorf("hash of a secret is %s, with white space %s", got, hash(a, "\n hunter2hunter2 "))
	}
	if hash(a, "hunter2hunter2") == hash(a, "hunter2hunter3") || hash(a, "hunter2hunter2") == hash(b, "hunter2hunter2") {
		t.Error("two secrets or two keys give one hash")
	}
	for _, short := range []string{"hunter2", "ééééééé", " x "} {
		if got := hash(a, short); got != `"set"` {
			t.Errorf("short secret %q gives %s", short, got)
		}
	}
	if _, err := NewRedactor([]byte("short"), nil); err == nil {
		t.Error("a key of five bytes was taken")
	}
}

func TestCutValue(t *testing.T) {
	long := strings.Repeat("a", 9) + "é" + strings.Repeat("b", 20)
	m := say("SetParameterValues", "1", &cwmp.SetParameterValues{
		ParameterList: []cwmp.ParameterValue{parameter("Device.X", long, "xsd:string")},
		ParameterKey:  cwmp.T(strings.Repeat("k", 11)),
	})
	record := encode(newEncoder(10, newKeyless()), testOrigin(t), sample{message: m, from: cwmp.PartyACS}, Pass, 1)
	checkCanonical(t, record)
	for _, want := range []string{
		`"Value":"aaaaaaaaa","cut":22,"sha256":"`, `"Type":"xsd:string"}`,
		`"ParameterKey":{"text":"kkkkkkkkkk","cut":1,"sha256":"`,
	} {
		if !bytes.Contains(record, []byte(want)) {
			t.Errorf("no %s in %s", want, record)
		}
	}
}

// TestRecordIsTheSameTwice: one message, encoded by two encoders, one of them
// used before, gives the same bytes.
func TestRecordIsTheSameTwice(t *testing.T) {
	used := newEncoder(64<<10, newKeyless())
	for _, s := range samples() {
		a := encode(used, testOrigin(t), s, Pass, 9)
		b := encode(newEncoder(64<<10, newKeyless()), testOrigin(t), s, Pass, 9)
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs:\n%s\n%s", s.name, a, b)
		}
	}
}

func TestRecordingAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("allocations cannot be counted with the race detector")
	}
	e := newEncoder(64<<10, newKeyless())
	o := testOrigin(t)
	o.Connection = &Connection{Peer: "192.0.2.7:40001", Certificate: &Certificate{Subject: "CN=T1"}}
	dst := make([]byte, 0, 64<<10)
	for _, s := range samples() {
		if s.message.Kind == cwmp.KindFault {
			continue // searched for secrets, which is rare and may allocate
		}
		turn := cwmp.Turn{From: s.from, Message: s.message, Answers: s.answers}
		allocs := testing.AllocsPerRun(100, func() {
			e.log = testLog
			e.message("gw-1", o, &turn, Pass)
			dst = e.join(dst[:0], 1, noon)
		})
		// Walk may box what it hands its visitor; the record itself costs nothing.
		if allocs > 2 {
			t.Errorf("%s: %v allocations, want at most 2", s.name, allocs)
		}
	}
}

func BenchmarkRecordInform(b *testing.B) {
	e := newEncoder(64<<10, newKeyless())
	o := testOrigin(b)
	turn := cwmp.Turn{From: cwmp.PartyCPE, Message: say("Inform", "1", testInform())}
	dst := make([]byte, 0, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		e.message("gw-1", o, &turn, Pass)
		dst = e.join(dst[:0], 1, noon)
	}
	b.SetBytes(int64(len(dst)))
}

func BenchmarkRecordValues(b *testing.B) {
	e := newEncoder(64<<10, newKeyless())
	o := testOrigin(b)
	var list []cwmp.ParameterValue
	for range 100 {
		list = append(list,
			parameter("InternetGatewayDevice.WANDevice.1.WANConnectionDevice.1.WANIPConnection.1.ExternalIPAddress", "192.0.2.7", "xsd:string"))
	}
	turn := cwmp.Turn{From: cwmp.PartyCPE, Message: say("GetParameterValuesResponse", "1", &cwmp.GetParameterValuesResponse{ParameterList: list})}
	dst := make([]byte, 0, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		e.message("gw-1", o, &turn, Pass)
		dst = e.join(dst[:0], 1, noon)
	}
	b.SetBytes(int64(len(dst)))
}

// checkCanonical says whether a record is one line of JSON, and whether it is
// the only one that says the same: read and written again it has the same
// bytes.
func checkCanonical(t testing.TB, record []byte) {
	t.Helper()
	if bytes.ContainsAny(record, "\n\r") {
		t.Errorf("more than one line: %q", record)
	}
	again, err := rewrite(record)
	if err != nil {
		t.Fatalf("no JSON: %v\n%s", err, record)
	}
	if !bytes.Equal(again, record) {
		t.Errorf("not canonical:\n%s\nwritten again:\n%s", record, again)
	}
}

// rewrite reads JSON with encoding/json and writes what it read without
// spaces, in the same order.
func rewrite(record []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(record))
	d.UseNumber()
	var out []byte
	var open []byte // '{' before a name, ':' before a member's value, '[' in a list
	for {
		token, err := d.Token()
		if err != nil {
			if len(out) > 0 && len(open) == 0 {
				return out, nil
			}
			return nil, err
		}
		if token == json.Delim('}') || token == json.Delim(']') {
			out = append(bytes.TrimSuffix(out, []byte(",")), byte(token.(json.Delim)))
			open = open[:len(open)-1]
		} else if delim, ok := token.(json.Delim); ok {
			out = append(out, byte(delim))
			open = append(open, byte(delim))
			continue
		} else {
			switch token := token.(type) {
			case string:
				out = appendPlainJSON(out, token)
			case json.Number:
				out = append(out, token...)
			case bool:
				out = append(out, map[bool]string{true: "true", false: "false"}[token]...)
			}
		}
		switch {
		case len(open) == 0:
		case open[len(open)-1] == '{':
			out = append(out, ':')
			open[len(open)-1] = ':'
		case open[len(open)-1] == ':':
			out = append(out, ',')
			open[len(open)-1] = '{'
		default:
			out = append(out, ',')
		}
	}
}

// appendPlainJSON escapes as RFC 8785 asks, from the specification's own
// words rather than the encoder's.
func appendPlainJSON(dst []byte, s string) []byte {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if i := strings.IndexRune("\b\t\n\f\r\"\\", r); i >= 0 {
			b.WriteString(`\` + string("btnfr\"\\"[strings.Index("\b\t\n\f\r\"\\", string(r))]))
		} else if r < 0x20 {
			b.WriteString(`\u00` + string("0123456789abcdef"[r>>4]) + string("0123456789abcdef"[r&15]))
		} else {
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return append(dst, b.String()...)
}
