// Package journaltest is a file system in memory for tests of whoever writes
// through a journal: it knows what was synced and what was not, can lose the
// rest in a crash as disks do, and fails single operations on demand.
package journaltest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/cwmpgate/cwmpgate/audit/journal"
)

// ErrKilled is what every operation returns once the process is dead.
var ErrKilled = errors.New("the process was killed")

// Op is a kind of operation.
type Op string

// The operations, in the order of journal.FS, journal.File, journal.Source.
const (
	Append   Op = "append"
	Open     Op = "open"
	Rename   Op = "rename"
	Remove   Op = "remove"
	List     Op = "list"
	SyncDir  Op = "syncdir"
	Write    Op = "write"
	Sync     Op = "sync"
	Truncate Op = "truncate"
	Close    Op = "close"
	Read     Op = "read"
)

// Ops lists all of them.
func Ops() []Op {
	return []Op{Append, Open, Rename, Remove, List, SyncDir, Write, Sync, Truncate, Close, Read}
}

// Fault makes an operation fail.
type Fault struct {
	Op    Op
	Path  string // pattern of path.Match for the base name; empty: any
	Skip  int    // matching operations that still succeed
	Times int    // how many fail then; 0 means one, negative all
	Err   error
	Short int           // of a write: bytes that are written all the same
	Kill  bool          // the process dies just before
	Hang  chan struct{} // where set, the operation waits until it is closed
	Slow  time.Duration // the operation takes this much longer
}

// FS is a journal.FS in memory, with one directory that Lock makes.
type FS struct {
	mu     sync.Mutex
	names  map[string]*inode // as programs see them
	kept   map[string]*inode // as the medium has them
	moves  []move            // since the last SyncDir
	dir    string            // made by Lock; empty: none is
	dirOK  bool              // it is in its parent on the medium
	faults []*Fault
	ops    int
	killAt int // 0: never
	killed bool
	sites  map[string]int
	deaf   string // site whose syncs do nothing
}

// inode is a file without its name.
type inode struct {
	data    []byte   // as programs see it
	kept    []byte   // as of the last Sync
	changes []change // since then
	// doubtful are changes that a failed Sync has dropped: reading still
	// shows them, no later Sync writes them.
	doubtful []change
}

// change is bytes at an offset or, without bytes, a new length.
type change struct {
	offset int64
	bytes  []byte
}

// move is one change of the directory.
type move struct {
	gone string
	name string
	file *inode // nil: only gone
}

// New makes an empty file system.
func New() *FS {
	return &FS{names: map[string]*inode{}, kept: map[string]*inode{}, sites: map[string]int{}}
}

// Fail adds a fault.
func (f *FS) Fail(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fault.Times == 0 {
		fault.Times = 1
	}
	f.faults = append(f.faults, &fault)
}

// Unused is how many failures of an operation are still to come.
func (f *FS) Unused(op Op) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range f.faults {
		if fault.Op == op {
			n += max(fault.Times, 0)
		}
	}
	return n
}

// Heal removes all faults.
func (f *FS) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// KillAt lets the process die before the n-th operation from now on.
func (f *FS) KillAt(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.killAt = f.ops + max(n, 1)
}

// Kill lets the process die now.
func (f *FS) Kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.killed = true
}

// Killed says whether it has.
func (f *FS) Killed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.killed
}

// Ops is how many operations were begun.
func (f *FS) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops
}

// enter counts an operation and says how it ends before it begins. It leaves
// the file system locked.
func (f *FS) enter(op Op, name string) (*Fault, error) {
	f.mu.Lock()
	f.ops++
	if f.killAt > 0 && f.ops >= f.killAt {
		f.killed = true
	}
	if f.killed {
		return nil, &fs.PathError{Op: string(op), Path: name, Err: ErrKilled}
	}
	for _, fault := range f.faults {
		if fault.Times == 0 || fault.Op != op || !matches(fault.Path, name) {
			continue
		}
		if fault.Skip > 0 {
			fault.Skip--
			continue
		}
		if fault.Times > 0 {
			fault.Times--
		}
		if fault.Kill {
			f.killed = true
			return nil, &fs.PathError{Op: string(op), Path: name, Err: ErrKilled}
		}
		if fault.Hang != nil {
			f.mu.Unlock()
			<-fault.Hang
			f.mu.Lock()
		}
		if fault.Slow > 0 {
			f.mu.Unlock()
			time.Sleep(fault.Slow)
			f.mu.Lock()
		}
		if fault.Err == nil {
			return nil, nil
		}
		return fault, &fs.PathError{Op: string(op), Path: name, Err: fault.Err}
	}
	return nil, nil
}

func matches(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	ok, err := filepath.Match(pattern, filepath.Base(name))
	if err != nil {
		panic("BUG: pattern " + pattern)
	}
	return ok
}

