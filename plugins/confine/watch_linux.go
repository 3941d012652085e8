package confine

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Resident is how many bytes of memory a process has that are in no file, 0 if that
// is not known.
func Resident(pid int) (bytesOf int64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(text) {
		name, rest, _ := bytes.Cut(line, []byte(":"))
		switch string(name) {
		case "RssAnon", "RssShmem", "VmSwap":
			if f := bytes.Fields(rest); len(f) > 0 {
				n, _ := strconv.ParseInt(string(f[0]), 10, 53)
				bytesOf += n << 10
			}
		}
	}
	return bytesOf
}

// Unlinked is how many bytes on disk a process holds in open files that have no name
// any more, 0 if that is not known.
func Unlinked(pid int) (bytesOf int64) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	d, err := os.Open(dir)
	if err != nil {
		return 0
	}
	defer d.Close()
	names, _ := d.Readdirnames(4096)
	seen := map[[2]uint64]bool{}
	for _, name := range names {
		var st syscall.Stat_t
		if syscall.Stat(filepath.Join(dir, name), &st) != nil || st.Mode&syscall.S_IFMT != syscall.S_IFREG || st.Nlink > 0 {
			continue
		}
		if key := [2]uint64{uint64(st.Dev), st.Ino}; !seen[key] {
			seen[key] = true
			bytesOf += st.Blocks * 512
		}
	}
	return bytesOf
}
