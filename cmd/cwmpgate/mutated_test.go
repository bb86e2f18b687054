package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// rawSocket is an ACS on a raw socket that reads what arrives by a strict reader
// of its own, numbers it, and says the number in its answer.
type rawSocket struct {
	net.Listener
	running sync.WaitGroup
	nonces  sync.Map // of client connections

	mu       sync.Mutex
	open     map[net.Conn]bool
	arrived  map[uint64]string // number to request line, until the answer was seen
	number   uint64
	cut      int // files whose sender gave up
	problems []string
}

func openRawSocket(t *testing.T) *rawSocket {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &rawSocket{Listener: ln, open: map[net.Conn]bool{}, arrived: map[uint64]string{}}
	w.running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			w.mu.Lock()
			w.open[c] = true
			w.mu.Unlock()
			w.running.Go(func() { w.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		w.mu.Lock()
		for c := range w.open {
			c.Close()
		}
		w.mu.Unlock()
		w.running.Wait()
	})
	return w
}

func (w *rawSocket) problem(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.problems) < 20 {
		w.problems = append(w.problems, fmt.Sprintf(format, args...))
	}
}

func (w *rawSocket) serve(c net.Conn) {
	defer func() {
		c.Close()
		w.mu.Lock()
		delete(w.open, c)
		w.mu.Unlock()
	}()
	b := bufio.NewReaderSize(c, 64<<10)
	for {
		m, err := readStrict(b)
		if m == nil && (err == io.EOF || isReset(err)) {
			return
		}
		if err == nil && b.Buffered() > 0 {
			rest, _ := b.Peek(b.Buffered())
			err = fmt.Errorf("more behind it, before its answer: %.80q", rest)
		}
		if m == nil {
			w.problem("what arrived begins with %v", err)
			return
		}
		method, target, version := requestLine(m.first)
		if errors.Is(err, errCutBody) && method == "PUT" { // files stream
			w.mu.Lock()
			w.cut++
			w.mu.Unlock()
			return
		}
		if err == nil && version != "HTTP/1.1" {
			err = fmt.Errorf("request line %q", m.first)
		}
		if err == nil {
			err = checkArrived(m, method, target)
		}
		if err != nil {
			w.problem("%v, in %q %q", err, m.first, m.fields)
			return
		}
		if _, err := io.WriteString(c, w.answer(m, method)); err != nil {
			w.problem("the answer to %q is not wanted: %v", m.first, err)
			return
		}
	}
}

func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op)
}

func requestLine(line string) (method, target, version string) {
	part := strings.Split(line, " ")
	if len(part) != 3 {
		return "", "", ""
	}
	return part[0], part[1], part[2]
}

func (w *rawSocket) answer(m *strictMessage, method string) string {
	w.mu.Lock()
	w.number++
	n := w.number
	w.arrived[n] = m.first
	w.mu.Unlock()
	head := fmt.Sprintf("X-Arrival: %d\r\n", n)
	if nonce := m.values("X-Nonce"); len(nonce) == 1 {
		head += "X-Nonce: " + nonce[0] + "\r\n"
	}
	switch {
	case method == "POST" && bytes.Contains(m.body, []byte(":Inform>")):
		body := informResponse()
		return fmt.Sprintf("HTTP/1.1 200 OK\r\n%sContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s", head, len(body), body)
	case method == "GET":
		return "HTTP/1.1 200 OK\r\n" + head + "Content-Length: 4\r\n\r\nfile"
	}
	return "HTTP/1.1 204 No Content\r\n" + head + "\r\n"
}

var arrivalMark = regexp.MustCompile(`\r\nX-Arrival: (\d+)\r\n(?:X-Nonce: ([^\r]*)\r\n)?`)

