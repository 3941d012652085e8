package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/config"
)

// fileSize is how large each of many small files is, in bytes.
const fileSize = 16 << 10

// benchFiles measures many small files: what counts is the cost of each.
func benchFiles(ctx context.Context, o options) error {
	bin, err := build(ctx, o)
	if err != nil {
		return err
	}
	folder, entry, home := filepath.Join(o.dir, "files"), filepath.Join(o.dir, "entries.json"), filepath.Join(o.dir, "home")
	if err := randomFiles(folder, o.files); err != nil {
		return err
	}
	var ingest, ingestFloor, fetch, fetchFloor []usage
	for range o.runs {
		if err := os.RemoveAll(home); err != nil {
			return err
		}
		u, err := timed(amlIngest(ctx, bin, home, folder, entry))
		if err != nil {
			return err
		}
		ingest = append(ingest, u)
		out := filepath.Join(o.dir, "floor")
		cmd, err := self(ctx, "floor-files", "-input", folder, "-output", out)
		if err != nil {
			return err
		}
		if u, err = timed(cmd); err != nil {
			return err
		}
		ingestFloor = append(ingestFloor, u)
		if err := os.RemoveAll(out); err != nil {
			return err
		}
		if u, err = o.fetchOurs(ctx, bin, home, entry); err != nil {
			return err
		}
		fetch = append(fetch, u)
		if u, err = o.fetchFloor(ctx, home, entry); err != nil {
			return err
		}
		fetchFloor = append(fetchFloor, u)
	}
	fmt.Printf("%d files of %s, %d runs each, in turn\n", o.files, config.FormatSize(fileSize), o.runs)
	for _, side := range []struct {
		name string
		us   []usage
	}{{"aml ingest (durable)", ingest}, {"ingest floor", ingestFloor}, {"aml blob-fetch (durable)", fetch}, {"fetch floor", fetchFloor}} {
		report(side.name, side.us)
		fmt.Printf("%-28s %.0f files/s\n", "", float64(o.files)/median(side.us).wall.Seconds())
	}
	ratio("ingest: aml / floor", ingest, ingestFloor)
	ratio("fetch: aml / floor", fetch, fetchFloor)
	return nil
}

// randomFiles makes a folder of n files, 100 to a folder below it.
func randomFiles(folder string, n int) error {
	content := make([]byte, fileSize)
	for i := range n {
		dir := filepath.Join(folder, fmt.Sprintf("%04d", i/100))
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		_, _ = rand.Read(content)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d.bin", i%100)), content, 0o666); err != nil {
			return err
		}
	}
	return exec.Command("sync").Run()
}

// floorFiles is the least that an ingest of many files does: for each read,
// SHA-256 of the plaintext, seal, SHA-256 of the blob, write a file, on all
// cores.
func floorFiles(_ context.Context, o options) error {
	names, err := filepath.Glob(filepath.Join(o.input, "*", "*"))
	if err != nil || len(names) == 0 {
		return errors.Join(err, fmt.Errorf("no files in %s", o.input))
	}
	if err := os.MkdirAll(o.output, 0o777); err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(2 * runtime.GOMAXPROCS(0))
	for _, name := range names {
		group.Go(func() error {
			plain, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			sha256.Sum256(plain)
			var key [chacha20poly1305.KeySize]byte
			_, _ = rand.Read(key[:])
			aead, err := chacha20poly1305.New(key[:])
			if err != nil {
				return err
			}
			blob := aead.Seal(nil, make([]byte, chacha20poly1305.NonceSize), plain, nil)
			return os.WriteFile(filepath.Join(o.output, fmt.Sprintf("%x", sha256.Sum256(blob))), blob, 0o600)
		})
	}
	return group.Wait()
}
