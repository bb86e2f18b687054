package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metrics"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/ledger"
	"github.com/cwmpgate/cwmpgate/audit/witness"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// proved is a gateway that has run with a witness, and its store.
type proved struct {
	t         *testing.T
	dir, file string
	key       string // public
	held      string // file of what the witness holds
}

func makeProved(t *testing.T) *proved {
	private, err := ledger.GenerateKey("witness.example.com/1")
	if err != nil {
		t.Fatal(err)
	}
	cosigner, err := ledger.NewCosigner(private)
	if err != nil {
		t.Fatal(err)
	}
	p := &proved{t: t, dir: t.TempDir()}
	key := filepath.Join(p.dir, "journal", "proof.key")
	if err := makeProofKey(key, ledger.KeyName("north")); err != nil {
		t.Fatal(err)
	}
	signer, err := readSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	p.key = signer.Verifier()
	verifier, err := ledger.NewVerifier(p.key)
	if err != nil {
		t.Fatal(err)
	}
	w, err := witness.Open(witness.Config{Directory: t.TempDir(), Cosigner: cosigner, Logs: []note.Verifier{verifier}, Metrics: metrics.NewSet()})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.Handler())
	defer func() {
		server.Close()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	acs := openACS(t, cwmptest.ACSConfig{Script: chores})
	r := start(t, plan{acs: acs.Addr(), dir: p.dir, sections: fmt.Sprintf("proof: {site: north, checkpoint: {leaves: 10, every: 1s}, witnesses: [{url: %q, key: %q}]}\n", server.URL, cosigner.Verifier())})
	for i := range 6 {
		if err := soon(t, "a session", inSession(t, r.url(), fmt.Sprintf("PROOF-%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	r.close() // its last checkpoint covers all, and goes to store and witness
	p.file = r.file
	p.held = filepath.Join(p.dir, "held")
	if err := os.WriteFile(p.held, []byte(strings.Join(w.Held(), "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// verify gives what audit verify says of the store.
func (p *proved) verify(more ...string) (code int, out string) {
	p.t.Helper()
	code, stdout, stderr := cli(append([]string{"audit", "verify", "--config", p.file, "--key", p.key}, more...)...)
	return code, stdout + stderr
}

// in runs statements in the store's file.
func (p *proved) in(run func(db *sql.DB)) {
	p.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(p.dir, "audit.db"))
	if err != nil {
		p.t.Fatal(err)
	}
	run(db)
	if err := db.Close(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *proved) exec(statements ...string) {
	p.t.Helper()
	p.in(func(db *sql.DB) {
		for _, s := range statements {
			if r, err := db.Exec(s); err != nil {
				p.t.Fatalf("%s: %v", s, err)
			} else if n, _ := r.RowsAffected(); n == 0 && !strings.HasPrefix(s, "DROP") {
				p.t.Fatalf("%s: no row", s)
			}
		}
	})
}

// one reads a number.
func (p *proved) one(query string) (n int64) {
	p.t.Helper()
	p.in(func(db *sql.DB) {
		if err := db.QueryRow(query).Scan(&n); err != nil {
			p.t.Fatalf("%s: %v", query, err)
		}
	})
	return n
}

// sign signs the whole ledger anew, as whoever has a key could: one checkpoint
// over everything. The tree is made by other code than the gateway's.
func (p *proved) sign(key ledger.Signer) {
	p.t.Helper()
	p.in(func(db *sql.DB) {
		var log, first string
		if err := db.QueryRow("SELECT log, (SELECT min(seq) FROM ledger) FROM logs").Scan(&log, &first); err != nil {
			p.t.Fatal(err)
		}
		rows, err := db.Query("SELECT seq, leaf FROM ledger ORDER BY seq")
		if err != nil {
			p.t.Fatal(err)
		}
		defer rows.Close()
		var hashes []tlog.Hash
		size, last := int64(0), int64(0)
		for rows.Next() {
			var leaf []byte
			if err := rows.Scan(&last, &leaf); err != nil {
				p.t.Fatal(err)
			}
			made, err := tlog.StoredHashesForRecordHash(size, tlog.Hash(leaf), tlog.HashReaderFunc(func(at []int64) (out []tlog.Hash, err error) {
				for _, i := range at {
					out = append(out, hashes[i])
				}
				return out, nil
			}))
			if err != nil {
				p.t.Fatal(err)
			}
			hashes = append(hashes, made...)
			size++
		}
		root, err := tlog.TreeHash(size, tlog.HashReaderFunc(func(at []int64) (out []tlog.Hash, err error) {
			for _, i := range at {
				out = append(out, hashes[i])
			}
			return out, nil
		}))
		if err != nil {
			p.t.Fatal(err)
		}
		text := fmt.Sprintf("cwmpgate/north/%s/%s\n%d\n%s\n", log, first, size, base64.StdEncoding.EncodeToString(root[:]))
		signed, err := note.Sign(&note.Note{Text: text}, key)
		if err != nil {
			p.t.Fatal(err)
		}
		if _, err := db.Exec("DELETE FROM checkpoints WHERE size < ?", size); err != nil {
			p.t.Fatal(err)
		}
		if _, err := db.Exec("UPDATE checkpoints SET note = ?", string(signed)); err != nil {
			p.t.Fatal(err)
		}
	})
}

// forge changes the text of a record, and its leaf with it.
func (p *proved) forge(seq int64, from, to string) {
	p.t.Helper()
	p.in(func(db *sql.DB) {
		var salt, text []byte
		if err := db.QueryRow("SELECT salt, bytes FROM ledger WHERE seq = ?", seq).Scan(&salt, &text); err != nil {
			p.t.Fatal(err)
		}
		if !strings.Contains(string(text), from) {
			p.t.Fatalf("record %d has no %q: %s", seq, from, text)
		}
		made := strings.ReplaceAll(string(text), from, to)
		leaf := sha256.Sum256(append(append([]byte{0}, salt...), made...))
		if _, err := db.Exec("UPDATE ledger SET bytes = ?, leaf = ? WHERE seq = ?", []byte(made), leaf[:], seq); err != nil {
			p.t.Fatal(err)
		}
	})
}

// TestVerifyFinds: whatever is done to the store is found and named, as far as
// docs/audit.md says so.
func TestVerifyFinds(t *testing.T) {
	p := makeProved(t)
	if code, out := p.verify("--witness", p.held); code != 0 || !strings.Contains(out, "0 expired, 0 erased") || strings.Contains(out, "outside the proof") || strings.Contains(out, ", 0 of them witnessed") {
		t.Fatalf("as it was written: exit code %d\n%s", code, out)
	}
	pristine, err := os.ReadFile(filepath.Join(p.dir, "audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	const set = `(SELECT min(seq) FROM rpcs WHERE rpc = 'SetParameterValues')`
	target := p.one("SELECT " + set)
	last := p.one("SELECT max(seq) FROM ledger")
	const tables = "ledger rpcs parameters transfers sessions refusals security decisions system"
	cut := func(condition string) (all []string) {
		for table := range strings.FieldsSeq(tables) {
			all = append(all, "DELETE FROM "+table+" WHERE "+condition)
		}
		return all
	}
	for _, x := range []struct {
		name    string
		tamper  func()
		witness bool     // it takes a witness
		want    []string // in what verify says
	}{
		{name: "altered", want: []string{"altered: ", fmt.Sprintf("record %d is not what its leaf was made from", target)}, tamper: func() {
			p.exec(fmt.Sprintf("UPDATE ledger SET bytes = CAST(replace(CAST(bytes AS TEXT), 'SetParameterValues', 'GetParameterValues') AS BLOB) WHERE seq = %d", target))
		}},
		{name: "altered with its leaf", want: []string{"altered: ", "has another root"}, tamper: func() {
			p.forge(target, `"verdict":"pass"`, `"verdict":"deny"`)
			mustCLI(t, "audit", "rebuild", "--config", p.file)
		}},
		{name: "deleted", want: []string{"missing: log ", fmt.Sprintf("record %d is not there", target)}, tamper: func() {
			p.in(func(db *sql.DB) {
				for _, s := range cut(fmt.Sprintf("seq = %d", target)) {
					if _, err := db.Exec(s); err != nil {
						t.Fatal(err)
					}
				}
			})
		}},
		{name: "added", want: []string{"added: ", fmt.Sprintf("record %d is there twice", target)}, tamper: func() {
			p.exec("DROP INDEX ledger_place", fmt.Sprintf(`INSERT INTO ledger (log, seq, at, kind, node, tenant, device, session, n, identity, leaf, salt, bytes)
				SELECT log, seq, at, kind, node, tenant, device, session, n, identity, leaf, salt, bytes FROM ledger WHERE seq = %d`, target))
		}},
		{name: "added at the end", want: []string{fmt.Sprintf("outside the proof: record %d", last+1)}, tamper: func() {
			p.in(func(db *sql.DB) {
				var text string
				var salt []byte
				if err := db.QueryRow("SELECT CAST(bytes AS TEXT), salt FROM ledger WHERE seq = ?", target).Scan(&text, &salt); err != nil {
					t.Fatal(err)
				}
				text = strings.Replace(text, fmt.Sprintf(`"seq":%d,`, target), fmt.Sprintf(`"seq":%d,`, last+1), 1)
				leaf := sha256.Sum256(append(append([]byte{0}, salt...), text...))
				if _, err := db.Exec(`INSERT INTO ledger (log, seq, at, kind, node, tenant, device, session, n, identity, leaf, salt, bytes)
					SELECT log, ?, at, kind, node, tenant, device, session, n, identity, ?, salt, ? FROM ledger WHERE seq = ?`, last+1, leaf[:], []byte(text), target); err != nil {
					t.Fatal(err)
				}
			})
			mustCLI(t, "audit", "rebuild", "--config", p.file)
		}},
		{name: "exchanged between devices", want: []string{"altered: ", "is not what stands in its place"}, tamper: func() {
			other := p.one("SELECT max(seq) FROM rpcs WHERE rpc = 'SetParameterValues'")
			p.exec(fmt.Sprintf(`UPDATE ledger SET (leaf, salt, bytes) = (SELECT o.leaf, o.salt, o.bytes FROM ledger AS o WHERE o.seq = %d + %d - ledger.seq) WHERE seq IN (%d, %d)`, target, other, target, other))
		}},
		{name: "row of a projection changed", want: []string{"altered: ", "table parameters", fmt.Sprintf("of record %d: value is not what the record says", target)}, tamper: func() {
			p.exec(fmt.Sprintf("UPDATE parameters SET value = 'innocent' WHERE seq = %d", target))
		}},
		{name: "row of a projection taken away", want: []string{"missing: ", "table rpcs", "is not there, though the record makes it"}, tamper: func() {
			p.exec(fmt.Sprintf("DELETE FROM rpcs WHERE seq = %d", target))
		}},
		{name: "row of a projection added", want: []string{"added: ", "table system", "though the record does not make it"}, tamper: func() {
			p.exec(fmt.Sprintf("INSERT INTO system (log, seq, at, what) SELECT log, seq, at, 'start' FROM ledger WHERE seq = %d", target))
		}},
		{name: "the end cut off with its checkpoints", witness: true, want: []string{"missing: ", fmt.Sprintf("records behind record %d are not there", last-15)}, tamper: func() {
			p.in(func(db *sql.DB) {
				for _, s := range append(cut(fmt.Sprintf("seq > %d", last-15)), fmt.Sprintf("DELETE FROM checkpoints WHERE last > %d", last-15)) {
					if _, err := db.Exec(s); err != nil {
						t.Fatal(err)
					}
				}
			})
		}},
		{name: "signed anew by another key", want: []string{"foreign: ", "none of the keys given has signed"}, tamper: func() {
			p.forge(target, `"verdict":"pass"`, `"verdict":"deny"`)
			private, err := ledger.GenerateKey(ledger.KeyName("north"))
			if err != nil {
				t.Fatal(err)
			}
			key, err := ledger.NewSigner(private)
			if err != nil {
				t.Fatal(err)
			}
			p.sign(key)
			mustCLI(t, "audit", "rebuild", "--config", p.file)
		}},
		{name: "signed anew by the gateway's own key", witness: true, want: []string{"has another root"}, tamper: func() {
			p.forge(target, `"verdict":"pass"`, `"verdict":"deny"`)
			key, err := readSigner(filepath.Join(p.dir, "journal", "proof.key"))
			if err != nil {
				t.Fatal(err)
			}
			p.sign(key)
			mustCLI(t, "audit", "rebuild", "--config", p.file)
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			p.t = t
			for _, suffix := range []string{"-wal", "-shm"} {
				os.Remove(filepath.Join(p.dir, "audit.db"+suffix))
			}
			if err := os.WriteFile(filepath.Join(p.dir, "audit.db"), pristine, 0o600); err != nil {
				t.Fatal(err)
			}
			x.tamper()
			code, out := p.verify()
			if x.witness {
				if code != 0 {
					t.Errorf("without a witness: exit code %d\n%s", code, out)
				}
				code, out = p.verify("--witness", p.held)
			}
			bad := 1
			if x.name == "added at the end" { // nobody can say more yet
				bad = 0
			}
			if code != bad || bad == 1 && !strings.Contains(out, "the store is not as it was written") {
				t.Errorf("exit code %d\n%s", code, out)
			}
			for _, want := range x.want {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
		})
	}
}

// What the store lost and the journal has comes back.
func TestVerifyRepairs(t *testing.T) {
	p := makeProved(t)
	p.exec("DELETE FROM ledger WHERE seq BETWEEN 5 AND 9", "DELETE FROM rpcs WHERE seq BETWEEN 5 AND 9")
	if code, out := p.verify(); code != 1 || !strings.Contains(out, "records 5 to 9 are not there") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	p.in(func(db *sql.DB) {
		for table := range strings.FieldsSeq("parameters transfers sessions system") {
			if _, err := db.Exec("DELETE FROM " + table + " WHERE seq BETWEEN 5 AND 9"); err != nil {
				t.Fatal(err)
			}
		}
	})
	if code, out := p.verify("--repair", "--witness", p.held); code != 0 || !strings.Contains(out, "5 records sent again, 0 that") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// An erasure is told apart from a loss, and so is a key that gave way.
func TestVerifyKnowsErasureAndRotation(t *testing.T) {
	p := makeProved(t)
	next := strings.TrimSpace(mustCLI(t, "proof", "rotate", "--config", p.file))
	mustCLI(t, "audit", "erase", "--config", p.file, "--device", "PROOF-3", "--reason", "asked to", "--yes")
	again := startFile(t, p.file)
	again.close()
	code, out := p.verify("--witness", p.held)
	if code != 0 || strings.Contains(out, " 0 erased") {
		t.Errorf("by the old key: exit code %d\n%s", code, out)
	}
	if code, stdout, stderr := cli("audit", "verify", "--config", p.file, "--key", next); code != 0 {
		t.Errorf("by the new key: exit code %d\n%s%s", code, stdout, stderr)
	}
	if key := strings.TrimSpace(mustCLI(t, "proof", "key", "--config", p.file)); key != next {
		t.Errorf("the key is %s, want %s", key, next)
	}
	p.exec("UPDATE ledger SET bytes = X'', salt = X'' WHERE seq = 4")
	if code, out := p.verify(); code != 1 || !strings.Contains(out, "the bytes of record 4 are gone, and no retention and no erasure says so") {
		t.Errorf("emptied by nobody: exit code %d\n%s", code, out)
	}
}

// TestIndependentProof: a program that shares nothing with this one checks what
// audit prove prints, and refuses what was changed.
func TestIndependentProof(t *testing.T) {
	for _, need := range []string{"python3", "openssl"} {
		if _, err := exec.LookPath(need); err != nil {
			t.Skipf("no %s to check a proof with", need)
		}
	}
	p := makeProved(t)
	pem := filepath.Join(p.dir, "key.pem")
	if err := os.WriteFile(pem, []byte(mustCLI(t, "proof", "key", "--pem", "--config", p.file)), 0o600); err != nil {
		t.Fatal(err)
	}
	last := p.one("SELECT max(seq) FROM ledger")
	check := func(text string) (string, error) {
		file := filepath.Join(p.dir, "proof.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("python3", "testdata/check_proof.py", file, pem).CombinedOutput()
		return string(out), err
	}
	for seq := int64(1); seq <= last; seq += 7 {
		text := mustCLI(t, "audit", "prove", strconv.FormatInt(seq, 10), "--config", p.file)
		if out, err := check(text); err != nil || !strings.HasPrefix(out, fmt.Sprintf("record %d is leaf", seq)) {
			t.Errorf("record %d: %v\n%s", seq, err, out)
		}
	}
	good := mustCLI(t, "audit", "prove", "5", "--config", p.file)
	for _, change := range []func(map[string]any){
		func(m map[string]any) {
			m["record"] = strings.Replace(m["record"].(string), `"verdict":"pass"`, `"verdict":"deny"`, 1)
		},
		func(m map[string]any) { m["salt"] = strings.Repeat("00", 16) },
		func(m map[string]any) { m["index"] = m["index"].(float64) + 1 },
		func(m map[string]any) { m["hashes"] = m["hashes"].([]any)[1:] },
		func(m map[string]any) {
			text, _, _ := strings.Cut(m["checkpoint"].(string), "\n\n")
			m["checkpoint"] = text + "\n\n— cwmpgate/north " + base64.StdEncoding.EncodeToString(make([]byte, 68)) + "\n"
		},
	} {
		var m map[string]any
		if err := json.Unmarshal([]byte(good), &m); err != nil {
			t.Fatal(err)
		}
		change(m)
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := check(string(text)); err == nil {
			t.Errorf("a changed proof is taken: %s\n%s", text, out)
		}
	}
}

// TestWitnessCommand: what the command holds is what verify asks it for.
func TestWitnessCommand(t *testing.T) {
	p := makeProved(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		root := newRoot()
		root.SetArgs([]string{"witness", "--listen", "127.0.0.1:0", "--directory", t.TempDir(), "--name", "w.example.com/2", "--key", p.key})
		root.SetOut(in)
		done <- root.ExecuteContext(ctx)
	}()
	var address, key string
	if _, err := fmt.Fscanf(out, "listening at %s\nkey %s\n", &address, &key); err != nil {
		t.Fatal(err)
	}
	file := p.file
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "proof:") {
			lines[i] = fmt.Sprintf("proof: {site: north, checkpoint: {every: 1s}, witnesses: [{url: \"http://%s\", key: %q}]}", address, key)
		}
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startFile(t, file)
	await(t, "the witness has cosigned", func() bool { return r.metrics().sum("cwmpgate_proof_witness_cosigned_total") > 0 })
	r.close()
	if code, out := p.verify("--witness", "http://"+address); code != 0 || strings.Contains(out, ", 0 of them witnessed") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(openArchive(t, p.dir).rows(audit.Filter{View: audit.ViewRecords, Kind: audit.KindSystem})) == 0 {
		t.Error("no system records")
	}
}
