package ledger

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Cosigner is a witness's key: it signs a checkpoint together with the time.
type Cosigner struct {
	cosigned
	key ed25519.PrivateKey
}

// NewCosigner reads a private key in the form that GenerateKey gives.
func NewCosigner(private string) (*Cosigner, error) {
	name, key, err := readPrivate(private)
	if err != nil {
		return nil, err
	}
	public := key.Public().(ed25519.PublicKey)
	return &Cosigner{cosigned{name, keyHash(name, append([]byte{algCosignature}, public...)), public}, key}, nil
}

// Verifier is the public key in the form NAME+HASH+KEY.
func (c *Cosigner) Verifier() string {
	return fmt.Sprintf("%s+%08x+%s", c.name, c.hash, base64.StdEncoding.EncodeToString(append([]byte{algCosignature}, c.public...)))
}

// Cosign gives the line that is added to a checkpoint of that text.
func (c *Cosigner) Cosign(text string, at time.Time) string {
	sig := binary.BigEndian.AppendUint32(nil, c.hash)
	sig = binary.BigEndian.AppendUint64(sig, uint64(at.Unix()))
	sig = append(sig, ed25519.Sign(c.key, cosignedText(uint64(at.Unix()), text))...)
	return "— " + c.name + " " + base64.StdEncoding.EncodeToString(sig) + "\n"
}

func cosignedText(at uint64, text string) []byte {
	return fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, text)
}

// cosigned verifies cosignatures, as a note.Verifier.
type cosigned struct {
	name   string
	hash   uint32
	public ed25519.PublicKey
}

func (c *cosigned) Name() string    { return c.name }
func (c *cosigned) KeyHash() uint32 { return c.hash }

func (c *cosigned) Verify(text, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	return ed25519.Verify(c.public, cosignedText(binary.BigEndian.Uint64(sig), string(text)), sig[8:])
}

// CosignedAt is when a witness says that it saw a checkpoint. The signature must
// have been verified.
func CosignedAt(signed string, witness note.Verifier) (time.Time, error) {
	n, err := note.Open([]byte(signed), note.VerifierList(witness))
	if err != nil {
		return time.Time{}, err
	}
	sig, err := base64.StdEncoding.DecodeString(n.Sigs[0].Base64)
	if err != nil || len(sig) != 4+8+ed25519.SignatureSize {
		return time.Time{}, errors.New("it is no cosignature")
	}
	at := binary.BigEndian.Uint64(sig[4:])
	if at > math.MaxInt64 {
		return time.Time{}, errors.New("the cosignature's time is out of range")
	}
	return time.Unix(int64(at), 0).UTC(), nil
}

// MaxCosignatures is how many bytes of a witness's answer are looked at.
const MaxCosignatures = 8 << 10

// AddCosignatures adds a witness's answer to a checkpoint, as far as it is this
// key's signature.
func AddCosignatures(signed, answer string, witness note.Verifier) (string, error) {
	if len(answer) > MaxCosignatures {
		return "", errors.New("the answer is too long")
	}
	for line := range strings.Lines(answer) {
		if !strings.HasPrefix(line, "— "+witness.Name()+" ") || !strings.HasSuffix(line, "\n") {
			continue
		}
		text, _, ok := strings.Cut(signed, "\n\n")
		if !ok {
			return "", errors.New("this is no signed note")
		}
		if _, err := note.Open([]byte(text+"\n\n"+line), note.VerifierList(witness)); err != nil {
			return "", fmt.Errorf("the witness's signature: %w", err)
		}
		if strings.Contains(signed, line) {
			return signed, nil
		}
		return signed + line, nil
	}
	return "", errors.New("the answer has no signature of the witness's key")
}
