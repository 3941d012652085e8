package codec

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/sync/errgroup"
)

// The ratio to watch is the time of BenchmarkIngest over that of
// BenchmarkIngestFloor in one run:
//
//	go test ./codec -run '^$' -bench IngestRatio -benchtime 11x
//
// Set TMPDIR to a folder in memory (/dev/shm) to leave the disk out of it.
const benchSize = 256 << 20

// benchInput makes the file that both benchmarks read, of bytes that no file
// system stores as a hole, and leaves it in the page cache.
func benchInput(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "input")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.CopyN(f, rand.Reader, benchSize); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return path
}

// fileDir is the trivial store: one file per blob, named by its id.
type fileDir string

func (d fileDir) Put(_ context.Context, id blobnet.ID, blob []byte) error {
	return os.WriteFile(filepath.Join(string(d), hex.EncodeToString(id[:])), blob, 0o600)
}

// round runs ingest once with a fresh folder, and returns how long it took
// without making and removing that.
func round(b *testing.B, path string, ingest func(*os.File, fileDir) error) time.Duration {
	dir, err := os.MkdirTemp(b.TempDir(), "blobs")
	if err != nil {
		b.Fatal(err)
	}
	input, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer input.Close()
	runtime.GC()
	start := time.Now()
	if err := ingest(input, fileDir(dir)); err != nil {
		b.Fatal(err)
	}
	took := time.Since(start)
	if err := os.RemoveAll(dir); err != nil {
		b.Fatal(err)
	}
	return took
}

func benchIngest(b *testing.B, ingest func(*os.File, fileDir) error) {
	path := benchInput(b)
	var total time.Duration
	for b.Loop() {
		total += round(b, path, ingest)
	}
	perRound := total / time.Duration(b.N)
	b.ReportMetric(float64(perRound.Nanoseconds()), "ns/op")
	b.ReportMetric(benchSize/1e6/perRound.Seconds(), "MB/s")
}

func BenchmarkIngest(b *testing.B)      { benchIngest(b, ingest) }
func BenchmarkIngestFloor(b *testing.B) { benchIngest(b, ingestFloor) }

// BenchmarkIngestRatio runs both in turns, so that whatever else the machine
// does falls on both, and reports the median ratio.
func BenchmarkIngestRatio(b *testing.B) {
	path := benchInput(b)
	var ratios []float64
	for b.Loop() {
		floor := round(b, path, ingestFloor)
		ratios = append(ratios, float64(round(b, path, ingest))/float64(floor))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "x-floor")
}

func ingest(input *os.File, dir fileDir) error {
	_, err := Encode(context.Background(), input, dir, Config{})
	return err
}

// ingestFloor does the least that any program must: read, SHA-256 of the
// plaintext, seal, SHA-256 of the blob, write, on all cores. It has no BLAKE3,
// no index, no order of results and no cancellation.
func ingestFloor(input *os.File, dir fileDir) error {
	workers := runtime.GOMAXPROCS(0)
	free, read, work := make(chan []byte, workers+4), make(chan []byte, 1), make(chan []byte, 1)
	for range cap(free) {
		free <- make([]byte, DefaultChunkSize, DefaultChunkSize+Overhead)
	}
	var group errgroup.Group
	for range workers {
		group.Go(func() error {
			for plain := range work {
				key, nonce := make([]byte, chacha20poly1305.KeySize), make([]byte, chacha20poly1305.NonceSize)
				rand.Read(key)
				aead, err := chacha20poly1305.New(key)
				if err != nil {
					return err
				}
				blob := aead.Seal(plain[:0], nonce, plain, nil)
				if err := dir.Put(context.Background(), sha256.Sum256(blob), blob); err != nil {
					return err
				}
				free <- plain
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(read)
		for {
			buf := <-free
			if _, err := io.ReadFull(input, buf); err != nil {
				return nil // benchSize is a whole number of chunks
			}
			read <- buf
		}
	})
	sum := sha256.New()
	for buf := range read {
		sum.Write(buf)
		work <- buf
	}
	close(work)
	sum.Sum(nil)
	return group.Wait()
}

// BenchmarkWriteTo reads a file back: get, open, hash, all in memory.
func BenchmarkWriteTo(b *testing.B) {
	store := newBlobs()
	f, err := Encode(context.Background(), io.LimitReader(rand.Reader, benchSize), store, Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(benchSize)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewReader(context.Background(), store, f).WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEncodeSmall encodes a file of 10 KiB: what a folder of many costs.
func BenchmarkEncodeSmall(b *testing.B) {
	plain := testPlain(10 << 10)
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		r := io.LimitReader(&stream{left: plain}, int64(len(plain)))
		if _, err := Encode(context.Background(), r, nowhere{}, Config{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIndex parses a full index blob.
func BenchmarkIndex(b *testing.B) {
	refs := make([]Ref, MaxRefs)
	for i := range refs {
		refs[i] = Ref{Size: DefaultChunkSize}
		rand.Read(refs[i].ID[:])
	}
	plain, err := index{refs: refs}.encode(1)
	if err != nil {
		b.Fatal(err)
	}
	padded := append(plain, make([]byte, PaddedSize(len(plain))-len(plain))...)
	b.SetBytes(int64(len(padded)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseIndex(padded, 1); err != nil {
			b.Fatal(err)
		}
	}
}

type nowhere struct{}

func (nowhere) Put(context.Context, blobnet.ID, []byte) error { return nil }
