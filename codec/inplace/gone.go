package inplace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/anonymous-media-library/aml/blobnet"
)

// maxGone is of how many files that are gone the claims stay.
const maxGone = 1 << 14

// miss takes note that a file is gone, and returns the one that was found to be
// gone first if that are too many, or 0.
func (s *Store) miss(id int64) (old int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone == nil {
		s.gone = map[int64]uint64{}
	}
	if _, ok := s.gone[id]; ok {
		return 0
	}
	s.missed++
	s.gone[id] = s.missed
	if len(s.gone) <= maxGone {
		return 0
	}
	first := s.missed
	for x, n := range s.gone {
		if n <= first {
			old, first = x, n
		}
	}
	delete(s.gone, old)
	return old
}

// back takes note that a file is there again.
func (s *Store) back(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.gone[id]; ok {
		delete(s.gone, id)
		delete(s.told, id) // should it go again, that is told again
	}
}

// goneFiles are the files that are known to be gone, as a JSON array of ids.
func (s *Store) goneFiles() string {
	ids := []int64{}
	s.mu.Lock()
	for id := range s.gone {
		ids = append(ids, id)
	}
	s.mu.Unlock()
	text, _ := json.Marshal(ids) // of numbers
	return string(text)
}

// ForgetGone forgets the files that are not there any more and in which nothing
// is pinned, and returns how many those are; with dry it only counts. Files whose
// disk is away stay, and those that cannot be looked at.
func (s *Store) ForgetGone(ctx context.Context, dry bool, pinned func(context.Context, ...blobnet.ID) ([]bool, error)) (files int64, err error) {
	if !s.some.Load() || s.broken.Load() {
		return 0, nil
	}
	if err := unlessFull(s.flush(ctx)); err != nil {
		return 0, err
	}
	for after := int64(-1); ; {
		rows, err := s.db.filesAfter(ctx, after)
		if err != nil {
			return files, fmt.Errorf("looking which files are gone: %w", err)
		}
		if len(rows) == 0 {
			return files, nil
		}
		for _, r := range rows {
			after = r.id
			if ok, err := s.forgettable(ctx, r, pinned); err != nil || !ok {
				if err != nil {
					return files, fmt.Errorf("looking what was in %s: %w", r.path, err)
				}
				continue
			}
			files++
			if dry {
				continue
			}
			if err := s.forgetFile(ctx, r.id); err != nil {
				return files, fmt.Errorf("forgetting what was in %s: %w", r.path, err)
			}
		}
	}
}

// forgettable reports whether a file is gone and none of its blobs is pinned.
func (s *Store) forgettable(ctx context.Context, r row, pinned func(context.Context, ...blobnet.ID) ([]bool, error)) (bool, error) {
	s.mu.Lock()
	growing := s.growing[r.id] != nil
	s.mu.Unlock()
	if _, err := os.Lstat(r.path); growing || !errors.Is(err, fs.ErrNotExist) || away(r) {
		return false, nil
	}
	for after := []byte{}; ; {
		ids, err := s.db.chunksOf(ctx, r.id, after)
		if err != nil || len(ids) == 0 {
			return err == nil, err
		}
		is, err := pinned(ctx, ids...)
		if err != nil || slices.Contains(is, true) {
			return false, err
		}
		after = ids[len(ids)-1][:]
	}
}

// Paths returns the files that a blob lies in, as far as is known.
func (s *Store) Paths(ctx context.Context, id blobnet.ID) ([]string, error) {
	if !s.some.Load() {
		return nil, nil
	}
	places, err := s.places(ctx, id)
	paths := make([]string, len(places))
	for i, p := range places {
		paths[i] = p.row.path
	}
	return paths, err
}
