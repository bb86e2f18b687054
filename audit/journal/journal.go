package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"
)

// Errors of Open, Append, Wait and the cursors, for errors.Is.
var (
	ErrClosed  = errors.New("journal is closed")
	ErrLocked  = errors.New("journal directory is in use")
	ErrCopied  = errors.New("journal directory is a copy")
	ErrFull    = errors.New("journal has reached its maximum size")
	ErrBacklog = errors.New("too many bytes wait for the journal's disk")
	// ErrNotWritable wraps the disk's own error. The journal tries anew every
	// RetryEvery and is well again as soon as that succeeds.
	ErrNotWritable = errors.New("journal is not writable")
	ErrTooLarge    = errors.New("record is too large for the journal")
)

// maxRecord keeps every length of the format inside 32 bits.
const maxRecord = 1 << 30

// Config is fixed for a journal's life. All but Directory may be left zero.
type Config struct {
	Directory string
	// MaxSize bounds the segments' bytes (0: no bound). What every cursor has
	// committed gives way to it early, unless KeepAlways is set; when that is
	// not enough, Append fails with ErrFull.
	MaxSize int64
	// SegmentSize is when a new segment is begun: 0 means 64 MiB, and at most
	// an eighth of MaxSize.
	SegmentSize int64
	// MaxPending bounds the bytes that wait for the disk; beyond it Append
	// fails with ErrBacklog. 0 means 64 MiB.
	MaxPending int
	// MaxDelay is the least time from one sync to the next, and the longest
	// that a record nobody waits for stays in memory. 0 means 2 ms, negative
	// none.
	MaxDelay time.Duration
	// KeepAfterAck is how long segments stay that every cursor has committed.
	// 0 means 24 h, negative not at all.
	KeepAfterAck time.Duration
	// KeepAlways lets KeepAfterAck hold even where MaxSize is reached.
	KeepAlways bool
	// RetryEvery is the time between two attempts on a disk that failed.
	// 0 means 1 s.
	RetryEvery time.Duration
	// Adopt lets Open take over a copied or restored directory: it gets a new
	// log id, its records so far keep the old one.
	Adopt bool

	FS   FS               // nil: the operating system's
	Now  func() time.Time // nil: time.Now
	Logf func(format string, args ...any)
	// Synced, where set, is told of every commit. It is called by the one
	// writing goroutine and must not block.
	Synced func(Commit)
	// GaveWay, where set, is told of segments that were removed before
	// KeepAfterAck was over. It is called by the writing goroutine, and may
	// append records but wait for none.
	GaveWay func(GaveWay)
}

// GaveWay are records that every cursor has committed and that were removed
// early, for want of room.
type GaveWay struct {
	Log         string
	First, Last uint64
	DiskFull    bool // not only MaxSize was reached
}

// Commit is one write with its sync.
type Commit struct {
	Records int
	Bytes   int
	Took    time.Duration
	Err     error
}

