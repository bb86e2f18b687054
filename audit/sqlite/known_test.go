package sqlite

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/storetest"
)

// TestCacheBound puts far more into a cache than it may hold.
func TestCacheBound(t *testing.T) {
	const limit = 10_000
	c := newCache[int, int](limit)
	total := func() (bytes int) {
		for _, e := range c.entries {
			bytes += e.bytes
		}
		return bytes
	}
	for i := range 5000 {
		c.put(i, -i, i%500)
		if v, ok := c.get(i); !ok || v != -i {
			t.Fatalf("%d is not there", i)
		}
		if i > 0 {
			if v, ok := c.get(i - 1); ok && v != 1-i {
				t.Fatalf("%d has the value %d", i-1, v)
			}
		}
		if n := total(); n > limit || n != c.bytes || i > 100 && n < limit-2*(500+entryBytes) {
			t.Fatalf("%d bytes are kept of %d; it counts %d", n, limit, c.bytes)
		}
	}
	c.put(7, 7, limit) // too large
	if _, ok := c.get(7); ok {
		t.Error("an entry as large as the cache is kept")
	}
	c.put(8, 8, 100)
	c.put(8, 9, 200)
	if v, _ := c.get(8); v != 9 {
		t.Errorf("put again, %d is there", v)
	}
	c.remove(8)
	if _, ok := c.get(8); ok {
		t.Error("what was removed is there")
	}
	c.clear()
	if len(c.entries)+c.bytes > 0 {
		t.Errorf("after clear: %+v", c)
	}
	// What is used stays, what was not used for longest goes.
	for i := range 1000 {
		c.put(i, i, 100)
		c.get(0)
		c.get(i - 5)
	}
	for i, want := range map[int]bool{0: true, 999: true, 995: true, 500: false} {
		if _, ok := c.get(i); ok != want {
			t.Errorf("%d is there: %v", i, ok)
		}
	}
}

// TestValues compares the table with a map.
func TestValues(t *testing.T) {
	var all values
	want := map[uint32]value{}
	for i := range uint32(20_000) {
		name := i*i%7919 + 1
		if i > 5000 {
			name = i // a run
		}
		all.put(known{name: name, value: value(i)})
		want[name] = value(i)
	}
	if all.used != len(want) {
		t.Errorf("%d are used, want %d", all.used, len(want))
	}
	for name := uint32(1); name < 30_000; name++ {
		k, ok := all.get(name)
		v, wanted := want[name]
		if ok != wanted || k.value != v {
			t.Fatalf("%d: %v, %v, want %v, %v", name, k.value, ok, v, wanted)
		}
	}
	if each := all.bytes() / all.used; each > 50 {
		t.Errorf("%d bytes for each value", each)
	}
}

// TestLargeDevice tells 5,000 values of one device again and again, while the
// writer may remember some, or next to none: changes alone make rows.
func TestLargeDevice(t *testing.T) {
	for _, memory := range []int{0, 100_000, 1} {
		t.Run(fmt.Sprint(memory), func(t *testing.T) {
			s := New(Config{File: filepath.Join(t.TempDir(), "audit.db"), Memory: memory})
			if err := s.Open(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			l := storetest.NewLog("large")
			cpe := l.Session(audit.Device{OUI: "00005E", Class: "HG", Serial: "T1"}, "s-1")
			const parameters, rounds = 5000, 4
			for round := range rounds {
				var list []string
				for i := range parameters {
					value := "same"
					if i == round {
						value = "other"
					}
					list = append(list, storetest.Param(fmt.Sprintf("Device.X.%d", i), value, "string"))
				}
				cpe.Read(list...)
			}
			for seq := range l.Last() {
				if err := s.Write(t.Context(), l.Batch(seq+1, seq+1)); err != nil {
					t.Fatal(err)
				}
			}
			var rows, changed int
			err := s.writer.conn.QueryRowContext(t.Context(), `SELECT count(*), sum(changed) FROM parameters`).Scan(&rows, &changed)
			if want := 2 * (rounds - 1); err != nil || rows != parameters+want || changed != want {
				t.Errorf("%d rows, %d of them changes (%v); want %d and %d", rows, changed, err, parameters+want, want)
			}
		})
	}
}

// TestMemoryChangesNothing writes the same sessions with memory for all, for
// some and for nothing, in cuts of any size: the rows are the same as when each
// record is a cut of its own to a store that was opened for it.
func TestMemoryChangesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	l := storetest.NewLog("any")
	list := func(most int) (all []string) {
		for range r.IntN(most) {
			name := fmt.Sprintf("Device.X.%d", r.IntN(40))
			all = append(all, storetest.Param(name, strconv.Itoa(r.IntN(3)), []string{"string", "boolean"}[r.IntN(2)]))
		}
		return all
	}
	for n := range 60 {
		d := audit.Device{OUI: []string{"00005E", "00005e"}[r.IntN(2)], Class: "HG", Serial: fmt.Sprint("T", r.IntN(6))}
		cpe := l.Session(d, fmt.Sprint("s-", n))
		events := [][]string{{"2 PERIODIC"}, {"4 VALUE CHANGE"}}[r.IntN(2)]
		if r.IntN(3) == 0 {
			cpe.BareInform(events, list(10)...)
			cpe.Reject("8005", "Retry request")
		}
		cpe.Inform(events, list(10)...)
		for range r.IntN(4) {
			cpe.Set("job", list(30)...)
			if r.IntN(4) > 0 {
				cpe.Accept(fmt.Sprintf(`"Status":"%d"`, r.IntN(3))) // 2 is none
			}
			cpe.Read(list(50)...)
		}
	}
	rows := func(memory int, cut func() uint64) string {
		file := filepath.Join(t.TempDir(), "audit.db")
		s := New(Config{File: file, Memory: memory})
		if err := s.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for first := uint64(1); first <= l.Last(); {
			last := first + cut() - 1
			if err := s.Write(t.Context(), l.Batch(first, last)); err != nil {
				t.Fatal(err)
			}
			first = last + 1
			if memory == 0 {
				s.writer.forget()
			}
		}
		return raw(t, s, "names") + raw(t, s, "devices") + raw(t, s, "parameters")
	}
	want := rows(0, func() uint64 { return 1 })
	for _, memory := range []int{1, 20_000, 1 << 20} {
		if got := rows(memory, func() uint64 { return 1 + r.Uint64N(100) }); got != want {
			t.Errorf("with %d bytes of memory\n%s\nwant\n%s", memory, got, want)
		}
	}
}

// TestAnswerNotWrittenYet: a value that was accepted in the same cut is known,
// though the answer is still on its way to its table.
func TestAnswerNotWrittenYet(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "audit.db"))
	l := storetest.NewLog("answer")
	cpe := l.Session(audit.Device{OUI: "00005E", Class: "HG", Serial: "T1"}, "s-1")
	cpe.Inform([]string{"1 BOOT"}, storetest.Param("Device.X", "a", "string"))
	set := cpe.Set("job", storetest.Param("Device.X", "b", "string"))
	cpe.Accept(`"Status":"0"`)
	cpe.Read(storetest.Param("Device.X", "b", "string"))
	if err := s.Write(t.Context(), l.Batch(1, set)); err != nil {
		t.Fatal(err)
	}
	s.writer.known.clear()
	if err := s.Write(t.Context(), l.Batch(set+1, l.Last())); err != nil {
		t.Fatal(err)
	}
	if rows := strings.Count(raw(t, s, "parameters"), "\n"); rows != 2 {
		t.Errorf("%d rows, want those of the first sight and of the set", rows)
	}
}
