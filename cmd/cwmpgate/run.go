package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/proof"
	"github.com/cwmpgate/cwmpgate/audit/retention"
	"github.com/cwmpgate/cwmpgate/proxy"
)

func newRun() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "run --config FILE", Short: "Run the gateway", Args: cobra.NoArgs,
		Long: `Run serves until it gets SIGTERM or an interrupt. It then takes no new
connections, lets open sessions come to their end (timeouts.drain at most), and
brings what is in the journal to the store.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			return hintJournal(serve(cmd.Context(), c, cmd.ErrOrStderr(), nil), file)
		},
	}
	configFlag(cmd, &file)
	return cmd
}

// serve runs a gateway until ctx ends. opened, where set, is told when all
// listeners are open.
func serve(ctx context.Context, c *config, stderr io.Writer, opened func(*gate)) error {
	tuneCollector(int64(c.Limits.Memory))
	g, err := build(c, newLog(c.Log, stderr))
	if err != nil {
		return err
	}
	if err := g.open(ctx); err != nil {
		return errors.Join(err, g.close())
	}
	if opened != nil {
		opened(g)
	}
	err = g.run(ctx)
	return errors.Join(err, g.close())
}

// tuneCollector trades some tens of MiB for fewer collections: what lives long
// in a gateway is small, what it makes per session is garbage at once. Near the
// memory that the config allows, collections come as often as they must. GOGC
// and GOMEMLIMIT, where set, hold instead.
func tuneCollector(bodies int64) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(bodies + besideBodies)
	}
}

// besideBodies is what a gateway needs of Go's memory beside bodies: connections,
// sessions, records on their way. The program itself and SQLite, which has
// memory of its own, come on top (docs/performance.md, section Memory).
const besideBodies = 192 << 20

// gate is the house wired together.
type gate struct {
	config   *config
	log      zerolog.Logger
	metrics  *metrics.Set
	journal  *journal.Journal
	recorder *audit.Recorder
	store    store // nil: none
	aside    *audit.Quarantine
	shipper  *audit.Shipper
	keeper   *retention.Keeper
	proof    *proof.Keeper // nil: none is kept
	gateway  *proxy.Gateway
	admin    *admin
	watch    *watch
	failed   chan error // on_failure stop
	opened   bool
}

// build makes every part, top to bottom, and opens none.
func build(c *config, log zerolog.Logger) (*gate, error) {
	if err := makeKeys(c); err != nil {
		return nil, err
	}
	g, err := buildBooks(c, log)
	if err != nil {
		return nil, err
	}
	gateway, err := proxy.New(c.gateway(), g.recorder, log, g.metrics)
	if err != nil {
		return nil, err
	}
	g.gateway = gateway
	g.watch = &watch{path: string(c.Admin.Socket), node: c.Node, state: g.gateway.State}
	if c.Admin.Metrics != "" {
		g.admin = &admin{address: c.Admin.Metrics.String(), set: g.metrics, ready: g.ready}
	}
	return g, nil
}

// buildBooks makes the parts that keep records, without a gateway.
func buildBooks(c *config, log zerolog.Logger) (*gate, error) {
	g := &gate{config: c, log: log, metrics: metrics.NewSet(), failed: make(chan error, 1)}
	synced, alarm := syncedMetrics(g.metrics), &sizeAlarm{log: log, settings: c.Journal, free: diskFree}
	g.journal = journal.New(journal.Config{
		Directory: string(c.Journal.Directory), MaxSize: int64(c.Journal.MaxSize), SegmentSize: int64(c.Journal.SegmentSize),
		MaxDelay: orNone(c.Journal.MaxDelay), KeepAfterAck: orNone(c.Journal.KeepAfterAck),
		Logf: func(format string, args ...any) { log.Warn().Str("part", "journal").Msgf(format, args...) },
		Synced: func(c journal.Commit) {
			synced(c)
			alarm.committed(c.Bytes, g.journal.Stats)
		},
		GaveWay: g.gaveWay(g.metrics),
	})
	g.recorder = audit.NewRecorder(audit.Config{
		Node: c.Node, MaxValue: c.Record.MaxValue, OnFailure: c.Journal.OnFailure,
		Stop: func(err error) { g.failed <- withHint(err, "journal.on_failure is stop; see docs/journal.md") },
	}, g.journal, g.metrics)
	st, err := c.Store.open(false)
	if err != nil {
		return nil, err
	}
	g.store, g.aside = st, &audit.Quarantine{Directory: c.quarantine()}
	if removes, ok := st.(retention.Store); ok {
		g.keeper = retention.New(retention.Config{
			Policy: c.Retention, Store: removes, Recorder: g.recorder, Settle: g.settle, Roll: g.journal.Roll, Metrics: g.metrics,
		})
	}
	if g.proof, err = g.newProof(c, log); err != nil {
		return nil, err
	}
	journalMetrics(g.metrics, g.journal, c.Journal)
	return g, nil
}

// orNone tells the journal that a duration of 0 is meant, and no default.
func orNone[D ~int64](d D) time.Duration {
	if d == 0 {
		return -1
	}
	return time.Duration(d)
}

// open opens the parts in the order in which they need each other; listeners
// last, so that nothing is taken which could not be recorded.
func (g *gate) open(ctx context.Context) error {
	if err := g.openBooks(ctx); err != nil {
		return err
	}
	if err := g.recordStart(ctx); err != nil {
		return err
	}
	if g.admin != nil {
		if err := g.admin.open(ctx); err != nil {
			return err
		}
	}
	if err := g.watch.open(ctx); err != nil {
		// Nothing that a CPE needs: the gateway is not kept from its work.
		g.log.Warn().Err(err).Msg("no socket for cwmpgate top")
	}
	if err := g.gateway.Open(ctx); err != nil {
		return withHint(err, "another process may have the address, or a port below 1024 needs CAP_NET_BIND_SERVICE")
	}
	return nil
}

func (g *gate) openBooks(ctx context.Context) error {
	if err := g.journal.Open(); err != nil {
		return withHint(fmt.Errorf("open the journal: %w", err), "see docs/journal.md; nothing was discarded")
	}
	g.opened = true
	if err := g.openStore(ctx); err != nil {
		return err
	}
	return g.openProof(ctx)
}

// recordStart records the start and what was passed over before it. A journal
// that is full or cannot be written keeps no gateway from starting: the store
// must be fed to empty it, and what may pass without a record may pass.
func (g *gate) recordStart(ctx context.Context) error {
	err := g.tellGaps(ctx)
	if err == nil {
		err = g.recordOne(ctx)
	}
	if errors.Is(err, journal.ErrFull) || errors.Is(err, journal.ErrNotWritable) {
		g.log.Error().Err(err).Msg("started with a journal that takes no records; see docs/journal.md")
		return nil
	}
	return err
}

func (g *gate) recordOne(ctx context.Context) error {
	start, err := g.recorder.System(audit.System{What: audit.SystemStart, Why: "run", Detail: []audit.Pair{{Name: "version", Value: versionText()}}})
	if err == nil {
		err = start.Wait(ctx)
	}
	if err != nil {
		return fmt.Errorf("record the start: %w", err)
	}
	return nil
}

// gather is how far the store may lag behind the journal for the sake of fewer,
// larger batches.
const gather = 100 * time.Millisecond

// openStore opens the store and its place in the journal, where there is one.
func (g *gate) openStore(ctx context.Context) error {
	if g.store == nil {
		g.log.Warn().Msg("no store: records stay in the journal only")
		return nil
	}
	kind := g.config.Store.kind()
	if err := g.store.Open(ctx); err != nil && g.config.Store.mayWait(err) {
		g.log.Error().Err(err).Msg("the store is not there; records stay in the journal until it is")
	} else if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	cursor, err := g.journal.Cursor(kind)
	if err != nil {
		return fmt.Errorf("open the store's place in the journal: %w", err)
	}
	cfg := audit.ShipperConfig{
		Name: kind, Cursor: cursor, Sink: g.store, Metrics: g.metrics, Gather: gather,
		Trouble: g.storeTrouble(kind), Quarantine: g.aside.Keep,
	}
	if kind == "clickhouse" { // each of its inserts costs a part, whatever is in it
		cfg.MaxRecords, cfg.MaxBytes, cfg.Gather = 10_000, 8<<20, time.Second
	}
	g.shipper = audit.NewShipper(cfg)
	return nil
}

// storeTrouble logs every failure of the store, and records when trouble begins
// and ends.
func (g *gate) storeTrouble(kind string) func(error) {
	troubled := false
	record := func(why string, detail ...audit.Pair) {
		if _, err := g.recorder.System(audit.System{What: audit.SystemStore, Why: why, Detail: append([]audit.Pair{{Name: "store", Value: kind}}, detail...)}); err != nil {
			g.log.Error().Err(err).Msg("record the store's trouble")
		}
	}
	return func(err error) {
		if err == nil {
			troubled = false
			g.log.Info().Msg("the store takes records again")
			record("takes records again")
			return
		}
		var aside *audit.QuarantinedError
		if errors.As(err, &aside) {
			g.log.Error().Err(err).Msg("records were put aside; see docs/clickhouse.md")
			record("records put aside", audit.Pair{Name: "log", Value: aside.Log}, audit.Pair{Name: "first", Value: strconv.FormatUint(aside.First, 10)},
				audit.Pair{Name: "last", Value: strconv.FormatUint(aside.Last, 10)})
			return
		}
		g.log.Error().Err(err).Msg("store")
		if !troubled {
			troubled = true
			record("takes no records")
		}
	}
}

// run serves until ctx ends or a part fails. The store is served on until the
// gateway has drained.
func (g *gate) run(ctx context.Context) error {
	serving, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(serving)
	group.Go(func() error { return g.gateway.Run(ctx) })
	if g.keeper != nil {
		group.Go(func() error { g.keepHouse(ctx); return nil })
	}
	// The operator's side is served until all else has ended: a drain is watched.
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	var watched sync.WaitGroup
	defer watched.Wait()
	defer stopWatching()
	watched.Go(func() {
		if err := g.watch.run(watching); err != nil {
			g.log.Error().Err(err).Msg("admin.socket is not served any more")
		}
	})
	if g.admin != nil {
		watched.Go(func() {
			if err := g.admin.run(watching); err != nil {
				g.log.Error().Err(err).Msg("admin.metrics is not served any more")
			}
		})
	}
	group.Go(func() error {
		select {
		case err := <-g.failed:
			g.gateway.Halt() // nothing that a session has to say could be recorded
			return err
		case <-ctx.Done():
			return nil
		}
	})
	shipping, stopShipping := context.WithCancel(context.WithoutCancel(ctx))
	shipped := make(chan error, 1)
	go func() {
		if g.shipper == nil {
			shipped <- nil
			return
		}
		err := g.shipper.Run(shipping)
		if err != nil {
			// The gateway goes on: what must be durable is in the journal.
			g.log.Error().Err(err).Msg(storeStopped(err))
		}
		shipped <- err
	}()
	proved := make(chan struct{})
	go func() { defer close(proved); g.runProof(shipping) }()
	err := group.Wait()
	g.recorder.Close()
	if _, rerr := g.recorder.System(audit.System{What: audit.SystemStop, Why: stopReason(err)}); rerr != nil {
		g.log.Error().Err(rerr).Msg("record the stop")
	}
	g.flush(shipped)
	stopShipping()
	<-proved
	return err
}

func stopReason(err error) string {
	if err != nil {
		return "failure"
	}
	return "asked to"
}

// flush gives the store a while to take what is left; the rest waits in the
// journal for the next start.
func (g *gate) flush(shipped chan error) {
	limit := time.NewTimer(flushPatience)
	defer limit.Stop()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		s := g.journal.Stats()
		behind := s.Pending > 0
		for _, c := range s.Cursors {
			behind = behind || c.Records > 0
		}
		if !behind {
			return
		}
		select {
		case <-shipped:
			return
		case <-limit.C:
			g.log.Warn().Msg("the store is behind; what it lacks is in the journal and goes there at the next start")
			return
		case <-look.C:
		}
	}
}

const flushPatience = 10 * time.Second

// close closes what open opened, in reverse.
func (g *gate) close() error {
	var errs []error
	if g.watch != nil {
		g.watch.close()
	}
	if g.opened {
		ctx, cancel := context.WithTimeout(context.Background(), flushPatience)
		defer cancel()
		errs = append(errs, g.journal.Close(ctx))
	}
	if g.store != nil {
		errs = append(errs, g.store.Close())
	}
	return errors.Join(errs...)
}

// ready tells why the gateway could not take sessions now.
func (g *gate) ready() error {
	switch s := g.journal.Stats(); {
	case s.Err != nil:
		return fmt.Errorf("journal: %w", s.Err)
	case s.Full:
		return errors.New("journal: journal.max_size is reached")
	case s.Unfinished > 5*time.Second:
		return fmt.Errorf("journal: a sync has taken %s so far", s.Unfinished.Round(time.Second))
	}
	return g.gateway.Ready()
}

// makeKeys makes the redaction keys that are named but not there.
func makeKeys(c *config) error {
	for i := range c.Tenants {
		key := &c.Tenants[i].Redaction.Key
		if !key.Absent() {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(key.File()), 0o700); err != nil {
			return fmt.Errorf("make the redaction key of tenant %s: %w", c.Tenants[i].Name, err)
		}
		// Two tenants may share a key: the second finds it made.
		if err := writeNewKey(key.File()); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make the redaction key of tenant %s: %w", c.Tenants[i].Name, err)
		}
		if err := key.Read(); err != nil {
			return fmt.Errorf("read the redaction key of tenant %s: %w", c.Tenants[i].Name, err)
		}
	}
	return nil
}

// loopbackPort returns a free port of the loopback address.
func loopbackPort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}
