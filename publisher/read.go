package publisher

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
)

// headSize is how many bytes of a file are kept to tell its media type by.
const headSize = 512

// steady reads a file that must not change meanwhile. It returns at most one
// byte more than the file had when it was opened, so that a file which grows
// as fast as it is read comes to an end.
type steady struct {
	f     *os.File
	once  sync.Once
	info  fs.FileInfo // when it was opened
	left  int64       // until one byte over the size
	head  []byte
	name  string
	count *meter
}

// open opens the source. It need not be the file that the walk saw, as long as
// it is a regular one.
func (s source) open(count *meter) (*steady, error) {
	open := os.Open
	local := s.path
	if s.dir != nil {
		open, local = s.dir.Open, s.local
	}
	f, err := open(local)
	if err != nil {
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			return nil, &fs.PathError{Op: pathErr.Op, Path: s.path, Err: pathErr.Err} // all of the path
		}
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w: %s", s.path, ErrNotRegular, kindOf(info.Mode()))
	}
	if err == nil && (info.Size() != s.info.Size() || !info.ModTime().Equal(s.info.ModTime())) {
		err = fmt.Errorf("%s: %w", s.path, ErrChanged)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &steady{f: f, info: info, left: info.Size() + 1, name: s.name, count: count}, nil
}

func (f *steady) Read(p []byte) (int, error) {
	if f.left <= 0 {
		return 0, fmt.Errorf("%w: it grew", ErrChanged)
	}
	if int64(len(p)) > f.left {
		p = p[:f.left]
	}
	n, err := f.f.Read(p)
	f.left -= int64(n)
	if have := len(f.head); have < headSize {
		f.head = append(f.head, p[:min(n, headSize-have)]...)
	}
	if f.left <= 0 && (err == nil || err == io.EOF) {
		err = fmt.Errorf("%w: it grew", ErrChanged)
	}
	f.count.add(f.name, n)
	return n, err
}

// check reports whether size bytes are what the file had from begin to end.
func (f *steady) check(size uint64) error {
	now, err := f.f.Stat()
	if err != nil {
		return err
	}
	if int64(size) != f.info.Size() {
		return fmt.Errorf("%w: it had %d bytes, %d could be read", ErrChanged, f.info.Size(), size)
	}
	if now.Size() != f.info.Size() || !now.ModTime().Equal(f.info.ModTime()) {
		return fmt.Errorf("%w: it was written to", ErrChanged)
	}
	return nil
}

// close may be called more than once and by any goroutine.
func (f *steady) close() { f.once.Do(func() { f.f.Close() }) } // only read from
