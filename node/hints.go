package node

import (
	"context"

	"github.com/anonymous-media-library/aml/channel/catalog"
)

// Hint is a word by which a channel can be named, and what people call it.
type Hint struct{ Word, Title string }

// Hints names the channels in a catalogue's file, which is not opened: what cannot
// be read is left out.
func Hints(ctx context.Context, path string) []Hint {
	seen, _ := catalog.Glance(ctx, path)
	out := make([]Hint, 0, len(seen))
	for _, g := range seen {
		switch {
		case g.Petname != "":
			out = append(out, Hint{petnameMark + g.Petname, g.Title})
		case g.Topic != "":
			out = append(out, Hint{g.Topic, g.Title})
		default:
			out = append(out, Hint{address(g.Channel), g.Title})
		}
	}
	return out
}
