package updates

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/internal/wholefile"
)

// What the TUF repository keeps in the plugin's folder.

// maxMemory bounds each file.
const maxMemory = 16 << 20

// editions are which edition of its list each channel has: its version only grows, also
// where what was listed last is taken back.
type editions struct {
	dir string
	mu  sync.Mutex // held across the file
}

// edition is a list of targets.
type edition struct {
	Version int64             `json:"version"`
	Sum     [sha256.Size]byte `json:"sum"`  // of the list
	Made    int64             `json:"made"` // seconds since 1970
}

// of returns the edition of a list, a new one where the list has changed or half of the
// life of its signatures is over.
func (e *editions) of(channel string, sum [sha256.Size]byte, now time.Time) (edition, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	path := filepath.Join(e.dir, "tuf-editions.json")
	all := map[string]edition{}
	text, err := wholefile.Read(path, maxMemory)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return edition{}, fmt.Errorf("reading which editions there are: %w", err)
	}
	last := all[channel]
	if last.Sum == sum && now.Sub(time.Unix(last.Made, 0)) < targetsLife/2 {
		return last, nil
	}
	next := edition{max(last.Version+1, now.Truncate(timestampStep).Unix()), sum, now.Unix()}
	all[channel] = next
	if text, err = json.Marshal(all); err == nil {
		err = wholefile.Replace(path, text)
	}
	if err != nil {
		return edition{}, fmt.Errorf("writing which editions there are: %w", err)
	}
	return next, nil
}

// keys are those of the repository, in one file.
type keys struct {
	dir string
	mu  sync.Mutex // held across the file, so that they are made once
}

// keyFile is what the file holds.
type keyFile struct {
	Made  int64             `json:"made"` // seconds since 1970
	Seeds map[string][]byte `json:"seeds"`
}

// load returns the key of each role and when they were made, and makes them first if
// there are none.
func (k *keys) load(now time.Time) (map[string]ed25519.PrivateKey, time.Time, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	path := filepath.Join(k.dir, "tuf-keys.json")
	var held keyFile
	text, err := wholefile.Read(path, maxMemory)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		held = keyFile{now.Unix(), map[string][]byte{}}
		for _, role := range roles {
			seed := make([]byte, ed25519.SeedSize)
			_, _ = rand.Read(seed) // never fails
			held.Seeds[role] = seed
		}
		if text, err = json.Marshal(held); err == nil {
			err = wholefile.Replace(path, text)
		}
		if err != nil {
			return nil, now, fmt.Errorf("making the keys of the repository: %w", err)
		}
	case err != nil:
		return nil, now, err
	case json.Unmarshal(text, &held) != nil:
		return nil, now, errKeys(path)
	}
	out := map[string]ed25519.PrivateKey{}
	for _, role := range roles {
		if len(held.Seeds[role]) != ed25519.SeedSize {
			return nil, now, errKeys(path)
		}
		out[role] = ed25519.NewKeyFromSeed(held.Seeds[role])
	}
	return out, time.Unix(held.Made, 0), nil
}

func errKeys(path string) error {
	return fmt.Errorf("the keys of the repository in %s are damaged: restore the file, or remove it and give clients the new root.json", path)
}
