package inplace

import (
	"fmt"
	"io/fs"
	"os"
	"sync"
)

// handles are the files that are held open between reads.
type handles struct {
	limit int

	mu   sync.Mutex // guards what follows; not held while a file is opened
	open map[int64]*handle
	uses uint64
}

// handle is an open file.
type handle struct {
	f     *os.File
	file  int64
	stamp stamp // when it was opened
	users int
	used  uint64 // when, in uses
	stale bool   // not in handles any more
}

// take returns the file of r, open, and how it looks now. It must be given
// back. What is at the path now counts, not what was opened earlier.
func (h *handles) take(r row) (*handle, stamp, error) {
	info, err := os.Stat(r.path)
	if err != nil {
		return nil, stamp{}, err
	}
	now := stampOf(info)
	h.mu.Lock()
	x := h.open[r.id]
	if x != nil && x.stamp.device == now.device && x.stamp.inode == now.inode {
		h.use(x)
		h.mu.Unlock()
		return x, now, nil
	}
	h.mu.Unlock()
	if !info.Mode().IsRegular() {
		return nil, now, fmt.Errorf("%s is no regular file: %w", r.path, fs.ErrNotExist)
	}
	f, err := os.OpenFile(r.path, openFlags, 0)
	if err != nil {
		return nil, now, err
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file: %w", r.path, fs.ErrNotExist)
	}
	if err != nil {
		f.Close() // only read from
		return nil, now, err
	}
	now = stampOf(info)
	x = &handle{f: f, file: r.id, stamp: now}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forgetLocked(r.id)
	h.open[r.id] = x
	h.use(x)
	h.evict()
	return x, now, nil
}

// use is called with mu held.
func (h *handles) use(x *handle) {
	h.uses++
	x.users++
	x.used = h.uses
}

// give ends the use of x.
func (h *handles) give(x *handle) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x.users--
	if x.stale && x.users == 0 {
		x.f.Close() // only read from
	}
	h.evict()
}

// evict closes what is too many and used by nobody. mu is held.
func (h *handles) evict() {
	for len(h.open) > h.limit {
		var oldest *handle
		for _, x := range h.open {
			if x.users == 0 && (oldest == nil || x.used < oldest.used) {
				oldest = x
			}
		}
		if oldest == nil {
			return
		}
		delete(h.open, oldest.file)
		oldest.f.Close() // only read from
	}
}

// forget closes the file, once nobody uses it.
func (h *handles) forget(file int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forgetLocked(file)
}

func (h *handles) forgetLocked(file int64) {
	x := h.open[file]
	if x == nil {
		return
	}
	delete(h.open, file)
	if x.stale = true; x.users == 0 {
		x.f.Close() // only read from
	}
}

func (h *handles) closeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, x := range h.open {
		h.forgetLocked(x.file)
	}
}
