package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// File is a file that is written at its end. Sync returns only when the
// bytes written and the length are on the medium; a file whose Write or Sync
// has failed is never synced again, since what a second Sync says of the
// first one's bytes is worthless.
type File interface {
	io.WriteCloser
	Sync() error
	Truncate(size int64) error
	Name() string
}

// Source is a file that is read.
type Source interface {
	io.ReaderAt
	io.Closer
	Size() (int64, error)
}

// FS is what the journal needs of a file system. Names are paths below
// Config.Directory. An absent file is an error for which
// errors.Is(err, fs.ErrNotExist) holds.
type FS interface {
	// Append opens a file for writing at its end and makes it, with mode
	// 0600, where it is absent.
	Append(name string) (File, error)
	Open(name string) (Source, error)
	// Rename puts a file under another name, replacing what stood there, in
	// one step.
	Rename(from, to string) error
	Remove(name string) error
	// List gives the names in a directory, in any order.
	List(dir string) ([]string, error)
	// SyncDir returns when the directory's entries are on the medium.
	SyncDir(dir string) error
}

// A Locker is an FS that can make a directory and keep others out of it.
type Locker interface {
	// Lock fails with ErrLocked where another process holds the directory.
	Lock(dir string) (io.Closer, error)
}

// An Identifier is an FS that can tell a file from its copy.
type Identifier interface {
	// Identity is the same text as long as a file lives, across renames and
	// restarts, and another one for a copy; empty where that cannot be told.
	Identity(name string) (string, error)
}

// An Inspector is an FS that can notice a file deleted or replaced while it
// is open.
type Inspector interface {
	// Inspect fails where the name does not stand for the open file any more.
	Inspect(f File, name string) error
}

type osFS struct{}

type osFile struct{ *os.File }

func (f osFile) Sync() error { return syncData(f.File) }

func (osFS) Append(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

type osSource struct{ *os.File }

func (f osSource) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (osFS) Open(name string) (Source, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return osSource{f}, nil
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
func (osFS) Remove(name string) error     { return os.Remove(name) }

func (osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Lock takes an exclusive flock: the kernel drops it with the process, so a
// crash leaves no lock behind. The number in the file is for people only.
func (osFS) Lock(dir string) (io.Closer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		var holder [20]byte
		n, _ := f.ReadAt(holder[:], 0)
		if pid := strings.TrimSpace(string(holder[:n])); pid != "" {
			return nil, fmt.Errorf("%w: process %s holds %s", ErrLocked, pid, f.Name())
		}
		return nil, fmt.Errorf("%w: %s", ErrLocked, f.Name())
	}
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return f, nil
}

func (osFS) Identity(name string) (string, error) { return fileIdentity(name) }

func (osFS) Inspect(f File, name string) error {
	open, ok := f.(osFile)
	if !ok {
		return nil
	}
	mine, err := open.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("segment vanished while it was written: %w", err)
	}
	if !os.SameFile(mine, there) {
		return fmt.Errorf("segment %s was replaced by another file while it was written", filepath.Base(name))
	}
	return nil
}

// writeAside makes the file of that name plus ".tmp" with these bytes and
// syncs it. On an error nothing is left.
func writeAside(fsys FS, name string, parts ...[]byte) (File, error) {
	aside := name + tempSuffix
	// A leftover of an earlier attempt must not lend its bytes.
	if err := fsys.Remove(aside); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	f, err := fsys.Append(aside)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		if err == nil {
			err = write(f, p)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		_ = f.Close()
		_ = fsys.Remove(aside)
		return nil, err
	}
	return f, nil
}

// putInPlace gives a file made by writeAside its name and returns when the
// name is on the medium too.
func putInPlace(fsys FS, name string) error {
	if err := fsys.Rename(name+tempSuffix, name); err != nil {
		_ = fsys.Remove(name + tempSuffix)
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// replaceFile changes a small file in one step: after a crash the old text
// or the new one is there, never a mixture.
func replaceFile(fsys FS, name string, text []byte) error {
	f, err := writeAside(fsys, name, text)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return putInPlace(fsys, name)
}

func write(f File, p []byte) error {
	n, err := f.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

func readFile(fsys FS, name string, limit int64) ([]byte, error) {
	src, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	size, err := src.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("%s is %d bytes, over %d", filepath.Base(name), size, limit)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(src, 0, size), text); err != nil {
		return nil, err
	}
	return text, nil
}
