package chtest

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

//go:embed npm/package-lock.json
var lock []byte

// needLibrary gives the path of libchdb.so, or ends the test.
func needLibrary(t testing.TB) string {
	t.Helper()
	path, err := findLibrary()
	switch {
	case err != nil && os.Getenv("CWMPGATE_REQUIRE_CHDB") == "1":
		t.Fatal(err)
	case err != nil:
		t.Skip(err)
	}
	return path
}

// findLibrary gives the path of libchdb.so: CHDB_LIB, or where make chdb puts
// the version of npm/package-lock.json.
func findLibrary() (string, error) {
	if path := os.Getenv("CHDB_LIB"); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("no ClickHouse engine, CHDB_LIB leads nowhere: %w", err)
		}
		return path, nil
	}
	const name = "node_modules/@chdb/lib-linux-x64-gnu"
	var locked struct {
		Packages map[string]struct{ Version string }
	}
	if err := json.Unmarshal(lock, &locked); err != nil {
		return "", fmt.Errorf("npm/package-lock.json: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no ClickHouse engine: %w", err)
	}
	path := filepath.Join(cache, "cwmpgate", "chdb-"+locked.Packages[name].Version, name, "libchdb.so")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("no ClickHouse engine at %s: run make chdb", path)
	} else if err != nil {
		return "", fmt.Errorf("no ClickHouse engine: %w", err)
	}
	return path, nil
}
