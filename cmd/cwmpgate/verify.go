package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/ledger"
	"github.com/cwmpgate/cwmpgate/audit/verify"
)

// verification is what the flags of audit verify ask.
type verification struct {
	file, since string
	keys        []string
	witnesses   []string
	json        bool
	repair      bool
}

func newAuditVerify() *cobra.Command {
	var v verification
	cmd := &cobra.Command{
		Use: "verify --config FILE --key KEY", Short: "Recompute the proof: whether the store is as it was written", Args: cobra.NoArgs,
		Long: `Verify reads the ledger from its first record to its last, recomputes the trees,
holds them to the signed checkpoints, and each row of the other tables to its
record. It says what is right, what expired or was erased by a record that says
so, what is missing, altered or added, and what lies outside the proof. Where
something is not as it was written it exits with 1 and names the first record.

It believes the store nothing but what a key has signed. So give it the public
key that you noted when the gateway was new (cwmpgate proof key), and what a
witness holds: who has the gateway's key and the store can make both anew, and
only a witness shows that. docs/audit.md says what is found by which.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return v.run(cmd) },
	}
	configFlag(cmd, &v.file)
	f := cmd.Flags()
	f.StringVar(&v.since, "since", "", "only from the epoch on in which this `time` lies")
	f.StringArrayVar(&v.keys, "key", nil, "public `key` of the gateway, or a file of such keys, one a line; default: that of the gateway's own key file")
	f.StringArrayVar(&v.witnesses, "witness", nil, "`FILE` of checkpoints that somebody else has kept, or URL of a witness")
	f.BoolVar(&v.json, "json", false, "print what was found as JSON, one finding a line, the logs behind them")
	f.BoolVar(&v.repair, "repair", false, "send the store again what it lacks and the journal still has")
	return cmd
}

func (v *verification) run(cmd *cobra.Command) error {
	ctx := cmd.Context()
	since, err := readTime("--since", v.since, time.Now())
	if err != nil {
		return err
	}
	c, err := storeOf(v.file)
	if err != nil {
		return err
	}
	cfg := verify.Config{Since: since}
	if cfg.Keys, err = v.readKeys(c, cmd.ErrOrStderr()); err != nil {
		return err
	}
	for _, w := range v.witnesses {
		text, err := readWitness(ctx, w)
		if err != nil {
			return err
		}
		cfg.Witness = append(cfg.Witness, slices.Collect(ledger.Notes(text))...)
	}
	s, err := openStore(ctx, v.file, !v.repair)
	if err != nil {
		return err
	}
	defer s.Close()
	store, ok := s.(verify.Store)
	if !ok {
		return fmt.Errorf("verify: a store in %s cannot be verified by this version", c.Store.kind())
	}
	cfg.Store = store
	report, err := verify.Run(ctx, cfg)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if v.repair {
		if err := repair(ctx, cmd.OutOrStdout(), s, report, string(c.Journal.Directory)); err != nil {
			return err
		}
		if report, err = verify.Run(ctx, cfg); err != nil {
			return fmt.Errorf("verify: %w", err)
		}
	}
	return v.print(cmd.OutOrStdout(), report)
}

// readKeys gives the keys to verify by.
func (v *verification) readKeys(c *config, stderr io.Writer) (keys []ledger.Verifier, err error) {
	texts := v.keys
	if len(texts) == 0 {
		signer, err := readSigner(c.proofKey())
		if err != nil {
			return nil, withHint(err, "give the gateway's public key with --key")
		}
		fmt.Fprintf(stderr, "no --key: verified by the key in %s; this cannot tell a store that was signed anew with a key put there\n", c.proofKey())
		texts = []string{signer.Verifier()}
	}
	for _, text := range texts {
		key, err := ledger.NewVerifier(text)
		if err == nil {
			keys = append(keys, key)
			continue
		}
		b, rerr := os.ReadFile(text)
		if rerr != nil {
			return nil, usagef("--key %q is neither a public key (%v) nor a file (%v)", text, err, rerr)
		}
		for _, line := range strings.Fields(string(b)) {
			key, err := ledger.NewVerifier(line)
			if err != nil {
				return nil, usagef("--key %s: %q is no public key: %v", text, line, err)
			}
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// maxWitness bounds what a witness may send.
const maxWitness = 1 << 30

// readWitness reads the checkpoints that a witness holds.
func readWitness(ctx context.Context, from string) (string, error) {
	if !strings.HasPrefix(from, "http://") && !strings.HasPrefix(from, "https://") {
		text, err := os.ReadFile(from)
		if err != nil {
			return "", fmt.Errorf("read the witness's checkpoints: %w", err)
		}
		return string(text), nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(from, "/")+"/checkpoints", nil)
	if err != nil {
		return "", usagef("--witness %q: %v", from, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("ask the witness: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxWitness))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	if err != nil {
		return "", fmt.Errorf("ask the witness: %w", err)
	}
	return string(text), nil
}

// print says what was found, and fails where that is anything.
func (v *verification) print(out io.Writer, r *verify.Report) error {
	var err error
	say := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(out, format, args...)
		}
	}
	if v.json {
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		for _, f := range r.Findings {
			err = errors.Join(err, e.Encode(f))
		}
		for _, l := range r.Logs {
			err = errors.Join(err, e.Encode(l))
		}
	} else {
		for _, f := range r.Findings {
			say("%s: log %s: %s\n", f.What, f.Log, f.Text)
		}
		for _, l := range r.Logs {
			say("log %s: %d records, %d to %d; %d proved by %d checkpoints in %s, %d of them witnessed; %d expired, %d erased\n",
				l.Log, l.Records, l.First, l.Last, l.Proved, l.Checkpoints, plural(l.Epochs, "epoch"), l.Witnessed, l.Expired, l.Erased)
			for _, u := range l.Unproved {
				say("  outside the proof: %s: %s\n", numbers(u.First, u.Last), u.Why)
			}
		}
	}
	if err != nil || r.Right() {
		return err
	}
	worst := r.Worst()
	return fmt.Errorf("the store is not as it was written: %s, the first in log %s: %s: %s", plural(r.Count, "finding"), worst.Log, numbers(worst.First, worst.Last), worst.What)
}

func numbers(first, last uint64) string {
	if first >= last {
		return fmt.Sprintf("record %d", first)
	}
	return fmt.Sprintf("records %d to %d", first, last)
}

// repairBatch is how many records are sent again at once.
const repairBatch = 500

// repair sends the store what it lacks, as far as the journal has it.
func repair(ctx context.Context, out io.Writer, sink audit.Sink, r *verify.Report, directory string) error {
	sent, gone := 0, 0
	for _, l := range r.Logs {
		for _, lack := range l.Lacks {
			found, err := resend(ctx, sink, directory, l.Log, lack)
			if err != nil {
				return fmt.Errorf("repair %s of log %s: %w", numbers(lack.First, lack.Last), l.Log, err)
			}
			sent += found
			gone += int(lack.Last-lack.First) + 1 - found
		}
	}
	_, err := fmt.Fprintf(out, "%s sent again, %d that the journal does not have any more\n", plural(sent, "record"), gone)
	return err
}

func resend(ctx context.Context, sink audit.Sink, directory, log string, lack audit.Span) (sent int, err error) {
	var batch audit.Batch
	ofLog := fmt.Appendf(nil, `{"v":1,"log":%q,`, log)
	flush := func() error {
		if len(batch.Entries) == 0 {
			return nil
		}
		batch.Log, batch.First, batch.Last = log, batch.Entries[0].Seq, batch.Entries[len(batch.Entries)-1].Seq
		err := sink.Write(ctx, &batch)
		sent += len(batch.Entries)
		batch.Entries = batch.Entries[:0]
		return err
	}
	for e, err := range journal.Scan(directory, lack.First) {
		var missing *journal.CorruptionError
		if errors.As(err, &missing) {
			break // what is behind damage is not to be had
		}
		if err != nil {
			return sent, err
		}
		if e.Seq > lack.Last {
			break
		}
		if !bytes.HasPrefix(e.Bytes, ofLog) {
			continue // of the log before, where a journal was adopted
		}
		e.Bytes = slices.Clone(e.Bytes)
		batch.Entries = append(batch.Entries, e)
		if len(batch.Entries) == repairBatch {
			if err := flush(); err != nil {
				return sent, err
			}
		}
	}
	return sent, flush()
}
