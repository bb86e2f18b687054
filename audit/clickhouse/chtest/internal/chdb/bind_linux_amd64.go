package chdb

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"unsafe"

	"github.com/ebitengine/purego"
	"golang.org/x/sys/unix"
)

// bind loads the library.
func bind(path string) (*library, error) {
	signal.Ignore(syscall.SIGPIPE)
	var h handlers
	h.save()
	defer h.restore()
	so, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	l := &library{restoreHandlers: h.restore, memoryFile: memoryFile}
	for name, f := range l.symbols() {
		if _, err := purego.Dlsym(so, name); err != nil {
			return nil, fmt.Errorf("load %s: %w", path, err)
		}
		purego.RegisterLibFunc(f, so, name)
	}
	return l, nil
}

func memoryFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("rows", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), "rows"), nil
}

// handlers are what the process does on each signal.
type handlers [32]struct{ handler, flags, restorer, mask uint64 }

func (h *handlers) save() {
	for s := range h {
		syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(s), 0, uintptr(unsafe.Pointer(&h[s])), 8, 0, 0)
	}
}

func (h *handlers) restore() {
	for s := range h {
		if s != 0 && s != int(syscall.SIGKILL) && s != int(syscall.SIGSTOP) {
			syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&h[s])), 0, 8, 0, 0)
		}
	}
}
