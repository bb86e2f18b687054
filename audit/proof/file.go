package proof

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/ledger"
)

// tailBytes is how much of the file of checkpoints the store is offered again
// at a start: about two days' of one a minute.
const tailBytes = 1 << 20

// takeFile makes the file of checkpoints where it is absent, ends what a crash
// left unfinished in it, and offers its latest checkpoints to the store, which
// may not have come to take them.
func (k *Keeper) takeFile() error {
	f, err := os.OpenFile(k.cfg.File, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	from := max(info.Size()-tailBytes, 0)
	tail := make([]byte, info.Size()-from)
	if _, err := io.ReadFull(io.NewSectionReader(f, from, int64(len(tail))), tail); err != nil {
		return err
	}
	if n := len(tail); n > 0 && (n < 2 || string(tail[n-2:]) != "\n\n") {
		if _, err := f.WriteAt([]byte("\n\n"), info.Size()); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if k.store != nil {
		for note := range ledger.Notes(string(tail)) {
			if t, err := ledger.ReadTree(note); err == nil {
				// Its last record is at least this one; gaps are not known here.
				k.store.put(audit.Checkpoint{Log: t.Origin.Log, Epoch: t.Origin.Epoch, Size: t.Size, Last: t.Origin.Epoch + uint64(t.Size) - 1, Note: note})
			}
		}
	}
	return syncDir(filepath.Dir(k.cfg.File))
}

// book is the file that checkpoints are added to. It is opened each time, so
// that it may be moved away.
type book struct {
	name string
	mu   sync.Mutex
	torn bool // the last one may be there in part
}

// add adds a checkpoint, durably.
func (b *book) add(note string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	f, err := os.OpenFile(b.name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if b.torn {
		note = "\n\n" + note
	}
	_, err = f.WriteString(note + "\n")
	err = errors.Join(err, syncClose(f))
	b.torn = err != nil
	return err
}
