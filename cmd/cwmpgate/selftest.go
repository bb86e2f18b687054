package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse"
	"github.com/cwmpgate/cwmpgate/audit/sqlite"
	"github.com/cwmpgate/cwmpgate/audit/storetest"
)

func newStoreSelftest() *cobra.Command {
	var file string
	var groups []string
	cmd := &cobra.Command{
		Use: "selftest --config FILE", Short: "Run the tests of a store against yours", Args: cobra.NoArgs,
		Long: `Selftest runs the suite that each version's stores have passed against the server
of the config, in databases of its own: they are called cwmpgate_selftest_ and
26 random letters, and are dropped when their test has ended, also if it fails or
you break it off. The gateway's own database is not touched. The user needs the
right to make and to drop databases. Of an embedded store it makes files of its
own in the directory for temporary files.

It takes some minutes, says ok or FAILED of each test, and exits with 1 where one
has failed. Groups are ` + strings.Join(selftestNames(), ", ") + `.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, g := range groups {
				if !slices.Contains(selftestNames(), g) {
					return usagef("no group is called %q; there are %s", g, strings.Join(selftestNames(), ", "))
				}
			}
			c, err := storeOf(file)
			if err != nil {
				return err
			}
			if err := reachable(cmd.Context(), &c.Store); err != nil {
				return fmt.Errorf("selftest: %w", err)
			}
			return selftest(cmd.Context(), cmd.OutOrStdout(), scratch(&c.Store), groups)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringSliceVar(&groups, "group", nil, "only these `GROUP`s of tests")
	return cmd
}

// provable is a store that all groups can be run against.
type provable interface {
	store
	storetest.Ledger
	storetest.Remover
}

// selftestGroups are the parts of the suite, in the order in which they are run.
var selftestGroups = []struct {
	name string
	run  func(t storetest.T, open func(t storetest.T) provable)
}{
	{"once", suiteGroup("once")}, {"changes", suiteGroup("changes")}, {"known", suiteGroup("known")},
	{"transfers", suiteGroup("transfers")}, {"views", suiteGroup("views")}, {"fuzzed", suiteGroup("fuzzed")},
	{"ledger", func(t storetest.T, open func(t storetest.T) provable) {
		t.Run("ledger", func(t storetest.T) {
			storetest.RunLedger(t, func(t storetest.T) storetest.Ledger { return open(t) })
		})
	}},
	{"removal", func(t storetest.T, open func(t storetest.T) provable) {
		t.Run("removal", func(t storetest.T) {
			storetest.RunRemoval(t, func(t storetest.T) storetest.Remover { return open(t) })
		})
	}},
}

func suiteGroup(name string) func(t storetest.T, open func(t storetest.T) provable) {
	return func(t storetest.T, open func(t storetest.T) provable) {
		storetest.Run(t, func(t storetest.T) storetest.Store { return open(t) }, name)
	}
}

func selftestNames() (names []string) {
	for _, g := range selftestGroups {
		names = append(names, g.name)
	}
	return names
}

// scratch gives new, empty stores like the one of a config, which go when their
// tests end.
func scratch(c *storeConfig) func(t storetest.T) provable {
	if c.ClickHouse == nil {
		return func(t storetest.T) provable {
			s := sqlite.New(sqlite.Config{File: filepath.Join(t.TempDir(), "audit.db")})
			openScratch(t, s, func(context.Context) error { return nil })
			return s
		}
	}
	name, n := "cwmpgate_selftest_"+strings.ToLower(rand.Text()), 0
	return func(t storetest.T) provable {
		own := *c.ClickHouse
		n++
		own.Database = fmt.Sprintf("%s_%d", name, n)
		s, err := clickhouse.New(own, false)
		if err != nil {
			t.Fatal(err)
		}
		openScratch(t, s, s.Drop)
		return s
	}
}

// reachable makes a database and drops it again: where that fails every test
// would.
func reachable(ctx context.Context, c *storeConfig) error {
	if c.ClickHouse == nil {
		return nil
	}
	own := *c.ClickHouse
	own.Database = "cwmpgate_selftest_" + strings.ToLower(rand.Text())
	s, err := clickhouse.New(own, false)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Open(ctx); err != nil {
		return err
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTime)
	defer cancel()
	return s.Drop(end)
}

// testTime bounds one test, of which most take a second.
const testTime = 10 * time.Minute

// dropTime bounds the end of a test that was broken off.
const dropTime = time.Minute

func openScratch(t storetest.T, s store, drop func(context.Context) error) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), dropTime)
		defer cancel()
		if err := errors.Join(drop(ctx), s.Close()); err != nil {
			t.Error(err)
		}
	})
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// selftest runs the groups, all where none is named.
func selftest(ctx context.Context, out io.Writer, open func(t storetest.T) provable, groups []string) error {
	total := &tally{out: out}
	all := &selfTest{ctx: ctx, whole: ctx, total: total}
	for _, g := range selftestGroups {
		if len(groups) == 0 || slices.Contains(groups, g.name) {
			g.run(all, open)
		}
	}
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("selftest: %w after %d tests, %d of which failed", err, total.run, total.failed)
	}
	if total.failed > 0 {
		return fmt.Errorf("selftest: %d of %d tests failed: this store does not do what the audit rests on", total.failed, total.run)
	}
	_, err := fmt.Fprintf(out, "%d tests, all ok\n", total.run)
	return err
}

// tally is what a run came to.
type tally struct {
	out         io.Writer
	run, failed int
}

// selfTest is one test of the run; tests of a test run one after another.
type selfTest struct {
	ctx      context.Context
	whole    context.Context // of the run, which may be broken off
	name     string
	total    *tally
	within   bool // it has tests of its own, which say how they went
	failed   bool
	said     []string
	cleanups []func()
}

// Run runs a test within this one, on a goroutine of its own, which Fatal ends.
func (t *selfTest) Run(name string, f func(t storetest.T)) bool {
	if t.within = true; t.whole.Err() != nil {
		return false
	}
	ctx, cancel := context.WithTimeoutCause(t.whole, testTime, fmt.Errorf("a test took longer than %s", testTime))
	defer cancel()
	child := &selfTest{ctx: ctx, whole: t.whole, name: strings.TrimPrefix(t.name+"/"+name, "/"), total: t.total}
	began := time.Now()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer child.cleanUp()
		defer child.caught()
		f(child)
	}()
	<-ended
	t.failed = t.failed || child.failed
	child.report(time.Since(began))
	return !child.failed
}

// caught makes a panic a failure: the tests behind it are of use all the same.
func (t *selfTest) caught() {
	if r := recover(); r != nil {
		t.failed = true
		t.said = append(t.said, fmt.Sprintf("panic: %v\n%s", r, debug.Stack()))
	}
}

func (t *selfTest) cleanUp() {
	for _, f := range slices.Backward(t.cleanups) {
		f()
	}
}

func (t *selfTest) report(took time.Duration) {
	if t.within && len(t.said) == 0 || t.whole.Err() != nil {
		return // its tests have said it, or it was broken off
	}
	t.total.run++
	how := "ok    "
	if t.failed {
		how = "FAILED"
		t.total.failed++
	}
	text := fmt.Sprintf("%s %s (%.1fs)\n", how, t.name, took.Seconds())
	for _, s := range t.said {
		text += "       " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n       ") + "\n"
	}
	if _, err := io.WriteString(t.total.out, text); err != nil {
		t.failed = true
	}
}

func (t *selfTest) say(text string) { t.said = append(t.said, text) }

// Helper, and what follows, is as *testing.T has it.
func (t *selfTest) Helper()                   {}
func (t *selfTest) Name() string              { return t.name }
func (t *selfTest) Context() context.Context  { return t.ctx }
func (t *selfTest) Cleanup(f func())          { t.cleanups = append(t.cleanups, f) }
func (t *selfTest) Log(v ...any)              { t.say(fmt.Sprintln(v...)) }
func (t *selfTest) Logf(f string, v ...any)   { t.say(fmt.Sprintf(f, v...)) }
func (t *selfTest) Error(v ...any)            { t.fail(fmt.Sprintln(v...)) }
func (t *selfTest) Errorf(f string, v ...any) { t.fail(fmt.Sprintf(f, v...)) }
func (t *selfTest) Fatal(v ...any)            { t.fail(fmt.Sprintln(v...)); runtime.Goexit() }
func (t *selfTest) Fatalf(f string, v ...any) { t.fail(fmt.Sprintf(f, v...)); runtime.Goexit() }
func (t *selfTest) fail(text string)          { t.failed = true; t.say(text) }

// TempDir is a directory that goes when the test ends.
func (t *selfTest) TempDir() string {
	dir, err := os.MkdirTemp("", "cwmpgate-selftest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
