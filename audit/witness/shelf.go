package witness

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/cwmpgate/cwmpgate/audit/ledger"
)

// shelf is the file that checkpoints are added to, each durable before it is
// answered for. When most of it is out of date it is written anew.
type shelf struct {
	name   string
	lock   *os.File
	file   *os.File
	size   int64
	useful int64 // what it had when it was last written anew
	broken error // nothing is added any more
}

const (
	shelfName = "checkpoints"
	lockName  = "lock"
	// slack is how much out of date stays at least.
	slack    = 16 << 20
	maxShelf = 1 << 30
)

// openShelf locks the directory and hands over every checkpoint in it. One at the
// end that was not finished was not answered for, and is cut off.
func openShelf(dir string, load func(string) error) (_ *shelf, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &shelf{name: filepath.Join(dir, shelfName)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.lock, err = os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(s.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("directory %s is in use: %w", dir, err)
	}
	if s.file, err = os.OpenFile(s.name, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(s.file, maxShelf))
	if err != nil {
		return nil, err
	}
	if s.size, err = loadNotes(string(text), load); err != nil {
		return nil, fmt.Errorf("%s: %w; restore it from a backup", s.name, err)
	}
	if err := s.file.Truncate(s.size); err != nil {
		return nil, err
	}
	return s, errors.Join(s.file.Sync(), syncDir(dir))
}

// loadNotes hands over the notes of a file and says where they end.
func loadNotes(text string, load func(string) error) (end int64, err error) {
	for note := range ledger.Notes(text) {
		next := end + int64(len(note)) + 1
		if next > int64(len(text)) {
			return end, nil
		}
		if text[end:next] != note+"\n" {
			return end, fmt.Errorf("something else stands at byte %d", end)
		}
		if err := load(note); err != nil {
			if next == int64(len(text)) {
				return end, nil
			}
			return end, fmt.Errorf("the checkpoint at byte %d: %w", end, err)
		}
		end = next
	}
	return end, nil
}

// add puts a checkpoint on the medium. all are those that are held without it.
func (s *shelf) add(note string, all func() []string) error {
	if s.broken != nil {
		return s.broken
	}
	if s.size > 2*s.useful+slack {
		if err := s.rewrite(all()); err != nil {
			return err
		}
	}
	n, err := s.file.WriteAt([]byte(note+"\n"), s.size)
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		// What a failed sync leaves in the file is anybody's guess.
		s.broken = fmt.Errorf("write %s: %w; nothing more is taken until the next start", s.name, err)
		return s.broken
	}
	s.size += int64(n)
	return nil
}

func (s *shelf) rewrite(all []string) (err error) {
	f, err := os.OpenFile(s.name+".tmp", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	var size int64
	for _, note := range all {
		n, werr := io.WriteString(f, note+"\n")
		size, err = size+int64(n), errors.Join(err, werr)
	}
	if err = errors.Join(err, f.Sync()); err == nil {
		err = os.Rename(s.name+".tmp", s.name)
	}
	if err == nil {
		err = syncDir(filepath.Dir(s.name))
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	_ = s.file.Close() // everything in it is on the medium
	s.file, s.size, s.useful = f, size, size
	return nil
}

func (s *shelf) close() error {
	var errs []error
	for _, f := range []*os.File{s.file, s.lock} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
