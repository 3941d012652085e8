package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/keyfile"
	plughost "github.com/anonymous-media-library/aml/plugins/host"
	"github.com/anonymous-media-library/aml/publisher"
)

// publishKey is the file of the publishing key that is used when a request
// names no other.
const publishKey = "publish.pem"

// Create founds a channel.
func (n *Node) Create(ctx context.Context, req CreateRequest, _ func(any)) (CreateResult, error) {
	key, file, err := n.publishingKey(req.KeyFile)
	if err != nil {
		return CreateResult{}, err
	}
	class := channel.Public
	if req.Private {
		class = channel.Private
	} else if req.WithReadKey {
		return CreateResult{}, badRequest("a public channel has no read key")
	}
	created, err := n.create(ctx, publisher.CreateSpec{Topics: req.Topics, Title: req.Title, By: req.By, Kind: req.Kind, Class: class, Key: key, KeyFile: file})
	if err != nil {
		return CreateResult{}, err
	}
	res := CreateResult{
		Channel: created.Channel.String(), Address: address(created.Channel), Topics: created.Topics,
		RootKey: created.RootKeyFile, Key: file,
	}
	if req.WithReadKey {
		res.ReadAddress = channel.Address{ID: created.Channel, ReadKey: created.ReadKey}.StringWithReadKey()
	}
	return res, nil
}

// checkWords says what is wrong with the title of a channel or a release, and with
// what a release says of itself.
func checkWords(title, description string) error {
	said := channel.Body{Title: title, Description: description, Removals: []channel.Removal{{Name: "a"}}}
	if err := said.Validate(); err != nil {
		return badRequest("%w", err)
	}
	return nil
}

// create founds a channel as spec says, whose texts are what somebody gave.
func (n *Node) create(ctx context.Context, spec publisher.CreateSpec) (publisher.Created, error) {
	for i, t := range spec.Topics {
		normal, err := channel.NormalizeTopic(t)
		if err != nil {
			return publisher.Created{}, badRequest("%w", err)
		}
		spec.Topics[i] = normal
	}
	if err := CheckPublisherName(spec.By); err != nil {
		return publisher.Created{}, err
	}
	if err := checkWords(spec.Title, ""); err != nil {
		return publisher.Created{}, err
	}
	switch spec.Kind {
	case "":
		spec.Kind = channel.Media
	case channel.Media, channel.Update:
	default:
		return publisher.Created{}, badRequest("kind %q: want media or update", spec.Kind)
	}
	if spec.Title == "" && len(spec.Topics) > 0 {
		spec.Title = spec.Topics[0]
	}
	spec.KeyDir = n.cfg.Paths.Keys
	created, err := n.pub.Create(ctx, spec)
	if errors.Is(err, publisher.ErrExists) {
		return publisher.Created{}, badRequest("founding a channel: %w. Publish to it (channel-publish %s); or found another with a key of its own (key-new, then channel-create %s -k KEY.pem)", err, spec.Topics[0], spec.Topics[0])
	}
	if err != nil {
		return publisher.Created{}, fmt.Errorf("founding a channel: %w", err)
	}
	return created, n.own(ctx, created.Channel)
}

// publishingKey loads the key of file, or this node's own, made when it is
// first wanted.
func (n *Node) publishingKey(file string) (channel.PrivateKey, string, error) {
	own := file == ""
	if own {
		file = filepath.Join(n.cfg.Paths.Keys, publishKey)
	}
	key, err := n.keyFiles.Load(file)
	if own && errors.Is(err, fs.ErrNotExist) {
		if key, err = channel.GenerateKey(); err == nil {
			err = keyfile.Write(file, key)
		}
	}
	if err != nil {
		err = fmt.Errorf("publishing key: %w", err)
		if !own {
			err = badKey(err)
		}
		return channel.PrivateKey{}, "", err
	}
	return key, file, nil
}

