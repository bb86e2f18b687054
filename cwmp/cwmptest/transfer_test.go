package cwmptest

import (
	"bytes"
	"strings"
	"testing"
)

func TestTransfers(t *testing.T) {
	firmware := bytes.Repeat([]byte("firmware"), 100_000)
	for _, c := range []struct {
		name      string
		task      Task
		inSession bool
		status    int
		fault     string
	}{
		{"download after the session", Download("k1", "1 Firmware Upgrade Image", "/fw.bin"), false, 200, "0"},
		{"download within the session", Download("k1", "1 Firmware Upgrade Image", "/fw.bin"), true, 200, "0"},
		{"upload", Upload("k1", "1 Vendor Configuration File", "/up/cfg"), false, 201, "0"},
		{"file that is not there", Download("k1", "1 Firmware Upgrade Image", "/none"), false, 404, "9016"},
		{"wrong password", Task{Method: "Download", Key: "k1", URL: "/fw.bin", Username: "files", Password: "x"}, false, 401, "9012"},
		{"nobody listens", Download("k1", "1 Firmware Upgrade Image", "http://127.0.0.1:1/fw.bin"), false, 0, "9015"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := openACS(t, ACSConfig{Character: ConnectionBound, Files: map[string][]byte{"/fw.bin": firmware}, FileUser: "files", FilePassword: "secret"})
			if c.task.Username == "" {
				c.task.Username, c.task.Password = "files", "secret"
			}
			a.Queue("SN0001", c.task)
			d := newDevice(t, DeviceConfig{URL: a.URL(), FetchInSession: c.inSession})
			session(t, d)
			session(t, d)
			got := d.Transfers()[0]
			if got.Status != c.status || got.FaultCode != c.fault || got.CommandKey != "k1" || got.Answered == c.inSession {
				t.Fatalf("transfer: %+v", got)
			}
			checkCompletion(t, a, got)
			if files := a.FileRequests(); c.fault == "0" {
				last := files[len(files)-1]
				if last.Bytes != got.Bytes || last.SHA256 != got.SHA256 || last.Status != got.Status {
					t.Errorf("ACS: %+v, CPE: %+v", last, got)
				}
				if c.inSession && last.Connection != a.Deliveries()[0].Connection {
					t.Errorf("fetched on connection %d, the session's is %d", last.Connection, a.Deliveries()[0].Connection)
				}
			}
			if upgraded := d.Value("DeviceInfo.SoftwareVersion") == "1.0.1"; upgraded != (c.task.Method == "Download" && c.fault == "0") {
				t.Errorf("software version is %s", d.Value("DeviceInfo.SoftwareVersion"))
			}
		})
	}
}

func checkCompletion(t *testing.T, a *ACS, got Transfer) {
	t.Helper()
	list := a.Completions()
	if got.InSession {
		if len(list) != 0 || a.Deliveries()[0].Status != "0" {
			t.Errorf("completions %+v, status %s", list, a.Deliveries()[0].Status)
		}
		return
	}
	if len(list) != 1 || list[0] != (Completion{"SN0001", "k1", got.FaultCode, got.FaultString}) {
		t.Errorf("completions: %+v", list)
	}
	told := a.Informs()[1].Events
	command := "M Download"
	if got.Method == "PUT" {
		command = "M Upload"
	}
	if told[len(told)-2].Code != "7 TRANSFER COMPLETE" || told[len(told)-1] != (Event{command, "k1"}) {
		t.Errorf("events: %v", told)
	}
}

func TestFileRange(t *testing.T) {
	a := openACS(t, ACSConfig{Files: map[string][]byte{"/f": []byte("0123456789")}})
	p, err := NewPlayer(PlayerConfig{URL: a.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	got, err := p.Play(t.Context(), []Exchange{{Request: Request{Method: "GET", Target: "/f", Header: []Field{{"Host", "x"}, {"Range", "bytes=2-4"}}}}})
	if err != nil || got[0].Status != 206 || string(got[0].Body) != "234" {
		t.Fatalf("%+v, %v", got, err)
	}
	if f := a.FileRequests()[0]; f.Bytes != 3 || f.Range != "bytes=2-4" || f.Status != 206 {
		t.Errorf("seen: %+v", f)
	}
}

func TestQueuedTransfers(t *testing.T) {
	a := openACS(t, ACSConfig{KeepBodies: true})
	a.Queue("SN0001", Download("k7", "1 Firmware Upgrade Image", "http://127.0.0.1:1/"), Task{Method: "GetAllQueuedTransfers"})
	session(t, newDevice(t, DeviceConfig{URL: a.URL()}))
	if answer := string(a.Deliveries()[1].Answer); !strings.Contains(answer, "<CommandKey>k7</CommandKey>") {
		t.Errorf("answer: %s", answer)
	}
}
