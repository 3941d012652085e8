package inplace

import "encoding/json"

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
