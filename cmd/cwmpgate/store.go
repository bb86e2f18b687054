package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/clickhouse"
	"github.com/cwmpgate/cwmpgate/audit/sqlite"
	"github.com/cwmpgate/cwmpgate/configs"
)

// store is what the house wants of one.
type store interface {
	audit.Sink
	audit.Reader
	Open(ctx context.Context) error
	Rebuild(ctx context.Context) error
}

// open makes the store that the config names, nil where it names none.
func (c *storeConfig) open(readOnly bool) (store, error) {
	switch {
	case c.SQLite != nil:
		return sqlite.New(sqlite.Config{File: string(c.SQLite.File), ReadOnly: readOnly}), nil
	case c.ClickHouse != nil:
		return clickhouse.New(*c.ClickHouse, readOnly)
	}
	return nil, nil
}

// kind is the store's name in metrics, records and the journal.
func (c *storeConfig) kind() string {
	if c.ClickHouse != nil {
		return "clickhouse"
	}
	return "sqlite"
}

// mayWait says whether a gateway may start without its store: a server may be
// away, and devices are not to wait for it. One whose tables are not ours to
// write will not get better.
func (c *storeConfig) mayWait(err error) bool {
	var schema *clickhouse.SchemaError
	return c.ClickHouse != nil && !errors.As(err, &schema)
}

// quarantine is the directory of what a store will never take.
func (c *config) quarantine() string {
	return filepath.Join(string(c.Journal.Directory), "quarantine")
}

// openStore opens the store of a config file.
func openStore(ctx context.Context, file string, readOnly bool) (store, error) {
	c, err := storeOf(file)
	if err != nil {
		return nil, err
	}
	s, err := c.Store.open(readOnly)
	if err != nil {
		return nil, err
	}
	err = s.Open(ctx)
	if err == nil {
		return s, nil
	}
	err = fmt.Errorf("open the store: %w", errors.Join(err, s.Close()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, withHint(err, "the gateway makes it when it first runs with this config")
	}
	return nil, err
}

// readForBooks reads a config for its journal, store or proof. Who asks them need
// not be able to read the tenants' keys: a config that only lacks those will do.
func readForBooks(file string) (*config, error) {
	c := defaultConfig()
	err := configs.Load(file, c)
	var mistakes configs.Errors
	if err != nil && (!errors.As(err, &mistakes) ||
		slices.ContainsFunc(mistakes, func(m configs.Error) bool { return !strings.Contains(m.Text, "redaction.key") })) {
		return nil, err
	}
	return c, nil
}

// storeOf reads a config for its store.
func storeOf(file string) (*config, error) {
	c, err := readForBooks(file)
	if err != nil {
		return nil, err
	}
	if c.Store.SQLite == nil && c.Store.ClickHouse == nil {
		return nil, usagef("%s has no store; set store.sqlite.file or store.clickhouse.servers", file)
	}
	return c, nil
}

func newStore() *cobra.Command {
	cmd := &cobra.Command{
		Use: "store", Short: "Look after the audit store",
		Long: `Store sends again what the store would not take, and tests a server.`,
	}
	cmd.AddCommand(newStoreRetry(), newStoreSelftest())
	return cmd
}

func newStoreRetry() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "retry --config FILE", Short: "Send the store again what was put aside", Args: cobra.NoArgs,
		Long: `Retry sends each batch in quarantine to the store once more and removes it there
when the store has taken it. It may run beside the gateway: what is in the store
already is not written twice.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := storeOf(file)
			if err != nil {
				return err
			}
			store, err := openStore(cmd.Context(), file, false)
			if err != nil {
				return err
			}
			defer store.Close()
			aside := audit.Quarantine{Directory: c.quarantine()}
			taken, left, err := aside.Retry(cmd.Context(), store)
			if _, perr := fmt.Fprintf(cmd.OutOrStdout(), "%s taken, %s left in %s\n", batches(taken), batches(left), aside.Directory); err == nil {
				err = perr
			}
			return err
		},
	}
	configFlag(cmd, &file)
	return cmd
}

func batches(n int) string {
	if n == 1 {
		return "1 batch"
	}
	return fmt.Sprintf("%d batches", n)
}