// Publish adds a release to an own channel, which is founded if the topic has
// none by that key. The release is on disk before anybody is told. It emits
// ProgressEvents.
func (n *Node) Publish(ctx context.Context, req PublishRequest, emit func(any)) (PublishResult, error) {
	if err := n.meet(ctx, req.Peers); err != nil {
		return PublishResult{}, err
	}
	if err := checkWords(req.Title, req.Description); err != nil {
		return PublishResult{}, err
	}
	// The channel is looked up before anything is sealed and founded after, so
	// that bad input leaves nothing behind.
	to, err := n.publication(ctx, req)
	if err != nil {
		return PublishResult{}, err
	}
	if to.found {
		ask := n.current
		if req.asked {
			ask = n.stillCurrent
		}
		if err := ask(ctx, enquiry{to.own.Channel, req.OnlyHolder, req.Peers, emit}, to.own.Key); err != nil {
			return PublishResult{}, fmt.Errorf("publishing to %w", err)
		}
		n.unlock(ctx, to.own.Channel)
	}
	release, err := n.release(ctx, req, to.own.Channel, to.key, emit)
	if err != nil {
		return PublishResult{}, err
	}
	given := release
	if release, err = n.beforePublish(ctx, given); err != nil {
		// What nobody could understand is wrong input, whoever says so first.
		if bad := n.checkSoftware(ctx, to, given, func(any) {}); bad != nil && errors.Is(err, plughost.ErrDenied) {
			return PublishResult{}, bad
		}
		return PublishResult{}, err
	}
	if err := n.checkSoftware(ctx, to, release, emit); err != nil {
		return PublishResult{}, err
	}
	switch {
	case !to.found:
		created, err := n.create(ctx, publisher.CreateSpec{Topics: []string{to.topic}, Class: channel.Public, Key: to.key, KeyFile: to.file})
		if err != nil {
			return PublishResult{}, err
		}
		to.own.Channel, release.Channel = created.Channel, created.Channel
	case to.join:
		if err := n.catalog.Found(ctx, to.own); err != nil {
			return PublishResult{}, fmt.Errorf("publishing to %s: %w", address(to.own.Channel), err)
		}
	}
	own, found := to.own, to.found
	done, err := n.pub.Publish(ctx, release)
	if err != nil && !found {
		return PublishResult{}, fmt.Errorf("publishing to %s, which was founded just now and has no release yet: %w", address(own.Channel), err)
	}
	if err != nil {
		return PublishResult{}, fmt.Errorf("publishing to %s: %w", address(own.Channel), err)
	}
	if done.Unannounced != nil { // the release stands; followers sync it
		emit(ErrorEvent{Event: "error", Channel: own.Channel.String(), Message: "telling followers: " + done.Unannounced.Error(), Retry: true})
	}
	if err := n.own(ctx, own.Channel); err != nil {
		return PublishResult{}, err
	}
	info, err := n.catalog.Channel(ctx, own.Channel)
	if err != nil {
		return PublishResult{}, err
	}
	tell(n.ageing.releases)
	if len(done.Retired.Removed) > 0 || len(release.Remove) > 0 {
		n.tookBack(ctx, own.Channel, to.key)
	}
	res := PublishResult{
		Address: address(own.Channel), Channel: own.Channel.String(), Created: !found, Topics: info.Root.Topics,
		Seq: done.Seq, Hash: done.Hash, Entries: len(release.Entries), Removed: len(release.Remove), Bytes: done.Bytes,
		Retired: retired(done.Retired.Removed), Spared: retired(done.Retired.Spared),
	}
	return res, nil
}

// release seals what a request names, once all that can be known to be wrong
// with it is not.
func (n *Node) release(ctx context.Context, req PublishRequest, id channel.ID, key channel.PrivateKey, emit func(any)) (publisher.Release, error) {
	scheme, err := parseErasure(req.Erasure)
	if err != nil {
		return publisher.Release{}, err
	}
	spec := publisher.DraftSpec{Dir: req.DraftDir, Channel: id, Key: key, Into: req.Into, ChunkSize: req.ChunkSize, InPlace: req.InPlace, Erasure: scheme, OnProgress: ingestProgress(emit)}
	if req.Into != "" {
		if err := channel.ValidName(req.Into); err != nil {
			return publisher.Release{}, badRequest("--into: %w", err)
		}
	}
	switch {
	case req.draft != nil:
		spec.Draft = *req.draft
	case req.Draft != nil:
		draft, err := channel.ParseDraft(req.Draft.Text)
		if err != nil {
			return publisher.Release{}, badDocument(fmt.Errorf("%s: %w", req.Draft.Name, err), wantDraft)
		}
		spec.Draft = draft
	case len(req.Paths) == 0:
		return publisher.Release{}, badRequest("nothing to publish: give files, folders or a manifest.json")
	default:
		spec.Draft = channel.Draft{Title: req.Title, Description: req.Description}
		for _, path := range req.Paths {
			spec.Draft.Entries = append(spec.Draft.Entries, channel.DraftEntry{Path: path})
		}
	}
	return n.pub.FromDraft(ctx, spec)
}

// serveOwn keeps own channels on the network until ctx ends: announced, their
// heads fresh.
func (n *Node) serveOwn(ctx context.Context) error {
	owns, err := n.catalog.Owns(ctx)
	if err != nil {
		return fmt.Errorf("listing own channels: %w", err)
	}
	for _, o := range owns {
		if err := n.own(ctx, o.Channel); err != nil {
			return err
		}
	}
	return n.renewHeads(ctx)
}

// own puts an own channel on the network: its gossip is joined, it and its
// files are announced. Without a network there is nothing to do.
func (n *Node) own(ctx context.Context, id channel.ID) error {
	if !n.cfg.Network {
		return nil
	}
	if err := n.net.gossip.Follow(id); err != nil {
		return fmt.Errorf("joining the gossip of %s: %w", address(id), err)
	}
	return n.holdEntries(ctx, id)
}
