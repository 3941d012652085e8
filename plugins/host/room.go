package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/anonymous-media-library/aml/internal/size"
	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/child"
	"github.com/anonymous-media-library/aml/plugins/confine"
)

// maxKept bounds how many files and folders a plugin may keep: each costs whoever
// looks after it.
const maxKept = 1 << 20

// errTooMuch: a plugin has more on disk than it may. Starting it again frees nothing.
var errTooMuch = errors.New("it keeps too much")

// watch looks now and then at what no limit of the system bounds: how much the
// process keeps on disk, and memory that was written and is read-only now. It returns
// why the process has to end, or nil with ctx.
func (m *member) watch(ctx context.Context, c *child.Child, dir string, memory int64) error {
	tick := time.NewTicker(m.h.cfg.Look)
	defer tick.Stop()
	next := time.Now()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		most := memory + memory/4 + 64<<20 // what it was written with and its stack are no part of the limit
		if has := confine.Resident(c.PID()); has > most {
			return fmt.Errorf("%w: it has %s of memory, where %s are allowed", plugins.ErrFailed, size.Format(has), size.Format(memory))
		}
		began := time.Now()
		if began.Before(next) {
			continue
		}
		if err := m.measure(dir, c.PID()); err != nil {
			return err
		}
		next = began.Add(max(10*m.h.cfg.Look, 20*time.Since(began)))
	}
}

// measure looks how much a plugin keeps. Errors wrap errTooMuch, or are the machine's.
func (m *member) measure(dir string, pid int) error {
	most := m.plugin.StateLimit()
	n, err := measure(dir, most)
	if err == nil && pid != 0 {
		if n += confine.Unlinked(pid); n > most {
			err = fmt.Errorf("more than %s, with what it has deleted and holds open", size.Format(most))
		}
	}
	m.mu.Lock()
	m.kept = n
	m.mu.Unlock()
	if err == nil || exhausted(err) {
		return nil // what cannot be measured for now is measured later
	}
	return fmt.Errorf("%w in %s: %w; make room there and give aml plugin-enable %s, or let it have more: --state-size SIZE", errTooMuch, dir, err, m.plugin.ID)
}

// measure adds up what is below a folder whose owner may be hostile, until it is more
// than a bound.
func measure(dir string, most int64) (total int64, err error) {
	count := 0
	folders := []string{dir}
	for len(folders) > 0 {
		dir := folders[len(folders)-1]
		folders = folders[:len(folders)-1]
		f, err := os.OpenFile(dir, os.O_RDONLY|openFolder, 0)
		if gone(err) {
			continue
		}
		if err != nil {
			return total, err
		}
		for err == nil {
			var some []fs.DirEntry
			some, err = f.ReadDir(1024) // not all at once: there may be millions
			for _, d := range some {
				if count++; count > maxKept {
					f.Close()
					return total, fmt.Errorf("more than %d files and folders", maxKept)
				}
				if d.IsDir() {
					folders = append(folders, filepath.Join(dir, d.Name()))
				}
				if info, err := d.Info(); err == nil {
					total += onDisk(info)
				}
			}
			if total > most {
				f.Close()
				return total, fmt.Errorf("more than %s", size.Format(most))
			}
		}
		f.Close()
		if !errors.Is(err, io.EOF) && !gone(err) {
			return total, err
		}
	}
	return total, nil
}

// gone: it was a folder a moment ago.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}
