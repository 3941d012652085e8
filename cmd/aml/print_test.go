package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/anonymous-media-library/aml/node/api"
)

// full is a disk without room.
type full struct{ writes int }

func (f *full) Write([]byte) (int, error) {
	f.writes++
	return 0, syscall.ENOSPC
}

// TestOutputThatIsLostIsAFailure: a list of which a line is missing is none.
func TestOutputThatIsLostIsAFailure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home, file := filepath.Join(dir, "h"), filepath.Join(dir, "film")
	noise(t, file, 3<<20, 1)
	ok(t, home, "ingest", "-i", file)
	for _, args := range [][]string{{"blob-list"}, {"blob-list", "--json"}} {
		var out full
		var errs bytes.Buffer
		code := newApp(nil, &out, &errs).run(t.Context(), append(args, "--home", home))
		if code != 1 || out.writes != 1 || !strings.Contains(errs.String(), "writing output") || !strings.Contains(errs.String(), syscall.ENOSPC.Error()) {
			t.Errorf("%v: exit code %d after %d writes: %s", args, code, out.writes, errs.String())
		}
	}
}

func TestARequestWhoseOutputIsLostIsCancelled(t *testing.T) {
	a := newApp(nil, &full{}, io.Discard)
	p := a.stream()
	ctx, end := p.finite(t.Context())
	defer end()
	p.event(api.Event{Name: "unsubscribed", Raw: []byte("{}")})
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Error("it goes on")
	}
	if err := p.done(ctx.Err()); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, context.Canceled) {
		t.Error(err)
	}

	// What serves does not depend on somebody looking.
	a.serving = true
	p = a.stream()
	p.event(api.Event{Name: "unsubscribed", Raw: []byte("{}")})
	if err := p.done(nil); err != nil {
		t.Error(err)
	}
}
