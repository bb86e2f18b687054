package auth

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Bounds of a file of users. A higher cost of bcrypt would make one login take
// seconds.
const (
	maxUsersFile  = 256 << 20
	minCost       = 4
	maxCost       = 14
	maxUserErrors = 10
	// bcrypt looks at no more.
	maxBcryptPassword = 72
)

// users are those of a file.
type users struct {
	cfg   *Config
	table atomic.Pointer[table]
	info  atomic.Pointer[os.FileInfo] // of the file when it was read
	right *cache[*table]              // logins that bcrypt has said yes to, in a table
	keys  *keyer
	slots *slots
	now   func() time.Time
}

// table is the content of a file.
type table struct {
	users map[string]*user
	cost  int // the highest of bcrypt
	dummy []byte
}

// user is what is known of one.
type user struct {
	bcrypt string
	ha1    [algSHA256 + 1][]byte
}

func newUsers(cfg *Config, now func() time.Time) (*users, error) {
	u := &users{cfg: cfg, right: newCache[*table](cfg.Remembered), keys: newKeyer(), slots: newSlots(cfg.BcryptAtOnce, time.Duration(cfg.Wait)), now: now}
	info, err := os.Stat(string(cfg.Users))
	if err != nil {
		return nil, fmt.Errorf("look at users: %w", err)
	}
	t, err := firstUsers(cfg)
	u.table.Store(t)
	u.info.Store(&info)
	return u, err
}

// reload reads the file anew if it has changed. With an error what was read
// before holds, and the file is tried again the next time.
func (u *users) reload() (changed bool, err error) {
	info, err := os.Stat(string(u.cfg.Users))
	if err != nil {
		return false, fmt.Errorf("look at users: %w", err)
	}
	if old := u.info.Load(); old != nil && os.SameFile(*old, info) && (*old).ModTime().Equal(info.ModTime()) && (*old).Size() == info.Size() {
		return false, nil
	}
	t, err := readUsers(string(u.cfg.Users), u.cfg)
	if err != nil {
		return false, err
	}
	u.table.Store(t)
	u.info.Store(&info)
	u.right.clear()
	return true, nil
}

// basic holds a password to the user's bcrypt hash. For a user who is not known
// it takes as long.
func (u *users) basic(ctx context.Context, r Request, name, password string) (bool, error) {
	t := u.table.Load()
	key := u.keys.key(name, password)
	if of, _, ok := u.right.get(key, u.now()); ok && of == t {
		return true, nil
	}
	if err := u.slots.enter(ctx); err != nil {
		return false, err
	}
	defer u.slots.leave()
	if err := r.over(); err != nil {
		return false, err
	}
	hash, known := t.dummy, false
	if who := t.users[name]; who != nil && who.bcrypt != "" {
		hash, known = []byte(who.bcrypt), true
	}
	if len(password) > maxBcryptPassword {
		password, known = password[:maxBcryptPassword], false
	}
	if bcrypt.CompareHashAndPassword(hash, []byte(password)) != nil || !known {
		return false, nil
	}
	u.right.put(key, t, u.now(), rememberRight)
	return true, nil
}

// rememberRight is how long a login is remembered that bcrypt has said yes to; a
// change of the file ends it.
const rememberRight = 24 * time.Hour

// digest holds an answer to the user's HA1; for a user who is not known to one
// that nobody has.
func (u *users) digest(_ context.Context, _ Request, name string, a algorithm, answers func(ha1 []byte) bool) (bool, error) {
	ha1, known := nobody(a), false
	if who := u.table.Load().users[name]; who != nil && who.ha1[a] != nil {
		ha1, known = who.ha1[a], true
	}
	return answers(ha1) && known, nil
}

// nobody is an HA1 that no password has.
func nobody(a algorithm) []byte { return make([]byte, a.size()) }

// readUsers reads a file whole. Every mistake is file:line.
func readUsers(name string, cfg *Config) (*table, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxUsersFile+1))
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	if len(text) > maxUsersFile {
		return nil, fmt.Errorf("read users: %s has over %d bytes", name, maxUsersFile)
	}
	t := &table{users: make(map[string]*user), cost: bcrypt.MinCost}
	var errs []error
	number := 0
	for line := range bytes.Lines(text) {
		number++
		if err := t.add(strings.TrimRight(string(line), "\r\n"), cfg.Realm); err != nil {
			if errs = append(errs, fmt.Errorf("%s:%d: %w", name, number, err)); len(errs) == maxUserErrors {
				break
			}
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	t.dummy, err = bcrypt.GenerateFromPassword([]byte("nobody's"), t.cost)
	return t, err
}

// firstUsers reads a file in which there must be somebody who can log in; of one
// that is read anew all may have been taken out.
func firstUsers(cfg *Config) (*table, error) {
	t, err := readUsers(string(cfg.Users), cfg)
	if err == nil && !t.fits(cfg) {
		return nil, fmt.Errorf("%s has no user for %s in realm %q: cwmpgate passwd adds some", cfg.Users, strings.Join(cfg.schemes(), ", "), cfg.Realm)
	}
	return t, err
}

// fits tells whether anybody can log in.
func (t *table) fits(cfg *Config) bool {
	for _, u := range t.users {
		for _, s := range cfg.schemes() {
			if s == schemeBasic && u.bcrypt != "" || s == schemeMD5 && u.ha1[algMD5] != nil || s == schemeSHA256 && u.ha1[algSHA256] != nil {
				return true
			}
		}
	}
	return false
}

// add takes a line: user:bcrypt for Basic, user:realm:HA1 for Digest. Lines of
// other realms are somebody else's.
func (t *table) add(line, realm string) error {
	if line == "" || strings.HasPrefix(line, "#") {
		return nil
	}
	parts := strings.Split(line, ":")
	if err := checkUser(parts[0]); err != nil {
		return err
	}
	switch len(parts) {
	case 2:
		cost, err := bcrypt.Cost([]byte(parts[1]))
		if err != nil {
			return fmt.Errorf("no bcrypt hash behind %q; cwmpgate passwd makes one", parts[0])
		}
		if cost < minCost || cost > maxCost {
			return fmt.Errorf("bcrypt with cost %d, which is not from %d to %d", cost, minCost, maxCost)
		}
		u := t.user(parts[0])
		if u.bcrypt != "" {
			return fmt.Errorf("user %q is there twice for Basic", parts[0])
		}
		u.bcrypt, t.cost = parts[1], max(t.cost, cost)
	case 3:
		ha1, err := hex.DecodeString(parts[2])
		a, ok := algorithmOfSize(len(ha1))
		if err != nil || !ok {
			return fmt.Errorf("no hash of MD5 or SHA-256 in hexadecimal behind %q", parts[0])
		}
		if parts[1] != realm {
			return nil
		}
		u := t.user(parts[0])
		if u.ha1[a] != nil {
			return fmt.Errorf("user %q is there twice for Digest with %v in realm %q", parts[0], a, realm)
		}
		u.ha1[a] = ha1
	default:
		return errors.New("neither user:bcrypt nor user:realm:hash; a user has no colon")
	}
	return nil
}

func (t *table) user(name string) *user {
	u := t.users[name]
	if u == nil {
		u = &user{}
		t.users[name] = u
	}
	return u
}

func algorithmOfSize(n int) (algorithm, bool) {
	for _, a := range []algorithm{algMD5, algSHA256} {
		if a.size() == n {
			return a, true
		}
	}
	return 0, false
}
