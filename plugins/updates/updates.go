// Package updates is a bundled plugin for who publishes software: it looks at a release
// before it is published (docs/updates.md), and writes what updaters other than aml read:
// the appcast of Sparkle, and the metadata of a TUF repository.
//
// It decides nothing for who installs: aml update-apply looks at the channel itself. The
// keys of its TUF repository are its own, are in its folder alone, and vouch for no more
// than that the node that runs it has seen what the channel says.
package updates

import (
	"context"
	_ "embed" // plugin.yaml
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/plugins/sdk"
	"github.com/anonymous-media-library/aml/updates"
)

//go:embed plugin.yaml
var manifest []byte

// Manifest is its plugin.yaml.
func Manifest() []byte { return manifest }

// New returns the plugin.
func New() sdk.Plugin {
	p := &plugin{now: time.Now}
	return sdk.Plugin{ID: "updates", Version: "1.0.0", Configure: p.configure, BeforePublish: p.beforePublish, Render: p.render}
}

type plugin struct {
	now      func() time.Time
	keys     keys
	editions editions
	channels map[string]bool // in which all is software
	signed   bool
}

func (p *plugin) configure(_ context.Context, s sdk.Setup) error {
	switch s.Config["signed"] {
	case "yes":
		p.signed = true
	case "no":
	default:
		return fmt.Errorf("signed: %q is none; want yes or no", s.Config["signed"])
	}
	p.channels = map[string]bool{}
	for text := range strings.SplitSeq(s.Config["channels"], ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		a, err := channel.ParseAddress(text)
		if err != nil {
			return fmt.Errorf("channels: %q: %w", text, err)
		}
		p.channels[a.ID.String()] = true
	}
	p.keys.dir, p.editions.dir = s.State, s.State
	return nil
}

func (p *plugin) render(_ context.Context, start *sdk.RenderStart, releases iter.Seq2[*sdk.Release, error], w io.Writer) (string, error) {
	var all []updates.Release
	for r, err := range releases {
		if err != nil {
			return "", err
		}
		all = append(all, versions([]*sdk.Release{r})...)
	}
	all = updates.Versions(all)
	if start.Format == "appcast" {
		return appcast(w, start, all)
	}
	return p.tuf(w, start, all)
}

// versions are those of releases that somebody could install.
func versions(releases []*sdk.Release) (out []updates.Release) {
	for _, r := range releases {
		one, ok, err := updates.Parse(bodyOf(r.Title, r.Description, r.Metadata, filesOf(r)))
		if !ok || err != nil {
			continue
		}
		one.Issued, one.Seq = channel.Time(r.Issued), r.Seq
		copy(one.Log[:], r.Log)
		out = append(out, one)
	}
	return out
}

// file is a file as releases and drafts have it.
type file struct {
	name   string
	size   uint64
	sha256 []byte
	attrs  map[string]string
}

func filesOf(r *sdk.Release) (out []file) {
	for _, e := range r.Entries {
		out = append(out, file{e.Name, e.Size, e.Sha256, e.Attrs})
	}
	return out
}

func bodyOf(title, description string, metadata map[string]string, files []file) channel.Body {
	b := channel.Body{Title: title, Description: description, Metadata: metadata}
	for _, f := range files {
		e := channel.FileEntry{Name: f.name, Size: f.size, Attrs: f.attrs}
		if len(f.sha256) == len(codec.Hash{}) {
			e.SHA256 = codec.Hash(f.sha256)
		}
		b.Entries = append(b.Entries, e)
	}
	return b
}
