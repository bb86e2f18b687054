package proof

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cwmpgate/cwmpgate/audit/ledger"
)

// state is where the keeper is: what it must know to go on with the next record
// of the journal without the ones before.
type state struct {
	log    string
	seq    uint64    // the last record read
	epoch  uint64    // first record of the open epoch; 0: none is open
	began  time.Time // of that record
	tree   ledger.Range
	signed int64  // leaves that a checkpoint covers
	key    string // verifier of the key that signs
	marks  []*mark
	held   map[string]held // by the witness's URL

	at time.Time // of the system record that was read last
}

// mark is a size of the open epoch that a witness holds, or may come to hold:
// from it a later size is proved to be an extension.
type mark struct {
	tree  ledger.Range // up to that size
	added ledger.Range // from there on
}

// held is what a witness is known to hold.
type held struct {
	Origin string `json:"origin"`
	Size   int64  `json:"size"`
}

const stateVersion = 1

type stateFile struct {
	Version   int             `json:"version"`
	Log       string          `json:"log"`
	Seq       uint64          `json:"seq"`
	Epoch     uint64          `json:"epoch"`
	Began     time.Time       `json:"began"`
	Size      int64           `json:"size"`
	Tree      []ledger.Hash   `json:"tree"`
	Signed    int64           `json:"signed"`
	Key       string          `json:"key"`
	Marks     []markFile      `json:"marks,omitempty"`
	Witnesses map[string]held `json:"witnesses,omitempty"`
}

type markFile struct {
	Size  int64         `json:"size"`
	Tree  []ledger.Hash `json:"tree"`
	Added []ledger.Hash `json:"added"`
}

const maxState = 1 << 20

// readState reads the file; where there is none, nothing is known.
func readState(name string) (s state, err error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	if err != nil {
		return state{}, err
	}
	if s, err = parseState(text); err != nil {
		return state{}, fmt.Errorf("%s: %w; restore it, or remove it: then a new epoch begins, and records behind the last checkpoint stay unproved", name, err)
	}
	return s, nil
}

func parseState(text []byte) (s state, err error) {
	var f stateFile
	if len(text) > maxState {
		return s, errors.New("it is too long")
	}
	i := bytes.LastIndex(text, []byte("crc32c "))
	if i < 0 || string(text[i:]) != checksum(text[:i]) {
		return s, errors.New("checksum mismatch")
	}
	if err := json.Unmarshal(text[:i], &f); err != nil {
		return s, err
	}
	if f.Version != stateVersion {
		return s, fmt.Errorf("version %d is unknown", f.Version)
	}
	s = state{log: f.Log, seq: f.Seq, epoch: f.Epoch, began: f.Began, signed: f.Signed, key: f.Key, held: f.Witnesses}
	if s.tree, err = ledger.ReadRange(0, f.Size, f.Tree); err != nil {
		return s, err
	}
	if f.Signed < 0 || f.Signed > f.Size || f.Epoch > f.Seq {
		return s, errors.New("it contradicts itself")
	}
	for _, m := range f.Marks {
		tree, err := ledger.ReadRange(0, m.Size, m.Tree)
		if err != nil {
			return s, err
		}
		added, err := ledger.ReadRange(m.Size, f.Size, m.Added)
		if err != nil {
			return s, err
		}
		s.marks = append(s.marks, &mark{tree, added})
	}
	return s, nil
}

func (s *state) text() []byte {
	f := stateFile{
		Version: stateVersion, Log: s.log, Seq: s.seq, Epoch: s.epoch, Began: s.began, Size: s.tree.End(), Tree: s.tree.Hashes(),
		Signed: s.signed, Key: s.key, Witnesses: s.held,
	}
	for _, m := range s.marks {
		f.Marks = append(f.Marks, markFile{m.tree.End(), m.tree.Hashes(), m.added.Hashes()})
	}
	text, err := json.Marshal(f)
	if err != nil {
		panic("BUG: " + err.Error()) // numbers and hashes always encode
	}
	text = append(text, '\n')
	return append(text, checksum(text)...)
}

// checksum is the last line of the file.
func checksum(text []byte) string {
	return fmt.Sprintf("crc32c %08x\n", crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli)))
}

// save puts the state on the medium.
func (k *Keeper) save() error {
	k.state.held = make(map[string]held)
	for _, w := range k.witnesses {
		k.state.held[w.URL] = w.holds()
	}
	if err := replaceFile(k.cfg.State, k.state.text()); err != nil {
		return fmt.Errorf("write the proof's state: %w", err)
	}
	return nil
}

// replaceFile writes a file anew: the old or the new one is there whole, after a
// crash too.
func replaceFile(name string, text []byte) error {
	f, err := os.OpenFile(name+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, syncClose(f)); err != nil {
		return err
	}
	if err := os.Rename(name+".tmp", name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

func syncClose(f *os.File) error { return errors.Join(f.Sync(), f.Close()) }

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
