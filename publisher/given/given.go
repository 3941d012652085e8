// Package given remembers in a file how far logs and roots were given out, for
// a publisher that must not sign a number twice (publisher.Memory).
//
// The file knows whether it is a copy: it carries a mark of itself, the time at
// which it was made on its file system (where there is none, its number there),
// which no tool that copies or restores files carries over. A home that was
// restored from a backup, or copied to another machine, has a memory that is
// sure of nothing until it is told again. What goes unseen is a disk that was
// put back as a whole, block by block: that is why publishers also ask others.
//
// It must never say that it is sure of what it read from a copy, and never
// leave half of a file.
package given

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/disk"
	"github.com/anonymous-media-library/aml/publisher"
)

// maxSize bounds the file in bytes: some 50,000 logs.
const maxSize = 16 << 20

// ErrUnusable: the file is none of ours, or damaged. A memory that knows nothing
// takes its place, so that others are asked once for each log.
var ErrUnusable = errors.New("not a usable memory of what was published")

// Book is the memory in one file. The home's lock keeps a second process out.
type Book struct {
	path string

	mu   sync.Mutex // guards rows, and is held across the write of the file: rows and file are one
	rows []row      // by channel and key
}

// document is the file, as JSON.
type document struct {
	Version int    `json:"version"`
	Mark    string `json:"mark"` // of the file itself
	Given   []row  `json:"given"`
}

type row struct {
	Channel channel.ID   `json:"channel"`
	Key     string       `json:"key"` // of the log; "root" for the root
	Seq     uint64       `json:"seq"`
	Hash    channel.Hash `json:"hash"`
	Sure    bool         `json:"sure"`
}

var _ publisher.Memory = (*Book)(nil)

// Open reads the file. Without one the Book knows nothing, and is sure of
// nothing: a backup may have left the file out. With ErrUnusable the Book is an
// empty one, which replaces the file when it is told something.
func Open(path string) (*Book, error) {
	b := &Book{path: path}
	if err := disk.Regular(path); err != nil {
		return nil, fmt.Errorf("reading what was published: %w", err)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what was published: %w", err)
	}
	defer f.Close() // only read from
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading what was published: %w", err)
	}
	var doc document
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&doc); err != nil || len(data) > maxSize || doc.Version != 1 || dec.More() {
		return b, fmt.Errorf("%w: %s", ErrUnusable, path)
	}
	mark, err := markOf(f)
	if err != nil {
		return nil, fmt.Errorf("reading what was published: %w", err)
	}
	b.rows = doc.Given
	if mark != doc.Mark {
		for i := range b.rows {
			b.rows[i].Sure = false
		}
	}
	return b, nil
}

func nameOf(key channel.PublicKey) string {
	if key.IsZero() {
		return "root"
	}
	return key.String()
}

func (b *Book) find(id channel.ID, key channel.PublicKey) int {
	name := nameOf(key)
	return slices.IndexFunc(b.rows, func(r row) bool { return r.Channel == id && r.Key == name })
}

// Given implements publisher.Memory.
func (b *Book) Given(id channel.ID, key channel.PublicKey) publisher.Given {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := b.find(id, key)
	if i < 0 {
		return publisher.Given{}
	}
	return publisher.Given{Seq: b.rows[i].Seq, Hash: b.rows[i].Hash, Sure: b.rows[i].Sure}
}

// Give implements publisher.Memory: it is sure of this log from then on.
func (b *Book) Give(id channel.ID, key channel.PublicKey, seq uint64, hash channel.Hash) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	rows := slices.Clone(b.rows)
	now := row{Channel: id, Key: nameOf(key), Seq: seq, Hash: hash, Sure: true}
	if i := b.find(id, key); i >= 0 {
		rows[i] = now
	} else {
		rows = append(rows, now)
	}
	if err := b.write(rows); err != nil {
		return fmt.Errorf("remembering what was published: %w", err)
	}
	b.rows = rows
	return nil
}

// write replaces the file by a new one with a mark of its own.
func (b *Book) write(rows []row) (err error) {
	f, err := os.CreateTemp(filepath.Dir(b.path), ".given-*") // of mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	mark, err := markOf(f)
	var text []byte
	if err == nil {
		text, err = json.Marshal(document{Version: 1, Mark: mark, Given: rows})
	}
	if err == nil {
		_, err = f.Write(append(text, '\n'))
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), b.path); err != nil {
		return err
	}
	return disk.SyncDir(filepath.Dir(b.path))
}