func (c Config) withDefaults() Config {
	const mib = 1 << 20
	if c.SegmentSize <= 0 {
		c.SegmentSize = 64 * mib
	}
	if c.MaxSize > 0 {
		c.SegmentSize = max(min(c.SegmentSize, c.MaxSize/8), headerSize+1)
	}
	if c.MaxPending <= 0 {
		c.MaxPending = 64 * mib
	}
	c.MaxPending = min(c.MaxPending, maxRecord)
	c.MaxDelay = orDefault(c.MaxDelay, 2*time.Millisecond)
	c.KeepAfterAck = orDefault(c.KeepAfterAck, 24*time.Hour)
	c.RetryEvery = orDefault(c.RetryEvery, time.Second)
	if c.FS == nil {
		c.FS = osFS{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logf == nil {
		c.Logf = func(string, ...any) {}
	}
	return c
}

func orDefault(d, ordinary time.Duration) time.Duration {
	if d == 0 {
		return ordinary
	}
	return max(d, 0)
}

// Entry is one record as it lies in the journal. Bytes belong to the caller;
// the entries of one commit share one allocation.
type Entry struct {
	Seq   uint64
	Salt  [saltSize]byte
	Bytes []byte
}

// segment is what the journal knows of a file. The bytes that count end at
// size; what a failed write left behind that is void.
type segment struct {
	first   uint64
	at      int64 // of its header; 0 where that cannot be read
	size    int64
	suspect bool // a write to it failed
	acked   time.Time
}

// Journal is an append-only log in a directory. Its methods may be called
// from any goroutine between Open and Close.
type Journal struct {
	cfg  Config
	fs   FS
	dir  string
	lock io.Closer
	wake chan struct{} // to the writer; one is enough
	done chan struct{} // closed when the writer has ended

	mu       sync.Mutex
	opened   bool
	closing  bool
	logs     []logSpan // the last one is this journal's own
	segments []segment // oldest first
	cursors  map[string]*Cursor
	gaps     []Gap  // replaced, never changed
	size     int64  // of all segments, as far as they count
	next     uint64 // number of the next record
	durable  uint64 // number of the last one that is on the medium
	at       int64  // time of the last record, microseconds since 1970
	// durableAt is the time of the last durable one.
	durableAt int64
	pending   *batch
	spare     *batch
	inflight  int64 // bytes of the batch that is being written
	salts     saltBox
	waiting   []*waiter
	waiters   sync.Pool
	urgent    bool      // somebody waits for the pending batch
	failed    error     // why the disk cannot be written; nil: it can
	failedTo  uint64    // records up to this one were given up on once
	retry     time.Time // when a failed disk is tried again
	began     time.Time // when the last commit began
	busy      bool      // it has not ended
	trimAt    time.Time // when segments are next looked through
	counts    counts

	// The writing goroutine's own.
	file      File // the segment that is written; nil: the next commit begins one
	seed      uint32
	stuck     *batch // what could not be written
	inspected time.Time
	unsynced  bool // the removal of a segment is not on the medium yet
}

// New makes a journal that is not open yet.
func New(cfg Config) *Journal {
	cfg = cfg.withDefaults()
	j := &Journal{
		cfg:     cfg,
		fs:      cfg.FS,
		dir:     cfg.Directory,
		wake:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		cursors: map[string]*Cursor{},
		pending: new(batch),
		spare:   new(batch),
	}
	j.waiters.New = func() any { return &waiter{ready: make(chan error, 1)} }
	return j
}

// Open locks the directory (and makes it where it is absent), cuts off what
// an unfinished write left at the end, and starts the writing goroutine.
// Damage in the last segment is a *CorruptionError and nothing is changed. A
// disk that cannot be written is no error of Open: see Stats. After an error
// the journal is of no use.
func (j *Journal) Open() error {
	if j.opened {
		panic("BUG: journal opened twice")
	}
	if l, ok := j.fs.(Locker); ok {
		held, err := l.Lock(j.dir)
		if err != nil {
			return fmt.Errorf("open journal %s: %w", j.dir, err)
		}
		j.lock = held
	}
	err := j.recover()
	if err == nil {
		j.carry()
		if j.cfg.Adopt {
			err = j.adopt()
		}
	}
	if err != nil {
		j.release()
		if j.lock != nil {
			_ = j.lock.Close()
		}
		return fmt.Errorf("open journal %s: %w", j.dir, err)
	}
	j.opened = true
	go j.run()
	return nil
}

// Close writes what is pending and gives the directory free. Where the disk
// does not answer it returns with the context, and the directory stays
// locked. The error is the disk's where records could not be written.
func (j *Journal) Close(ctx context.Context) error {
	j.mu.Lock()
	if !j.opened {
		j.mu.Unlock()
		return nil
	}
	j.closing = true
	j.mu.Unlock()
	j.kick()
	select {
	case <-j.done:
	case <-ctx.Done():
		return fmt.Errorf("close journal: the last write has not ended: %w", ctx.Err())
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.lock != nil {
		_ = j.lock.Close()
		j.lock = nil
	}
	return j.failed
}

// ID is the log's id: 32 hex digits, made with the directory.
func (j *Journal) ID() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log().String()
}

func (j *Journal) log() logID { return j.logs[len(j.logs)-1].id }

func (j *Journal) path(name string) string { return filepath.Join(j.dir, name) }

// kick makes the writer look what there is to do.
func (j *Journal) kick() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}
