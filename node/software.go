package node

import (
	"context"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/publisher"
	"github.com/anonymous-media-library/aml/updates"
)

// checkSoftware looks at what a release says of software, by the rules by which
// installations read it. What cannot be understood is refused where the channel is
// one of updates; elsewhere, and where it is understood and still offered to nobody,
// that is said: the release may be meant for others than aml's own update-check.
func (n *Node) checkSoftware(ctx context.Context, to publication, r publisher.Release, emit func(any)) error {
	kind := channel.Media // as a channel is founded that is not there
	if to.found {
		info, err := n.catalog.Channel(ctx, to.own.Channel)
		if err != nil {
			return err
		}
		kind = info.Root.Kind
	}
	next, ok, err := updates.Parse(channel.Body{Title: r.Title, Description: r.Description, Metadata: r.Metadata, Entries: r.Entries})
	if err != nil && kind == channel.Update {
		return badRequest("nothing is published: %w; update-check would pass the release over, see docs/updates.md", err)
	}
	guests, guestsErr := map[channel.PublicKey]bool(nil), error(nil)
	if ok && to.found {
		guests, guestsErr = n.guests(ctx, to.own.Channel)
	}
	why := ""
	switch {
	case guestsErr != nil:
		return guestsErr
	case err != nil:
		why = err.Error()
	case !ok && kind == channel.Update && hintsAtSoftware(r):
		why = fmt.Sprintf("it has no %q in its metadata", updates.KeyVersion)
	case !ok:
	case guests[to.key.Public()]:
		why = "the key that signs it is confined to paths, and says nothing of versions"
	case len(next.Builds) == 0:
		why = fmt.Sprintf("version %s has no build: give files the attribute %q", next.Version, updates.AttrPlatform)
	}
	if why != "" {
		emit(ErrorEvent{Event: "error", Channel: to.own.Channel.String(), Message: "update-check will pass this release over: " + why})
	}
	return nil
}

// hintsAtSoftware reports whether a release says something that only a version can.
func hintsAtSoftware(r publisher.Release) bool {
	if r.Metadata[updates.KeyTrack] != "" || r.Metadata[updates.KeyRollout] != "" {
		return true
	}
	for _, e := range r.Entries {
		if e.Attrs[updates.AttrPlatform] != "" {
			return true
		}
	}
	return false
}
