package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestReadme runs the commands of the README's first five minutes as they stand
// there, but for the program, which is built already, and the demo's length.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	const called = "go run ./cmd/cwmpgate "
	var commands []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, called) {
			commands = append(commands, strings.TrimSpace(line))
		}
	}
	if len(commands) < 5 || !strings.HasPrefix(commands[0], called+"demo --for ") || !strings.HasPrefix(commands[1], called+"audit changes ") {
		t.Fatalf("the README's commands: %q", commands)
	}
	dir, program := t.TempDir(), buildProgram(t)
	shell := func(line string) *exec.Cmd {
		cmd := exec.Command("sh", "-c", `exec "$PROGRAM" `+strings.TrimPrefix(line, called))
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PROGRAM="+program)
		return cmd
	}
	run := func(line string) string {
		t.Helper()
		var stderr bytes.Buffer
		cmd := shell(line)
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s%s", line, err, out, &stderr)
		}
		return string(out)
	}
	demo := run(regexp.MustCompile(`--for \S+`).ReplaceAllString(commands[0], "--for 3s"))
	if next := strings.TrimPrefix(commands[1], called); !strings.Contains(strings.Join(strings.Fields(demo), " "), strings.Join(strings.Fields(next), " ")) {
		t.Errorf("the demo does not name %q:\n%s", next, demo)
	}
	checkDemo(t, filepath.Join(dir, "cwmpgate-demo"))
	for _, line := range commands[1:] {
		if strings.Contains(line, "--follow") {
			// A second demo goes on in the same directory.
			checkFollowing(t, shell(line), func() { run(regexp.MustCompile(`--for \S+`).ReplaceAllString(commands[0], "--for 100ms")) })
			continue
		}
		out := run(line)
		if strings.Count(out, "\n") < 2 && !strings.Contains(line, "--outcome refused") { // that is left to chance
			t.Errorf("%s:\n%s", line, out)
		}
	}
}

// checkDemo: the directory is what the demo says, and holds no secret.
func checkDemo(t *testing.T, dir string) {
	t.Helper()
	a := openArchive(t, dir)
	all := a.records()
	checkLedger(t, all)
	kinds := map[string]int{}
	for _, r := range all {
		kinds[r.Kind]++
		if r.Kind == "message" && r.From == "acs" {
			kinds[r.RPC]++
		}
	}
	for _, k := range []string{"session", "SetParameterValues", "GetParameterValues", "InformResponse"} {
		if kinds[k] == 0 {
			t.Errorf("no %s in the demo: %v", k, kinds)
		}
	}
	if kinds["refusal"]+kinds["security"] > 0 {
		t.Errorf("the demo has refusals: %v", kinds)
	}
	for _, secret := range []string{demoPassword, "demo-secret-", "demo-token"} {
		if names := filesWith(t, dir, []byte(secret)); len(names) > 0 {
			t.Errorf("%s stands in %v", secret, names)
		}
	}
	for _, name := range []string{"redaction.key", "cwmpgate-selfsigned.key", "audit.db", "gateway.log", "cwmpgate.yaml"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", name, info)
		}
	}
}

// checkFollowing: a tail that follows ends by an interrupt, and that is no error.
// It is sent when a record has been printed that came later than the command.
func checkFollowing(t *testing.T, cmd *exec.Cmd, later func()) {
	t.Helper()
	var out logbook
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "records are printed", func() bool { return strings.Count(out.String(), "\n") > 5 })
	starts := strings.Count(out.String(), "start run")
	later()
	await(t, "a record is printed that came later", func() bool { return strings.Count(out.String(), "start run") > starts })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v behind an interrupt: %v\n%s", cmd.Args, err, out.String())
	}
}

// TestLeastConfig: the README's least config, with addresses of this test, runs.
func TestLeastConfig(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "```yaml\n")
	least, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("the README has no config")
	}
	dir := t.TempDir()
	least = regexp.MustCompile(`/(var/lib|etc)/cwmpgate`).ReplaceAllString(least, dir)
	least = strings.ReplaceAll(least, `":7547"`, `"127.0.0.1:0"`)
	least = regexp.MustCompile(`tls: \{.*\}`).ReplaceAllString(least, "tls: {self_signed: {directory: "+dir+"}}")
	least += "admin: {metrics: \"127.0.0.1:0\"}\n"
	file := filepath.Join(dir, "cwmpgate.yaml")
	if err := os.WriteFile(file, []byte(least), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	g, err := build(c, newLog(c.Log, io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := g.ready(); err != nil {
		t.Error(err)
	}
	if err := g.close(); err != nil {
		t.Error(err)
	}
}
