package audit

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/configs"
	"github.com/cwmpgate/cwmpgate/cwmp"
)

// What happens to a message whose record cannot be made durable. The closed
// list of Config.OnFailure.
const (
	FailRefuse = "refuse" // it is not released; those that need not wait are
	FailStop   = "stop"   // as refuse, and the gateway stops
	FailPass   = "pass"   // it is released all the same, counted, and a gap record follows
)

// Config is the recorder's part of the configuration.
type Config struct {
	Node      string       // name of this gateway in every record
	MaxValue  configs.Size // longest value written whole; 0: 64 KiB
	OnFailure string       // one of FailRefuse …; empty: refuse
	Coalesce  int          // most kinds of refusal and security event told apart in one second; 0: 256
	Clock     Clock        // nil: the system's
	// Stop is called once where OnFailure is "stop" and a record could not be
	// made durable.
	Stop func(error)
}

// Recorder makes events into records and hands them to the journal. It is
// safe for concurrent use; an Origin is not.
type Recorder struct {
	cfg      Config
	journal  *journal.Journal
	log      func() string
	encoders sync.Pool // of *encoder
	metrics  recorderMetrics
	alike    coalescer
	clock    clockWatch
	owed     owed
	stopped  atomic.Bool

	losing atomic.Bool // losses is not empty
	mu     sync.Mutex
	losses losses
	told   uint64 // number of the last gap record
}

// losses counts records that passed without being known to be durable.
type losses struct {
	count        int
	since, until time.Time
}

// NewRecorder makes a Recorder on a journal that is open before the first
// record. Its metrics go into set.
func NewRecorder(cfg Config, j *journal.Journal, set *metrics.Set) *Recorder {
	if cfg.MaxValue <= 0 {
		cfg.MaxValue = 64 << 10
	}
	if cfg.Coalesce <= 0 {
		cfg.Coalesce = 256
	}
	r := &Recorder{cfg: cfg, journal: j, log: sync.OnceValue(j.ID), metrics: newRecorderMetrics(set)}
	keyless := newKeyless()
	r.encoders.New = func() any { return newEncoder(int(cfg.MaxValue), keyless) }
	r.alike.init(cfg.Coalesce, r.writeAlike)
	if cfg.Clock == nil {
		cfg.Clock = systemClock()
	}
	r.clock.init(cfg.Clock)
	return r
}

// Close writes the refusals and security events that are still being put
// together, the ends of sessions that are owed, and what was lost and not told
// yet. Later ones are written each at once.
func (r *Recorder) Close() {
	r.alike.close()
	r.payOwed()
	if n := r.owed.drop(); n > 0 {
		r.lost(n, time.Now())
	}
	if r.losing.Load() {
		r.tellGap(true)
	}
}

// Waits says whether a message must be durable before it is released. Exempt
// is what changes nothing and is asked again where it is lost.
func Waits(m *cwmp.Message) bool {
	switch m.Kind {
	case cwmp.KindRequest:
		return !m.Method.ReadOnly()
	case cwmp.KindResponse:
		return !m.Method.ReadOnly() && m.Method != cwmp.MethodInform
	}
	return true
}

// Ticket stands for one record. The zero Ticket waits for nothing.
type Ticket struct {
	r      *Recorder
	ticket journal.Ticket
	err    error // the record was not taken
	seq    uint64
}

// Seq is the record's number, 0 where it was not taken.
func (t Ticket) Seq() uint64 { return t.seq }

// Wait returns nil when the message may be released: its record is durable,
// or OnFailure is "pass".
func (t Ticket) Wait(ctx context.Context) error {
	if t.r == nil {
		return nil
	}
	err := t.err
	if err == nil {
		began := time.Now()
		err = t.ticket.Wait(ctx)
		t.r.metrics.wait.Update(time.Since(began).Seconds())
	}
	if err != nil {
		return t.r.failed(fmt.Errorf("make record durable: %w", err))
	}
	t.r.settleUp()
	return nil
}

// settleUp is called when the journal is well as far as one can know: it writes
// what was owed, and tells what was lost.
func (r *Recorder) settleUp() {
	r.payOwed()
	if r.losing.Load() {
		r.tellGap(false)
	}
}

