// Command bench measures aml's main jobs as whole processes, each beside the
// least that a program could do for the same job, in turn, in one run:
//
//	go run ./internal/bench ingest -size 1GiB -runs 5
//	go run ./internal/bench fetch -size 1GiB -runs 5
//	go run ./internal/bench memory -size 4GiB
//	go run ./internal/bench files -files 10000 -runs 3
//	go run ./internal/bench soak -length 8h -every 1m
//	go run ./internal/bench deliver -nodes 10 -releases 200
//
// It prints medians and their ratio; docs/performance.md says what they mean.
// It must never be imported, and nothing in aml depends on it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// jobs are what can be measured, and the floors that bench starts itself as
// processes.
var jobs = map[string]func(context.Context, options) error{
	"ingest": benchIngest, "fetch": benchFetch, "memory": benchMemory, "files": benchFiles, "soak": benchSoak,
	"deliver":      benchDeliver,
	"floor-files":  floorFiles,
	"floor-ingest": floorIngest, "floor-serve": floorServe, "floor-fetch": floorFetch,
}

type options struct {
	size                int64 // of the file, bytes
	runs                int
	files               int
	length, every, kill time.Duration // of the soak, between its figures, and between kills
	nodes, releases     int           // that a release is delivered to, and how many of them
	profile             string        // where to write a processor profile of a delivery
	dir                 string        // scratch

	// for the floors
	input, output, peer, home string
	sync, keep                bool
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || jobs[args[0]] == nil {
		return fmt.Errorf("usage: bench ingest|fetch|memory|files|soak|deliver [-size 1GiB] [-files 10000] [-runs 5] [-length 10m] [-every 10s] [-kill 1m] [-nodes 10] [-releases 200] [-dir DIR]")
	}
	var o options
	var size string
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.StringVar(&size, "size", "1GiB", "size of the file")
	flags.IntVar(&o.runs, "runs", 5, "how often each side is run; the medians count")
	flags.IntVar(&o.files, "files", 10000, "how many files, where there are many")
	flags.DurationVar(&o.length, "length", 10*time.Minute, "how long to soak")
	flags.DurationVar(&o.every, "every", 10*time.Second, "how often to print a soak's figures")
	flags.DurationVar(&o.kill, "kill", time.Minute, "how often a soak kills one of the nodes; 0: never")
	flags.IntVar(&o.nodes, "nodes", 10, "how many nodes a release is delivered to")
	flags.IntVar(&o.releases, "releases", 200, "how many releases are delivered, one after the other")
	flags.StringVar(&o.profile, "profile", "", "write a processor profile of the delivery to this file")
	flags.StringVar(&o.dir, "dir", "", "scratch folder (default a temporary one)")
	flags.StringVar(&o.input, "input", "", "for floors: the file, or its entry")
	flags.StringVar(&o.output, "output", "", "for floors: what to write")
	flags.StringVar(&o.peer, "peer", "", "for floors: who serves")
	flags.StringVar(&o.home, "home", "", "for floors: whose blobs are served")
	flags.BoolVar(&o.sync, "sync", false, "for floors: fsync what was written, as aml does")
	flags.BoolVar(&o.keep, "keep", false, "for floors: write the blobs as well, a file each")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	var err error
	if o.size, err = config.ParseSize(size); err != nil {
		return err
	}
	if o.dir == "" && !strings.HasPrefix(args[0], "floor-") {
		if o.dir, err = os.MkdirTemp("", "aml-bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.dir)
	}
	return jobs[args[0]](ctx, o)
}

// build compiles aml into the scratch folder.
func build(ctx context.Context, o options) (string, error) {
	bin := filepath.Join(o.dir, "aml")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin, "github.com/anonymous-media-library/aml/cmd/aml")
	cmd.Stderr = os.Stderr
	return bin, cmd.Run()
}

// usage is what one process took.
type usage struct {
	wall, cpu time.Duration
	rss       int64 // peak resident set, bytes
}

// timed runs a command to its end.
func timed(cmd *exec.Cmd) (usage, error) {
	cmd.Stderr = os.Stderr
	began := time.Now()
	err := cmd.Run()
	u := usage{wall: time.Since(began)}
	if err != nil {
		return u, fmt.Errorf("running %v: %w", cmd.Args[:2], err)
	}
	u.add(cmd.ProcessState)
	return u, nil
}

// self is a command that runs this very program.
func self(ctx context.Context, args ...string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return exec.CommandContext(ctx, exe, args...), nil
}

// median of the wall times.
func median(us []usage) usage {
	s := slices.Clone(us)
	slices.SortFunc(s, func(a, b usage) int { return int(a.wall - b.wall) })
	return s[len(s)/2]
}

// report prints one side's median and spread.
func report(name string, us []usage) {
	m := median(us)
	lo, hi := us[0].wall, us[0].wall
	var rss int64
	for _, u := range us {
		lo, hi, rss = min(lo, u.wall), max(hi, u.wall), max(rss, u.rss)
	}
	fmt.Printf("%-28s median %7.3f s  (min %.3f, max %.3f)  cpu %7.3f s  peak %s\n",
		name, m.wall.Seconds(), lo.Seconds(), hi.Seconds(), m.cpu.Seconds(), config.FormatSize(rss))
}

func ratio(name string, a, b []usage) {
	fmt.Printf("%-28s %.2f\n", name, median(a).wall.Seconds()/median(b).wall.Seconds())
}
