package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// child is the real program, run as one of its own.
type child struct {
	t     testing.TB
	cmd   *exec.Cmd
	log   *logbook
	dir   string
	file  string
	admin string
	ended chan struct{} // closed when it has ended
	err   error
}

// ports are two free ones, for a gateway that is to be found where it was after
// it was started again.
func ports(t testing.TB) (listen, admin string) {
	t.Helper()
	var addresses [2]string
	for i := range addresses {
		port, err := loopbackPort()
		if err != nil {
			t.Fatal(err)
		}
		addresses[i] = fmt.Sprintf("127.0.0.1:%d", port)
	}
	return addresses[0], addresses[1]
}

// spawn starts the real program on a config file and waits until it is ready.
func spawn(t testing.TB, file, admin string) *child {
	t.Helper()
	return spawnUnder(t, file, admin)
}

// spawnUnder is spawn under another program, which must leave it our child.
func spawnUnder(t testing.TB, file, admin string, under ...string) *child {
	t.Helper()
	c := &child{t: t, log: &logbook{}, file: file, dir: filepath.Dir(file), admin: admin, ended: make(chan struct{})}
	args := append(under, buildProgram(t), "run", "--config", file)
	c.cmd = exec.Command(args[0], args[1:]...)
	c.cmd.Stderr = c.log
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	t.Cleanup(c.kill)
	await(t, "the gateway is ready", func() bool {
		select {
		case <-c.ended:
			t.Fatalf("the gateway ended: %v\n%s", c.err, c.log)
		default:
		}
		status, _, err := ask("http://" + admin + "/readyz")
		return err == nil && status == 200
	})
	return c
}

// kill is kill -9, and waits until it is dead.
func (c *child) kill() {
	c.cmd.Process.Kill()
	<-c.ended
}

// signal sends a signal.
func (c *child) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// stop is SIGTERM, and waits for the end; it returns the exit code.
func (c *child) stop() int {
	c.t.Helper()
	c.signal(syscall.SIGTERM)
	return c.wait()
}

func (c *child) wait() int {
	c.t.Helper()
	await(c.t, "the gateway ends", func() bool {
		select {
		case <-c.ended:
			return true
		default:
			return false
		}
	})
	var exit *exec.ExitError
	if errors.As(c.err, &exit) {
		return exit.ExitCode()
	}
	if c.err != nil {
		c.t.Fatal(c.err)
	}
	return 0
}

// logged tells whether a line of the log has this message.
func (c *child) logged(message string) bool {
	for line := range strings.Lines(c.log.String()) {
		var entry struct{ Message string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Message == message {
			return true
		}
	}
	return false
}

// memory is the resident set of the process in bytes.
func (c *child) memory() int64 {
	c.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		c.t.Skipf("no /proc: %v", err)
	}
	_, rest, _ := bytes.Cut(text, []byte("VmRSS:"))
	var kib int64
	if _, err := fmt.Sscan(string(rest), &kib); err != nil {
		c.t.Fatal(err)
	}
	return kib << 10
}
