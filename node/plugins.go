package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/bundled"
	"github.com/anonymous-media-library/aml/plugins/confine"
	plughost "github.com/anonymous-media-library/aml/plugins/host"
	"github.com/anonymous-media-library/aml/plugins/shelf"
)

// plugged is what has to do with plugins.
type plugged struct {
	shelf   *shelf.Shelf
	host    *plughost.Host
	journal *plughost.Journal // nil but in a daemon
	sockets string
}

// openPlugins opens what is on disk of plugins. It starts none.
func (n *Node) openPlugins(ctx context.Context) (err error) {
	p, dir := &n.plugins, n.cfg.Paths.Plugins
	if p.shelf, err = shelf.Open(dir, nil); err != nil {
		return err
	}
	if p.shelf.Exposed() {
		n.log.Warn("plugins.lock could be read by others until now, and not any more; change what secrets there are in it", "folder", dir)
	}
	self, err := confine.Self()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	if err := p.shelf.Carry(self, bundled.Manifests()); err != nil {
		return err
	}
	n.sources.bindings.path, n.sources.changed = filepath.Join(dir, sourcesFile), make(chan struct{}, 1)
	n.documents.path = filepath.Join(dir, documentsFile)
	n.filling.bindings.path, n.filling.path = filepath.Join(dir, ".mirrors.json"), filepath.Join(dir, ".owed.db")
	p.sockets = filepath.Join(dir, ".s")
	if len(p.sockets) > plughost.MaxSockets {
		sum := sha256.Sum256([]byte(dir))
		name := fmt.Sprintf("aml-%d-%s", os.Getuid(), hex.EncodeToString(sum[:6]))
		if p.sockets = filepath.Join(os.TempDir(), name); len(p.sockets) > plughost.MaxSockets && runtime.GOOS != "windows" {
			p.sockets = filepath.Join("/tmp", name)
		}
	}
	if err := os.RemoveAll(p.sockets); err != nil { // of a process that was killed
		return fmt.Errorf("removing sockets of plugins: %w", err)
	}
	if n.cfg.Resume {
		if p.journal, err = plughost.OpenJournal(ctx, filepath.Join(dir, ".events.db")); err != nil {
			return err
		}
	}
	if err := n.eventsLost(); err != nil {
		n.log.Warn("events are not kept for plugins until there is room", "error", err)
	}
	// A plugin is started by this very program, which takes rights from itself
	// before it becomes the plugin.
	p.host, err = plughost.New(plughost.Config{
		Shelf: p.shelf, Launcher: []string{self, confine.Verb}, Sockets: p.sockets, Version: version(), Log: n.log, Journal: p.journal,
		Quiet: !n.cfg.Resume, // who asks plugins is told, and a command that does not has no use for it
	})
	return err
}

// runPlugins runs plugins until the function that it returns is called, which
// waits until all of them have ended.
func (n *Node) runPlugins(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	if err := n.makeSockets(); err != nil && !errors.Is(err, plugins.ErrLock) { // of which the host speaks
		n.log.Error("plugins cannot be started", "error", err)
	}
	group.Go(func() { _ = n.plugins.host.Run(ctx) }) // has no error
	if n.plugins.journal != nil {
		group.Go(func() {
			if err := n.plugins.journal.Run(ctx); err != nil {
				n.log.Error("events are not kept for plugins", "error", err)
			}
		})
		group.Go(func() { n.tellPlugins(ctx) })
	}
	return func() {
		cancel()
		group.Wait()
		_ = os.Remove(n.plugins.sockets) // empty by now, or the next one who opens removes it
	}
}

// eventsLost is why events are not kept for plugins that observe, nil if they are.
func (n *Node) eventsLost() error {
	if n.plugins.journal == nil {
		return nil
	}
	return n.plugins.journal.Full()
}

// makeSockets makes the folder of sockets if plugins are installed.
func (n *Node) makeSockets() error {
	list, err := n.plugins.shelf.List()
	if err != nil || len(list) == 0 {
		return err
	}
	err = os.Mkdir(n.plugins.sockets, 0o700) // one that is another's is an error
	if errors.Is(err, os.ErrExist) {
		return nil // we made it
	}
	return err
}

// tellPlugins hands on what this node does to those who observe.
func (n *Node) tellPlugins(ctx context.Context) {
	events, unwatch := n.bus.lookOn(func(about string) bool { return about != aboutUploads })
	defer unwatch()
	for {
		select {
		case e := <-events:
			n.tellPlugin(e)
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) tellPlugin(e any) {
	if _, progress := e.(ProgressEvent); progress || !n.plugins.host.Has(plugins.Observe) {
		return
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return
	}
	var head struct {
		Event string `json:"event"`
	}
	if json.Unmarshal(raw, &head) == nil {
		n.plugins.host.Observed(head.Event, json.RawMessage(raw))
	}
}

// closePlugins closes what openPlugins opened.
func (n *Node) closePlugins() error {
	if n.plugins.journal == nil {
		return nil
	}
	return n.plugins.journal.Close()
}

// version is this program's, as plugins are told it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return ""
}
