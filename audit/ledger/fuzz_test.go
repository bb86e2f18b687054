package ledger

import (
	"testing"
)

// FuzzReadTree: what is read as a checkpoint is written again as it was, but
// for lines behind the root.
func FuzzReadTree(f *testing.F) {
	s := newSigner(f, "north")
	signed, err := Sign(Tree{Origin{"north", testLog, 17}, 3, leafOf(1)}, s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add("cwmpgate/a/" + testLog + "/1\n0\nAAAA\n\n— x y\n")
	key := readVerifier(f, s.Verifier())
	f.Fuzz(func(t *testing.T, text string) {
		tree, err := ReadTree(text)
		if err != nil {
			return
		}
		body := tree.Text()
		if len(text) < len(body) || text[:len(body)] != body {
			t.Errorf("read %q as %q", text, body)
		}
		if got, _, err := Open(text, key); err == nil && got != tree {
			t.Errorf("opened as %v, read as %v", got, tree)
		}
		SignedBy(text)
	})
}

// FuzzParseRequest: what is read as a request is written again as it was.
func FuzzParseRequest(f *testing.F) {
	signed, err := Sign(Tree{Origin{"north", testLog, 17}, 3, leafOf(1)}, newSigner(f, "north"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(Request{Old: 2, Proof: []Hash{leafOf(1), leafOf(2)}, Signed: signed}.Text())
	f.Add("old 0\n\n" + signed)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRequest(text)
		if err != nil {
			return
		}
		if r.Text() != text {
			t.Errorf("read %q as %q", text, r.Text())
		}
		tree, _ := ReadTree(r.Signed)
		_ = CheckConsistency(r.Proof, r.Old, leafOf(1), tree.Size, tree.Root)
	})
}

// FuzzVerifier: no text makes a key that panics when it verifies.
func FuzzVerifier(f *testing.F) {
	f.Add(newSigner(f, "north").Verifier(), []byte("sig"))
	f.Fuzz(func(t *testing.T, text string, sig []byte) {
		if v, err := NewVerifier(text); err == nil {
			v.Verify([]byte("text"), sig)
			if _, err := PublicKey(text); err != nil {
				t.Errorf("a key without its bytes: %v", err)
			}
		}
	})
}
