package acme

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/cwmpgate/cwmpgate/configs"
)

// Exec is a program that sets and removes the records of DNS-01 challenges.
type Exec struct {
	Command []string         `yaml:"command" required:"true" doc:"The program, by its absolute path, and its first arguments. It is called with three more: present or cleanup, the record's name with a dot at its end, and the text. It ends with 0 when the record is set or gone."`
	Timeout configs.Duration `yaml:"timeout" min:"1s" doc:"The longest that one call may take; then it is ended."`
}

// SetDefaults gives the section its defaults before it is read.
func (e *Exec) SetDefaults() { e.Timeout = configs.Duration(time.Minute) }

// Validate reports what no single key's type can tell.
func (e *Exec) Validate(at configs.At) {
	if len(e.Command) == 0 {
		if !at.Wrong("command") {
			at.Errorf("command", "name the program")
		}
		return
	}
	program := e.Command[0]
	if !filepath.IsAbs(program) {
		at.Errorf("command", "write %q with its absolute path", program)
		return
	}
	if info, err := os.Stat(program); err != nil {
		at.Errorf("command", "%v", err)
	} else if info.IsDir() || info.Mode()&0o111 == 0 {
		at.Errorf("command", "%s is no program that may be run", program)
	}
}

// run calls the program once.
func (e *Exec) run(ctx context.Context, action, name, value string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(e.Timeout), fmt.Errorf("it took longer than %s", e.Timeout))
	defer cancel()
	args := append(append([]string(nil), e.Command[1:]...), action, name, value)
	cmd := exec.CommandContext(ctx, e.Command[0], args...)
	var said tail
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.WaitDelay = time.Second // for what it started itself, and left behind
	err := cmd.Run()
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it ended well; who it left behind has its output
	}
	if err != nil {
		return fmt.Errorf("%s %s %s: %w%s", e.Command[0], action, name, err, said.text())
	}
	return nil
}

// tail keeps the last bytes that are written to it.
type tail struct{ b []byte }

const maxTail = 1 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if n := len(t.b) - maxTail; n > 0 {
		t.b = append(t.b[:0], t.b[n:]...)
	}
	return len(p), nil
}

// text is what was said, as the end of an error.
func (t *tail) text() string {
	said := bytes.TrimSpace(t.b)
	if len(said) == 0 {
		return ""
	}
	return fmt.Sprintf(": it said %q", said)
}
