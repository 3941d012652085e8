package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/anonymous-media-library/aml/config"
)

func benchFetch(ctx context.Context, o options) error {
	bin, err := build(ctx, o)
	if err != nil {
		return err
	}
	file, entry, seed := filepath.Join(o.dir, "file"), filepath.Join(o.dir, "entry.json"), filepath.Join(o.dir, "seed")
	if err := randomFile(file, o.size); err != nil {
		return err
	}
	if _, err := timed(amlIngest(ctx, bin, seed, file, entry)); err != nil {
		return err
	}
	var ours, floor, floorSync, oursKeep, floorKeep []usage
	for range o.runs {
		for _, side := range []struct {
			to  *[]usage
			run func() (usage, error)
		}{
			{&ours, func() (usage, error) { return o.fetchOurs(ctx, bin, seed, entry) }},
			{&floor, func() (usage, error) { return o.fetchFloor(ctx, seed, entry) }},
			{&floorSync, func() (usage, error) { return o.fetchFloor(ctx, seed, entry, "-sync") }},
			{&oursKeep, func() (usage, error) { return o.fetchOurs(ctx, bin, seed, entry, "--keep-blobs") }},
			{&floorKeep, func() (usage, error) { return o.fetchFloor(ctx, seed, entry, "-keep") }},
		} {
			u, err := side.run()
			if err != nil {
				return err
			}
			*side.to = append(*side.to, u)
		}
	}
	fmt.Printf("fetch of %s between two processes over loopback, %d runs each, in turn (the fetcher's figures)\n", config.FormatSize(o.size), o.runs)
	report("aml blob-fetch (durable)", ours)
	report("floor", floor)
	report("floor with fsync", floorSync)
	ratio("aml / floor", ours, floor)
	ratio("aml / floor with fsync", ours, floorSync)
	fmt.Println("the same where the blobs are kept, in a file each")
	report("aml --keep-blobs (durable)", oursKeep)
	report("floor", floorKeep)
	ratio("aml / floor", oursKeep, floorKeep)
	return nil
}

// fetchOurs times `aml blob-fetch` from a running `aml blob-seed`, from start to
// the whole file on disk.
func (o options) fetchOurs(ctx context.Context, bin, seed, entry string, flags ...string) (usage, error) {
	server := exec.CommandContext(ctx, bin, "blob-seed", "-i", entry, "--home", seed, "--json",
		"--listen", "/ip4/127.0.0.1/tcp/0", "--set", "lan=false", "--set", "quota=0")
	addr, stop, err := serving(server)
	if err != nil {
		return usage{}, err
	}
	defer stop()
	home, out := filepath.Join(o.dir, "fetcher"), filepath.Join(o.dir, "fetched")
	u, err := timed(exec.CommandContext(ctx, bin, append([]string{"blob-fetch", "-i", entry, "-o", out, "--home", home,
		"--peer", addr, "--listen", "/ip4/127.0.0.1/tcp/0", "--set", "lan=false", "--set", "quota=0"}, flags...)...))
	return u, errors.Join(err, os.RemoveAll(home), os.RemoveAll(out))
}

func (o options) fetchFloor(ctx context.Context, seed, entry string, flags ...string) (usage, error) {
	server, err := self(ctx, "floor-serve", "-input", entry, "-home", seed)
	if err != nil {
		return usage{}, err
	}
	addr, stop, err := serving(server)
	if err != nil {
		return usage{}, err
	}
	defer stop()
	out := filepath.Join(o.dir, "fetched")
	cmd, err := self(ctx, append([]string{"floor-fetch", "-input", entry, "-home", seed, "-peer", addr, "-output", out}, flags...)...)
	if err != nil {
		return usage{}, err
	}
	u, err := timed(cmd)
	return u, errors.Join(err, os.RemoveAll(out), os.RemoveAll(out+".blobs"))
}

// serving starts a process whose first line of output is a listening event and
// returns its first address.
func serving(cmd *exec.Cmd) (addr string, stop func(), err error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	var first struct {
		Addrs []string `json:"addrs"`
	}
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &first) != nil || len(first.Addrs) == 0 {
		stop()
		return "", nil, fmt.Errorf("%v did not say where it listens: %q", cmd.Args[:2], lines.Text())
	}
	go func() {
		for lines.Scan() {
		}
	}()
	return first.Addrs[0], stop, nil
}