// Message records one message of either side. Empty messages have no record.
// An error means that nothing was recorded and the message must not be
// released; it never comes for a message that need not wait.
func (r *Recorder) Message(o *Origin, t cwmp.Turn, v Verdict) (Ticket, error) {
	if t.Message == nil {
		return Ticket{}, nil
	}
	e := r.encoder()
	defer r.release(e)
	o.N++
	e.message(r.cfg.Node, o, &t, v)
	ticket, err := r.append(e, KindMessage)
	if err == nil {
		o.Connection = nil
		return ticket, nil
	}
	o.N--
	if !Waits(t.Message) {
		r.lost(1, time.Now())
		return Ticket{}, nil
	}
	if err := r.failed(err); err != nil {
		return Ticket{}, err
	}
	return Ticket{}, nil
}

// SessionEnd records the end of a session. Where the journal does not take it
// now, it is written when the journal is well again, and the ticket waits for
// nothing.
func (r *Recorder) SessionEnd(o *Origin, s SessionEnd) (Ticket, error) {
	e := r.encoder()
	defer r.release(e)
	o.N++
	e.session(r.cfg.Node, o, &s)
	t, err := r.append(e, KindSession)
	switch {
	case err == nil:
	case !r.owed.keep(e.rest):
		o.N--
		return r.notTaken(err)
	case r.cfg.OnFailure == FailStop:
		return Ticket{}, r.failed(err)
	}
	o.Connection = nil
	return t, nil
}

// Transfer records a file request. o says whose it is and which connection it
// came over, and may be nil where nothing is known.
func (r *Recorder) Transfer(o *Origin, t Transfer) (Ticket, error) {
	e := r.encoder()
	defer r.release(e)
	e.transfer(r.cfg.Node, o, &t)
	return r.appendOne(e, KindTransfer)
}

// System records an event of the gateway.
func (r *Recorder) System(s System) (Ticket, error) {
	e := r.encoder()
	defer r.release(e)
	e.system(r.cfg.Node, &s)
	return r.appendOne(e, KindSystem)
}

// SystemBehind records an event of the gateway that says something of every
// record before it. each and say are called while nothing can be recorded; they
// must be short, and must not record anything. See journal.AppendBehind.
func (r *Recorder) SystemBehind(after uint64, each func(journal.Entry), say func() System) (Ticket, error) {
	e := r.encoder()
	defer r.release(e)
	t, err := r.journal.AppendBehind(after, each, func(dst []byte, seq uint64, at time.Time) []byte {
		s := say()
		e.system(r.cfg.Node, &s)
		return e.join(dst, seq, at)
	})
	if err != nil {
		return Ticket{}, fmt.Errorf("append system record: %w", err)
	}
	r.metrics.written(KindSystem, len(e.rest))
	return Ticket{r: r, ticket: t, seq: t.Seq()}, nil
}

// Refusal records a refused message: one record for all of one second that
// have the same reason, source and device, with a count. o may be nil.
func (r *Recorder) Refusal(o *Origin, f Refusal) {
	facts := aside(o, f.Device)
	if f.Source == "" {
		f.Source = f.Peer
	}
	key := likeness{kind: KindRefusal, from: f.From, reason: f.Reason, source: f.Source, tenant: facts.Tenant, device: facts.Device}
	r.alike.add(key, alike{facts: facts, refusal: f})
}

// Security records an event of security, put together as refusals are.
func (r *Recorder) Security(o *Origin, s Security) {
	facts := aside(o, s.Device)
	if s.Source == "" {
		s.Source = s.Peer
	}
	key := likeness{kind: KindSecurity, reason: s.Reason, source: s.Source, tenant: facts.Tenant, device: facts.Device}
	r.alike.add(key, alike{facts: facts, security: s})
}

// Decision records a decision other than to pass: one record for all of one
// second that have the same reason, class, tenant, ACS and source, with a count;
// it names the device where all are of one.
func (r *Recorder) Decision(o *Origin, d Decision) {
	facts := aside(o, d.Device)
	if d.Source == "" {
		d.Source = d.Peer
	}
	key := likeness{kind: KindDecision, from: d.By, reason: d.Reason, source: d.Source, tenant: facts.Tenant, acs: facts.ACS, class: d.Class}
	r.alike.add(key, alike{facts: facts, decision: d})
}

