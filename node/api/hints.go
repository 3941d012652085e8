package api

import (
	"context"
	"os"
	"time"

	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node"
)

// Hint is a word by which a channel can be named, and what people call it.
type Hint struct{ Word, Title string }

// hintsTime is how long somebody waits who has pressed a key.
const hintsTime = time.Second

// Hints names channels of a home for completion in a shell: petnames, the topics of
// own channels, addresses. It starts no node and makes nothing: a node that runs is
// asked, else the catalogue's file is glanced at. Whatever goes wrong, there are fewer.
func Hints(ctx context.Context, cfg config.Config) (out []Hint) {
	ctx, cancel := context.WithTimeout(ctx, hintsTime)
	defer cancel()
	if _, err := os.Stat(cfg.Paths.Catalog); err != nil {
		return nil
	}
	c := dial(cfg.Paths.Socket)
	if c == nil {
		for _, h := range node.Hints(ctx, cfg.Paths.Catalog) {
			out = append(out, Hint(h))
		}
		return out
	}
	defer c.Close()
	res, err := c.List(ctx)
	if err != nil {
		return nil
	}
	for _, ch := range res.Channels {
		for _, p := range ch.Petnames {
			out = append(out, Hint{"@" + p, ch.Title})
		}
		if ch.Own {
			for _, t := range ch.Topics {
				out = append(out, Hint{t, ch.Title})
			}
		}
	}
	for _, ch := range res.Channels {
		out = append(out, Hint{ch.Address, ch.Title})
	}
	return out
}
