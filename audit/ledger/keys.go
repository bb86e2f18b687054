package ledger

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Signer signs checkpoints and knows the key that verifies them.
type Signer interface {
	note.Signer
	// Verifier is the public key in the form NAME+HASH+KEY.
	Verifier() string
}

// The kinds of key, as the first byte of a public key tells.
const (
	algEd25519     = 1 // signs notes
	algCosignature = 4 // cosigns checkpoints, C2SP tlog-cosignature
)

const privatePrefix = "PRIVATE+KEY+"

// GenerateKey makes a private key in the form in which a file keeps it.
func GenerateKey(name string) (string, error) {
	private, _, err := note.GenerateKey(rand.Reader, name)
	return private, err
}

// NewSigner reads a private key that signs checkpoints.
func NewSigner(private string) (Signer, error) {
	private = strings.TrimSpace(private)
	s, err := note.NewSigner(private)
	if err != nil {
		return nil, err
	}
	_, key, err := readPrivate(private)
	if err != nil {
		return nil, err
	}
	v, err := note.NewEd25519VerifierKey(s.Name(), key.Public().(ed25519.PublicKey))
	return &signer{s, v}, err
}

type signer struct {
	note.Signer
	verifier string
}

func (s *signer) Verifier() string { return s.verifier }

func readPrivate(private string) (name string, key ed25519.PrivateKey, err error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(private), privatePrefix)
	part := strings.SplitN(rest, "+", 3)
	if !ok || len(part) != 3 {
		return "", nil, errors.New("it is not of the form PRIVATE+KEY+NAME+HASH+KEY")
	}
	b, err := base64.StdEncoding.DecodeString(part[2])
	if err != nil || len(b) != 1+ed25519.SeedSize || b[0] != algEd25519 {
		return "", nil, errors.New("it is no Ed25519 key")
	}
	return part[0], ed25519.NewKeyFromSeed(b[1:]), nil
}

// NewVerifier reads a public key, of a log or of a witness.
func NewVerifier(public string) (note.Verifier, error) {
	name, rest, _ := strings.Cut(public, "+")
	hash, key64, ok := strings.Cut(rest, "+")
	key, err := base64.StdEncoding.DecodeString(key64)
	if !ok || err != nil || len(key) != 1+ed25519.PublicKeySize || name == "" || strings.ContainsAny(name, " \n") {
		return nil, errors.New("it is not of the form NAME+HASH+KEY")
	}
	if key[0] != algCosignature {
		return note.NewVerifier(public)
	}
	v := &cosigned{name, keyHash(name, key), key[1:]}
	if fmt.Sprintf("%08x", v.hash) != hash {
		return nil, errors.New("its hash is not that of its name and key")
	}
	return v, nil
}

func keyHash(name string, key []byte) uint32 {
	h := sha256.New()
	h.Write([]byte(name))
	h.Write([]byte{'\n'})
	h.Write(key)
	return binary.BigEndian.Uint32(h.Sum(nil))
}

// PublicKey is the 32 bytes of an Ed25519 key in the form NAME+HASH+KEY.
func PublicKey(public string) (ed25519.PublicKey, error) {
	if _, err := NewVerifier(public); err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(strings.SplitN(public, "+", 3)[2])
	if err != nil {
		return nil, err
	}
	return b[1:], nil
}

// rotationTitle is the first line of the statement that a key gives way to
// another.
const rotationTitle = "cwmpgate key rotation 1"

// SignRotation makes the statement that in this log one key gives way to the
// other, signed by both: by the old one because it decides, by the new one so
// that whoever trusts that may also trust what the old one signed before.
func SignRotation(log string, from, to Signer) (string, error) {
	b, err := note.Sign(&note.Note{Text: rotationText(log, from.Verifier(), to.Verifier())}, from, to)
	return string(b), err
}

func rotationText(log, from, to string) string {
	return rotationTitle + "\n" + log + "\n" + from + "\n" + to + "\n"
}

// CheckRotation checks the statement that in a log one key gives way to the
// other.
func CheckRotation(statement, log, from, to string) error {
	a, err := NewVerifier(from)
	if err != nil {
		return fmt.Errorf("the old key: %w", err)
	}
	b, err := NewVerifier(to)
	if err != nil {
		return fmt.Errorf("the new key: %w", err)
	}
	n, err := note.Open([]byte(statement), note.VerifierList(a, b))
	switch {
	case err != nil:
		return err
	case len(n.Sigs) != 2:
		return errors.New("one of the two keys has not signed")
	case n.Text != rotationText(log, from, to):
		return errors.New("the statement is about another log or other keys")
	}
	return nil
}

// KeyID is the short name of a key: NAME+HASH.
func KeyID(v note.Verifier) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], v.KeyHash())
	return v.Name() + "+" + hex.EncodeToString(b[:])
}
