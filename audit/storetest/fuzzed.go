package storetest

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/cwmpgate/cwmpgate/audit"
)

// fuzzedTests are a few seeds of what RunSeeds tries.
var fuzzedTests = []test{seeded(1), seeded(2), seeded(3)}

// RunSeeds tries records made at random, from one seed to another.
func RunSeeds(t T, open func(t T) Store, from, to uint64) {
	for seed := from; seed <= to; seed++ {
		s := seeded(seed)
		t.Run(s.name, func(t T) { s.run(t, open(t)) })
	}
}

// fuzz makes a log at random and remembers what it said.
type fuzz struct {
	*rand.Rand
	log     *Log
	strange []string
	sets    []want // of the view of changes, in order
	steps   int    // of transfers that make a row
}

// seeded writes a log that was made at random in cuts that were, some of them
// twice: its bytes come back, what was set is told as it was written, and a
// rebuild makes the same rows.
func seeded(seed uint64) test {
	return test{fmt.Sprint("seed ", seed), func(t T, s Store) {
		f := &fuzz{Rand: rand.New(rand.NewPCG(seed, seed)), log: NewLog(fmt.Sprint("seed-", seed))}
		f.strange = []string{"", " ", "\x00", "\x00\x01\x1f\x7f", "\u2028\u00e9\U0001F600", `"\\/`, "NULL", "null", "1e400", "-0", "007", "9223372036854775808",
			"18446744073709551616", "'; DROP TABLE ledger; --", "{}", "\\N", "\t\r\n", "true", "TRUE", "0", strings.Repeat("x", 64<<10), strings.Repeat("\u00e9", 32<<10),
			"%", "_", "*", "\ufeff", "\u202etxt.exe", "\ufffd"}
		f.log.Start()
		for range 6 {
			f.session()
		}
		for first := uint64(1); first <= f.log.Last(); {
			last := min(f.log.Last(), first+f.Uint64N(9))
			write(t, s, f.log.Batch(first, last))
			if f.IntN(4) == 0 {
				write(t, s, f.log.Batch(max(first, 3)-2, last))
			}
			first = last + 1
		}
		before := dump(t, s)
		checkRecords(t, s, f.log)
		var told []map[string]any
		for _, row := range ask(t, s, audit.Filter{View: audit.ViewChanges}) {
			if row["action"] == audit.ActionSet {
				told = append(told, row)
			}
		}
		expect(t, told, f.sets...)
		if n := len(ask(t, s, audit.Filter{View: audit.ViewTransfers})); n != f.steps {
			t.Errorf("%d transfers, want %d", n, f.steps)
		}
		if err := s.Rebuild(t.Context()); err != nil {
			t.Fatal(err)
		}
		same(t, "after a rebuild", dump(t, s), before)
		write(t, s, f.log.All())
		same(t, "after the whole log once more", dump(t, s), before)
	}}
}

// text is one that is strange, or of random characters.
func (f *fuzz) text() string {
	if f.IntN(3) > 0 {
		return f.strange[f.IntN(len(f.strange))]
	}
	var b strings.Builder
	for range f.IntN(40) {
		c := rune(f.IntN(0x3000))
		if c >= 0xd800 {
			c = 'x'
		}
		b.WriteRune(c)
	}
	return b.String()
}

// trimmed is a name or a key as it is meant: without the white space of XML
// around it.
func trimmed(s string) string { return strings.Trim(s, " \t\r\n") }

func (f *fuzz) time() string {
	all := []string{"", "0001-01-01T00:00:00Z", "0001-01-01T00:00:10Z", "9999-12-31T23:59:59Z", "2026-11-24T20:00:00", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z",
		"2262-04-12T00:00:00Z", "2026-11-24T20::00:00Z", "-1", "2026-11-24T20:00:00.123456789+05:30", "2026-02-30T00:00:00Z", "10000-01-01T00:00:00Z", f.text()}
	return all[f.IntN(len(all))]
}

// parameter is an item of a list and what is told of it.
func (f *fuzz) parameter() (item string, told want) {
	name := "Device." + f.text()
	told = want{"parameter": trimmed(name), "new": nil, "new_secret": ""}
	members := []string{member("Name", name)}
	switch f.IntN(4) {
	case 0: // without a value
	case 1:
		secret := fmt.Sprintf("%016x", f.Uint64())
		told["new_secret"] = secret
		members = append(members, member("secret", secret))
	default:
		value := f.text()
		told["new"] = value
		members = append(members, member("Value", value))
	}
	if f.IntN(3) > 0 {
		kind := []string{"xsd:string", "xsd:boolean", "xsd:dateTime", "soap-enc:base64", "{urn:x}" + f.text()}[f.IntN(5)]
		told["type"] = kind
		members = append(members, member("Type", kind))
	}
	return object(members...), told
}

func (f *fuzz) session() {
	device := []audit.Device{router, modem, {Manufacturer: f.text(), OUI: "00005E", Class: f.text(), Serial: "S-" + f.text()}}[f.IntN(3)]
	cpe := f.log.Session(device, fmt.Sprintf("s-%d-%d", f.log.Last(), f.Uint64()))
	cpe.Subject = f.text()
	list := func() (items []string) {
		for range f.IntN(5) {
			item, _ := f.parameter()
			items = append(items, item)
		}
		return items
	}
	cpe.Inform([]string{"2 PERIODIC", f.text()}, list()...)
	for range 2 + f.IntN(6) {
		switch f.IntN(7) {
		case 0:
			cpe.Read(list()...)
		case 1, 2:
			f.set(cpe)
		case 3:
			cpe.Ask("X_"+strings.Repeat("V", 1+f.IntN(30)), member(f.text(), f.text()))
			cpe.Accept(member(f.text(), f.text()))
		case 4:
			cpe.Complete("key"+fmt.Sprint(f.log.Last()), "0", f.time(), f.time())
			cpe.Confirm()
			f.steps++
		case 5:
			f.log.Refusal(f.text(), 1+f.IntN(1000))
			f.log.Security(f.text(), 1)
			f.log.Decision(f.text(), 1)
			f.log.System(f.text(), f.text())
		case 6:
			cpe.Bytes("GET", "http://files.example.com/"+fmt.Sprint(f.log.Last()), 200, f.Int64(), fmt.Sprintf("%064x", f.Uint64()))
			f.steps++
		}
	}
	cpe.End([]string{"clean", "timeout"}[f.IntN(2)], nil, nil)
}

// set has parameters set, and answers in one of the ways.
func (f *fuzz) set(cpe *Session) {
	var items []string
	var told []want
	for range 1 + f.IntN(5) {
		item, w := f.parameter()
		items, told = append(items, item), append(told, w)
	}
	key := f.text()
	seq := cpe.Set(key, items...)
	outcome := ""
	switch f.IntN(3) {
	case 0:
		cpe.Accept(member("Status", "0"))
		outcome = "accepted"
	case 1:
		cpe.Accept(member("Status", "1"))
		outcome = "accepted-after-reboot"
	case 2:
		cpe.Fault("9002", f.text())
		outcome = "refused-no-detail"
	}
	for _, w := range told {
		w["seq"], w["outcome"], w["key"] = seq, outcome, trimmed(key)
	}
	f.sets = append(f.sets, told...)
}
