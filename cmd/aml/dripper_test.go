package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/plugins/sdk"
)

// beDripper is the argument by which the test binary is told to be a plugin of that id.
const beDripper = "be-the-dripper"

// dripper is a source that never ends, but for one thing.
type dripper struct{}

func (dripper) Poll(ctx context.Context, from string, _ []byte, yield func(*sdk.Item, []byte) error) error {
	switch from {
	case "thing":
		return yield(&sdk.Item{Id: "hello", Version: "1", Title: "Hello", Files: []*sdk.ItemFile{{Name: "hello.bin", MediaType: "audio/ogg", Handle: "hello"}}}, []byte("x"))
	case "flood":
		for n := 0; ; n++ {
			if err := yield(nil, fmt.Append(nil, n)); err != nil {
				return err
			}
		}
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := yield(nil, fmt.Append(nil, n)); err != nil {
			return err
		}
	}
}

func (dripper) Open(_ context.Context, handle string, offset int64) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(handle[offset:])), nil
}

// Sources without an end hold up none of another plugin, not their own removal, and not
// the end of the daemon.
func TestASourceWithoutAnEndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), "home")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"dripper", "other"} {
		folder := filepath.Join(t.TempDir(), id)
		err = errors.Join(err, os.Mkdir(folder, 0o700))
		if os.Link(self, filepath.Join(folder, "plugin")) != nil {
			program, readErr := os.ReadFile(self)
			err = errors.Join(err, readErr, os.WriteFile(filepath.Join(folder, "plugin"), program, 0o700))
		}
		manifest := "format: 1\nid: " + id + "\nversion: 1.0.0\nhooks: [Source]\ncapabilities: [publish]\nmemory: 4GiB\nbinaries: {any: plugin}\nargs: [" + beDripper + ", " + id + "]\n"
		if err = errors.Join(err, os.WriteFile(filepath.Join(folder, "plugin.yaml"), []byte(manifest), 0o600)); err != nil {
			t.Fatal(err)
		}
		ok(t, home, "plugin-install", folder, "--grant", "publish", "--enable")
	}
	daemon := start(t, home, "daemon")
	daemon.addr()
	for i, from := range []string{"drip", "drip", "flood", "drip"} {
		ok(t, home, "source-add", "dripper", fmt.Sprint("radio/drip", i), from, "--name", fmt.Sprint("drip", i))
	}
	said := func(name string) {
		t.Helper()
		for {
			var e struct {
				Name, Error string
				Result      struct{ Published int }
			}
			if daemon.wait("source").decode(t, &e); e.Name == name && e.Error == "" {
				if e.Result.Published != 1 {
					t.Errorf("%s: %+v", name, e)
				}
				return
			}
		}
	}
	ok(t, home, "source-add", "other", "radio/other", "thing")
	said("other")
	if out := ok(t, home, "channel-show", "radio/other", "--json"); !strings.Contains(out, `"audio/ogg"`) {
		t.Errorf("its media type is not taken: %s", out)
	}
	ok(t, home, "source-remove", "drip0")
	ok(t, home, "source-add", "dripper", "radio/drip0", "thing", "--name", "drip0")
	said("drip0")
	// One that is there is bound to something else.
	ok(t, home, "source-add", "dripper", "radio/drip1", "thing", "--name", "drip1")
	said("drip1")
	if code := daemon.interrupt(); code != 130 {
		t.Errorf("exit code %d\n%s", code, daemon.stderr)
	}
}
