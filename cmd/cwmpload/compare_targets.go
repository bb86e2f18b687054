package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a child, pinned to a core.
type process struct {
	cmd   *exec.Cmd
	end   context.CancelFunc
	ended chan struct{}
	log   string // file
}

// start runs a program on one core; what it prints goes to a file.
func start(ctx context.Context, cpu int, log, name string, args ...string) (*process, error) {
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	ctx, end := context.WithCancel(ctx)
	p := &process{end: end, ended: make(chan struct{}), log: log}
	p.cmd = exec.CommandContext(ctx, "taskset", append([]string{"-c", strconv.Itoa(cpu), name}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = f, f
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 15 * time.Second
	if err := p.cmd.Start(); err != nil {
		end()
		return nil, err
	}
	go func() {
		defer close(p.ended)
		p.cmd.Wait() // how it ended is told by what it printed
	}()
	return p, nil
}

func (p *process) stop() {
	p.end()
	<-p.ended
}

// answers waits until the process takes connections.
func (p *process) answers(ctx context.Context, address string) error {
	return p.until(ctx, patience, "take connections at "+address, func() bool {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

// patience is how long what should come soon is waited for.
const patience = 15 * time.Second

// until looks again and again, for a while, whether done is true.
func (p *process) until(ctx context.Context, d time.Duration, what string, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !done() {
		select {
		case <-look.C:
			continue
		case <-p.ended:
		case <-ctx.Done():
		}
		text, _ := os.ReadFile(p.log)
		return fmt.Errorf("it does not %s: %s", what, strings.TrimSpace(string(text)))
	}
	return nil
}

// contender is a kind of proxy to measure.
type contender struct {
	name string
	// command makes what is needed and returns the program that serves.
	command func(p *place, at service) ([]string, error)
	workers bool // children of the process do the work
	gateway bool // it has a journal, and metrics
}

// service is what a contender is to serve: TLS at an address.
type service struct {
	directory string // its own
	address   string
	clients   bool // clients must show a certificate of the place's authority
}

// Names of those that others are compared with.
const (
	nameNginx        = "nginx"
	nameReverseProxy = "ReverseProxy"
)

// contenders are those that can be run here; what cannot is said to w.
func contenders(gateway, self string, w io.Writer) []contender {
	list := []contender{
		{name: "gateway", gateway: true, command: func(p *place, at service) ([]string, error) { return p.gateway(gateway, at, false) }},
		{name: "gateway+store", gateway: true, command: func(p *place, at service) ([]string, error) { return p.gateway(gateway, at, true) }},
	}
	for _, peer := range []contender{
		{name: nameNginx, workers: true, command: (*place).nginx},
		{name: "haproxy", command: (*place).haproxy},
	} {
		if _, err := lookProgram(peer.name); err != nil {
			fmt.Fprintf(w, "%s is not installed (Debian: apt-get install %s): left out\n", peer.name, peer.name)
			continue
		}
		list = append(list, peer)
	}
	list = append(list, contender{name: nameReverseProxy, command: func(p *place, at service) ([]string, error) {
		command := []string{self, "reverse-proxy", "--listen", at.address, "--upstream", "http://" + p.acs + "/", "--tls-cert", p.certificate, "--tls-key", p.key}
		if at.clients {
			command = append(command, "--client-ca", p.clientCA)
		}
		return command, nil
	}})
	return list
}

// lookProgram looks where servers lie too, which is not in every user's PATH.
func lookProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

// target is a contender that runs.
type target struct {
	contender
	*process
	address string
	metrics string // URL, "" where it has none
	pids    []int  // that do the work
}

// open starts a contender and waits until it serves.
func (c *comparison) open(ctx context.Context, k contender, clients bool) (*target, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	t := &target{contender: k, address: net127(port)}
	dir, err := os.MkdirTemp(c.place.directory, k.name+"-")
	if err != nil {
		return nil, err
	}
	command, err := k.command(&c.place, service{dir, t.address, clients})
	if err != nil {
		return nil, err
	}
	if k.gateway {
		t.metrics = "http://" + c.place.admin + "/metrics"
	}
	if t.process, err = start(ctx, c.flags.targetCPU, filepath.Join(dir, "log"), command[0], command[1:]...); err != nil {
		return nil, err
	}
	t.pids = []int{t.cmd.Process.Pid}
	if err = t.answers(ctx, t.address); err == nil && k.workers {
		err = t.until(ctx, patience, "start a worker", func() bool {
			t.pids = childrenOf(t.cmd.Process.Pid)
			return len(t.pids) > 0
		})
	}
	if err != nil {
		t.stop()
		return nil, err
	}
	return t, nil
}

func childrenOf(pid int) (list []int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for field := range strings.FieldsSeq(string(text)) {
		if n, err := strconv.Atoi(field); err == nil {
			list = append(list, n)
		}
	}
	return list
}

func net127(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// freePort is one that nobody listens on now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
