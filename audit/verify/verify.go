package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/ledger"
)

// Store is what is verified.
type Store interface {
	audit.LedgerReader
	audit.RowChecker
	audit.Reader
}

// Config says what is verified and by what.
type Config struct {
	Store   Store
	Keys    []ledger.Verifier // of the gateways
	Witness []string          // checkpoints that others hold
	Since   time.Time         // from the epoch on in which this lies; zero: everything
}

// Run verifies a store. An error says that it could not be read to the end.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	logs, err := cfg.Store.Logs(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the logs: %w", err)
	}
	f, err := gather(ctx, cfg.Store, logs)
	if err != nil {
		return nil, fmt.Errorf("read the system records: %w", err)
	}
	report := &Report{order: map[string]int{}}
	for i, log := range logs {
		report.order[log] = i
	}
	witnessed := sortWitness(cfg, report, f, logs)
	var walks []*walk
	for _, log := range logs {
		w := newWalk(cfg, report, f, log, witnessed[log])
		if err := w.run(ctx); err != nil {
			return nil, fmt.Errorf("verify log %s: %w", log, err)
		}
		walks = append(walks, w)
	}
	proved := map[string]*walk{}
	for _, w := range walks {
		proved[w.log] = w
	}
	for _, w := range walks {
		w.explain(proved)
		report.Logs = append(report.Logs, w.report)
	}
	report.sort()
	return report, nil
}

// signed is a checkpoint that a witness holds.
type signed struct {
	tree ledger.Tree
	note string
}

// sortWitness gives each log the checkpoints that others hold of it, and names
// the logs that they have and the store has not.
func sortWitness(cfg Config, report *Report, f *facts, logs []string) map[string][]signed {
	all := map[string][]signed{}
	gone := map[string]signed{}
	for _, text := range cfg.Witness {
		tree, err := ledger.ReadTree(text)
		if err != nil {
			continue
		}
		s := signed{tree, text}
		log := tree.Origin.Log
		if slices.Contains(logs, log) {
			all[log] = append(all[log], s)
			continue
		}
		if _, _, err := ledger.Open(text, notes(cfg.Keys)...); err != nil {
			continue // of other gateways
		}
		if before, ok := gone[log]; !ok || before.tree.Origin.Epoch < tree.Origin.Epoch {
			gone[log] = s
		}
	}
	for log, s := range gone {
		report.order[log] = len(report.order)
		report.add(Finding{log, 1, 0, Missing, fmt.Sprintf("the store has nothing of this log; the witness holds a checkpoint of its epoch %d with %d leaves", s.tree.Origin.Epoch, s.tree.Size)})
	}
	for _, list := range all {
		slices.SortFunc(list, func(a, b signed) int {
			return cmp.Or(cmp.Compare(a.tree.Origin.Epoch, b.tree.Origin.Epoch), cmp.Compare(a.tree.Size, b.tree.Size))
		})
	}
	return all
}
