package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/cwmpgate/cwmpgate/configs"
)

// FetchedCRL is a revocation list that the gateway fetches.
type FetchedCRL struct {
	URL   configs.URL      `yaml:"url" required:"true" doc:"Where the authority publishes it."`
	File  configs.Path     `yaml:"file" required:"true" doc:"File that it is kept in, also for the next start; a file of its own. What is fetched takes its place if the authority has signed it and it is no older."`
	Every configs.Duration `yaml:"every" min:"1s" doc:"How often it is fetched; sooner where it is about to end."`
}

// SetDefaults gives the section its defaults before it is read.
func (f *FetchedCRL) SetDefaults() { f.Every = configs.Duration(time.Hour) }

// How long one fetching may take, and how long after a failure the next try is,
// at least.
const (
	fetchTime  = time.Minute
	fetchAgain = time.Minute
)

// Fetcher brings revocation lists into their files.
type Fetcher struct {
	Fetched func() // told when a file has changed
	Log     zerolog.Logger

	jobs              []*fetching
	fetches, failures atomic.Uint64
}

// fetching is one list.
type fetching struct {
	FetchedCRL
	authority configs.Path
}

// NewFetcher finds the lists that are to be fetched, of listeners and tenants.
func NewFetcher(all []Clients) *Fetcher {
	f := &Fetcher{}
	seen := map[configs.Path]bool{}
	for _, c := range all {
		for _, a := range c.Authorities {
			for _, l := range a.Fetch {
				if !seen[l.File] {
					seen[l.File] = true
					f.jobs = append(f.jobs, &fetching{l, a.File})
				}
			}
		}
	}
	return f
}

// Fetches tells how many lists were fetched, and how often one could not be.
func (f *Fetcher) Fetches() (fetched, failed uint64) { return f.fetches.Load(), f.failures.Load() }

// Run fetches until ctx ends.
func (f *Fetcher) Run(ctx context.Context) {
	var jobs sync.WaitGroup
	for _, j := range f.jobs {
		jobs.Go(func() { f.keep(ctx, j) })
	}
	jobs.Wait()
}

func (f *Fetcher) keep(ctx context.Context, j *fetching) {
	failed := 0
	for {
		wait := j.due(time.Now())
		if failed > 0 {
			wait = min(fetchAgain<<min(failed-1, 6), max(time.Duration(j.Every), fetchAgain))
		}
		next := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			next.Stop()
			return
		case <-next.C:
		}
		changed, err := j.fetch(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failed++
			f.failures.Add(1)
			f.Log.Error().Err(err).Str("file", string(j.File)).Msg("fetch a revocation list: the one that is there holds, as long as it does")
		default:
			failed = 0
			f.fetches.Add(1)
			if changed {
				f.Log.Info().Str("file", string(j.File)).Str("url", j.URL.String()).Msg("fetched a revocation list")
				f.Fetched()
			}
		}
	}
}

// due is how long the list that is there will do.
func (j *fetching) due(now time.Time) time.Duration {
	info, err := os.Stat(string(j.File))
	if err != nil {
		return 0
	}
	due := info.ModTime().Add(time.Duration(j.Every))
	if text, err := readFile(j.File); err == nil {
		if l, err := parseList(j.File, text); err == nil && !l.NextUpdate.IsZero() {
			if before := l.NextUpdate.Add(-l.NextUpdate.Sub(l.ThisUpdate) / 10); before.Before(due) {
				due = before
			}
		}
	}
	// Many gateways need not come at one moment, nor one come all the time where a
	// list has ended that has no successor.
	return max(due.Sub(now), time.Duration(j.Every)/10) + rand.N(time.Duration(j.Every)/20+1)
}

// fetch gets the list and puts it in its place.
func (j *fetching) fetch(ctx context.Context) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.URL.String(), nil)
	if err != nil {
		return false, err
	}
	text, err := fetch(req, maxFile)
	if err != nil {
		return false, err
	}
	authority, err := readFile(j.authority)
	if err != nil {
		return false, err
	}
	cas, err := parseAuthorities(j.authority, authority)
	if err != nil {
		return false, err
	}
	name := configs.Path(j.URL.String())
	if _, err := parseCRL(name, text, cas); err != nil {
		return false, err
	}
	before, err := readFile(j.File)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if bytes.Equal(text, before) {
		return false, os.Chtimes(string(j.File), time.Time{}, time.Now())
	}
	if err := noOlder(name, text, j.File, before); err != nil {
		return false, err
	}
	return true, replace(string(j.File), text)
}

// noOlder holds a list to the one before: who keeps an old one may hide what was
// revoked since.
func noOlder(name configs.Path, text []byte, beforeName configs.Path, before []byte) error {
	l, err := parseList(name, text)
	if err != nil {
		return err
	}
	b, err := parseList(beforeName, before)
	if err == nil && l.ThisUpdate.Before(b.ThisUpdate) {
		return fmt.Errorf("%s is of %s, and %s of %s already", name, l.ThisUpdate, beforeName, b.ThisUpdate)
	}
	return nil // one that cannot be read is no loss
}

// parseList reads a list, PEM or DER, without its signature.
func parseList(name configs.Path, text []byte) (*x509.RevocationList, error) {
	der := text
	if block, _ := pem.Decode(text); block != nil {
		if block.Type != "X509 CRL" {
			return nil, fmt.Errorf("%s holds a %q, no X509 CRL", name, block.Type)
		}
		der = block.Bytes
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("parse revocation list %s: %w", name, err)
	}
	return list, nil
}

// replace writes a file beside its place and moves it there.
func replace(name string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	beside, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(beside.Name())
	_, err = beside.Write(text)
	if err = errors.Join(err, beside.Sync(), beside.Close()); err != nil {
		return err
	}
	return os.Rename(beside.Name(), name)
}
