package chtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest/internal/chdb"
)

// faultPath is where the HTTP listener without TLS takes orders for faults.
const faultPath = "/fault"

// faults are what is set, oldest first.
type faults struct {
	mu   sync.Mutex
	list []*Fault
}

// occasion is a point where a fault can strike.
type occasion struct {
	protocol Protocol
	kind     On // empty before there is a statement
	sql      string
	at       At
}

// take gives the fault that strikes, nil if none does, out of the modes that
// make sense here.
func (fs *faults) take(o occasion, modes ...Mode) *Fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.list {
		if f.Count == 0 || !slices.Contains(modes, f.Mode) || !f.fits(o) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Count > 0 {
			f.Count--
		}
		f.Struck++
		hit := *f
		return &hit
	}
	return nil
}

func (f *Fault) fits(o occasion) bool {
	if f.Protocol != "" && f.Protocol != o.protocol {
		return false
	}
	if f.On != OnAny && o.kind != "" && f.On != o.kind {
		return false
	}
	// Before the rows, or after the last one: only inserts know the difference.
	if (f.Mode == Close || f.Mode == Error) && o.kind == OnInsert && f.At != o.at {
		return false
	}
	return strings.Contains(o.sql, f.Match)
}

// exception is what a server would send.
func (f *Fault) exception() *chdb.Exception {
	text := map[int]string{
		159: "Timeout exceeded: elapsed 60.01 seconds, maximum: 60",
		202: "Too many simultaneous queries. Maximum: 100",
		203: "No free connection",
		210: "Connection refused",
		241: "(total) memory limit exceeded: would use 27.95 GiB (attempt to allocate chunk of 4.00 MiB), maximum: 27.90 GiB",
		242: "Table is in readonly mode (replica path: /clickhouse/tables/1/t/replicas/1)",
		243: "Cannot reserve 1.00 MiB, not enough space",
		252: "Too many parts (3001 with average size of 1.20 MiB) in table. Merges are processing significantly slower than inserts",
		319: "Unknown status of part after insert, client must retry. Reason: Connection loss",
		999: "Coordination error: Connection loss",
	}[f.Code]
	if text == "" {
		text = "Injected fault"
	}
	return chdb.Errorf(f.Code, "%s", text)
}

// check fills in the defaults.
func (f *Fault) check() error {
	switch f.Mode {
	case Error, ApplyError:
		if f.Code == 0 {
			return fmt.Errorf("mode %q needs a code", f.Mode)
		}
	case Delay:
		if f.Delay <= 0 {
			return errors.New("mode delay needs a delay")
		}
	case Refuse, Close, ApplyClose, Cut:
	default:
		return fmt.Errorf("there is no mode %q", f.Mode)
	}
	if f.Count == 0 {
		f.Count = 1
	}
	if f.On == "" {
		f.On = OnInsert
		if f.Mode == Cut {
			f.On = OnSelect
		}
	}
	if f.At == "" {
		f.At = AtData
		if f.Code == 202 || f.Code == 242 { // a server finds these out before it asks for rows
			f.At = AtQuery
		}
	}
	return nil
}

// ServeHTTP lists for GET, clears for DELETE, and adds one for POST.
func (fs *faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	switch r.Method {
	case http.MethodDelete:
		fs.list = nil
	case http.MethodPost:
		var f Fault
		err := json.NewDecoder(r.Body).Decode(&f)
		if err == nil {
			err = f.check()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fs.list = append(fs.list, &f)
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(append([]*Fault{}, fs.list...))
}

// kindOf sorts statements for the faults.
func kindOf(sql string) On {
	switch {
	case firstWord(sql) == "INSERT":
		return OnInsert
	case answersRows(sql):
		return OnSelect
	}
	return OnOther
}
