package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// target is what a person names: one channel, or a topic.
type target struct {
	address channel.Address // when the others are empty
	topic   string
	pet     string // a petname, which is looked up by Node.target
}

// parseTarget reads an address, a bare channel id, or a topic.
func parseTarget(s string) (target, error) {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, petnameMark) {
		name, err := parsePetname(s)
		return target{pet: name}, err
	}
	id, _, keyed := strings.Cut(s, "#")
	if keyed && !strings.Contains(s, "://") { // an id with a read key, or something that must not be shown
		s = "aml://" + s
	}
	if first, _, deep := strings.Cut(s, "/"); deep { // an id with a path is no topic
		if _, err := channel.ParseID(first); err == nil {
			s = "aml://" + s
		}
	}
	if strings.Contains(s, "://") {
		a, err := channel.ParseAddress(s)
		if err != nil {
			return target{}, badRequest("%w", err)
		}
		return target{address: a}, nil
	}
	if id, err := channel.ParseID(id); err == nil {
		return target{address: channel.Address{ID: id}}, nil
	}
	topic, err := channel.NormalizeTopic(s)
	if err != nil {
		return target{}, badRequest("%q is neither an address (aml://...) nor a topic: %w", s, err)
	}
	return target{topic: topic}, nil
}

// CheckTargets says what is wrong with addresses, ids or topics that a request
// will name. It needs no node.
func CheckTargets(targets ...string) error {
	for _, s := range targets {
		t, err := parseTarget(s)
		if err == nil {
			err = t.whole()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// whole refuses the address of what is in a channel where the channel is meant.
func (t target) whole() error {
	if t.address.Path == "" {
		return nil
	}
	return badRequest("%s names %q in the channel, and this is about the whole of it: leave out the path, %s", t.address, t.address.Path, address(t.address.ID))
}

func (t target) String() string {
	if t.pet != "" {
		return petnameMark + t.pet
	}
	if t.topic != "" {
		return t.topic
	}
	return t.address.String()
}

// find names one known channel. A topic names the own channel on it, the one that
// channel-publish means first, else the only known one.
func (n *Node) find(ctx context.Context, s string) (catalog.Info, error) {
	t, err := n.target(ctx, s)
	if err != nil {
		return catalog.Info{}, err
	}
	if t.topic == "" {
		info, err := n.catalog.Channel(ctx, t.address.ID)
		if err != nil {
			if errors.Is(err, catalog.ErrUnknown) {
				err = fmt.Errorf("%w; follow it first (channel-subscribe)", catalog.ErrUnknown)
			}
			return catalog.Info{}, fmt.Errorf("channel %s: %w", t.address, err)
		}
		return info, nil
	}
	owns, err := n.catalog.OwnsOn(ctx, t.topic)
	if err != nil {
		return catalog.Info{}, err
	}
	var found []channel.ID
	key, err := n.keyFiles.Load(filepath.Join(n.cfg.Paths.Keys, publishKey))
	if err == nil { // that which channel-publish means
		own, err := n.catalog.OwnByTopic(ctx, t.topic, key.Public())
		switch {
		case err == nil:
			return n.catalog.Channel(ctx, own.Channel)
		case !errors.Is(err, fs.ErrNotExist):
			return catalog.Info{}, badRequest("%w; name one by its address", err)
		}
	}
	for _, o := range owns {
		if o.Topic == t.topic || owns[0].Topic != t.topic { // made under it, if one was
			found = append(found, o.Channel)
		}
	}
	found = slices.Compact(found) // several keys may publish to one
	if len(found) > 1 {
		return catalog.Info{}, badRequest("%d channels of this home are on topic %q; name one by its address, see channel-list", len(found), t.topic)
	}
	if len(found) == 0 {
		listings, err := n.catalog.ListedOn(ctx, t.topic)
		if err != nil {
			return catalog.Info{}, err
		}
		for _, l := range listings {
			found = append(found, l.ID)
		}
	}
	switch len(found) {
	case 0:
		return catalog.Info{}, fmt.Errorf("no channel known on topic %q: %w", t.topic, catalog.ErrUnknown)
	case 1:
		return n.catalog.Channel(ctx, found[0])
	}
	return catalog.Info{}, badRequest("%d channels are known on topic %q; name one by its address, see channel-list", len(found), t.topic)
}

func address(id channel.ID) string { return channel.Address{ID: id}.String() }
