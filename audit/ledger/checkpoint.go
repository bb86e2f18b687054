package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Origin names one tree: an epoch of a log of a site.
type Origin struct {
	Site  string
	Log   string // 32 lower-case hex digits
	Epoch uint64 // number of its first record
}

const program = "cwmpgate"

// String is the first line of a checkpoint.
func (o Origin) String() string {
	return fmt.Sprintf("%s/%s/%s/%d", program, o.Site, o.Log, o.Epoch)
}

// KeyName is the name of the keys of a site.
func KeyName(site string) string { return program + "/" + site }

// Site is what KeyName was made from.
func Site(keyName string) (string, error) {
	site, ok := strings.CutPrefix(keyName, program+"/")
	if !ok || !ValidSite(site) {
		return "", fmt.Errorf("key %q is not named %s/SITE", keyName, program)
	}
	return site, nil
}

// ValidSite says whether a name may stand in an origin: 1 to 64 letters, digits,
// dots, hyphens and underscores.
func ValidSite(site string) bool {
	ok := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(".-_", r)
	}
	return len(site) >= 1 && len(site) <= 64 && strings.IndexFunc(site, func(r rune) bool { return !ok(r) }) < 0
}

// ParseOrigin reads the first line of a checkpoint.
func ParseOrigin(line string) (Origin, error) {
	part := strings.Split(line, "/")
	if len(part) != 4 || part[0] != program || !ValidSite(part[1]) || !validLog(part[2]) {
		return Origin{}, errors.New("the origin is not of the form cwmpgate/SITE/LOG/EPOCH")
	}
	epoch, ok := parseSize(part[3])
	if !ok || epoch == 0 {
		return Origin{}, errors.New("the origin names no epoch")
	}
	return Origin{part[1], part[2], uint64(epoch)}, nil
}

func validLog(id string) bool {
	return len(id) == 32 && strings.Trim(id, "0123456789abcdef") == ""
}

// Tree is what a checkpoint says: so many leaves under this root.
type Tree struct {
	Origin Origin
	Size   int64
	Root   Hash
}

// Text is the body of the checkpoint, which is what is signed.
func (t Tree) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", t.Origin, t.Size, base64.StdEncoding.EncodeToString(t.Root[:]))
}

// MaxNote is how long a checkpoint with all its signatures may be.
const MaxNote = 16 << 10

// ReadTree reads a checkpoint whose signatures nobody has looked at. Lines that
// a later version may add behind the root are passed over.
func ReadTree(signed string) (Tree, error) {
	text, _, ok := strings.Cut(signed, "\n\n")
	if !ok || len(signed) > MaxNote {
		return Tree{}, errors.New("this is no signed note")
	}
	line := strings.Split(text, "\n")
	if len(line) < 3 {
		return Tree{}, errors.New("a checkpoint has an origin, a size and a root")
	}
	origin, err := ParseOrigin(line[0])
	if err != nil {
		return Tree{}, err
	}
	size, ok := parseSize(line[1])
	if !ok {
		return Tree{}, errors.New("the size is no number")
	}
	root, err := parseHash(line[2])
	if err != nil {
		return Tree{}, fmt.Errorf("the root: %w", err)
	}
	return Tree{origin, size, root}, nil
}

// parseSize reads decimal digits without leading zeros.
func parseSize(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 63)
	return n, err == nil && strconv.FormatInt(n, 10) == text && n >= 0
}

func parseHash(text string) (h Hash, err error) {
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	// The decoder passes over line breaks.
	if err != nil || len(b) != len(h) || len(text) != base64.StdEncoding.EncodedLen(len(h)) {
		return h, errors.New("it is not 32 bytes in base64")
	}
	copy(h[:], b)
	return h, nil
}

// Sign makes a checkpoint.
func Sign(t Tree, signers ...note.Signer) (string, error) {
	b, err := note.Sign(&note.Note{Text: t.Text()}, signers...)
	return string(b), err
}

// Open reads a checkpoint that one of the keys has signed, and says which.
func Open(signed string, keys ...note.Verifier) (t Tree, by []note.Verifier, err error) {
	if t, err = ReadTree(signed); err != nil {
		return Tree{}, nil, err
	}
	n, err := note.Open([]byte(signed), note.VerifierList(keys...))
	if err != nil {
		return Tree{}, nil, err
	}
	for _, s := range n.Sigs {
		for _, k := range keys {
			if s.Name == k.Name() && s.Hash == k.KeyHash() {
				by = append(by, k)
			}
		}
	}
	return t, by, nil
}

// Only gives a note with no other signatures than those of the keys, which are
// verified.
func Only(signed string, keys ...note.Verifier) (string, error) {
	n, err := note.Open([]byte(signed), note.VerifierList(keys...))
	if err != nil {
		return "", err
	}
	b := []byte(n.Text + "\n")
	for _, s := range n.Sigs {
		b = fmt.Appendf(b, "— %s %s\n", s.Name, s.Base64)
	}
	return string(b), nil
}

// SignedBy names the keys that a note has signatures of, true or not.
func SignedBy(signed string) (names []string) {
	_, sigs, _ := strings.Cut(signed, "\n\n")
	for line := range strings.Lines(sigs) {
		word := strings.Fields(line)
		if len(word) != 3 || word[0] != "—" {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(word[2])
		if err != nil || len(b) < 4 {
			continue
		}
		names = append(names, fmt.Sprintf("%s+%x", word[1], b[:4]))
	}
	return names
}

// Notes gives the signed notes of a file in which they stand one behind the
// other, a blank line between two. What is no note is passed over.
func Notes(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		parts := strings.Split(text, "\n\n")
		for i := range len(parts) - 1 {
			if !strings.HasPrefix(parts[i+1], "— ") {
				continue
			}
			body := strings.TrimLeft(parts[i], "\n")
			if !yield(body + "\n\n" + strings.TrimSuffix(parts[i+1], "\n") + "\n") {
				return
			}
		}
	}
}
