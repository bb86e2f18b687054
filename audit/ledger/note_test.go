package ledger

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

func newSigner(t testing.TB, site string) Signer {
	t.Helper()
	private, err := GenerateKey(KeyName(site))
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSigner(private + "\n")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func readVerifier(t testing.TB, public string) note.Verifier {
	t.Helper()
	v, err := NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const testLog = "5d0f00000000000000000000000000aa"

func TestCheckpoint(t *testing.T) {
	s, other := newSigner(t, "north"), newSigner(t, "north")
	tree := Tree{Origin{"north", testLog, 17}, 3, leafOf(1)}
	want := "cwmpgate/north/" + testLog + "/17\n3\n"
	if !strings.HasPrefix(tree.Text(), want) {
		t.Fatalf("text %q, want it to begin with %q", tree.Text(), want)
	}
	signed, err := Sign(tree, s)
	if err != nil {
		t.Fatal(err)
	}
	got, by, err := Open(signed, readVerifier(t, other.Verifier()), readVerifier(t, s.Verifier()))
	if err != nil || got != tree || len(by) != 1 || KeyID(by[0]) != SignedBy(signed)[0] {
		t.Fatalf("opened %v %v %v", got, by, err)
	}
	if _, _, err := Open(signed, readVerifier(t, other.Verifier())); err == nil {
		t.Error("another key opens it")
	}
	if _, _, err := Open(strings.Replace(signed, "\n3\n", "\n4\n", 1), readVerifier(t, s.Verifier())); err == nil {
		t.Error("another size passes")
	}
	for _, wrong := range []string{
		"", "\n\n", tree.Text(), strings.Replace(signed, "\n3\n", "\n03\n", 1), strings.Replace(signed, "/17\n", "/0\n", 1),
		strings.Replace(signed, "north", "no rth", 1), strings.Replace(signed, testLog, testLog[1:], 1),
		strings.Replace(signed, "\n3\n", "\n-3\n", 1), signed + strings.Repeat(" ", MaxNote),
	} {
		if _, err := ReadTree(wrong); err == nil {
			t.Errorf("%q passes", wrong)
		}
	}
}

func TestCosignature(t *testing.T) {
	private, err := GenerateKey("witness.example.net")
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewCosigner(private)
	if err != nil {
		t.Fatal(err)
	}
	s := newSigner(t, "north")
	tree := Tree{Origin{"north", testLog, 1}, 9, leafOf(9)}
	signed, err := Sign(tree, s)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 24, 1, 2, 3, 0, time.UTC)
	line := w.Cosign(tree.Text(), at)
	v := readVerifier(t, w.Verifier())
	both, err := AddCosignatures(signed, "— someone else\n"+line, v)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := AddCosignatures(both, line, v); err != nil || again != both {
		t.Errorf("the same one once more: %v %q", err, again)
	}
	if _, by, err := Open(both, readVerifier(t, s.Verifier()), v); err != nil || len(by) != 2 {
		t.Errorf("signed by %v: %v", by, err)
	}
	if got, err := CosignedAt(both, v); err != nil || !got.Equal(at) {
		t.Errorf("cosigned at %v, %v", got, err)
	}
	tree.Size++
	larger, _ := Sign(tree, s)
	if _, err := AddCosignatures(larger, line, v); err == nil {
		t.Error("a cosignature of another checkpoint passes")
	}
	if _, err := AddCosignatures(signed, "", v); err == nil {
		t.Error("an empty answer passes")
	}
}

func TestRotation(t *testing.T) {
	a, b, c := newSigner(t, "north"), newSigner(t, "north"), newSigner(t, "north")
	statement, err := SignRotation(testLog, a, b)
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckRotation(statement, testLog, a.Verifier(), b.Verifier()); err != nil {
		t.Error(err)
	}
	if CheckRotation(statement, testLog, a.Verifier(), c.Verifier()) == nil ||
		CheckRotation(statement, testLog, b.Verifier(), a.Verifier()) == nil ||
		CheckRotation(statement, strings.Repeat("0", 32), a.Verifier(), b.Verifier()) == nil {
		t.Error("a statement about something else passes")
	}
	alone, _ := note.Sign(&note.Note{Text: rotationText(testLog, a.Verifier(), b.Verifier())}, b)
	if CheckRotation(string(alone), testLog, a.Verifier(), b.Verifier()) == nil {
		t.Error("a statement that the old key has not signed passes")
	}
}

func TestKeys(t *testing.T) {
	s := newSigner(t, "north")
	if key, err := PublicKey(s.Verifier()); err != nil || len(key) != 32 {
		t.Errorf("public key %x: %v", key, err)
	}
	for _, wrong := range []string{"", "a", "a+b", "a+b+c", "cwmpgate/x+00000000+AQ==", s.Verifier()[1:], strings.Replace(s.Verifier(), "+", "+0", 1)} {
		if _, err := NewVerifier(wrong); err == nil {
			t.Errorf("key %q passes", wrong)
		}
	}
	for _, wrong := range []string{"", "PRIVATE+KEY+a", "PRIVATE+KEY+a+b+AQ=="} {
		if _, err := NewSigner(wrong); err == nil {
			t.Errorf("private key %q passes", wrong)
		}
		if _, err := NewCosigner(wrong); err == nil {
			t.Errorf("private key %q passes", wrong)
		}
	}
}
