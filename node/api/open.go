package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node"
)

// Need says what kind of node a command wants.
type Need int

const (
	// NeedStore: the store and the catalogue; no network is started for it.
	NeedStore Need = iota
	// NeedNetwork: a node that peers can reach.
	NeedNetwork
	// NeedDaemon: a node that runs already, else ErrNoDaemon.
	NeedDaemon
	// NeedBeDaemon: to be the node of this home, with all that it follows and
	// publishes; an error if one runs already.
	NeedBeDaemon
)

const (
	dialTimeout = 5 * time.Second
	// lockWait is how long to wait for another command on this home to end,
	// which runs without network and so has no socket to ask.
	lockWait = 30 * time.Second
	lockPoll = 50 * time.Millisecond
)

// Open gives a client of the node that serves cfg's home. If none runs, it
// starts one in this process, with a network if need says so, and serves the
// same API to itself in memory; Close then ends it. So a command has one code
// path.
func Open(ctx context.Context, cfg config.Config, need Need) (*Client, error) {
	deadline := time.Now().Add(lockWait)
	for {
		if c := dial(cfg.Paths.Socket); c != nil {
			if need == NeedBeDaemon {
				return nil, &Error{Code: CodeFailure, Message: fmt.Sprintf("a node runs on %s already; stop it first, or use another --home", cfg.Paths.Home)}
			}
			return c, nil
		}
		if need == NeedDaemon {
			return nil, ErrNoDaemon
		}
		c, err := start(ctx, cfg, need)
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, node.ErrInUse) || need == NeedBeDaemon || time.Now().After(deadline) {
			return nil, toError(err)
		}
		// The node there may be about to open its socket, or to end.
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(lockPoll):
		}
	}
}

// dial connects to the socket of a running node; nil if none answers.
func dial(socket string) *Client {
	if private(filepath.Dir(socket)) != nil {
		return nil // whatever listens there is not ours; start says so
	}
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.Dial("unix", socket)
	if err != nil {
		return nil
	}
	_ = conn.Close()
	c := newClient(func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "unix", socket) })
	c.remote = true
	return c
}

// start runs a node in this process. It is ready for requests when start
// returns.
func start(ctx context.Context, cfg config.Config, need Need) (*Client, error) {
	log := newLogger(cfg.Log)
	n, err := node.Open(ctx, node.Config{
		Config: cfg, Log: log,
		Network: need != NeedStore,
		Resume:  need == NeedBeDaemon,
	})
	if err != nil {
		return nil, err
	}
	// The node outlives the command's context: the command's last request
	// ends first, then Close ends the node.
	runCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	group, runCtx := errgroup.WithContext(runCtx)
	memory := newMemoryListener()
	server := NewServer(n, log)
	group.Go(func() error { return server.Serve(runCtx, memory) })
	group.Go(func() error { return n.Run(runCtx) })
	stop := func() error {
		cancel()
		return errors.Join(group.Wait(), n.Close())
	}
	if need != NeedStore {
		select {
		case <-n.Ready():
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), stop())
		case <-runCtx.Done():
			return nil, stop()
		}
		socket, err := listen(cfg.Paths.Socket)
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		group.Go(func() error { return server.Serve(runCtx, socket) })
	}
	c := newClient(memory.dial)
	c.stop = stop
	return c, nil
}

// listen opens the API's socket for this user alone. The home's lock is held,
// so a socket that is there is left over.
func listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making the API socket's folder: %w", err)
	}
	if err := private(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("opening the API socket: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("removing the API socket that was left over: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("opening the API socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("closing the API socket to others: %w", err), l.Close())
	}
	return l, nil
}

func newLogger(level string) *slog.Logger {
	var l slog.Level
	if l.UnmarshalText([]byte(level)) != nil {
		l = slog.LevelWarn
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: l}))
}
