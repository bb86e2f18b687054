package acme

import (
	"context"
	"path/filepath"

	"github.com/caddyserver/certmagic"
)

// storage is the directory of one kind of key. Its locks are those of all
// kinds: certmagic holds one challenge a name at a time, in the whole process, so
// that a name's certificates have to be got one after the other.
type storage struct {
	*certmagic.FileStorage
	locks *certmagic.FileStorage
}

func newStorage(directory, kind string) storage {
	return storage{
		FileStorage: &certmagic.FileStorage{Path: filepath.Join(directory, kind)},
		locks:       &certmagic.FileStorage{Path: directory},
	}
}

// Lock waits for a name's lock.
func (s storage) Lock(ctx context.Context, name string) error { return s.locks.Lock(ctx, name) }

// TryLock takes it where it is free.
func (s storage) TryLock(ctx context.Context, name string) (bool, error) {
	return s.locks.TryLock(ctx, name)
}

// Unlock gives it back.
func (s storage) Unlock(ctx context.Context, name string) error { return s.locks.Unlock(ctx, name) }
