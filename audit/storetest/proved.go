package storetest

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/ledger"
)

// Proved is a log with its proof, which is made here by other code than the
// gateway's, from what docs/record.md says.
type Proved struct {
	*Log
	Checkpoints []audit.Checkpoint

	t          TB
	skey, vkey string
	oldPrivate string // of the key that gave way
	first      uint64 // of the open epoch
	from       int    // its place in Entries
}

// key makes a pair of keys of one site.
func key(t TB) (private, public string) {
	t.Helper()
	private, public, err := note.GenerateKey(rand.Reader, "cwmpgate/north")
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

// NewProved begins a log with its first epoch.
func NewProved(t TB, name string) *Proved {
	p := &Proved{Log: NewLog(name), t: t}
	p.skey, p.vkey = key(t)
	p.begin()
	return p
}

func (p *Proved) begin(detail ...string) uint64 {
	members := []string{member("what", "epoch"), member("why", "test")}
	if len(detail) > 0 {
		members = append(members, `"detail":`+object(detail...))
	}
	p.first, p.from = p.add("system", members...), len(p.Entries)-1
	return p.first
}

// Epoch ends the open epoch and begins the next.
func (p *Proved) Epoch() uint64 {
	final := p.Checkpoint()
	return p.begin(number0("previous", final.Epoch), member("checkpoint", final.Note))
}

// number0 is a number as details have it.
func number0(name string, n uint64) string { return member(name, fmt.Sprint(n)) }

// Checkpoint signs the open epoch as it is.
func (p *Proved) Checkpoint() audit.Checkpoint {
	p.t.Helper()
	c := p.signed(p.skey, p.Log.ID, p.first, leavesOf(p.Entries[p.from:]))
	p.Checkpoints = append(p.Checkpoints, c)
	return c
}

// leavesOf gives the leaf hashes of records.
func leavesOf(entries []journal.Entry) (leaves []tlog.Hash) {
	for _, e := range entries {
		leaves = append(leaves, leafOf(e.Salt[:], e.Bytes))
	}
	return leaves
}

func leafOf(salt, record []byte) tlog.Hash {
	return sha256.Sum256(append(append([]byte{0}, salt...), record...))
}

func (p *Proved) signed(private, log string, first uint64, leaves []tlog.Hash) audit.Checkpoint {
	p.t.Helper()
	var hashes []tlog.Hash
	read := tlog.HashReaderFunc(func(at []int64) (out []tlog.Hash, err error) {
		for _, i := range at {
			out = append(out, hashes[i])
		}
		return out, nil
	})
	for i, leaf := range leaves {
		made, err := tlog.StoredHashesForRecordHash(int64(i), leaf, read)
		if err != nil {
			p.t.Fatal(err)
		}
		hashes = append(hashes, made...)
	}
	size := int64(len(leaves))
	root, err := tlog.TreeHash(size, read)
	if err != nil {
		p.t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		p.t.Fatal(err)
	}
	text := fmt.Sprintf("cwmpgate/north/%s/%d\n%d\n%s\n", log, first, size, base64.StdEncoding.EncodeToString(root[:]))
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		p.t.Fatal(err)
	}
	return audit.Checkpoint{Log: log, Epoch: first, Size: size, Last: p.Last(), Note: string(signed)}
}

// Rotate has another key sign from here on.
func (p *Proved) Rotate() uint64 {
	p.t.Helper()
	private, public := key(p.t)
	seq := p.rotation(p.skey, p.vkey, private, public)
	p.oldPrivate, p.skey, p.vkey = p.skey, private, public
	return seq
}

func (p *Proved) rotation(from, fromPublic, to, toPublic string) uint64 {
	p.t.Helper()
	var signers []note.Signer
	for _, k := range []string{from, to} {
		s, err := note.NewSigner(k)
		if err != nil {
			p.t.Fatal(err)
		}
		signers = append(signers, s)
	}
	statement, err := note.Sign(&note.Note{Text: "cwmpgate key rotation 1\n" + p.ID + "\n" + fromPublic + "\n" + toPublic + "\n"}, signers...)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.add("system", member("what", "key_rotation"), member("why", "test"),
		`"detail":`+object(member("old", fromPublic), member("new", toPublic), member("statement", string(statement))))
}

// Gap leaves numbers out and says so.
func (p *Proved) Gap(numbers uint64) (said uint64) {
	first := p.next
	p.next += numbers
	return p.add("system", member("what", "gap"), member("why", "damage in the journal was passed over by command"),
		`"detail":`+object(member("count", fmt.Sprint(numbers)), member("log", p.ID), number0("first", first), number0("last", first+numbers-1)))
}

// Erasure says that records were erased.
func (p *Proved) Erasure(leaves string) uint64 {
	return p.add("system", member("what", "erasure"), member("why", "test"),
		`"detail":`+object(member("log", p.ID), member("leaves", leaves), member("reason", "asked to")))
}

// Retention says that all records of a kind in a span were emptied.
func (p *Proved) Retention(kind string, first, last uint64) uint64 {
	digest, count := sha256.New(), uint64(0)
	for _, e := range p.Entries {
		if e.Seq < first || e.Seq > last || !bytes.Contains(e.Bytes, []byte(member("kind", kind))) {
			continue
		}
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], e.Seq)
		leaf := leafOf(e.Salt[:], e.Bytes)
		digest.Write(n[:])
		digest.Write(leaf[:])
		count++
	}
	return p.add("system", member("what", "retention"), member("why", "test"), `"detail":`+object(member("log", p.ID), member("kind", kind),
		moment("before", p.Now), number0("first", first), number0("last", last), number0("count", count), member("digest", fmt.Sprintf("%x", digest.Sum(nil)))))
}

// Work is a session of one device; it gives the number of a SetParameterValues.
func (p *Proved) Work(d audit.Device, name string) (set uint64) {
	s := p.Session(d, name)
	s.Inform([]string{"2 PERIODIC"}, Param("Device.DeviceInfo.SoftwareVersion", name, "string"))
	set = s.Set("job-"+name, Param("Device.DNS.Client.Server.1.DNSServer", "192.0.2.1", "string"))
	s.Accept(member("Status", "0"))
	s.End("clean", nil, nil)
	return set
}

// Keys are the public keys given.
func Keys(t TB, public ...string) (all []ledger.Verifier) {
	t.Helper()
	for _, text := range public {
		v, err := ledger.NewVerifier(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}
