package journaltest

import (
	"maps"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// sector is what a disk writes whole or not at all.
const sector = 512

// Restart is the machine after only the process died: nothing is lost, but
// what was not synced still is not.
func (f *FS) Restart() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.killed = true
	twins := map[*inode]*inode{}
	twin := func(names map[string]*inode) map[string]*inode {
		out := map[string]*inode{}
		for name, n := range names {
			out[name] = n.twin(twins)
		}
		return out
	}
	next := &FS{names: twin(f.names), kept: twin(f.kept), dir: f.dir, dirOK: f.dirOK, sites: f.sites, deaf: f.deaf}
	for _, m := range f.moves {
		if m.file != nil {
			m.file = m.file.twin(twins)
		}
		next.moves = append(next.moves, m)
	}
	return next
}

func (n *inode) twin(twins map[*inode]*inode) *inode {
	if twins[n] == nil {
		twins[n] = &inode{slices.Clone(n.data), slices.Clone(n.kept), slices.Clone(n.changes), slices.Clone(n.doubtful)}
	}
	return twins[n]
}

// Crash is the machine after the power was lost: what was synced is there; of
// everything else chance decides, for each change of the directory, each
// sector and each length by itself, so that later ones may be there and
// earlier ones not.
func (f *FS) Crash(rng *rand.Rand) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.killed = true
	names := maps.Clone(f.kept)
	mood := rng.IntN(4)
	for _, m := range f.moves {
		if lucky(rng, mood) {
			m.apply(names)
		}
	}
	next := New()
	next.sites, next.deaf = f.sites, f.deaf
	if !f.dirOK && !lucky(rng, mood) {
		return next
	}
	next.dir, next.dirOK = f.dir, f.dir != ""
	for _, name := range slices.Sorted(maps.Keys(names)) {
		data := names[name].survive(rng)
		n := &inode{data: data, kept: slices.Clone(data)}
		next.names[name], next.kept[name] = n, n
	}
	return next
}

// lucky draws whether one unsynced change is on the medium: in one mood all
// are, in one none, in the others some.
func lucky(rng *rand.Rand, mood int) bool {
	switch mood {
	case 0:
		return false
	case 1:
		return true
	}
	return rng.IntN(2) == 0
}

func (n *inode) survive(rng *rand.Rand) []byte {
	data := slices.Clone(n.kept)
	mood := rng.IntN(4)
	for _, c := range slices.Concat(n.doubtful, n.changes) {
		if c.bytes == nil {
			if lucky(rng, mood) {
				data = c.apply(data)
			}
			continue
		}
		for start := int(c.offset); start < int(c.offset)+len(c.bytes); {
			end := min((start/sector+1)*sector, int(c.offset)+len(c.bytes))
			if lucky(rng, mood) {
				data = change{int64(start), c.bytes[start-int(c.offset) : end-int(c.offset)]}.apply(data)
			}
			start = end
		}
	}
	return data
}

// Sites are the places in package journal that have synced something, with
// how often. A place in one of the helpers of file.go is named with whoever
// called it.
func (f *FS) Sites() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.sites)
}

// Ignore makes the syncs of one site do nothing and succeed.
func (f *FS) Ignore(site string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deaf = site
}

// ignored notes the site of the sync that is being made.
func (f *FS) ignored() bool {
	site := callSite()
	f.sites[site]++
	return site == f.deaf
}

func callSite() string {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	var site []string
	for {
		frame, more := frames.Next()
		file := filepath.Base(frame.File)
		if file != "fs.go" && file != "crash.go" {
			name := frame.Function[strings.LastIndexByte(frame.Function, '.')+1:]
			site = append(site, name)
			if file != "file.go" {
				return strings.Join(site, " of ")
			}
		}
		if !more {
			return strings.Join(site, " of ")
		}
	}
}
