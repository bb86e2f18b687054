package journal

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// syncData syncs the bytes and the length; times of the file do not matter
// and would cost another write.
func syncData(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err != unix.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

// fileIdentity is the inode number with the time the inode was made, on file
// systems that keep both for a file's life. Others (overlays, network and
// user space ones) may number a file anew at each mount: a journal must not
// refuse to start for that.
func fileIdentity(name string) (string, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(name, &fs); err != nil {
		return "", os.NewSyscallError("statfs", err)
	}
	switch int64(fs.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC:
	default:
		return "", nil
	}
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, name, 0, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return "", os.NewSyscallError("statx", err)
	}
	if st.Mask&(unix.STATX_INO|unix.STATX_BTIME) != unix.STATX_INO|unix.STATX_BTIME {
		return "", nil
	}
	return fmt.Sprintf("inode-%d-%d.%09d", st.Ino, st.Btime.Sec, st.Btime.Nsec), nil
}
