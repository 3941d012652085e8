// Package podcast is a bundled plugin for podcasts: it publishes what a feed (RSS,
// Atom or JSON) or a folder of audio files has, and writes the feed of a channel
// that podcast clients read.
//
// A feed is hostile. It may be endless, point anywhere and say anything: what is
// read is bounded, only http and https are spoken, redirects are few, and a feed
// cannot have this machine fetch and publish what only it can reach.
package podcast

import (
	"context"
	_ "embed" // plugin.yaml
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/plugins/sdk"
)

//go:embed plugin.yaml
var manifest []byte

// Manifest is its plugin.yaml.
func Manifest() []byte { return manifest }

// New returns the plugin.
func New() sdk.Plugin {
	p := &podcast{now: time.Now, reach: map[string]*reach{}}
	return sdk.Plugin{ID: "podcast", Version: "1.0.0", Configure: p.configure, Source: p, Render: render}
}

type podcast struct {
	now     func() time.Time
	state   string
	follow  bool // removals
	newest  int
	private map[string]bool // hosts

	mu      sync.Mutex
	reach   map[string]*reach // by the feed
	reading map[string]bool   // what is being read

	parsing sync.Mutex // one text at a time; held for memory work alone
}

func (p *podcast) configure(_ context.Context, s sdk.Setup) error {
	p.state, p.private = s.State, map[string]bool{}
	switch s.Config["removals"] {
	case "follow":
		p.follow = true
	case "keep":
	default:
		return fmt.Errorf("removals: %q is none; want follow or keep", s.Config["removals"])
	}
	n, err := strconv.Atoi(s.Config["newest"])
	if err != nil || n < 0 {
		return fmt.Errorf("newest: %q is no number", s.Config["newest"])
	}
	p.newest = n
	for host := range strings.SplitSeq(s.Config["private"], ",") {
		if host = strings.ToLower(strings.TrimSpace(host)); host != "" {
			p.private[host] = true
		}
	}
	return nil
}

// handle says where the bytes of a file are; the host gives it back.
type handle struct {
	From string `json:"from"` // that it is of
	URL  string `json:"url,omitempty"`
	Size string `json:"size,omitempty"` // as the feed has it: another one is another file
	Kind string `json:"kind,omitempty"` // of media: audio, video, image; what comes must not be a page
	Text string `json:"text,omitempty"` // the bytes themselves

	File    string `json:"file,omitempty"` // in the folder
	Stamp   string `json:"stamp,omitempty"`
	Picture bool   `json:"picture,omitempty"` // the one in its tags
}

func (h handle) String() string {
	text, _ := json.Marshal(h) // strings and booleans
	return string(text)
}

// isFeed tells a feed from a folder.
func isFeed(from string) bool {
	return strings.HasPrefix(from, "http://") || strings.HasPrefix(from, "https://")
}

// Poll is of sdk.Source.
func (p *podcast) Poll(ctx context.Context, from string, cursor []byte, yield func(*sdk.Item, []byte) error) error {
	var items []thing
	var after []byte
	var err error
	if !p.begin(from) {
		return errors.New("it is still being read since an earlier poll")
	}
	alive := func() error { return yield(nil, cursor) }
	switch {
	case isFeed(from):
		items, after, err = breathing(ctx, alive, func(ctx context.Context) ([]thing, []byte, error) {
			defer p.end(from)
			return p.feed(ctx, from, cursor)
		})
	case filepath.IsAbs(from):
		items, after, err = breathing(ctx, alive, func(ctx context.Context) ([]thing, []byte, error) {
			defer p.end(from)
			return p.folder(ctx, from, cursor)
		})
	default:
		p.end(from)
		err = fmt.Errorf("%.200q is neither an http or https URL nor the absolute path of a folder", plain(from))
	}
	if err != nil || items == nil {
		return err
	}
	seen := p.remember(from)
	gone := seen.compare(items, !isFeed(from))
	if !p.follow {
		gone = nil
	}
	for _, one := range append(items, gone...) {
		if err := yield(one.item(), cursor); err != nil {
			return err
		}
	}
	// What it has seen is kept before the cursor moves. It only ever says more than
	// what was published: what is gone is said until it falls out of the feed.
	if err := seen.save(); err != nil {
		return err
	}
	return yield(nil, after)
}

func (p *podcast) begin(from string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reading[from] {
		return false
	}
	if p.reading == nil {
		p.reading = map[string]bool{}
	}
	p.reading[from] = true
	return true
}

func (p *podcast) end(from string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.reading, from)
}

// maxBreaths is how often that is said before it is given up: a feed that keeps its
// parser busy for so long is made for that.
const maxBreaths = 60

// breath is how often the host is told that something is still being read.
const breath = 10 * time.Second

// breathing reads, and says now and then that it goes on: a large feed of a slow
// server, or a folder of many files, takes longer than the host waits.
func breathing(ctx context.Context, alive func() error, read func(context.Context) ([]thing, []byte, error)) ([]thing, []byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var items []thing
	var after []byte
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		items, after, err = read(ctx)
	}()
	ticker := time.NewTicker(breath)
	defer ticker.Stop()
	for breaths := 0; breaths < maxBreaths; breaths++ {
		select {
		case <-done:
			return items, after, err
		case <-ticker.C: // in this goroutine: one says one thing at a time
			if said := alive(); said != nil {
				return nil, nil, said
			}
		}
	}
	return nil, nil, fmt.Errorf("it was not read within %v", maxBreaths*breath)
}

// Open is of sdk.Source.
func (p *podcast) Open(ctx context.Context, text string, offset int64) (io.ReadCloser, error) {
	var h handle
	if err := json.Unmarshal([]byte(text), &h); err != nil {
		return nil, fmt.Errorf("reading a handle: %w", err)
	}
	switch {
	case h.Text != "":
		if offset > int64(len(h.Text)) {
			return nil, errors.New("beyond its end")
		}
		return io.NopCloser(strings.NewReader(h.Text[offset:])), nil
	case h.File != "":
		return openLocal(h, offset)
	}
	return p.download(ctx, h, offset)
}
