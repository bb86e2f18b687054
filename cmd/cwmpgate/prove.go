package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/ledger"
	"github.com/cwmpgate/cwmpgate/audit/verify"
)

func newAuditProve() *cobra.Command {
	var file, log string
	cmd := &cobra.Command{
		Use: "prove SEQ --config FILE", Short: "Print the proof that a record is in a signed tree", Args: cobra.ExactArgs(1),
		Long: `Prove prints one JSON object that anybody can check without this program and
without the store: the record and its salt, the hashes from its leaf up to the
root, and the checkpoint that signs the root. docs/audit.md says how to check it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			seq, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil || seq == 0 {
				return usagef("%q is no number of a record", args[0])
			}
			s, err := openStore(cmd.Context(), file, true)
			if err != nil {
				return err
			}
			defer s.Close()
			store, ok := s.(audit.LedgerReader)
			if !ok {
				return fmt.Errorf("prove: this store keeps no checkpoints in this version")
			}
			if log == "" {
				logs, err := store.Logs(cmd.Context())
				if err != nil {
					return fmt.Errorf("prove: %w", err)
				}
				if len(logs) != 1 {
					return usagef("the store has %d logs: name one with --log: %v", len(logs), logs)
				}
				log = logs[0]
			}
			p, err := verify.Prove(cmd.Context(), store, log, seq)
			if err != nil {
				return fmt.Errorf("prove: %w", err)
			}
			e := json.NewEncoder(cmd.OutOrStdout())
			e.SetEscapeHTML(false)
			return e.Encode(newProofText(p))
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringVar(&log, "log", "", "`id` of the log, where the store has several")
	return cmd
}

// proofText is a proof as it is printed: bytes as hexadecimal digits, but for the
// record, which is text.
type proofText struct {
	Log        string   `json:"log"`
	Seq        uint64   `json:"seq"`
	Epoch      uint64   `json:"epoch"`
	Index      int64    `json:"index"`
	Size       int64    `json:"size"`
	Salt       string   `json:"salt"`
	Record     string   `json:"record"`
	Leaf       string   `json:"leaf"`
	Hashes     []string `json:"hashes"`
	Checkpoint string   `json:"checkpoint"`
}

func newProofText(p *verify.Proof) proofText {
	t := proofText{
		Log: p.Log, Seq: p.Seq, Epoch: p.Epoch, Index: p.Index, Size: p.Size, Salt: hex.EncodeToString(p.Salt), Record: string(p.Record),
		Leaf: hex.EncodeToString(p.Leaf[:]), Hashes: []string{}, Checkpoint: p.Checkpoint,
	}
	for _, h := range p.Hashes {
		t.Hashes = append(t.Hashes, hex.EncodeToString(h[:]))
	}
	return t
}

func newProof() *cobra.Command {
	cmd := &cobra.Command{
		Use: "proof", Short: "Look after the key of the proof",
		Long: `Proof prints the public key that the log's checkpoints are verified with, and
has another key take over.`,
	}
	cmd.AddCommand(newProofKey(), newProofRotate())
	return cmd
}

func newProofKey() *cobra.Command {
	var file string
	var pem bool
	cmd := &cobra.Command{
		Use: "key --config FILE", Short: "Print the public key", Args: cobra.NoArgs,
		Long: `Key prints the public key of proof.key, for audit verify --key and for the
witnesses. Note it down in a place that the gateway's administrators cannot
change. --pem prints it for openssl and the like.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := proofOf(file)
			if err != nil {
				return err
			}
			signer, err := readSigner(c.proofKey())
			if err != nil {
				return withHint(err, "the gateway makes it when it first runs with this config")
			}
			if !pem {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), signer.Verifier())
				return err
			}
			key, err := ledger.PublicKey(signer.Verifier())
			if err != nil {
				return err
			}
			// RFC 8410: a fixed head and the 32 bytes.
			der := append([]byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}, key...)
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n", base64.StdEncoding.EncodeToString(der))
			return err
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&pem, "pem", false, "as PEM")
	return cmd
}

func newProofRotate() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "rotate --config FILE", Short: "Make the key that takes over at the gateway's next start", Args: cobra.NoArgs,
		Long: `Rotate makes a new key beside proof.key, with .next behind its name, and prints
its public key. At the gateway's next start a record says that it takes over,
signed by the old key and the new one; then it is put in the place of proof.key.
Verify by either of the two finds the other from that record. Give the new one
to the witnesses first.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := proofOf(file)
			if err != nil {
				return err
			}
			old, err := readSigner(c.proofKey())
			if err != nil {
				return withHint(err, "the gateway makes it when it first runs with this config")
			}
			next := nextKey(c.proofKey())
			if _, err := os.Stat(next); err == nil {
				return withHint(fmt.Errorf("%s is there already", next), "restart the gateway, and it takes over")
			}
			if err := makeProofKey(next, old.Name()); err != nil {
				return err
			}
			made, err := readSigner(next)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), made.Verifier())
			return err
		},
	}
	configFlag(cmd, &file)
	return cmd
}

// proofOf reads a config for its proof; mistakes elsewhere do not matter as far
// as storeOf passes them over.
func proofOf(file string) (*config, error) {
	c, err := readForBooks(file)
	if err == nil && !c.Proof.Enabled {
		return nil, usagef("%s keeps no proof: proof.enabled is false", file)
	}
	return c, err
}
