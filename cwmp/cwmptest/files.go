package cwmptest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"time"
)

// serveFile serves a file over GET and HEAD, also in ranges, and takes uploads
// over PUT.
func (a *ACS) serveFile(rw http.ResponseWriter, r *http.Request, w *acsWire) {
	seen := FileRequest{Method: r.Method, Path: r.URL.Path, Range: r.Header.Get("Range"), Connection: w.number, Header: r.Header.Clone()}
	out := &counter{ResponseWriter: rw, status: http.StatusOK}
	a.file(out, r, &seen)
	seen.Status = out.status
	if r.Method == http.MethodGet {
		seen.Bytes = out.bytes
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.truth.files = appendKept(a.truth.files, seen, keptEntries)
}

func (a *ACS) file(rw http.ResponseWriter, r *http.Request, seen *FileRequest) {
	if user, password, _ := r.BasicAuth(); a.cfg.FileUser != "" && (user != a.cfg.FileUser || password != a.cfg.FilePassword) {
		rw.Header()["WWW-Authenticate"] = []string{`Basic realm="files"`}
		http.Error(rw, "Unauthorized", http.StatusUnauthorized)
		return
	}
	if r.Method == http.MethodPut {
		sum := sha256.New()
		n, err := io.Copy(sum, http.MaxBytesReader(rw, r.Body, maxBody))
		if err != nil {
			http.Error(rw, "Unreadable body", http.StatusBadRequest)
			return
		}
		seen.Bytes, seen.SHA256 = n, hex.EncodeToString(sum.Sum(nil))
		rw.WriteHeader(http.StatusCreated)
		return
	}
	content, ok := a.cfg.Files[r.URL.Path]
	if !ok {
		http.NotFound(rw, r)
		return
	}
	sum := sha256.Sum256(content)
	seen.SHA256 = hex.EncodeToString(sum[:])
	rw.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(rw, r, "", time.Time{}, bytes.NewReader(content))
}

// counter sees what was written.
type counter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (c *counter) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.bytes += int64(n)
	return n, err
}
