package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/cwmpgate/cwmpgate/audit/ledger"
	"github.com/cwmpgate/cwmpgate/audit/witness"
)

// witnessFlags are those of a witness, which has no config file.
type witnessFlags struct {
	listen, directory, name string
	keys                    []string
	trees                   int
}

func newWitness() *cobra.Command {
	var f witnessFlags
	cmd := &cobra.Command{
		Use: "witness --directory DIR --name NAME --key KEY", Short: "Keep and cosign the checkpoints of gateways", Args: cobra.NoArgs,
		Long: `Witness takes checkpoints of gateways whose public keys it is given, as long as
each extends the last one that it has of the same tree, keeps it on disk, and
cosigns it. Run it where the gateway's administrators cannot change anything: a
log that was made anew is found by what the witness holds (audit verify
--witness). It speaks C2SP tlog-witness over plain HTTP; what it takes and gives
is signed. A GET of /checkpoints gives all that it holds.

Its own key is made in the directory; the public one is printed at the start, for
proof.witnesses of the gateways.`,
		Example: `  cwmpgate witness --listen 192.0.2.10:7548 --directory /var/lib/cwmpgate-witness --name witness.example.com/1 --key "$(cat gw-1.pub)"`,
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	p := cmd.Flags()
	p.StringVar(&f.listen, "listen", "127.0.0.1:7548", "`address` to listen at")
	p.StringVar(&f.directory, "directory", "", "`directory` of key and checkpoints; made where it is absent (needed)")
	p.StringVar(&f.name, "name", "", "`name` of the witness in its cosignatures, without spaces and plus signs (needed)")
	p.StringArrayVar(&f.keys, "key", nil, "public `key` of a gateway, as cwmpgate proof key prints it; may be repeated (needed)")
	p.IntVar(&f.trees, "max-trees", 100_000, "at most so many trees, one for each epoch of each gateway")
	for _, name := range []string{"directory", "name", "key"} {
		cmd.MarkFlagRequired(name)
	}
	return cmd
}

func (f *witnessFlags) run(cmd *cobra.Command) error {
	if f.name == "" || strings.ContainsAny(f.name, "+ \t\n") {
		return usagef("--name %q is empty, or has a space or a plus sign", f.name)
	}
	if f.trees < 1 {
		return usagef("--max-trees %d is less than 1", f.trees)
	}
	cfg := witness.Config{Directory: f.directory, MaxTrees: f.trees, Metrics: metrics.NewSet()}
	for _, text := range f.keys {
		key, err := ledger.NewVerifier(text)
		if err != nil {
			return usagef("--key %q is no public key: %v", text, err)
		}
		cfg.Logs = append(cfg.Logs, note.Verifier(key))
	}
	file := filepath.Join(f.directory, "witness.key")
	if err := makeProofKey(file, f.name); err != nil {
		return err
	}
	private, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the witness's key: %w", err)
	}
	if cfg.Cosigner, err = ledger.NewCosigner(string(private)); err != nil {
		return fmt.Errorf("read the witness's key from %s: %w", file, err)
	}
	if name := cfg.Cosigner.Name(); name != f.name {
		return withHint(fmt.Errorf("the key in %s is that of %s, and --name is %s", file, name, f.name), "a key keeps its name: give that one, or another directory")
	}
	w, err := witness.Open(cfg)
	if err != nil {
		return err
	}
	return errors.Join(serveWitness(cmd, f.listen, w, cfg.Cosigner.Verifier()), w.Close())
}

// serveWitness serves until the command's context ends.
func serveWitness(cmd *cobra.Command, address string, w *witness.Witness, key string) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(cmd.Context(), "tcp", address)
	if err != nil {
		return fmt.Errorf("listen at %s: %w", address, err)
	}
	server := &http.Server{
		Handler: w.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "listening at %s\nkey %s\n", ln.Addr(), key); err != nil {
		return errors.Join(err, ln.Close())
	}
	stop := context.AfterFunc(cmd.Context(), func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		server.Shutdown(ctx)
	})
	defer stop()
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
