package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// loadConfig says what is played.
type loadConfig struct {
	target      *url.URL
	address     string // host:port
	tls         *tls.Config
	resume      bool
	sessions    int           // in all
	duration    time.Duration // no session begins later
	concurrency int
	rate        float64 // sessions begun a second; 0: as fast as they go
	devices     int
	timeout     time.Duration // of one session
	keepAlive   bool          // only Informs, on one connection a worker
	// Whole sessions on one connection a worker.
	keepConnection bool
	newPerPost     bool
	messages       *messages
}

// load plays sessions and counts.
type load struct {
	cfg  loadConfig
	next atomic.Int64 // number of the next session
	done atomic.Int64
	bad  atomic.Int64
}

// tally is what one worker, or all of them, have seen.
type tally struct {
	sessions cwmptest.Latencies // whole ones, from when they were due
	connects cwmptest.Latencies // TCP and TLS
	firsts   cwmptest.Latencies // from Inform to InformResponse
	posts    int
	resumed  int
	errors   map[string]int
	examples map[string]string
	began    time.Time
	took     time.Duration
}

var (
	errWrongDevice = errors.New("message is meant for another device")
	errNoInform    = errors.New("no InformResponse answers the Inform")
	errEndless     = errors.New("session has over 100 messages")
)

type statusError int

func (e statusError) Error() string { return "status " + strconv.Itoa(int(e)) }

// run plays until sessions or duration are used up or ctx ends.
func (l *load) run(ctx context.Context) *tally {
	begin := time.Now()
	all := &tally{errors: map[string]int{}, examples: map[string]string{}, began: begin}
	var mu sync.Mutex
	var workers sync.WaitGroup
	for i := range l.cfg.concurrency {
		workers.Go(func() {
			w := newWorker(l, i)
			w.work(ctx, begin)
			mu.Lock()
			defer mu.Unlock()
			all.merge(&w.tally)
		})
	}
	workers.Wait()
	all.took = time.Since(begin)
	return all
}

func (t *tally) merge(o *tally) {
	t.sessions.Merge(&o.sessions)
	t.connects.Merge(&o.connects)
	t.firsts.Merge(&o.firsts)
	t.posts += o.posts
	t.resumed += o.resumed
	for kind, n := range o.errors {
		t.errors[kind] += n
		t.examples[kind] = o.examples[kind]
	}
}

// worker plays one session after another with devices of its own.
type worker struct {
	tally
	load   *load
	number int
	tls    *tls.Config
	from   net.Addr // to connect from; nil: as it comes
	link   *link
	reader *bufio.Reader
	body   []byte // of the last answer
	head   []byte // of every POST, up to Cookie
	out    []byte
	serial []byte
	id     []byte
	after  int      // Retry-After of the last answer
	jar    [][]byte // "name=value"
}

func newWorker(l *load, number int) *worker {
	w := &worker{load: l, number: number, reader: bufio.NewReaderSize(nil, 16<<10)}
	w.errors, w.examples = map[string]int{}, map[string]string{}
	w.head = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: cwmpload\r\n", l.cfg.target.RequestURI(), l.cfg.target.Host)
	if l.cfg.tls != nil {
		w.tls = l.cfg.tls.Clone()
		if l.cfg.resume {
			w.tls.ClientSessionCache = tls.NewLRUClientSessionCache(8)
		}
	}
	return w
}

func (w *worker) work(ctx context.Context, begin time.Time) {
	cfg := &w.load.cfg
	defer w.hangup()
	for turn := 0; ; turn++ {
		n := w.load.next.Add(1) - 1
		due := time.Now()
		if cfg.rate > 0 {
			due = begin.Add(time.Duration(float64(n) / cfg.rate * float64(time.Second)))
		}
		if int(n) >= cfg.sessions || due.Sub(begin) >= cfg.duration || !sleepUntil(ctx, due) {
			return
		}
		device := (w.number + turn*cfg.concurrency) % cfg.devices
		w.serial = fmt.Appendf(w.serial[:0], serialForm, device)
		inform := &cfg.messages.informs[int(n)%len(cfg.messages.informs)]
		err := w.session(ctx, inform, int(n))
		if over(ctx) {
			return
		}
		w.load.done.Add(1)
		if err == nil {
			w.sessions.Add(time.Since(due))
			continue
		}
		w.load.bad.Add(1)
		kind := errorKind(err)
		w.errors[kind]++
		w.examples[kind] = err.Error()
		w.hangup()
	}
}

// over says that ctx has ended; a deadline is felt by the network before ctx.
func over(ctx context.Context) bool {
	until, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && time.Now().After(until)
}

func sleepUntil(ctx context.Context, due time.Time) bool {
	if wait := time.Until(due); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return !over(ctx)
}

// session plays one, from connection to the empty answer; keepAlive plays an
// Inform alone on the connection at hand.
func (w *worker) session(ctx context.Context, inform *template, n int) error {
	cfg := &w.load.cfg
	w.jar = w.jar[:0]
	until := time.Now().Add(cfg.timeout)
	if w.link != nil {
		w.link.SetDeadline(until)
	}
	w.id = strconv.AppendInt(append(append(w.id[:0], w.serial...), '#'), int64(n), 10)
	if w.link == nil {
		if err := w.connect(ctx, until); err != nil {
			return err
		}
	}
	began := time.Now()
	if err := w.post(ctx, inform, until); err != nil {
		return err
	}
	w.firsts.Add(time.Since(began))
	if string(rpcName(w.body)) != "InformResponse" {
		return errNoInform
	}
	if string(messageID(w.body)) != string(w.id) {
		return errWrongDevice
	}
	if cfg.keepAlive {
		return nil
	}
	if err := w.answerAll(ctx, until); err != nil {
		return err
	}
	if !cfg.keepConnection {
		w.hangup()
	}
	return nil
}

// answerAll sends the empty POST and answers what the ACS asks, until it asks
// for nothing.
func (w *worker) answerAll(ctx context.Context, until time.Time) error {
	var next *template
	for range 100 {
		if w.load.cfg.newPerPost {
			w.hangup()
		}
		if err := w.post(ctx, next, until); err != nil {
			return err
		}
		if len(w.body) == 0 {
			return nil
		}
		id := messageID(w.body)
		if !meantFor(id, w.serial) {
			return errWrongDevice
		}
		w.id = append(w.id[:0], id...)
		m := w.load.cfg.messages
		switch string(rpcName(w.body)) {
		case "GetParameterValues":
			next = &m.values
		case "SetParameterValues":
			next = &m.set
		default:
			next = &m.refuse
		}
	}
	return errEndless
}
