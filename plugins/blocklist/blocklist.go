// Package blocklist is a bundled plugin that leaves out what is on lists: whole
// releases by publisher, channel, hash or label, and files by hash, name, type or
// label. A list is a file, so that it can be one that a channel which the operator
// follows has brought: a moderation list that somebody signs and many share.
//
// Its lists are hostile: a line that is no rule is passed over and said once, and
// no list can slow a verdict down. Lists that cannot be read any more leave those
// in force that were read last.
package blocklist

import (
	"context"
	_ "embed" // plugin.yaml
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anonymous-media-library/aml/plugins/sdk"
)

//go:embed plugin.yaml
var manifest []byte

// Manifest is its plugin.yaml.
func Manifest() []byte { return manifest }

// lookEvery is how often the lists on disk are looked at.
const lookEvery = 5 * time.Second

// New returns the plugin.
func New() sdk.Plugin {
	b := &blocklist{now: time.Now}
	return sdk.Plugin{ID: "blocklist", Version: "1.0.0", Configure: b.configure, FilterManifest: b.filter}
}

type blocklist struct {
	now   func() time.Time
	paths []string // of lists
	own   string   // rules of the configuration

	rules atomic.Pointer[rules]

	mu      sync.Mutex // guards what follows
	looked  time.Time
	looking bool
	stamp   string // of the files that rules were read from
	said    string
}

func (b *blocklist) configure(_ context.Context, s sdk.Setup) error {
	b.own = s.Config["rules"]
	for path := range strings.SplitSeq(s.Config["lists"], ",") {
		if path = strings.TrimSpace(path); path == "" {
			continue
		}
		if !filepath.IsAbs(path) {
			return fmt.Errorf("lists: %q is not absolute", path)
		}
		b.paths = append(b.paths, path)
	}
	if len(b.paths) == 0 && strings.TrimSpace(b.own) == "" {
		return errors.New("there is nothing to block: set lists or rules")
	}
	stamp, err := stampOf(b.paths)
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w; grant the capability files, with --path or for all", err)
	}
	if err != nil {
		return err
	}
	b.stamp, b.looked = stamp, b.now()
	return b.read()
}

// read reads all lists. Rules of the configuration have to be right, those of
// lists need not.
func (b *blocklist) read() error {
	r := newRules()
	if problem := r.parse("rules", strings.NewReader(b.own)); problem != nil {
		return problem
	}
	var problems []string
	err := walk(b.paths, func(path string) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if problem := r.parse(filepath.Base(path), f); problem != nil {
			problems = append(problems, problem.Error())
		}
		return nil
	})
	if err != nil {
		return err
	}
	if text := strings.Join(problems, "; "); text != "" {
		log.Printf("passed over: %.1000s", text)
	}
	log.Printf("%d rules are in force", r.size())
	b.rules.Store(r)
	return nil
}

// refresh reads the lists again if they were changed, without keeping anybody
// waiting.
func (b *blocklist) refresh() {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.looking || now.Sub(b.looked) < lookEvery || len(b.paths) == 0 {
		return
	}
	b.looking, b.looked = true, now
	go b.look()
}

func (b *blocklist) look() {
	b.mu.Lock()
	before := b.stamp
	b.mu.Unlock()
	stamp, err := stampOf(b.paths)
	if err == nil && stamp != before {
		err = b.read()
	}
	text := ""
	if err != nil {
		text, stamp = err.Error(), before
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if text != b.said && text != "" {
		log.Printf("the lists that were read last stay in force: %s", text)
	}
	b.stamp, b.said, b.looking = stamp, text, false
}

func (b *blocklist) filter(_ context.Context, rel *sdk.Release) (*sdk.Verdict, error) {
	b.refresh()
	r := b.rules.Load()
	if r == nil {
		return nil, errors.New("no lists were read")
	}
	for _, one := range []struct{ kind, value string }{
		{"channel", strings.ToLower(rel.Channel)}, {"publisher", hex.EncodeToString(rel.Log)}, {"hash", hex.EncodeToString(rel.Hash)},
	} {
		if where, ok := r.has(one.kind, one.value); ok {
			return sdk.Deny(because(one.kind, where)), nil
		}
	}
	if where, ok := r.labelled(rel.Metadata); ok {
		return sdk.Deny(because("label", where)), nil
	}
	var names []string
	for _, e := range rel.Entries {
		if r.blocks(e) {
			names = append(names, e.Name)
		}
	}
	return sdk.Mask(names...), nil
}

func because(kind, where string) string {
	text := "its " + kind + " is on a list: " + where
	if len(text) > 200 {
		text = text[:200]
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, text)
}
