package node

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/keyfile"
	"github.com/anonymous-media-library/aml/config"
)

// A command that is over before its node has begun ends in silence: that nothing
// could be read any more is no trouble.
func TestANodeThatStopsAtOnceDoesNotComplainThatItWasStopped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, err := catalog.Open(t.Context(), catalog.Config{Path: filepath.Join(dir, "aml.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	key, err := channel.GenerateKey()
	if err == nil {
		err = keyfile.Write(filepath.Join(dir, "publish.pem"), key)
	}
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	n := &Node{catalog: c, log: slog.New(slog.NewTextHandler(&said, nil)), cfg: Config{Config: config.Config{Paths: config.Paths{Keys: dir}}}}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	n.settle(stopped)
	n.renewDelegated(stopped)
	if said.Len() > 0 {
		t.Errorf("it says %s", &said)
	}
}
