package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// The keyring is the folder of keys: every *.pem in it. Which of them may do
// what in a channel, the channel's root says; so a key that was let into a
// channel is found without anybody having to say where it lies.

// heldKey is a key of the ring.
type heldKey struct {
	channel.PrivateKey
	file string
}

// keys reads the keyring, by file name. What cannot be read is left out: a
// command that needs it names it.
func (n *Node) keys() []heldKey {
	files, err := filepath.Glob(filepath.Join(n.cfg.Paths.Keys, "*.pem"))
	if err != nil {
		return nil // only for a pattern that is none
	}
	var out []heldKey
	for _, file := range files {
		key, err := n.keyFiles.Load(file)
		if err != nil {
			n.log.Debug("reading the keys of this home", "error", err)
			continue
		}
		out = append(out, heldKey{key, file})
	}
	return out
}

// keysFor is the keyring, and keys outside of it with which this home has
// published to a channel.
func (n *Node) keysFor(ctx context.Context, id channel.ID) ([]heldKey, error) {
	held := n.keys()
	owns, err := n.catalog.Owns(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range owns {
		known := slices.ContainsFunc(held, func(k heldKey) bool { return k.Public() == o.Key })
		if key, err := n.keyFiles.Load(o.KeyFile); o.Channel == id && !known && err == nil && key.Public() == o.Key {
			held = append(held, heldKey{key, o.KeyFile})
		}
	}
	return held, nil
}

// publication is where a release goes, and by which key.
type publication struct {
	key   channel.PrivateKey
	file  string // of key
	own   catalog.Own
	topic string // to be founded under, when own is not found
	found bool
	join  bool // the channel is to be recorded as one's own, too
}

// publication finds out what a request wants to publish to, and with which key.
func (n *Node) publication(ctx context.Context, req PublishRequest) (publication, error) {
	t, err := n.target(ctx, req.Topic)
	if err != nil {
		return publication{}, err
	}
	if t.topic == "" {
		p, err := n.publicationTo(ctx, t.address.ID, req.KeyFile, "")
		if err == nil { // as one who follows it: a private channel is sealed with its read key
			_, err = n.learn(ctx, t.address)
		}
		return p, err
	}
	p := publication{topic: t.topic}
	if p.key, p.file, err = n.publishingKey(req.KeyFile); err != nil {
		return p, err
	}
	p.own, err = n.catalog.OwnByTopic(ctx, t.topic, p.key.Public())
	if errors.Is(err, fs.ErrNotExist) && req.KeyFile != "" {
		return n.letIn(ctx, p, req.KeyFile)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if errors.Is(err, catalog.ErrSeveral) {
		return p, badRequest("publishing %w; name one by its address", err)
	}
	if err != nil {
		return p, err
	}
	p.found = true
	if info, err := n.catalog.Channel(ctx, p.own.Channel); req.KeyFile == "" && err == nil && info.HasRoot && !live(info.Root, p.key.Public()) {
		// It was rotated, or its time is over: another key of this home has taken its place.
		if next, err := n.publicationTo(ctx, p.own.Channel, "", p.own.Topic); err == nil {
			return next, nil
		}
	}
	return p, nil
}

// letIn finds the own channel on a topic that lists a key with which nothing has
// been published here yet. Without an own channel there one is founded; one that
// does not list the key is not what is meant, and a second of that name is
// founded only by who says so.
func (n *Node) letIn(ctx context.Context, p publication, file string) (publication, error) {
	owns, err := n.catalog.OwnsOn(ctx, p.topic)
	if err != nil || len(owns) == 0 {
		return p, err
	}
	var in []channel.ID
	for _, o := range owns {
		info, err := n.catalog.Channel(ctx, o.Channel)
		if err != nil {
			return p, err
		}
		if !slices.Contains(in, o.Channel) && mayPublish(info.Root, p.key.Public()) {
			in = append(in, o.Channel)
		}
	}
	switch len(in) {
	case 0:
		return p, fmt.Errorf("publishing to %q: %w: the key of %s is none of the publishers of %s, which this home publishes there; let it in with channel-delegate, or found another channel with channel-create %s -k %s", p.topic, channel.ErrNotAuthorized, file, address(owns[0].Channel), p.topic, file)
	case 1:
		return n.publicationTo(ctx, in[0], file, "")
	}
	return p, badRequest("%d channels of this home on %q list the key of %s; name one by its address", len(in), p.topic, file)
}

func mayPublish(root channel.Root, key channel.PublicKey) bool {
	p, ok := root.Publisher(key)
	return ok && p.Role == channel.RolePublish
}

// live reports whether a key may publish now.
func live(root channel.Root, key channel.PublicKey) bool {
	p, _ := root.Publisher(key)
	return mayPublish(root, key) && (p.Expires.IsZero() || !time.Now().After(p.Expires.Time()))
}

// publicationTo finds the key that publishes to a channel: that of file, else
// one of the keyring that the channel's root lists.
func (n *Node) publicationTo(ctx context.Context, id channel.ID, file, topic string) (publication, error) {
	held, err := n.keysFor(ctx, id)
	if err != nil {
		return publication{}, err
	}
	if file != "" {
		key, err := n.keyFiles.Load(file)
		if err != nil {
			return publication{}, fmt.Errorf("publishing key: %w", err)
		}
		held = []heldKey{{key, file}}
	}
	root, err := n.rootFor(ctx, id, func(r channel.Root) bool {
		return slices.ContainsFunc(held, func(k heldKey) bool { return live(r, k.Public()) })
	})
	if err != nil {
		return publication{}, fmt.Errorf("publishing to %s: %w", address(id), err)
	}
	listed := slices.DeleteFunc(held, func(k heldKey) bool { return !mayPublish(root, k.Public()) })
	held = slices.DeleteFunc(slices.Clone(listed), func(k heldKey) bool { return !live(root, k.Public()) })
	owns, err := n.catalog.Owns(ctx)
	if err != nil {
		return publication{}, err
	}
	// With several keys the node's own is meant, or the one that founded the
	// channel or has taken that one's place.
	i := slices.IndexFunc(held, func(k heldKey) bool { return filepath.Base(k.file) == publishKey })
	if i < 0 {
		i = slices.IndexFunc(held, func(k heldKey) bool { return founds(owns, id, k.Public()) })
	}
	if len(held) == 0 { // nothing of the asking is to stay
		if err := n.leave(ctx, ""); err != nil {
			return publication{}, err
		}
	}
	switch {
	case len(held) == 0 && len(listed) > 0:
		p, _ := root.Publisher(listed[0].Public())
		return publication{}, fmt.Errorf("publishing to %s: %w: the right of the key of %s ended %s; who has the channel's root key prolongs it with channel-delegate", address(id), channel.ErrExpired, listed[0].file, p.Expires)
	case len(held) == 0 && file != "":
		return publication{}, fmt.Errorf("publishing to %s: %w: the key of %s is none of its publishers; who has its root key lets it in with channel-delegate, see key-show", address(id), channel.ErrNotAuthorized, file)
	case len(held) == 0:
		return publication{}, fmt.Errorf("publishing to %s: %w: no key of this home is one of its publishers; name one that is with -k, or have one let in with channel-delegate, see key-show", address(id), channel.ErrNotAuthorized)
	case i > 0:
		held = held[i:]
	case i < 0 && len(held) > 1:
		return publication{}, badRequest("%d keys of this home may publish to %s; say which with -k: %s", len(held), address(id), names(held))
	}
	p := publication{key: held[0].PrivateKey, file: held[0].file, found: true, join: true}
	p.own = catalog.Own{Channel: id, Topic: topic, Key: p.key.Public(), KeyFile: p.file}
	for _, o := range owns {
		if o.Channel == id && o.Key == p.own.Key {
			p.own, p.join = o, o.KeyFile != p.file
			p.own.KeyFile = p.file
		}
	}
	return p, nil
}

// founds reports whether a key has founded a channel, or took the place of one
// that has.
func founds(owns []catalog.Own, id channel.ID, key channel.PublicKey) bool {
	return slices.ContainsFunc(owns, func(o catalog.Own) bool { return o.Channel == id && o.Key == key && o.Topic != "" })
}

func names(keys []heldKey) string {
	var s string
	for i, k := range keys {
		if i > 0 {
			s += ", "
		}
		s += k.file
	}
	return s
}

// rootFor returns the newest root of a channel. If it is not known here, or not
// what is hoped for, followers are asked first.
func (n *Node) rootFor(ctx context.Context, id channel.ID, hoped func(channel.Root) bool) (channel.Root, error) {
	info, err := n.catalog.Channel(ctx, id)
	if err == nil && info.HasRoot && hoped(info.Root) {
		return info.Root, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return channel.Root{}, err
	}
	if !n.cfg.Network {
		if err == nil && info.HasRoot {
			return info.Root, nil
		}
		return channel.Root{}, fmt.Errorf("%w: the channel is not known here; publish without --once or with a running daemon, and with --peer of a follower", catalog.ErrUnknown)
	}
	known := err == nil && info.HasRoot
	patience := doubtPatience
	if known {
		patience = namedPatience
	}
	if _, err := n.ask(ctx, id, patience, 1); err != nil {
		return channel.Root{}, err
	}
	if info, err = n.catalog.Channel(ctx, id); err != nil {
		return channel.Root{}, err
	}
	if !info.HasRoot {
		if err := n.leave(ctx, ""); err != nil {
			return channel.Root{}, err
		}
		return channel.Root{}, fmt.Errorf("%w: nobody who has the channel answered; is the address right? name a follower with --peer", catalog.ErrUnknown)
	}
	return info.Root, nil
}
