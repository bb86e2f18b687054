package audit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cwmpgate/cwmpgate/audit/journal"
)

// QuarantinedError says that a sink will never take a batch for what is in it,
// and that the batch was put aside.
type QuarantinedError struct {
	Sink        string
	Log         string
	First, Last uint64 // of the batch
	Err         error
}

func (e *QuarantinedError) Error() string {
	return fmt.Sprintf("%s will not take records %d to %d of log %s: %v; they are in quarantine, cwmpgate store retry sends them again",
		e.Sink, e.First, e.Last, e.Log, e.Err)
}

func (e *QuarantinedError) Unwrap() error { return e.Err }

// Quarantine keeps batches that a sink will never take, each in a file of its
// own named LOG-FIRST-LAST:
//
//	cwmpgate quarantine 1
//	log LOG first FIRST last LAST
//	why "…"
//	SEQ SALT RECORD
//	sha256 SUM
//
// with a line for each record, its salt in hex, and last the hash of all that
// stands before.
type Quarantine struct {
	Directory string
}

// MaxQuarantined is how many batches are kept. A store that takes none at all
// is no matter of batches: beyond that the sink waits.
const MaxQuarantined = 100

const quarantineTitle = "cwmpgate quarantine 1"

// Keep writes a batch down durably.
func (q *Quarantine) Keep(b *Batch, cause error) error {
	if err := os.MkdirAll(q.Directory, 0o700); err != nil {
		return err
	}
	all, err := q.Files()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%d-%d", b.Log, b.First, b.Last)
	if len(all) >= MaxQuarantined && !slices.Contains(all, name) {
		return fmt.Errorf("%s holds %d batches already", q.Directory, len(all))
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s\nlog %s first %d last %d\nwhy %q\n", quarantineTitle, b.Log, b.First, b.Last, cause.Error())
	for _, e := range b.Entries {
		fmt.Fprintf(&text, "%d %x %s\n", e.Seq, e.Salt, e.Bytes)
	}
	fmt.Fprintf(&text, "sha256 %x\n", sha256.Sum256(text.Bytes()))
	return writeDurably(filepath.Join(q.Directory, name), text.Bytes())
}

// writeDurably makes a file that is there whole or not at all.
func writeDurably(file string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(file))
}

func syncDirectory(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Files gives the names of what is kept, in order.
func (q *Quarantine) Files() (names []string, err error) {
	all, err := os.ReadDir(q.Directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, f := range all {
		if !strings.HasPrefix(f.Name(), ".") {
			names = append(names, f.Name())
		}
	}
	slices.SortFunc(names, compareQuarantined)
	return names, err
}

// compareQuarantined orders by log and by number.
func compareQuarantined(a, b string) int {
	logA, restA, _ := strings.Cut(a, "-")
	logB, restB, _ := strings.Cut(b, "-")
	if c := strings.Compare(logA, logB); c != 0 {
		return c
	}
	if len(restA) != len(restB) {
		firstA, _, _ := strings.Cut(restA, "-")
		firstB, _, _ := strings.Cut(restB, "-")
		if len(firstA) != len(firstB) {
			return len(firstA) - len(firstB)
		}
	}
	return strings.Compare(restA, restB)
}

// Retry gives each batch to the sink again and removes those that it took. It
// goes on behind one that is refused once more; the errors come together.
func (q *Quarantine) Retry(ctx context.Context, sink Sink) (taken, left int, err error) {
	names, err := q.Files()
	if err != nil {
		return 0, 0, err
	}
	var errs []error
	for _, name := range names {
		if err := q.retry(ctx, sink, filepath.Join(q.Directory, name)); err != nil {
			errs = append(errs, fmt.Errorf("retry %s: %w", name, err))
			left++
			continue
		}
		taken++
	}
	return taken, left, errors.Join(errs...)
}

func (q *Quarantine) retry(ctx context.Context, sink Sink, file string) error {
	b, err := readQuarantined(file)
	if err != nil {
		return err
	}
	if err := sink.Write(ctx, b); err != nil {
		return err
	}
	if err := os.Remove(file); err != nil {
		return err
	}
	return syncDirectory(q.Directory)
}

func readQuarantined(file string) (*Batch, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	end := bytes.LastIndex(text, []byte("\nsha256 ")) + 1
	if want := fmt.Sprintf("sha256 %x\n", sha256.Sum256(text[:end])); string(text[end:]) != want {
		return nil, fmt.Errorf("%s is damaged: its hash is another", file)
	}
	b := &Batch{}
	lines := bufio.NewScanner(bytes.NewReader(text[:end]))
	lines.Buffer(nil, len(text)+1)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		ok := true
		switch n {
		case 1:
			ok = line == quarantineTitle
		case 2:
			_, err := fmt.Sscanf(line, "log %s first %d last %d", &b.Log, &b.First, &b.Last)
			ok = err == nil
		case 3:
		default:
			ok = parseQuarantined(line, b)
		}
		if !ok {
			return nil, fmt.Errorf("%s:%d: not as version 1 has it", file, n)
		}
	}
	return b, lines.Err()
}

func parseQuarantined(line string, b *Batch) bool {
	parts := strings.SplitN(line, " ", 3)
	if len(parts) != 3 {
		return false
	}
	seq, err := strconv.ParseUint(parts[0], 10, 64)
	salt, serr := hex.DecodeString(parts[1])
	e := journal.Entry{Seq: seq, Bytes: []byte(parts[2])}
	if err != nil || serr != nil || len(salt) != len(e.Salt) {
		return false
	}
	copy(e.Salt[:], salt)
	b.Entries = append(b.Entries, e)
	return true
}
