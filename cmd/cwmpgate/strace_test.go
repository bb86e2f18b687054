package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// syscallSeen is one system call of a trace. Its begin and end are line numbers:
// strace writes the line of a call when it begins, and another when it ends
// where anything else came between.
type syscallSeen struct {
	name       string
	fd         string   // what the first argument stands for: a path, or TCP:[local->peer]
	texts      []string // the strings among the arguments, in order
	result     int
	begin, end int
}

// straceArgs trace what decides over durable before released.
var straceArgs = []string{"-D", "-f", "-tt", "-yy", "-s", "1048576",
	"-e", "trace=openat,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendmmsg,sendfile,splice,fdatasync,fsync,sync_file_range,rename,renameat,renameat2"}

// needStrace skips where there is none, or where it is not allowed to trace.
func needStrace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed: the order of sync and release is not looked at")
	}
	if out, err := exec.Command("strace", "-D", "-f", "-o", filepath.Join(t.TempDir(), "try"), "true").CombinedOutput(); err != nil {
		t.Skipf("strace cannot trace here, the order of sync and release is not looked at: %v %s", err, bytes.TrimSpace(out))
	}
}

var (
	traceLine = regexp.MustCompile(`^(\d+) +[0-9:.]+ (.*)$`)
	traceCall = regexp.MustCompile(`^([a-z0-9_]+)\((.*)$`)
	traceRest = regexp.MustCompile(`^<\.\.\. ([a-z0-9_]+) resumed>(.*)$`)
	traceEnd  = regexp.MustCompile(`\) += (-?\d+)[^)"]*(\([^"]*\))?$`)
	traceFD   = regexp.MustCompile(`^\d+<(.*?)>(, |\)|$)`)
)

const unfinished = " <unfinished ...>"

// readTrace reads what strace has written.
func readTrace(t *testing.T, file string) (calls []syscallSeen) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	open := map[string]syscallSeen{} // by thread
	args := map[string]string{}
	for i, line := range strings.Split(string(text), "\n") {
		m := traceLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		thread, rest := m[1], m[2]
		var call syscallSeen
		if r := traceRest.FindStringSubmatch(rest); r != nil {
			call, rest = open[thread], args[thread]+r[2]
			if call.name != r[1] {
				t.Fatalf("line %d of the trace ends %s, %q had begun", i+1, r[1], call.name)
			}
			delete(open, thread)
		} else if c := traceCall.FindStringSubmatch(rest); c != nil {
			call, rest = syscallSeen{name: c[1], begin: i}, c[2]
		} else {
			continue // a signal, an end
		}
		if before, ok := strings.CutSuffix(rest, unfinished); ok {
			open[thread], args[thread] = call, before
			continue
		}
		end := traceEnd.FindStringSubmatchIndex(rest)
		if end == nil {
			continue // killed within
		}
		call.result, _ = strconv.Atoi(rest[end[2]:end[3]])
		call.end = i
		rest = rest[:end[0]]
		if m := traceFD.FindStringSubmatch(rest); m != nil {
			call.fd = m[1]
		}
		if call.texts, err = straceStrings(rest); err != nil {
			t.Fatalf("line %d of the trace: %v", i+1, err)
		}
		calls = append(calls, call)
	}
	return calls
}

// data is what a call has written.
func (c syscallSeen) data() string { return strings.Join(c.texts, "") }

// straceStrings are the quoted strings of an argument list.
func straceStrings(args string) (all []string, err error) {
	for {
		at := strings.IndexByte(args, '"')
		if at < 0 {
			return all, nil
		}
		var text []byte
		i := at + 1
		for i < len(args) && args[i] != '"' {
			if args[i] != '\\' {
				text = append(text, args[i])
				i++
				continue
			}
			b, size := straceEscape(args[i:])
			if size == 0 {
				return nil, fmt.Errorf("escape %.4q", args[i:])
			}
			text = append(text, b)
			i += size
		}
		if i >= len(args) {
			return nil, fmt.Errorf("string without an end: %.40q", args[at:])
		}
		if strings.HasPrefix(args[i+1:], "...") {
			return nil, fmt.Errorf("string cut after %d bytes", len(text))
		}
		all = append(all, string(text))
		args = args[i+1:]
	}
}

// straceEscape reads one escape; octal ones have as many digits as they need.
func straceEscape(s string) (b byte, size int) {
	if len(s) < 2 {
		return 0, 0
	}
	if at := strings.IndexByte(`"\ntrvf`, s[1]); at >= 0 {
		return "\"\\\n\t\r\v\f"[at], 2
	}
	n := 0
	for size = 1; size < len(s) && size < 4 && s[size] >= '0' && s[size] <= '7'; size++ {
		n = n<<3 | int(s[size]-'0')
	}
	if size == 1 || n > 255 {
		return 0, 0
	}
	return byte(n), size
}

func TestStraceStrings(t *testing.T) {
	got, err := straceStrings(`7</a>, [{iov_base="a\n\"\\b\0", iov_len=6}, {iov_base="\1772\33\377", iov_len=4}], 2`)
	if err != nil || len(got) != 2 || got[0] != "a\n\"\\b\x00" || got[1] != "\x7f2\x1b\xff" {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{`"open`, `"\8"`, `"cut"...`} {
		if got, err := straceStrings(bad); err == nil {
			t.Errorf("%s is %q", bad, got)
		}
	}
}
