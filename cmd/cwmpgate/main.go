// Command cwmpgate is a TLS-terminating CWMP (TR-069) reverse proxy that writes
// every message down before it lets it go, and the tool that reads what was
// written.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/cwmpgate/cwmpgate/configs"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	// A reload is not offered; the signal that asks for one elsewhere must not
	// end the gateway.
	signal.Ignore(syscall.SIGHUP)
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes: 0 done, 1 it did not work, 2 called wrongly or a config with
// mistakes.
const (
	exitFailed = 1
	exitUsage  = 2
)

// execute runs one command line and returns the exit code. It alone prints
// errors.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var mistakes configs.Errors
	if errors.As(err, &mistakes) {
		for _, m := range mistakes {
			fmt.Fprintln(stderr, m.Error())
		}
		fmt.Fprintf(stderr, "error: %s\n", plural(len(mistakes), "mistake"))
		return exitUsage
	}
	fmt.Fprintf(stderr, "error: %v\n", err)
	var h *hinted
	if errors.As(err, &h) {
		fmt.Fprintf(stderr, "hint: %s\n", h.hint)
	}
	var u *usageError
	if errors.As(err, &u) || isCobraUsage(err) {
		return exitUsage
	}
	return exitFailed
}

// hinted is an error with what to do about it.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

func withHint(err error, format string, args ...any) error {
	return &hinted{err, fmt.Sprintf(format, args...)}
}

// usageError is a wrong call.
type usageError struct{ error }

func (u *usageError) Unwrap() error { return u.error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// isCobraUsage tells cobra's own complaints about the command line.
func isCobraUsage(err error) bool {
	text := err.Error()
	for _, p := range []string{"unknown command", "unknown flag", "unknown shorthand", "accepts ", "requires ", "required flag"} {
		if strings.HasPrefix(text, p) {
			return true
		}
	}
	return false
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "cwmpgate",
		Short: "TLS-terminating CWMP (TR-069) reverse proxy and auditing gateway",
		Long: `cwmpgate stands between CPEs and their ACS: it terminates TLS, relays every
CWMP session over a connection of its own, decodes every message, and writes
each one down before it lets it go.

A first look:        cwmpgate demo
A gateway:           cwmpgate run --config cwmpgate.yaml
What goes on:        cwmpgate top --config cwmpgate.yaml
What was changed:    cwmpgate audit changes --config cwmpgate.yaml`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w; see %s --help", suggestFlag(cmd, err), cmd.CommandPath())}
	})
	root.AddCommand(newRun(), newCheck(), newDemo(), newTop(), newAudit(), newCerts(), newPasswd(), newStore(), newProof(), newWitness(), newJournal(), newVersion())
	return root
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
