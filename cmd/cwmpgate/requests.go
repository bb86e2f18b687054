package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cwmpgate/cwmpgate/audit/retention"
)

// requests is a directory by which commands ask the gateway that holds the
// journal for something that has to be recorded: a file for each request, one for
// its result. Who can write there can write the journal.
type requests string

// The names of files in it, behind the id of the request.
const (
	requestSuffix = ".request"
	resultSuffix  = ".result"
)

// longestRequest bounds what is read of a request.
const longestRequest = 64 << 10

// keepResults is how long a result lies there that nobody came for.
const keepResults = 24 * time.Hour

func requestsOf(c *config) requests {
	return requests(filepath.Join(string(c.Journal.Directory), "requests"))
}

func (r requests) file(id, suffix string) string { return filepath.Join(string(r), id+suffix) }

// put puts a request there, durably, and gives its id.
func (r requests) put(q retention.Request) (id string, err error) {
	if err := os.MkdirAll(string(r), 0o700); err != nil {
		return "", err
	}
	id = time.Now().UTC().Format("20060102T150405.000000Z") + "-" + rand.Text()
	return id, writeJSON(r.file(id, requestSuffix), q)
}

// waiting gives the ids of the requests that are there, oldest first.
func (r requests) waiting() (ids []string, err error) {
	entries, err := os.ReadDir(string(r)) // sorted
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), requestSuffix); ok && !strings.HasPrefix(id, ".") {
			ids = append(ids, id)
		}
	}
	return ids, err
}

func (r requests) read(id string) (q retention.Request, err error) {
	err = readJSON(r.file(id, requestSuffix), &q)
	return q, err
}

// answer replaces a request by its result. The request names a device, so that
// it goes for good.
func (r requests) answer(id string, result retention.Result) error {
	return errors.Join(writeJSON(r.file(id, resultSuffix), result), os.Remove(r.file(id, requestSuffix)))
}

// result gives the result of a request, and removes it; ok is false where there
// is none yet.
func (r requests) result(id string) (result retention.Result, ok bool, err error) {
	file := r.file(id, resultSuffix)
	err = readJSON(file, &result)
	if errors.Is(err, fs.ErrNotExist) {
		return result, false, nil
	}
	return result, err == nil, errors.Join(err, os.Remove(file))
}

// tidy removes results that nobody came for.
func (r requests) tidy(now time.Time) error {
	entries, err := os.ReadDir(string(r))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && strings.HasSuffix(e.Name(), resultSuffix) && now.Sub(info.ModTime()) > keepResults {
			errs = append(errs, os.Remove(filepath.Join(string(r), e.Name())))
		}
	}
	return errors.Join(errs...)
}

func writeJSON(file string, v any) error {
	return writeWhole(file, func(w io.Writer) error { return json.NewEncoder(w).Encode(v) })
}

func readJSON(file string, into any) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	d := json.NewDecoder(io.LimitReader(f, longestRequest))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	return nil
}