// seen takes what a CPE was answered on one connection: each number of an
// arrival stands in one answer only, on the connection that it came from.
func (w *rawSocket) seen(sent, answers []byte, nonce string) (passed int) {
	for _, mark := range arrivalMark.FindAllSubmatch(answers, -1) {
		passed++
		n, _ := strconv.ParseUint(string(mark[1]), 10, 64)
		w.mu.Lock()
		line, there := w.arrived[n]
		delete(w.arrived, n)
		w.mu.Unlock()
		if !there {
			w.problem("arrival %d is answered twice", n)
		}
		if other := string(mark[2]); other != nonce {
			if _, issued := w.nonces.Load(other); issued {
				w.problem("%q of connection %s is answered on %s", line, other, nonce)
			}
		}
	}
	// Where no HEAD was sent, the answers can be told apart.
	if !bytes.Contains(sent, []byte("HEAD")) {
		b := bufio.NewReader(bytes.NewReader(answers))
		for {
			m, err := readStrict(b)
			if err == io.EOF {
				break
			}
			if err != nil || !strings.HasPrefix(m.first, "HTTP/1.1 ") {
				w.problem("answers %.300q to %.300q: %v", answers, sent, err)
				break
			}
		}
	}
	return passed
}

// TestMutatedRequests sends requests whose framing and fields are changed at
// random, kept alive and pipelined, through the gateway to a raw socket: for
// every answer of the ACS that a CPE gets exactly one request arrived, and it was
// well-formed; nothing else arrives. CWMPGATE_MUTATED sets another number of
// requests.
func TestMutatedRequests(t *testing.T) {
	t.Parallel()
	left := number(t, "CWMPGATE_MUTATED", 4000)
	var total mutated
	for batch := uint64(0); left > 0 && !t.Failed(); batch++ {
		n := min(left, 200_000)
		left -= n
		reuse := []string{"clean", "never"}[batch%2]
		t.Run(fmt.Sprintf("%d with seed %d, reuse %s", n, *seed+batch, reuse), func(t *testing.T) { mutateBatch(t, *seed+batch, n, reuse, &total) })
	}
	t.Logf("figures: mutated requests: %d sent on %d connections, %d arrived well-formed and once, %d refused, %d files cut",
		total.sent, total.connections, total.passed, total.refused, total.cut)
	if total.passed < total.sent/10 || total.refused < total.connections/20 {
		t.Error("most of these requests test nothing")
	}
}

// mutated adds up what TestMutatedRequests has seen.
type mutated struct{ sent, connections, passed, refused, cut int }

func mutateBatch(t *testing.T, seed uint64, requests int, reuse string, total *mutated) {
	w := openRawSocket(t)
	r := start(t, plan{acs: w.Addr().String(), reuse: reuse, level: "error", journal: ", keep_after_ack: 0s",
		sections: "timeouts: {session: 500ms, session_reply: 500ms, head: 3s, body: 3s, drain: 1s}\n"})
	var mu sync.Mutex
	var workers sync.WaitGroup
	const number = 16
	for i := range number {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			for sent := 0; sent < requests/number; {
				m := &mutator{random, fmt.Sprintf("MUTANT%02d", i), fmt.Sprintf("%016x", random.Uint64())}
				w.nonces.Store(m.nonce, true)
				text, count := m.stream()
				answers, err := exchangeRaw(r.addr, text, random)
				if err != nil {
					w.problem("%.300q: %v", text, err)
				}
				passed := w.seen(text, answers, m.nonce)
				w.nonces.Delete(m.nonce)
				sent += count
				mu.Lock()
				total.sent += count
				total.connections++
				total.passed += passed
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	total.refused += int(r.metrics().sum(refusals))
	undelivered := r.metrics()["cwmpgate_answers_not_delivered_total"]
	r.close()
	w.mu.Lock()
	defer w.mu.Unlock()
	total.cut += w.cut
	for _, p := range w.problems {
		t.Error(p)
	}
	for n, line := range w.arrived {
		t.Errorf("%q arrived as %d and was never accepted; %v answers not delivered", line, n, undelivered)
	}
}

// exchangeRaw sends bytes over a connection of its own, in a few pieces, and
// returns all that is answered until the gateway closes.
func exchangeRaw(addr string, text []byte, random *rand.Rand) ([]byte, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	pieces := 1 + random.IntN(3)
	go func() { // the gateway may close before it has read all
		for n := range pieces {
			c.Write(text[n*len(text)/pieces : (n+1)*len(text)/pieces])
		}
		c.(*net.TCPConn).CloseWrite()
	}()
	answers, err := io.ReadAll(c)
	if isReset(err) && !errors.Is(err, io.EOF) {
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			return answers, err
		}
		return answers, nil // closed over what it had not read
	}
	return answers, err
}
