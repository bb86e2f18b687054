package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/configs"
)

func newJournal() *cobra.Command {
	cmd := &cobra.Command{
		Use: "journal", Short: "Look after the journal on disk",
		Long: `Journal reads and mends the directory journal.directory of the config file,
without the store. Verify and show take no lock and change nothing, and may run
beside a gateway; adopt and skip need the gateway stopped. See docs/journal.md.`,
	}
	cmd.AddCommand(newJournalVerify(), newJournalShow(), newJournalAdopt(), newJournalSkip())
	return cmd
}

// journalDirectory is the directory of a config's journal. Who mends a journal,
// on another machine perhaps, need not have the keys and certificates: mistakes
// elsewhere in the config are no matter.
func journalDirectory(file string) (string, error) {
	c, err := loadConfig(file)
	if err == nil {
		return string(c.Journal.Directory), nil
	}
	var mistakes configs.Errors
	if !errors.As(err, &mistakes) || slices.ContainsFunc(mistakes, func(m configs.Error) bool { return strings.Contains(m.Text, "journal") }) {
		return "", err
	}
	text, rerr := os.ReadFile(file)
	var part struct {
		Journal struct{ Directory string } `yaml:"journal"`
	}
	if rerr != nil || yaml.Unmarshal(text, &part) != nil || part.Journal.Directory == "" {
		return "", err
	}
	where := part.Journal.Directory
	if !filepath.IsAbs(where) {
		where = filepath.Join(filepath.Dir(file), where)
	}
	return where, nil
}

func newJournalShow() *cobra.Command {
	var file string
	var from, to uint64
	var limit int
	cmd := &cobra.Command{
		Use: "show --config FILE", Short: "Print the journal's records as they stand", Args: cobra.NoArgs,
		Long: `Show prints records straight from the journal's files, one JSON object a line,
whether the store is there or not; see docs/record.md. At a damaged place it
stops and says where that is. Missing numbers are told on standard error.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return usagef("--limit %d is negative", limit)
			}
			if to < from {
				return usagef("--to %d is before --from %d", to, from)
			}
			dir, err := journalDirectory(file)
			if err != nil {
				return err
			}
			return hintJournal(showJournal(cmd, dir, from, to, limit), file)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().Uint64Var(&from, "from", 1, "first record, by `number`")
	cmd.Flags().Uint64Var(&to, "to", math.MaxUint64, "last record, by `number`")
	cmd.Flags().IntVar(&limit, "limit", 0, "at most `n` records; 0: all")
	return cmd
}

func showJournal(cmd *cobra.Command, dir string, from, to uint64, limit int) error {
	out, printed, next := cmd.OutOrStdout(), 0, uint64(0)
	for e, err := range journal.Scan(dir, from) {
		if err != nil {
			return fmt.Errorf("show the journal: %w", err)
		}
		if e.Seq > to || limit > 0 && printed == limit {
			break
		}
		if next > 0 && e.Seq > next {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s missing\n", areRecords(next, e.Seq-1))
		}
		if _, err := fmt.Fprintf(out, "%s\n", e.Bytes); err != nil {
			return err
		}
		printed, next = printed+1, e.Seq+1
	}
	return nil
}

func newJournalAdopt() *cobra.Command {
	var file string
	var yes bool
	cmd := &cobra.Command{
		Use: "adopt --config FILE", Short: "Give a copied or restored journal a log id of its own", Args: cobra.NoArgs,
		Long: `Adopt makes a directory that was copied, or restored from a backup, one that a
gateway goes on with: records from the next one on get a new log id, those that
are there keep the old one. The original must never run again beside it. Without
--yes it only says what it would do.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := journalDirectory(file)
			if err != nil {
				return err
			}
			return hintJournal(adoptJournal(cmd, dir, yes), file)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	return cmd
}

func adoptJournal(cmd *cobra.Command, dir string, yes bool) error {
	was, err := journal.Look(dir)
	if err != nil {
		return err
	}
	if was.Log == "" {
		return fmt.Errorf("adopt journal %s: it has no log id to be told by: %v", dir, was.Problems)
	}
	out := cmd.OutOrStdout()
	if !yes {
		state := "This directory is the one that the log was made in, or its file system cannot tell."
		if was.Copied {
			state = "This directory is a copy."
		}
		_, err := fmt.Fprintf(out, "log %s in %s\n%s Adopting it gives all records to come\na new log id; those that are there keep theirs. Nothing was changed; add --yes to do it.\n", was.Log, dir, state)
		return err
	}
	// Nothing is trimmed meanwhile.
	j := journal.New(journal.Config{
		Directory: dir, Adopt: true, KeepAfterAck: math.MaxInt64, KeepAlways: true,
		Logf: func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) },
	})
	if err := j.Open(); err != nil {
		return err
	}
	last := j.Stats().Newest
	if err := j.Close(cmd.Context()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "old log %s, up to record %d\nnew log %s, from record %d on\n", was.Log, last, j.ID(), last+1)
	return err
}

func newJournalSkip() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "skip --config FILE SEGMENT OFFSET", Short: "Pass over one damaged place of the journal", Args: cobra.ExactArgs(2),
		Long: `Skip lets the gateway and its stores go on behind one damaged place, named as
verify names it. All that is whole behind it is read; no file is changed and
nothing is discarded: a copy of the segment as it was found is kept beside it.
When the gateway next starts it writes a record that says what is missing.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			offset, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil || offset < 0 {
				return usagef("%q is no offset; take it from cwmpgate journal verify", args[1])
			}
			dir, err := journalDirectory(file)
			if err != nil {
				return err
			}
			g, err := journal.Skip(journal.Config{Directory: dir}, args[0], offset)
			if errors.Is(err, journal.ErrNoDamage) {
				return withHint(err, "cwmpgate journal verify --config %s names what is damaged", file)
			}
			if err != nil {
				return hintJournal(err, file)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "passed over: %s\n%s\n", describeGap(g),
				"The gateway writes this down as a gap record when it next starts.")
			return err
		},
	}
	configFlag(cmd, &file)
	return cmd
}

func describeGap(g journal.Gap) string {
	text := fmt.Sprintf("%s byte %d: no record is missing", g.Segment, g.Offset)
	if g.Missing() > 0 {
		text = fmt.Sprintf("%s byte %d: %s missing", g.Segment, g.Offset, areRecords(g.First, g.Last))
	}
	if kept := g.Kept(); kept != "" {
		text += "; what was found is kept in " + kept
	}
	return text
}

func areRecords(first, last uint64) string {
	if first == last {
		return fmt.Sprintf("record %d is", first)
	}
	return fmt.Sprintf("records %d to %d are", first, last)
}

// hintJournal adds to what is wrong with a journal the command that helps.
func hintJournal(err error, file string) error {
	var damage *journal.CorruptionError
	switch {
	case errors.Is(err, journal.ErrLocked):
		return withHint(err, "stop the gateway that holds it, or set a journal.directory of this one's own")
	case errors.Is(err, journal.ErrCopied):
		return withHint(err, "if the original is gone for good: cwmpgate journal adopt --config %s --yes", file)
	case errors.As(err, &damage):
		return withHint(err, "nothing was discarded; cwmpgate journal verify --config %[1]s names all that is damaged, and with the gateway stopped cwmpgate journal skip --config %[1]s %[2]s %[3]d goes on behind this place; see docs/journal.md",
			file, damage.Segment, damage.Offset)
	}
	return err
}

// timeText is how journal commands print a moment.
func timeText(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05.000")
}
