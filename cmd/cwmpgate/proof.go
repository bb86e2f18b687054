package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/ledger"
	"github.com/cwmpgate/cwmpgate/audit/proof"
	"github.com/cwmpgate/cwmpgate/configs"
)

type proofConfig struct {
	Enabled    bool             `yaml:"enabled" doc:"Whether the log's tree is kept and signed, so that a change of what was recorded can be found."`
	Site       string           `yaml:"site" doc:"Name of this gateway in checkpoints and in its key: letters, digits, dots, hyphens and underscores; made from node where absent."`
	Key        configs.Path     `yaml:"key" doc:"File of the Ed25519 key that signs checkpoints, made with mode 0600 where it is absent; proof.key in the journal's directory by default."`
	File       configs.Path     `yaml:"file" doc:"File that checkpoints are added to; checkpoints in the journal's directory by default."`
	Epoch      configs.Duration `yaml:"epoch" min:"1m" max:"24h" doc:"After how long a new tree is begun."`
	Checkpoint checkpointConfig `yaml:"checkpoint" doc:"When the tree is signed."`
	Witnesses  []witnessConfig  `yaml:"witnesses" doc:"Who else keeps checkpoints; cwmpgate witness is one."`
}

type checkpointConfig struct {
	Every  configs.Duration `yaml:"every" min:"1s" max:"1h" doc:"At the latest so long after a record."`
	Leaves int              `yaml:"leaves" min:"1" max:"1000000" doc:"At the latest after so many records."`
}

type witnessConfig struct {
	URL configs.URL `yaml:"url" required:"true" doc:"Where the witness listens; /add-checkpoint is added."`
	Key string      `yaml:"key" required:"true" doc:"Its public key, as the witness prints it when it starts."`
}

func defaultProof() proofConfig {
	return proofConfig{
		Enabled: true, Epoch: configs.Duration(24 * time.Hour),
		Checkpoint: checkpointConfig{Every: configs.Duration(time.Minute), Leaves: 10_000},
	}
}

// Validate reports what no key's type can tell.
func (c *proofConfig) Validate(at configs.At) {
	if c.Site != "" && !ledger.ValidSite(c.Site) {
		at.Errorf("site", "%q is no name of letters, digits, dots, hyphens and underscores", c.Site)
	}
	for i, w := range c.Witnesses {
		if at.Item("witnesses", i).Wrong("key") {
			continue
		}
		if _, err := ledger.NewVerifier(w.Key); err != nil {
			at.Item("witnesses", i).Errorf("key", "no public key of a witness: %v", err)
		}
	}
}

// proofKey, proofFile and proofState are the files of the proof.
func (c *config) proofKey() string   { return c.besideJournal(c.Proof.Key, "proof.key") }
func (c *config) proofFile() string  { return c.besideJournal(c.Proof.File, "checkpoints") }
func (c *config) proofState() string { return c.besideJournal("", "proof-state") }

func (c *config) besideJournal(given configs.Path, name string) string {
	if given != "" {
		return string(given)
	}
	return filepath.Join(string(c.Journal.Directory), name)
}

// site is the configured one, or the node's name as far as it may be one.
func (c *config) site() string {
	if c.Proof.Site != "" {
		return c.Proof.Site
	}
	site := strings.Map(func(r rune) rune {
		if ledger.ValidSite(string(r)) {
			return r
		}
		return '-'
	}, c.Node)
	return site[:min(len(site), 64)]
}

// nextKey is where the key lies that is to take over.
func nextKey(key string) string { return key + ".next" }

// readSigner reads a private key.
func readSigner(file string) (ledger.Signer, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the key of the proof: %w", err)
	}
	s, err := ledger.NewSigner(string(text))
	if err == nil {
		_, err = ledger.Site(s.Name())
	}
	if err != nil {
		return nil, fmt.Errorf("read the key of the proof from %s: %w", file, err)
	}
	return s, nil
}

// makeProofKey makes the key where it is absent.
func makeProofKey(file, name string) error {
	if _, err := os.Stat(file); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	private, err := ledger.GenerateKey(name)
	if err != nil {
		return fmt.Errorf("make the key of the proof: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("make the key of the proof: %w", err)
	}
	if err := writeNewFile(file, private+"\n"); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the key of the proof: %w", err)
	}
	return nil
}

// newProof makes the keeper of the proof, nil where none is to be kept.
func (g *gate) newProof(c *config, log zerolog.Logger) (*proof.Keeper, error) {
	if !c.Proof.Enabled {
		return nil, nil
	}
	key := c.proofKey()
	if err := makeProofKey(key, ledger.KeyName(c.site())); err != nil {
		return nil, err
	}
	signer, err := readSigner(key)
	if err != nil {
		return nil, err
	}
	if site, _ := ledger.Site(signer.Name()); c.Proof.Site != "" && site != c.Proof.Site {
		return nil, withHint(fmt.Errorf("the key in %s is that of site %s, and proof.site is %s", key, site, c.Proof.Site), "a key keeps its name: leave out proof.site, or set proof.key to another file")
	}
	p := proof.Config{
		Journal: g.journal, Recorder: g.recorder, State: c.proofState(), File: c.proofFile(), Signer: signer,
		Epoch: time.Duration(c.Proof.Epoch), Every: time.Duration(c.Proof.Checkpoint.Every), Leaves: c.Proof.Checkpoint.Leaves,
		Gather: gather, Metrics: g.metrics,
		Trouble: func(err error) { log.Error().Err(err).Msg("proof") },
	}
	if next := nextKey(key); exists(next) {
		if p.Next, err = readSigner(next); err != nil {
			return nil, err
		}
		p.Rotated = func() error {
			log.Info().Str("key", p.Next.Verifier()).Msg("another key signs checkpoints from now on")
			return os.Rename(next, key)
		}
	}
	if sink, ok := g.store.(audit.CheckpointSink); ok {
		p.Store, p.StoreCursor = sink, c.Store.kind()
	}
	for _, w := range c.Proof.Witnesses {
		v, err := ledger.NewVerifier(w.Key)
		if err != nil {
			return nil, fmt.Errorf("read the key of witness %s: %w", &w.URL, err)
		}
		p.Witnesses = append(p.Witnesses, proof.Witness{URL: w.URL.String(), Key: v})
	}
	return proof.New(p), nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// openProof reads what is in the journal and begins an epoch where one is due;
// before anything else is written, so that everything is in one.
func (g *gate) openProof(ctx context.Context) error {
	if g.proof == nil {
		kept := func(c journal.CursorStats) bool { return c.Name == proof.CursorName }
		if slices.ContainsFunc(g.journal.Stats().Cursors, kept) { // it would keep the journal from being trimmed
			return g.journal.DropCursor(proof.CursorName)
		}
		return nil
	}
	if err := g.proof.Open(ctx); err != nil {
		return fmt.Errorf("open the proof: %w", err)
	}
	return nil
}

// runProof keeps the proof until ctx ends. Where it cannot go on, the gateway
// does: what has to be proved is in the journal.
func (g *gate) runProof(ctx context.Context) {
	if g.proof == nil {
		return
	}
	if err := g.proof.Run(ctx); err != nil {
		g.log.Error().Err(err).Msg("the proof is not kept any more, and the journal keeps what it has not covered; see docs/audit.md")
	}
}
