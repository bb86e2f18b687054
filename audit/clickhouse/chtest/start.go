package chtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// startLimit is for a loaded machine with much data to load; a second is usual.
const startLimit = time.Minute

// Engine is a running ClickHouse. Its methods end the test that started it
// where they fail.
type Engine struct {
	Native    string // address of the native protocol
	HTTP      string // address of the HTTP protocol
	NativeTLS string // the same with TLS; empty without WithTLS
	HTTPS     string

	User        string // who may log in, to the database "default"
	Password    string
	Data        string // directory of the tables
	Certificate string // file of the certificate that TLS shows; empty without WithTLS

	t       testing.TB
	plan    plan
	log     string // file of what the engine's process says
	faults  *http.Client
	process *process
}

// process is one life of an engine.
type process struct {
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process has ended
	err    error         // why, after ended
	killed bool          // by us
}

// Start starts an engine, which ends with the test. Without the library the
// test is skipped, or fails where CWMPGATE_REQUIRE_CHDB is 1.
func Start(t testing.TB, options ...Option) *Engine {
	t.Helper()
	library := needLibrary(t)
	dir := t.TempDir()
	e := &Engine{
		User: "default", t: t, log: filepath.Join(dir, "engine.log"),
		faults: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: startLimit},
		plan: plan{
			Library: library, Data: filepath.Join(dir, "data"), Users: map[string]string{},
			Addresses: addresses{Native: "127.0.0.1:0", HTTP: "127.0.0.1:0"},
		},
	}
	for _, o := range options {
		if err := o(e, dir); err != nil {
			t.Fatalf("start ClickHouse: %v", err)
		}
	}
	if len(e.plan.Users) == 0 {
		e.plan.Users[e.User] = e.Password
	}
	e.Data, e.Certificate = e.plan.Data, e.plan.Certificate
	t.Cleanup(e.stop)
	e.start()
	return e
}

// Kill is kill -9, and waits until the process is dead. What was acknowledged
// is there after Restart.
func (e *Engine) Kill() {
	e.t.Helper()
	if !e.process.kill() {
		e.t.Errorf("ClickHouse ended by itself: %v", e.process.err)
	}
}

// Restart kills the engine if it runs and starts it again, on the same addresses
// and the same data, without any faults.
func (e *Engine) Restart() {
	e.t.Helper()
	e.Kill()
	e.start()
}

// start starts the process and waits until it serves.
func (e *Engine) start() {
	e.t.Helper()
	p, at, err := e.launch()
	if err != nil {
		e.t.Fatalf("start ClickHouse: %v\n%s", err, e.said())
	}
	e.process = p
	e.plan.Addresses = at
	e.Native, e.HTTP, e.NativeTLS, e.HTTPS = at.Native, at.HTTP, at.NativeTLS, at.HTTPS
}

func (e *Engine) launch() (*process, addresses, error) {
	var at addresses
	self, err := os.Executable()
	if err != nil {
		return nil, at, err
	}
	text, err := json.Marshal(e.plan)
	if err != nil {
		return nil, at, err
	}
	log, err := os.OpenFile(e.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, at, err
	}
	defer log.Close()
	// Where TestMain forgets to call Main, the child must not run the tests.
	cmd := exec.Command(self, "-test.run=^$")
	cmd.Env = append(os.Environ(), planVariable+"="+string(text))
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, at, err
	}
	// The child ends when this end of a pipe does, however this process ends. It
	// is not the standard input, because the library would read rows from that.
	held, leash, err := os.Pipe()
	if err != nil {
		return nil, at, err
	}
	defer held.Close()
	cmd.ExtraFiles = []*os.File{held}
	if err := cmd.Start(); err != nil {
		leash.Close()
		return nil, at, err
	}
	late := time.AfterFunc(startLimit, func() { cmd.Process.Kill() })
	err = json.NewDecoder(stdout).Decode(&at)
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		io.Copy(io.Discard, stdout)
		p.err = cmd.Wait()
		leash.Close()
		close(p.ended)
	}()
	if !late.Stop() {
		err = fmt.Errorf("not ready after %v", startLimit)
	}
	if err != nil {
		p.kill()
		return nil, at, fmt.Errorf("the process gave no addresses: %w; does TestMain call chtest.Main?", err)
	}
	return p, at, nil
}

// kill reports whether the process lived until it was killed.
func (p *process) kill() bool {
	select {
	case <-p.ended:
	default:
		p.killed = true
		p.cmd.Process.Kill()
		<-p.ended
	}
	return p.killed
}

// stop ends the engine with the test.
func (e *Engine) stop() {
	if e.process != nil {
		e.Kill()
	}
	if e.t.Failed() {
		e.t.Logf("ClickHouse said:\n%s", e.said())
	}
}

// said is the end of what the engine's process wrote.
func (e *Engine) said() []byte {
	text, err := os.ReadFile(e.log)
	if err != nil {
		return fmt.Append(nil, err)
	}
	return text[max(0, len(text)-4<<10):]
}
