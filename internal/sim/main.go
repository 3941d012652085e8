// Command sim runs a thousand nodes of aml in one process: the real gossip, the
// real sync and the real rules of succession, over a network and a clock that
// are simulated. It says how long a release takes to everybody, what that
// costs, and whether anybody was left without.
//
//	go run ./internal/sim -nodes 1000 -channels 100
//
// It ends with 1 when an honest follower lacks a release. docs/scale.md has the
// model, results, and what they mean for more nodes than fit here.
//
// The clock is that of testing/synctest, which is there for tests alone. So the
// simulation is a test, which this command runs as `go test` would.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime/debug"
	"runtime/pprof"
	"testing"
	"testing/synctest"
	"time"
)

func main() {
	o, asJSON, profile, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
		os.Exit(2)
	}
	if profile != "" {
		file, err := os.Create(profile)
		if err != nil {
			fmt.Fprintln(os.Stderr, "sim:", err)
			os.Exit(2)
		}
		if err := pprof.StartCPUProfile(file); err != nil {
			fmt.Fprintln(os.Stderr, "sim:", err)
			os.Exit(2)
		}
	}
	// A hundred thousand goroutines make collecting dear, and there is memory.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(12 << 30)
	out := os.Stdout
	os.Stdout = os.Stderr // for what package testing says
	os.Args = []string{os.Args[0], "-test.timeout=0"}
	started := time.Now()
	run := func(t *testing.T) {
		r, err := simulate(t, o, func(line string) {
			fmt.Fprintf(os.Stderr, "%s\n", line)
		})
		pprof.StopCPUProfile()
		if err != nil {
			t.Fatal(err)
		}
		r.Took = time.Since(started)
		if asJSON {
			err = r.writeJSON(out)
		} else {
			err = r.writeTable(out)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Failures {
			t.Error(f)
		}
	}
	testing.Main(regexp.MatchString, []testing.InternalTest{{Name: "sim", F: run}}, nil, nil)
}

// simulate runs a simulation on a clock of its own. say hears how far it is.
func simulate(t *testing.T, o options, say func(string)) (r *results, err error) {
	synctest.Test(t, func(t *testing.T) {
		var w *world
		if w, err = newWorld(t, o, say); err == nil {
			r, err = w.run()
		}
	})
	return r, err
}
