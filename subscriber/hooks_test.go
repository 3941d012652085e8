package subscriber_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/subscriber"
)

// say is a Hooks that does what names and titles ask for, while on is set.
type say struct {
	on   bool
	seen []string // what it was shown of files
	mu   sync.Mutex
}

func (s *say) Filter(_ context.Context, _ catalog.Release, body *channel.Body) (f subscriber.Filtered, _ error) {
	if !s.on {
		return f, nil
	}
	if body.Title == "refused" {
		f.HookVerdict = subscriber.HookVerdict{Refused: true, Why: "its title"}
	}
	for _, e := range body.Entries {
		if strings.HasPrefix(e.Name, "masked") {
			f.Masked = map[string]string{e.Name: "its name"}
		}
	}
	return f, nil
}

func (s *say) Plan(_ context.Context, _ string, _ catalog.Release, files []channel.FileEntry, paths []string, _ map[string]string) (map[string]subscriber.Plan, error) {
	out := map[string]subscriber.Plan{}
	for i, e := range files {
		switch {
		case !s.on:
		case strings.HasPrefix(e.Name, "skipped"):
			out[e.Name] = subscriber.Plan{Skip: subscriber.HookVerdict{Refused: true, Why: "it is skipped"}}
		case strings.HasPrefix(e.Name, "moved"):
			out[e.Name] = subscriber.Plan{Path: "else/" + paths[i], Priority: 5}
		case strings.HasPrefix(e.Name, "escapes"):
			out[e.Name] = subscriber.Plan{Path: "../../" + paths[i]}
		}
	}
	return out, nil
}

var errUnreadable = errors.New("unreadable")

func (s *say) Scan(_ context.Context, _ catalog.Release, e channel.FileEntry, open func() (io.ReadCloser, error)) (subscriber.HookVerdict, error) {
	r, err := open()
	if err != nil {
		return subscriber.HookVerdict{}, err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil || uint64(len(text)) != e.Size {
		return subscriber.HookVerdict{}, errUnreadable
	}
	s.mu.Lock() // files are scanned side by side
	s.seen = append(s.seen, string(text))
	s.mu.Unlock()
	switch {
	case string(text) == "virus":
		return subscriber.HookVerdict{Refused: true, Why: "a virus"}, nil
	case string(text) == "strange" && s.on:
		return subscriber.HookVerdict{Refused: true, Later: true, Why: "not sure"}, nil
	}
	return subscriber.HookVerdict{}, nil
}

func TestHooksLeaveOutWhatThePolicyTakesAndAddNothing(t *testing.T) {
	hooks := &say{on: true}
	w := newPicky(t, `{"paths":["*.txt"]}`)
	w.hooks = hooks
	w.publish("one", files{"a.txt": "a", "b.bin": "b", "masked.txt": "m", "skipped.txt": "s", "moved.txt": "there", "escapes.txt": "e"})
	w.publish("refused", files{"r.txt": "r"})
	w.update()
	w.wantTree(files{"a.txt": "a", "else/moved.txt": "there", "escapes.txt": "e"})
	w.wantTold("manifest 1 one", "passed b.bin 1 paths", "passed masked.txt 1 plugin", "passed skipped.txt 1 plugin",
		"file a.txt", "file escapes.txt", "file moved.txt", "manifest 2 refused", "passed r.txt 1 plugin")

	// What they refused is asked about again, and comes when they let it.
	hooks.on = false
	w.update()
	w.wantTree(files{"a.txt": "a", "else/moved.txt": "there", "escapes.txt": "e", "masked.txt": "m", "skipped.txt": "s", "r.txt": "r"})
}

func TestNoFileGetsItsNameThatHooksRefuse(t *testing.T) {
	hooks := &say{on: true}
	w := newPicky(t, `{}`)
	w.hooks = hooks
	w.publish("one", files{"good.txt": "good", "bad.txt": "virus", "new.txt": "strange"})
	w.update()
	w.wantTree(files{"good.txt": "good"})
	w.wantTold("manifest 1 one", "passed bad.txt 1 scan", "file good.txt", "passed new.txt 1 scanLater")
	if len(hooks.seen) != 3 {
		t.Errorf("they were shown %q", hooks.seen)
	}
	// A later run asks again about what may pass.
	hooks.on = false
	w.update()
	w.wantTree(files{"good.txt": "good", "new.txt": "strange"})
}
