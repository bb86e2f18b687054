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

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest"
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

// load is cwmpload, made at most once, beside it.
var load struct {
	once sync.Once
	path string
	err  error
}

func TestMain(m *testing.M) {
	chtest.Main()
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
		program.path, program.err = goBuild("cwmpgate", ".")
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return program.path
}

// buildLoad returns the path of cwmpload.
func buildLoad(t testing.TB) string {
	t.Helper()
	buildProgram(t)
	load.once.Do(func() { load.path, load.err = goBuild("cwmpload", "../cwmpload") })
	if load.err != nil {
		t.Fatal(load.err)
	}
	return load.path
}

func goBuild(name, pkg string) (path string, err error) {
	path = filepath.Join(program.dir, name)
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, pkg).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, strings.TrimSpace(string(out)))
	}
	return path, nil
}