// Lock implements journal.Locker: it makes the directory and locks nothing.
func (f *FS) Lock(dir string) (io.Closer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dir = filepath.Clean(dir)
	return io.NopCloser(nil), nil
}

// Append implements journal.FS.
func (f *FS) Append(name string) (journal.File, error) {
	_, err := f.enter(Append, name)
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	n := f.names[name]
	if n == nil {
		n = new(inode)
		f.names[name] = n
		f.moves = append(f.moves, move{name: name, file: n})
	}
	return &file{f, name, n}, nil
}

// Open implements journal.FS.
func (f *FS) Open(name string) (journal.Source, error) {
	_, err := f.enter(Open, name)
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	n := f.names[name]
	if n == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &source{f, name, n}, nil
}

// Rename implements journal.FS.
func (f *FS) Rename(from, to string) error {
	_, err := f.enter(Rename, from)
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	n := f.names[from]
	if n == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	delete(f.names, from)
	f.names[to] = n
	f.moves = append(f.moves, move{gone: from, name: to, file: n})
	return nil
}

// Remove implements journal.FS.
func (f *FS) Remove(name string) error {
	_, err := f.enter(Remove, name)
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	if f.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(f.names, name)
	f.moves = append(f.moves, move{gone: name})
	return nil
}

// List implements journal.FS.
func (f *FS) List(dir string) ([]string, error) {
	_, err := f.enter(List, dir)
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range f.names {
		if filepath.Dir(name) == filepath.Clean(dir) {
			names = append(names, filepath.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// SyncDir implements journal.FS.
func (f *FS) SyncDir(dir string) error {
	_, err := f.enter(SyncDir, dir)
	defer f.mu.Unlock()
	if err != nil || f.ignored() {
		return err
	}
	if dir := filepath.Clean(dir); dir != f.dir {
		f.dirOK = f.dirOK || dir == filepath.Dir(f.dir)
		return nil
	}
	for _, m := range f.moves {
		m.apply(f.kept)
	}
	f.moves = nil
	return nil
}

func (m move) apply(names map[string]*inode) {
	delete(names, m.gone)
	if m.file != nil {
		names[m.name] = m.file
	}
}

type file struct {
	fs   *FS
	name string
	node *inode
}

func (f *file) Name() string { return f.name }

func (f *file) Write(p []byte) (int, error) {
	fault, err := f.fs.enter(Write, f.name)
	defer f.fs.mu.Unlock()
	if err != nil && fault == nil {
		return 0, err
	}
	if fault != nil {
		p = p[:min(fault.Short, len(p))]
	}
	f.node.change(change{int64(len(f.node.data)), slices.Clone(p)})
	return len(p), err
}

func (f *file) Truncate(size int64) error {
	_, err := f.fs.enter(Truncate, f.name)
	defer f.fs.mu.Unlock()
	if err != nil {
		return err
	}
	f.node.change(change{offset: size})
	return nil
}

func (n *inode) change(c change) {
	n.data = c.apply(n.data)
	n.changes = append(n.changes, c)
}

func (c change) apply(data []byte) []byte {
	end := int(c.offset) + len(c.bytes)
	if c.bytes == nil {
		if end <= len(data) {
			return data[:end:end]
		}
	}
	if end > len(data) {
		data = append(data, make([]byte, end-len(data))...)
	}
	copy(data[c.offset:], c.bytes)
	return data
}

func (f *file) Sync() error {
	fault, err := f.fs.enter(Sync, f.name)
	defer f.fs.mu.Unlock()
	n := f.node
	switch {
	case fault != nil:
		n.doubtful = append(n.doubtful, n.changes...)
		n.changes = nil
		return err
	case err != nil:
		return err
	case f.fs.ignored():
		return nil
	}
	for _, c := range n.changes {
		n.kept = c.apply(n.kept)
	}
	n.changes = nil
	return nil
}

func (f *file) Close() error {
	_, err := f.fs.enter(Close, f.name)
	defer f.fs.mu.Unlock()
	return err
}

type source struct {
	fs   *FS
	name string
	node *inode
}

func (s *source) Size() (int64, error) {
	s.fs.mu.Lock()
	defer s.fs.mu.Unlock()
	return int64(len(s.node.data)), nil
}

func (s *source) ReadAt(p []byte, off int64) (int, error) {
	_, err := s.fs.enter(Read, s.name)
	defer s.fs.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if off > int64(len(s.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, s.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (s *source) Close() error { return nil }

// Bytes is a file's content as programs see it.
func (f *FS) Bytes(name string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.names[name]
	if n == nil {
		panic(fmt.Sprintf("BUG: no file %s", name))
	}
	return slices.Clone(n.data)
}

// Put makes a file with this content, all of it on the medium.
func (f *FS) Put(name string, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirOK = true
	n := &inode{data: slices.Clone(data), kept: slices.Clone(data)}
	f.names[name], f.kept[name] = n, n
}
