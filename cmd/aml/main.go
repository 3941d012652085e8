// Command aml publishes files to signed channels, follows channels, and serves
// what it has to others. Run `aml help`, or `aml demo` to see it work.
//
// It talks only to node/api: what a command does is done by a node, in another
// process where one runs on this home, else in this one. It must never reach
// past the API into a store, a key or the network.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run(os.Args[1:])) }

// run is main with an exit code.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	app := newApp(os.Stdin, os.Stdout, os.Stderr)
	return app.run(ctx, args)
}
