package cwmp

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzDecode: what is accepted, encoding/xml reads alike; edits and Append do
// what they say.
func FuzzDecode(f *testing.F) {
	for _, dir := range []string{"accept", "refuse"} {
		for _, s := range samples(f, dir) {
			if len(s.body) < 4096 {
				f.Add(s.body, s.charset)
			}
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, charset string) {
		if err := checkBody(t, body, charset); err != nil {
			t.Error(err)
		}
	})
}

// FuzzMutation does the same to messages that are wrong in a few pieces.
func FuzzMutation(f *testing.F) {
	all := utf8Samples(f)
	for i := range 32 {
		f.Add(uint64(i), uint16(i), uint8(i%4))
	}
	f.Fuzz(func(t *testing.T, seed uint64, sample uint16, n uint8) {
		body, charset := mutate(rand.New(rand.NewPCG(seed, 0)), all[int(sample)%len(all)], all, 1+int(n%8))
		if err := checkBody(t, body, charset); err != nil {
			t.Errorf("%v\n%q", err, body)
		}
	})
}

func utf8Samples(t testing.TB) (all [][]byte) {
	for _, s := range samples(t, "accept") {
		m, err := NewDecoder(DefaultLimits()).Decode(s.body, s.charset)
		if err != nil {
			t.Fatal(err)
		}
		if m.Charset == "utf-8" {
			all = append(all, s.body)
		}
	}
	return all
}

// checkBody holds a body to everything that must hold for any, and returns
// where another reader disagrees with us.
func checkBody(t testing.TB, body []byte, charset string) error {
	t.Helper()
	m, err := NewDecoder(DefaultLimits()).Decode(body, charset)
	if err != nil {
		var syntax *SyntaxError
		if m != nil || !errors.As(err, &syntax) || !slices.Contains(Reasons(), syntax.Reason) || syntax.Offset > len(body) || syntax.Offset < 0 {
			t.Errorf("message %v with error %#v", m, err)
		}
		return nil
	}
	if err := checkWithXML(body, m); err != nil {
		return err
	}
	checkMessage(t, body, m)
	checkEdits(t, body, charset, m)
	return nil
}

// checkEdits replaces some values, each by itself, and reads again.
func checkEdits(t testing.TB, body []byte, charset string, m *Message) {
	t.Helper()
	const value = " <b>&amp; \r\n\t]]>\"'é€\U0001F4F6 "
	before := textsOf(m)
	for i := 0; i < len(before); i += 1 + len(before)/4 {
		edited, err := Apply(nil, body, m.Charset, Edit{before[i].Start, before[i].End, []byte(value)})
		if err != nil {
			t.Errorf("edit %q: %v", before[i].Bytes, err)
			continue
		}
		after, err := NewDecoder(DefaultLimits()).Decode(edited, charset)
		if err != nil {
			t.Errorf("after an edit of %q: %v\n%q", before[i].Bytes, err, edited)
			continue
		}
		texts := textsOf(after)
		if len(texts) != len(before) {
			t.Errorf("%d texts after an edit of %q, %d before", len(texts), before[i].Bytes, len(before))
			continue
		}
		for k := range texts {
			want := string(before[k].Bytes)
			if k == i {
				want = value
			}
			if string(texts[k].Bytes) != want {
				t.Errorf("after an edit of %q: %q, want %q", before[i].Bytes, texts[k].Bytes, want)
			}
		}
	}
}

// TestMutations goes through some thousands of messages that are nearly right,
// and has encoding/xml read all that are accepted, and xmllint where it is
// installed.
func TestMutations(t *testing.T) {
	all := utf8Samples(t)
	r := rand.New(rand.NewPCG(69, 20041))
	rounds := 20_000
	if testing.Short() {
		rounds = 2_000
	}
	var accepted [][]byte
	reasons := map[Reason]int{}
	for range rounds {
		body, charset := mutate(r, all[r.IntN(len(all))], all, 1+r.IntN(4))
		if err := checkBody(t, body, charset); err != nil {
			t.Errorf("%v\n%q", err, body)
		}
		m, err := NewDecoder(DefaultLimits()).Decode(body, charset)
		var syntax *SyntaxError
		if errors.As(err, &syntax) {
			reasons[syntax.Reason]++
			continue
		}
		doc, _ := plainXML(body, m.Charset)
		accepted = append(accepted, doc)
		if t.Failed() {
			break
		}
	}
	t.Logf("%d of %d accepted; refused: %v", len(accepted), rounds, reasons)
	if len(accepted) < rounds/10 || len(accepted) > rounds*9/10 {
		t.Errorf("%d of %d are accepted: the mutations are too wild or too tame", len(accepted), rounds)
	}
	checkWithXMLLint(t, accepted)
}

// TestSamplesWithOthers has both other readers read the accepted samples.
func TestSamplesWithOthers(t *testing.T) {
	var docs [][]byte
	for _, s := range samples(t, "accept") {
		m, err := NewDecoder(DefaultLimits()).Decode(s.body, s.charset)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkWithXML(s.body, m); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
		doc, err := plainXML(s.body, m.Charset)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, doc)
	}
	checkWithXMLLint(t, docs)
}

// checkWithXMLLint has libxml2 parse the documents and print them without CDATA
// and entities, and compares how they read then.
func checkWithXMLLint(t *testing.T, docs [][]byte) {
	t.Helper()
	path, err := exec.LookPath("xmllint")
	if err != nil {
		t.Log("xmllint (Debian: libxml2-utils) is not installed: not compared with libxml2")
		return
	}
	const batch = 500
	for len(docs) > 0 {
		n := min(batch, len(docs))
		xmlLintBatch(t, path, docs[:n])
		docs = docs[n:]
	}
}

func xmlLintBatch(t *testing.T, path string, docs [][]byte) {
	t.Helper()
	dir := t.TempDir()
	args := []string{"--nonet", "--nocdata", "--encode", "UTF-8"}
	for i, doc := range docs {
		file := filepath.Join(dir, strconv.Itoa(i))
		if err := os.WriteFile(file, doc, 0o666); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	var out, complaints bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	// A warning is about a namespace that is no URI; that is no reason to refuse.
	for line := range strings.Lines(complaints.String()) {
		if strings.Contains(line, "error :") {
			file, _, _ := strings.Cut(line, ":")
			doc, _ := os.ReadFile(file)
			t.Errorf("xmllint: %s%q", line, doc)
		}
	}
	if err != nil {
		t.Errorf("xmllint: %v", err)
		return
	}
	const head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	printed := strings.Split(out.String(), head)[1:]
	if len(printed) != len(docs) {
		t.Errorf("xmllint printed %d documents of %d", len(printed), len(docs))
		return
	}
	d := NewDecoder(DefaultLimits())
	for i := range docs {
		m, err := d.Decode(docs[i], "")
		if err != nil {
			t.Fatalf("decode again: %v\n%q", err, docs[i])
		}
		before := dumpMessage(m, false)
		m, err = d.Decode([]byte(printed[i]), "")
		if err != nil {
			t.Errorf("what xmllint printed: %v\n%q", err, printed[i])
			continue
		}
		if diff := cmp.Diff(before, dumpMessage(m, false)); diff != "" {
			t.Errorf("libxml2 reads %q differently (-we +it):\n%s", docs[i], diff)
		}
	}
}
