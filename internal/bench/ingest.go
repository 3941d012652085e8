package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/anonymous-media-library/aml/config"
)

// randomFile writes size random bytes to a new file and drops nothing from the
// page cache: both sides read it warm.
func randomFile(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.Reader, size)
	return errors.Join(err, f.Sync(), f.Close())
}

// amlIngest is `aml ingest` as a process; the home is new each time.
func amlIngest(ctx context.Context, bin, dir, file, entry string, more ...string) *exec.Cmd {
	return exec.CommandContext(ctx, bin, append([]string{"ingest", "-i", file, "-o", entry, "--home", dir, "--set", "quota=0"}, more...)...)
}

func benchIngest(ctx context.Context, o options) error {
	bin, err := build(ctx, o)
	if err != nil {
		return err
	}
	file := filepath.Join(o.dir, "file")
	if err := randomFile(file, o.size); err != nil {
		return err
	}
	var ours, inPlace, floor, floorSync []usage
	for range o.runs {
		for _, side := range []struct {
			us   *[]usage
			args []string
		}{{&ours, nil}, {&inPlace, []string{"--in-place"}}} {
			home := filepath.Join(o.dir, "home")
			u, err := timed(amlIngest(ctx, bin, home, file, filepath.Join(o.dir, "entry.json"), side.args...))
			if err != nil {
				return err
			}
			*side.us = append(*side.us, u)
			if err := os.RemoveAll(home); err != nil {
				return err
			}
		}
		for _, sync := range []bool{false, true} {
			out := filepath.Join(o.dir, "floor")
			cmd, err := self(ctx, "floor-ingest", "-input", file, "-output", out, fmt.Sprintf("-sync=%t", sync))
			if err != nil {
				return err
			}
			u, err := timed(cmd)
			if err != nil {
				return err
			}
			if sync {
				floorSync = append(floorSync, u)
			} else {
				floor = append(floor, u)
			}
			if err := os.Remove(out); err != nil {
				return err
			}
		}
	}
	fmt.Printf("ingest of %s, %d runs each, in turn\n", config.FormatSize(o.size), o.runs)
	report("aml ingest (durable)", ours)
	report("aml ingest --in-place", inPlace)
	report("floor", floor)
	report("floor with fsync", floorSync)
	ratio("aml / floor", ours, floor)
	ratio("aml / floor with fsync", ours, floorSync)
	ratio("aml --in-place / floor", inPlace, floor)
	return nil
}

const chunk = 1 << 20

// floorIngest is the least that an ingest does: read, SHA-256 of the plaintext,
// seal, SHA-256 of the blob, write, on all cores.
func floorIngest(_ context.Context, o options) error {
	in, err := os.Open(o.input)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(o.output)
	if err != nil {
		return err
	}
	type piece struct {
		at     int64
		plain  []byte
		hashed chan struct{}
	}
	free := make(chan []byte, 16)
	for range cap(free) {
		free <- make([]byte, chunk)
	}
	hash, seal := make(chan piece, cap(free)), make(chan piece, cap(free))
	var work sync.WaitGroup
	errs := make(chan error, runtime.GOMAXPROCS(0)+1)
	work.Go(func() {
		h := sha256.New()
		for p := range hash {
			h.Write(p.plain)
			close(p.hashed)
		}
		h.Sum(nil)
	})
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			blob := make([]byte, 0, chunk+chacha20poly1305.Overhead)
			for p := range seal {
				var key [chacha20poly1305.KeySize]byte
				_, _ = rand.Read(key[:])
				aead, err := chacha20poly1305.New(key[:])
				if err != nil {
					errs <- err
					return
				}
				blob = aead.Seal(blob[:0], make([]byte, chacha20poly1305.NonceSize), p.plain, nil)
				sha256.Sum256(blob)
				if _, err := out.WriteAt(blob, p.at/chunk*(chunk+chacha20poly1305.Overhead)); err != nil {
					errs <- err
					return
				}
				<-p.hashed
				free <- p.plain[:chunk]
			}
		})
	}
	for at := int64(0); ; at += chunk {
		buf := <-free
		n, err := io.ReadFull(in, buf)
		if n > 0 {
			p := piece{at, buf[:n], make(chan struct{})}
			hash <- p
			seal <- p
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	close(hash)
	close(seal)
	work.Wait()
	if o.sync {
		if err := out.Sync(); err != nil {
			return err
		}
	}
	close(errs)
	return errors.Join(out.Close(), <-errs)
}
