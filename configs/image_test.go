package configs_test

import (
	"debug/elf"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestImageBinary builds the binary with the Dockerfile's own line and shows
// that the image, which holds little else, can run it: static, as the user that
// the Dockerfile names, on a read-only root. The image itself is not built.
func TestImageBinary(t *testing.T) {
	d := readDockerfile(t)
	root := t.TempDir()
	binary := filepath.Join(root, d.installed)
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("sh", "-c", strings.ReplaceAll(d.build, d.built, binary))
	build.Dir = ".."
	build.Env = append(os.Environ(), "VERSION=v0.0.0-image", "GOFLAGS="+os.Getenv("GOFLAGS")+" -buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", d.build, err, out)
	}
	t.Run("static", func(t *testing.T) { checkStatic(t, binary) })
	t.Run("read-only-root", func(t *testing.T) { runReadOnly(t, root, d) })
}

// dockerfile is what the test needs of the real one.
type dockerfile struct {
	build     string // the command of the build stage
	built     string // where it puts the binary
	installed string // where the image has it, which is the entry point
	user      string // uid:gid
}

func readDockerfile(t *testing.T) dockerfile {
	t.Helper()
	text, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	joined := strings.ReplaceAll(string(text), "\\\n", "")
	one := func(pattern string) string {
		all := regexp.MustCompile(`(?m)`+pattern).FindAllStringSubmatch(joined, -1)
		if len(all) != 1 {
			t.Fatalf("Dockerfile: %d lines like %s, not 1", len(all), pattern)
		}
		return all[0][1]
	}
	d := dockerfile{
		build:     one(`^RUN (.*\bgo build\b.*)$`),
		built:     one(`^RUN .*\bgo build\b.* -o (\S+)`),
		installed: one(`^ENTRYPOINT \["([^"]+)"\]$`),
		user:      one(`^USER (\d+:\d+)$`),
	}
	if one(`^FROM (scratch)$`) != "scratch" || !strings.Contains(joined, "\nCOPY --from=build "+d.built+" "+d.installed+"\n") {
		t.Fatalf("Dockerfile: %s is not copied to %s of an empty image", d.built, d.installed)
	}
	return d
}

// checkStatic looks for what would need a loader and libraries, of which the
// image has none.
func checkStatic(t *testing.T, binary string) {
	f, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("has a segment %v: not static", p.Type)
		}
	}
	if libraries, err := f.ImportedLibraries(); err == nil && len(libraries) > 0 {
		t.Errorf("wants %v", libraries)
	}
}

// runReadOnly runs the binary in a mount namespace of its own, where the
// directory with nothing but the binary is the root, and read only.
func runReadOnly(t *testing.T, root string, d dockerfile) {
	if os.Getuid() != 0 {
		t.Skip("not root: the binary was not run in an empty read-only root")
	}
	script := `
mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 77
if touch "$1/written" 2>/dev/null; then exit 78; fi
exec chroot --userspec="$2" "$1" "$3" version`
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chmod(path, 0o755)) // whatever the umask, for the other user
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("unshare", "--mount", "sh", "-c", script, "sh", root, d.user, d.installed).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.As(err, &exit) && (exit.ExitCode() == 77 || strings.Contains(string(out), "unshare failed")):
		t.Skipf("no mount namespace to be had here: %v: %s", err, out)
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "v0.0.0-image") {
		t.Errorf("version says %q", out)
	}
}