// aside copies what a record that is written later needs of an Origin.
func aside(o *Origin, d Device) Origin {
	var facts Origin
	if o != nil {
		facts = Origin{Tenant: o.Tenant, Session: o.Session, Device: o.Device, Identity: o.Identity, ACS: o.ACS}
	}
	if d != (Device{}) {
		facts.Device = d
	}
	// A device's names are a key while events are put together, and a peer
	// chooses how long they are.
	f := &facts.Device
	f.Manufacturer, f.OUI = clip(f.Manufacturer, longestName), clip(f.OUI, longestName)
	f.Class, f.Serial = clip(f.Class, longestName), clip(f.Serial, longestName)
	return facts
}

// writeAlike writes what was put together.
func (r *Recorder) writeAlike(key likeness, a *alike) {
	e := r.encoder()
	defer r.release(e)
	switch key.kind {
	case KindRefusal:
		e.refusal(r.cfg.Node, &a.facts, &a.refusal, a.count)
	case KindSecurity:
		e.security(r.cfg.Node, &a.facts, &a.security, a.count)
	case KindDecision:
		e.decision(r.cfg.Node, &a.facts, &a.decision, a.count)
	}
	r.metrics.coalesced.Add(a.count - 1)
	if _, err := r.append(e, key.kind); err != nil {
		r.lost(1, time.Now())
	}
}

func (r *Recorder) release(e *encoder) {
	e.trim()
	r.encoders.Put(e)
}

func (r *Recorder) encoder() *encoder {
	e := r.encoders.Get().(*encoder)
	e.log = r.log()
	return e
}

// appendOne appends a record that only its caller may wait for.
func (r *Recorder) appendOne(e *encoder, kind string) (Ticket, error) {
	t, err := r.append(e, kind)
	if err != nil {
		return r.notTaken(err)
	}
	return t, nil
}

// notTaken is what becomes of a record that only its caller would have waited
// for.
func (r *Recorder) notTaken(err error) (Ticket, error) {
	if r.cfg.OnFailure != FailPass {
		r.lost(1, time.Now())
	}
	return Ticket{}, r.failed(err)
}

func (r *Recorder) append(e *encoder, kind string) (Ticket, error) {
	t, err := r.take(e, kind)
	if err == nil {
		r.settleUp()
	}
	return t, err
}

func (r *Recorder) take(e *encoder, kind string) (Ticket, error) {
	r.tellStep()
	t, err := r.put(e, kind)
	if err == nil {
		r.compareClock(e.at)
	}
	return t, err
}

func (r *Recorder) put(e *encoder, kind string) (Ticket, error) {
	t, err := r.journal.Append(e.join)
	if err != nil {
		r.metrics.failures.Inc()
		return Ticket{}, fmt.Errorf("append %s record: %w", kind, err)
	}
	r.metrics.written(kind, len(e.rest))
	return Ticket{r: r, ticket: t, seq: t.Seq()}, nil
}

// failed decides what a failure means for the message concerned.
func (r *Recorder) failed(err error) error {
	switch r.cfg.OnFailure {
	case FailPass:
		r.lost(1, time.Now())
		return nil
	case FailStop:
		if r.cfg.Stop != nil && r.stopped.CompareAndSwap(false, true) {
			r.cfg.Stop(err)
		}
	}
	return err
}

func (r *Recorder) lost(n int, at time.Time) {
	r.metrics.lost.Add(n)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.losses.add(losses{n, at, at})
	r.losing.Store(true)
}

func (l *losses) add(more losses) {
	if l.count == 0 || more.since.Before(l.since) {
		l.since = more.since
	}
	if more.until.After(l.until) {
		l.until = more.until
	}
	l.count += more.count
}

// tellGap is called when the journal took a record, so that it is well again
// as far as one can know: it writes down behind it that earlier ones may be
// missing. A gap record that is not durable yet is not followed by another one
// but at the end: while a disk hangs, each record would have its own.
func (r *Recorder) tellGap(last bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.losses.count == 0 || !last && r.told > r.journal.Stats().Durable {
		return
	}
	e := r.encoder()
	defer r.release(e)
	e.system(r.cfg.Node, &System{What: SystemGap, Why: "records could not be made durable", Detail: []Pair{
		{"count", fmt.Sprint(r.losses.count)},
		{"since", r.losses.since.UTC().Format(timeLayout)},
		{"until", r.losses.until.UTC().Format(timeLayout)},
	}})
	// What the journal has taken it writes as soon as it can, however often
	// that fails: it is told.
	t, err := r.take(e, KindSystem)
	if err != nil {
		return
	}
	r.losses, r.told = losses{}, t.seq
	r.losing.Store(false)
}
