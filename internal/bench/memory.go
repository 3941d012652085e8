package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/anonymous-media-library/aml/config"
)

// benchMemory ingests and fetches one large file and prints the peak resident
// set of each process, the seeder's as well, beside those of the floors.
func benchMemory(ctx context.Context, o options) error {
	bin, err := build(ctx, o)
	if err != nil {
		return err
	}
	file, entry, seed := filepath.Join(o.dir, "file"), filepath.Join(o.dir, "entry.json"), filepath.Join(o.dir, "seed")
	if err := randomFile(file, o.size); err != nil {
		return err
	}
	ingest, err := timed(amlIngest(ctx, bin, seed, file, entry))
	if err != nil {
		return err
	}
	cmd, err := self(ctx, "floor-ingest", "-input", file, "-output", filepath.Join(o.dir, "floor"))
	if err != nil {
		return err
	}
	floorIn, err := timed(cmd)
	if err != nil {
		return err
	}
	if err := errors.Join(os.Remove(file), os.Remove(filepath.Join(o.dir, "floor"))); err != nil {
		return err
	}
	server := exec.CommandContext(ctx, bin, "blob-seed", "-i", entry, "--home", seed, "--json",
		"--listen", "/ip4/127.0.0.1/tcp/0", "--set", "lan=false", "--set", "quota=0")
	addr, stop, err := serving(server)
	if err != nil {
		return err
	}
	fetch, err := timed(exec.CommandContext(ctx, bin, "blob-fetch", "-i", entry, "-o", filepath.Join(o.dir, "fetched"), "--home", filepath.Join(o.dir, "fetcher"),
		"--peer", addr, "--listen", "/ip4/127.0.0.1/tcp/0", "--set", "lan=false", "--set", "quota=0"))
	stop()
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(o.dir, "fetched")); err != nil {
		return err
	}
	floorOut, err := o.fetchFloor(ctx, seed, entry)
	if err != nil {
		return err
	}
	var seeded usage
	seeded.add(server.ProcessState)
	fmt.Printf("peak resident memory with a file of %s\n", config.FormatSize(o.size))
	report("aml ingest", []usage{ingest})
	report("aml blob-fetch", []usage{fetch})
	fmt.Printf("%-28s peak %s\n", "aml blob-seed", config.FormatSize(seeded.rss))
	report("floor of the ingest", []usage{floorIn})
	report("floor of the fetch", []usage{floorOut})
	fmt.Printf("%-28s ingest %.1f, fetch %.1f\n", "aml / floor, memory", float64(ingest.rss)/float64(floorIn.rss), float64(fetch.rss)/float64(floorOut.rss))
	return nil
}
