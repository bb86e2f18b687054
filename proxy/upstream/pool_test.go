package upstream

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/configs"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// poolOf makes a pool of nodes a, b, c … with these weights.
func poolOf(t testing.TB, cfg PoolConfig, weights ...int) *Pool {
	t.Helper()
	var cfgs []Config
	for i, w := range weights {
		c := Config{Name: string(rune('a' + i)), Weight: w}
		if err := c.URL.UnmarshalText(fmt.Appendf(nil, "http://192.0.2.%d:7547", i+1)); err != nil {
			t.Fatal(err)
		}
		cfgs = append(cfgs, c)
	}
	p, err := NewPool(cfg, cfgs, Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func defaults(change func(*PoolConfig)) PoolConfig {
	var c PoolConfig
	c.SetDefaults()
	c.Check.SetDefaults()
	if change != nil {
		change(&c)
	}
	return c
}

func mustPick(t testing.TB, p *Pool, key uint64, now time.Time, tried ...*Node) *Node {
	t.Helper()
	n, err := p.Pick(key, tried, now)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// names has n sessions picked, and ended at once, and says whose they were.
func names(t testing.TB, p *Pool, n int, now time.Time) map[string]int {
	t.Helper()
	got := map[string]int{}
	for i := range n {
		node := mustPick(t, p, DeviceKey("00005E", "IGD", fmt.Sprint(i)), now)
		got[node.Name()]++
		p.Ended(node)
	}
	return got
}

// TestBalance: sessions are shared out by weight, whatever the way.
func TestBalance(t *testing.T) {
	for _, balance := range []string{BalanceWeighted, BalanceLeast, BalanceDevice} {
		p := poolOf(t, defaults(func(c *PoolConfig) { c.Balance = balance }), 1, 2, 3)
		const n = 6000
		got := map[string]int{}
		for i := range n { // all stay open
			got[mustPick(t, p, DeviceKey("00005E", "IGD", fmt.Sprint(i)), start).Name()]++
		}
		for i, name := range []string{"a", "b", "c"} {
			want := float64(n * (i + 1) / 6)
			slack := 1.0
			if balance == BalanceDevice {
				slack = want / 8 // chance
			}
			if math.Abs(float64(got[name])-want) > slack {
				t.Errorf("%s: %v; %s should have %v", balance, got, name, want)
			}
		}
	}
	// In turn, and never many at one node in a row.
	p := poolOf(t, defaults(nil), 1, 2)
	var order strings.Builder
	for range 9 {
		order.WriteString(mustPick(t, p, 0, start).Name())
	}
	if order.String() != "babbabbab" {
		t.Errorf("in turn: %s", &order)
	}
}

// TestDeviceStays: a device keeps its node over starts, and a node that is added
// or lost moves nothing but its own share.
func TestDeviceStays(t *testing.T) {
	cfg := defaults(func(c *PoolConfig) { c.Balance, c.Return = BalanceDevice, 0 })
	const n = 20_000
	homes := func(p *Pool, now time.Time) []string {
		list := make([]string, n)
		for i := range list {
			node := mustPick(t, p, DeviceKey("00005E", "IGD", fmt.Sprint(i)), now)
			list[i] = node.Name()
			p.Ended(node)
		}
		return list
	}
	four := homes(poolOf(t, cfg, 1, 1, 1, 1), start)
	if again := homes(poolOf(t, cfg, 1, 1, 1, 1), start); !slices.Equal(four, again) {
		t.Error("another start moved devices")
	}
	five := poolOf(t, cfg, 1, 1, 1, 1, 1)
	moved := 0
	for i, home := range homes(five, start) {
		if home != four[i] {
			moved++
			if home != "e" {
				t.Fatalf("device %d moved from %s to %s, which is not new", i, four[i], home)
			}
		}
	}
	if share := float64(moved) / n; math.Abs(share-0.2) > 0.01 {
		t.Errorf("%.3f of the devices moved to a fifth node", share)
	}
	before := homes(five, start)
	five.Drain("b", true)
	for i, home := range homes(five, start) {
		if before[i] != "b" && home != before[i] || home == "b" {
			t.Fatalf("b is gone: device %d moved from %s to %s", i, before[i], home)
		}
	}
	five.Drain("b", false)
	if !slices.Equal(before, homes(five, start)) {
		t.Error("not all came home")
	}
	// The key of a device is what it was when this was written.
	if key := DeviceKey("00005E", "IGD", "1"); key != 0xafc196c79f03e8dc {
		t.Errorf("the key has changed: %#x", key)
	}
	if DeviceKey("a", "bc", "") == DeviceKey("ab", "c", "") {
		t.Error("two devices have one key")
	}
}

// TestExcess: a node that has its fill leaves its next devices to others.
func TestExcess(t *testing.T) {
	p := poolOf(t, defaults(func(c *PoolConfig) { c.Balance = BalanceDevice }), 1, 1)
	key := DeviceKey("00005E", "IGD", "always the same")
	got := map[string]int{}
	for range 100 {
		got[mustPick(t, p, key, start).Name()]++
	}
	low, high := min(got["a"], got["b"]), max(got["a"], got["b"])
	if low+high != 100 || high < 60 || high > 64 {
		t.Errorf("%v: with 125 %% one of two may have 63 of 100", got)
	}
}

// TestEjection: who fails goes out, for longer each time; who comes back gets
// its share little by little; and all are never out at once.
func TestEjection(t *testing.T) {
	var changes []string
	p := poolOf(t, defaults(nil), 1, 1, 1, 1)
	p.changed = func(c Change) { changes = append(changes, fmt.Sprint(c.Node.Name(), " ", c.In, " ", c.Reason)) }
	nodes := p.Nodes()
	fail := func(n *Node, times int, now time.Time) {
		for range times {
			p.Answered(n, Ill, 0, now)
		}
	}
	fail(nodes[0], 4, start)
	p.Answered(nodes[0], Well, 0, start)
	fail(nodes[0], 4, start)
	p.Answered(nodes[0], Unknown, 0, start)
	if got := names(t, p, 8, start); got["a"] != 2 {
		t.Errorf("out before its time: %v", got)
	}
	fail(nodes[0], 1, start)
	if got := names(t, p, 300, start.Add(10*time.Second-1)); got["a"] != 0 || got["b"] != 100 {
		t.Errorf("it is still there: %v", got)
	}
	back := start.Add(10 * time.Second)
	if got := names(t, p, 305, back); got["a"] < 4 || got["a"] > 6 {
		t.Errorf("on its return: %v", got)
	}
	if got := names(t, p, 350, back.Add(15*time.Second)); got["a"] < 48 || got["a"] > 52 {
		t.Errorf("half way: %v", got)
	}
	// On trial two are enough, and it is out for twice as long.
	fail(nodes[0], 2, back.Add(20*time.Second))
	if got := names(t, p, 300, back.Add(39*time.Second)); got["a"] != 0 {
		t.Errorf("after a relapse: %v", got)
	}
	whole := back.Add(40 * time.Second)
	names(t, p, 1, whole)
	whole = whole.Add(30 * time.Second)
	p.Answered(nodes[0], Well, 0, whole)
	if got := names(t, p, 400, whole); got["a"] != 100 {
		t.Errorf("well again: %v", got)
	}
	// Half of the weight stays in.
	for _, n := range nodes {
		fail(n, 20, whole)
	}
	if got := names(t, p, 100, whole); len(got) != 2 {
		t.Errorf("%d nodes are left: %v", len(got), got)
	}
	want := []string{"a false errors", "a true time", "a false errors", "a true time", "a false errors", "b false errors"}
	if !slices.Equal(changes, want) {
		t.Errorf("told was %q", changes)
	}
	// A single node is never out.
	one := poolOf(t, defaults(nil), 1)
	for range 100 {
		one.Answered(one.Nodes()[0], Ill, 0, start)
	}
	mustPick(t, one, 0, start)
	// Slow is as good as not at all.
	slow := poolOf(t, defaults(func(c *PoolConfig) { c.Slow = configs.Duration(time.Second) }), 1, 1)
	for range 5 {
		slow.Answered(slow.Nodes()[0], Well, 2*time.Second, start)
	}
	if got := names(t, slow, 10, start); got["a"] != 0 {
		t.Errorf("a slow one is still there: %v", got)
	}
}

// TestNextNode: nodes that were tried are not tried again, ones that are out come
// last, and drained ones only where there is nothing else.
func TestNextNode(t *testing.T) {
	for _, balance := range []string{BalanceWeighted, BalanceLeast, BalanceDevice} {
		p := poolOf(t, defaults(func(c *PoolConfig) { c.Balance, c.In = balance, 1 }), 1, 1, 1)
		nodes := p.Nodes()
		p.Drain("c", true)
		for range 5 {
			p.Answered(nodes[0], Ill, 0, start)
		}
		if first := mustPick(t, p, 7, start); first != nodes[1] {
			t.Errorf("%s: first %s", balance, first.Name())
		}
		if second := mustPick(t, p, 7, start, nodes[1]); second != nodes[0] {
			t.Errorf("%s: second %s", balance, second.Name())
		}
		if _, err := p.Pick(7, nodes[:2], start); !errors.Is(err, ErrNoNode) {
			t.Errorf("%s: a drained node was tried: %v", balance, err)
		}
		p.Drain("a", true)
		p.Drain("b", true)
		mustPick(t, p, 7, start)
		if p.Drain("nobody", true) {
			t.Error("nobody was drained")
		}
		open := 0
		for _, s := range p.Status(start) {
			open += s.Sessions
			if s.State != "drained" {
				t.Errorf("%s: %s is %s", balance, s.Node.Name(), s.State)
			}
		}
		if open != 3 {
			t.Errorf("%s: %d sessions are counted", balance, open)
		}
	}
}

// TestCheck: real nodes that are well, that answer 500, that accept and say
// nothing, that are gone; and one that comes back.
func TestCheck(t *testing.T) {
	var status atomic.Int64
	asked := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- fmt.Sprint(r.Method, " ", r.URL, " ", r.ContentLength):
		default:
		}
		w.WriteHeader(int(status.Load()))
	}))
	defer server.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	node := func(address string) *Node {
		var c Config
		c.SetDefaults()
		if err := c.URL.UnmarshalText([]byte("http://" + address)); err != nil {
			t.Fatal(err)
		}
		n, err := New(c, Options{Connect: 5 * time.Second, Answer: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, x := range []struct {
		kind    string
		address string
		status  int
		well    bool
		asks    string
	}{
		{CheckTCP, server.Listener.Addr().String(), 200, true, ""},
		{CheckHTTP, server.Listener.Addr().String(), 200, true, "GET /health?x 0"},
		{CheckHTTP, server.Listener.Addr().String(), 404, true, "GET /health?x 0"},
		{CheckHTTP, server.Listener.Addr().String(), 503, false, "GET /health?x 0"},
		{CheckCWMP, server.Listener.Addr().String(), 204, true, "POST /health?x 0"},
		{CheckCWMP, server.Listener.Addr().String(), 401, true, "POST /health?x 0"},
		{CheckCWMP, server.Listener.Addr().String(), 500, false, "POST /health?x 0"},
		{CheckTCP, silent.Addr().String(), 0, true, ""},
		{CheckHTTP, silent.Addr().String(), 0, false, ""},
		{CheckTCP, gone.Addr().String(), 0, false, ""},
	} {
		status.Store(int64(x.status))
		c := Check{Kind: x.kind, Path: "/health?x", Timeout: configs.Duration(200 * time.Millisecond)}
		err := c.ask(t.Context(), node(x.address))
		if (err == nil) != x.well {
			t.Errorf("%s of %s, which answers %d: %v", x.kind, x.address, x.status, err)
		}
		if x.asks != "" {
			if got := <-asked; got != x.asks {
				t.Errorf("%s asks %q", x.kind, got)
			}
		}
	}

	// Watched: out after fall checks, in after rise, and Run ends.
	changes := make(chan Change, 10)
	cfg := defaults(func(c *PoolConfig) {
		c.Check = Check{Kind: CheckHTTP, Path: "/", Every: configs.Duration(time.Millisecond), Timeout: configs.Duration(5 * time.Second), Fall: 2, Rise: 2}
	})
	p := poolOf(t, cfg, 1, 1)
	p.changed = func(c Change) { changes <- c }
	p.members[0].node = node(server.Listener.Addr().String())
	p.members[1].node = node(server.Listener.Addr().String())
	p.members[1].node.address = "127.0.0.1:1" // nobody is there
	status.Store(200)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { p.Run(ctx); close(ended) }()
	if c := <-changes; c.In || c.Node != p.members[1].node || c.Reason != "check" {
		t.Errorf("told was %+v", c)
	}
	if n := mustPick(t, p, 0, time.Now()); n != p.members[0].node {
		t.Error("one that fails its checks is chosen")
	}
	status.Store(500) // the last one stays in
	for range 5 {
		for len(asked) > 0 {
			<-asked
		}
		<-asked
	}
	mustPick(t, p, 0, time.Now())
	cancel()
	<-ended
	if len(changes) != 0 {
		t.Errorf("told was %+v", <-changes)
	}
}

// TestCheckRises: what the checks say is taken by fall and rise.
func TestCheckRises(t *testing.T) {
	p := poolOf(t, defaults(func(c *PoolConfig) { c.Check.Fall, c.Check.Rise = 3, 2 }), 1, 1)
	m := p.members[0]
	for i, x := range []struct{ well, out bool }{
		{false, false}, {false, false}, {true, false}, {false, false}, {false, false}, {false, true},
		{true, true}, {false, true}, {true, true}, {true, false},
	} {
		p.checked(m, x.well, start)
		if m.isOut(start) != x.out {
			t.Fatalf("step %d: out is %t", i, !x.out)
		}
	}
	if p.share(m, start) != leastShare {
		t.Error("it has its share back at once")
	}
}

func BenchmarkPick(b *testing.B) {
	for _, balance := range []string{BalanceWeighted, BalanceLeast, BalanceDevice} {
		b.Run(balance, func(b *testing.B) {
			p := poolOf(b, defaults(func(c *PoolConfig) { c.Balance = balance }), 1, 1, 1, 1, 1, 1, 1, 1)
			b.ReportAllocs()
			for b.Loop() {
				n, err := p.Pick(DeviceKey("00005E", "IGD", "12345678"), nil, start)
				if err != nil {
					b.Fatal(err)
				}
				p.Ended(n)
			}
		})
	}
}
