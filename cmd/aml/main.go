// Command aml publishes files to signed channels, follows channels, and serves
// what it has to others. Run `aml help`, or `aml demo` to see it work.
//
// It talks only to node/api: what a command does is done by a node, in another
// process where one runs on this home, else in this one. It must never reach
// past the API into a store, a key or the network.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/anonymous-media-library/aml/plugins/bundled"
	"github.com/anonymous-media-library/aml/plugins/confine"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == confine.Verb { // on the way to being a plugin
		fmt.Fprintln(os.Stderr, "aml:", confine.Main())
		os.Exit(1)
	}
	if len(os.Args) > 1 && os.Args[1] == bundled.Verb { // confined by now
		if err := bundled.Serve(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "aml:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(run(os.Args[1:]))
}

// errTerminated is why the context ends on SIGTERM, a service manager's way to
// ask for an end, and on SIGHUP, a terminal's that closes; that is no failure of what serves until it is asked to stop.
var errTerminated = errors.New("terminated")

// run is main with an exit code. The first signal ends the context, a second
// one the process at once.
func run(args []string) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		why := context.Canceled
		if <-signals != os.Interrupt {
			why = errTerminated
		}
		signal.Stop(signals)
		cancel(why)
	}()
	return newApp(os.Stdin, os.Stdout, os.Stderr).run(ctx, args)
}
