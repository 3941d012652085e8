package diskstore

import (
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T, maxSize int64) blobnet.Store {
		return open(t, Config{Dir: t.TempDir(), MaxSize: maxSize})
	})
}

// open opens a store that is closed when the test ends, unless it was before.
func open(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !s.closing {
			closeStore(t, s)
		}
	})
	return s
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
