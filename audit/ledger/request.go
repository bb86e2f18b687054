package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Request is what a witness is asked to cosign (C2SP tlog-witness,
// add-checkpoint): a checkpoint, and the proof that it extends the last one of
// so many leaves that the witness has cosigned.
type Request struct {
	Old    int64
	Proof  []Hash
	Signed string
}

// MaxRequest is how many bytes a request has at the most.
const MaxRequest = 24 << 10

// Text is the body of the request.
func (r Request) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "old %d\n", r.Old)
	for _, h := range r.Proof {
		b.WriteString(base64.StdEncoding.EncodeToString(h[:]))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	b.WriteString(r.Signed)
	return b.String()
}

// ParseRequest reads the body of a request.
func ParseRequest(text string) (r Request, err error) {
	if len(text) > MaxRequest {
		return Request{}, errors.New("the request is too long")
	}
	head, signed, ok := strings.Cut(text, "\n\n")
	if !ok {
		return Request{}, errors.New("the request has no checkpoint")
	}
	line := strings.Split(head, "\n")
	size, ok := strings.CutPrefix(line[0], "old ")
	if !ok {
		return Request{}, errors.New("the request does not begin with the old size")
	}
	if r.Old, ok = parseSize(size); !ok {
		return Request{}, errors.New("the old size is no number")
	}
	if len(line)-1 > MaxProof {
		return Request{}, errors.New("the proof is too long")
	}
	for _, text := range line[1:] {
		h, err := parseHash(text)
		if err != nil {
			return Request{}, fmt.Errorf("the proof: %w", err)
		}
		r.Proof = append(r.Proof, h)
	}
	if _, err := ReadTree(signed); err != nil {
		return Request{}, fmt.Errorf("the checkpoint: %w", err)
	}
	r.Signed = signed
	return r, nil
}
