package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// long has the tests that stand for endurance run at full length.
var long = os.Getenv("CWMPGATE_LONG") == "1"

var seed = flag.Uint64("seed", 1, "of what the tests leave to chance")

// number is an environment variable that is a number, or what holds without it.
func number(t testing.TB, name string, ordinary int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return ordinary
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s is not a number from 1", name, text)
	}
	return n
}

// program is the real binary, made at most once.
var program struct {
	once sync.Once
	dir  string
	path string
	err  error
}

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if program.dir != "" {
		os.RemoveAll(program.dir)
	}
	if code == 0 {
		// Of certmagic: a keeper of a lock's file ends some seconds after the lock
		// was given back, a limiter never.
		if err := goleak.Find(
			goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
			goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"),
		); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// buildProgram returns the path of the real binary.
func buildProgram(t testing.TB) string {
	t.Helper()
	program.once.Do(func() {
		if program.dir, program.err = os.MkdirTemp("", "cwmpgate-test-"); program.err != nil {
			return
		}
		program.path = filepath.Join(program.dir, "cwmpgate")
		out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program.path, ".").CombinedOutput()
		if err != nil {
			program.err = fmt.Errorf("go build: %w\n%s", err, strings.TrimSpace(string(out)))
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return program.path
}
