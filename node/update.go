package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/updates"
)

// UpdateRequest asks which version of the software in a channel an installation is to
// have. The node keeps nothing of it.
type UpdateRequest struct {
	Target       string   `json:"target"` // address or petname
	Installation []byte   `json:"installation"`
	Platform     string   `json:"platform"`
	Track        string   `json:"track"`
	Version      string   `json:"version"` // installed
	Refused      []string `json:"refused"`
	Peers        []string `json:"peers"`
	Timeout      Duration `json:"timeout"`
}

// UpdateResult is the answer.
type UpdateResult struct {
	Address   string             `json:"address"`
	Installed string             `json:"installed,omitempty"`
	Newer     bool               `json:"newer"` // Version is to be installed
	Version   string             `json:"version,omitempty"`
	Track     string             `json:"track,omitempty"`
	Rollout   int                `json:"rollout,omitempty"` // percent
	Title     string             `json:"title,omitempty"`
	Notes     string             `json:"notes,omitempty"`
	Entry     *channel.FileEntry `json:"entry,omitempty"`
	Why       string             `json:"why,omitempty"`  // it is not installed, or is not the newest
	Held      string             `json:"held,omitempty"` // it is not to be installed now, since the channel cannot be believed
}

// CheckUpdate says what is wrong with a request. It needs no node.
func CheckUpdate(req UpdateRequest) error {
	t, err := parseTarget(req.Target)
	if err != nil {
		return err
	}
	if t.topic != "" {
		return badRequest("%q is a topic, on which anybody may publish: name the channel by its address, or by a petname (channel-trust)", req.Target)
	}
	err = errors.Join(updates.CheckTrack(req.Track), updates.CheckPlatform(req.Platform))
	if req.Version != "" {
		err = errors.Join(err, updates.CheckVersion(req.Version))
	}
	if err != nil {
		return badRequest("%w", err)
	}
	return nil
}

// UpdateCheck brings what is known of a channel up to date and chooses the version that
// an installation is to have. What cannot be relied on, because the channel is stale or
// the publisher's key has signed two histories, is chosen and Held.
func (n *Node) UpdateCheck(ctx context.Context, req UpdateRequest, _ func(any)) (UpdateResult, error) {
	if err := CheckUpdate(req); err != nil {
		return UpdateResult{}, err
	}
	in := updates.Installation{Platform: req.Platform, Track: req.Track, Version: req.Version, Refused: req.Refused}
	if len(req.Installation) != len(in.ID) {
		return UpdateResult{}, badRequest("installation: want %d bytes", len(in.ID))
	}
	copy(in.ID[:], req.Installation)
	net, err := n.online(ctx)
	if err != nil {
		return UpdateResult{}, err
	}
	if err := net.know(req.Peers); err != nil {
		return UpdateResult{}, err
	}
	t, err := n.target(ctx, req.Target)
	if err != nil {
		return UpdateResult{}, err
	}
	id := t.address.ID
	if err := n.upToDate(ctx, id, time.Duration(req.Timeout)); err != nil {
		return UpdateResult{}, err
	}
	info, err := n.catalog.Channel(ctx, id)
	if err != nil {
		return UpdateResult{}, err
	}
	releases, err := n.softwareIn(ctx, id)
	if err != nil {
		return UpdateResult{}, err
	}
	c := updates.Choose(id, releases, in)
	res := UpdateResult{Address: address(id), Installed: req.Version, Newer: c.Newer, Why: c.Why}
	if c.Newer {
		res.Version, res.Track, res.Rollout, res.Title, res.Notes, res.Entry = c.Release.Version, c.Release.Track, c.Release.Rollout, c.Release.Title, c.Release.Notes, &c.Build.Entry
	}
	if err := installable(info, c.Release.Log, orAll(res.Version)); err != nil {
		res.Held = err.Error()
	}
	return res, nil
}

func orAll(version string) string {
	if version == "" {
		return "what it has"
	}
	return "version " + version
}

// upToDate asks followers of a channel for what is new in it, until one has answered and
// nothing is missing. Of a channel that is fresh here the answer is waited for only
// shortly: it is there for the others to have, and none of them may be on.
func (n *Node) upToDate(ctx context.Context, id channel.ID, patience time.Duration) error {
	const shortly = 5 * time.Second
	if patience == 0 {
		patience = defaultPatience
	}
	info, err := n.catalog.Channel(ctx, id)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil || info.Reason == catalog.Listed {
		if err := n.catalog.Expect(ctx, id, catalog.Followed); err != nil {
			return fmt.Errorf("following %s: %w", address(id), err)
		}
	}
	if err := n.net.gossip.Follow(id); err != nil {
		return fmt.Errorf("following %s: %w", address(id), err)
	}
	known := err == nil && info.Fresh && !info.Behind
	if known {
		patience = min(patience, shortly)
	}
	limited, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%s is not up to date after %s; is a follower or the publisher reachable? name one with --peer", address(id), patience))
	defer cancel()
	for {
		if err := n.synced(limited, id); err != nil {
			if known && ctx.Err() == nil {
				return nil
			}
			return err
		}
		if info, err = n.catalog.Channel(ctx, id); err != nil {
			return err
		}
		if !info.Behind || forked(info) != nil {
			return n.bodies(limited, id)
		}
		if err := pause(limited, syncRetry); err != nil {
			return err
		}
	}
}

// bodies fetches what releases say where that lies in blobs.
func (n *Node) bodies(ctx context.Context, id channel.ID) error {
	missing, err := n.catalog.MissingBodies(ctx, id, 0)
	if err != nil || len(missing) == 0 {
		return err
	}
	swarm, err := n.newSwarm(n.blobs, 0, 0)
	if err != nil {
		return err
	}
	defer n.net.gather(ctx, swarm, func() []peer.ID { return n.net.gossip.Peers(id) }, tracker.Key(id.Discovery()))()
	for _, r := range missing {
		blob, err := swarm.Get(ctx, r.Ref.ID, nil)
		if err != nil {
			return fmt.Errorf("release %d: its body: %w", r.Seq, err)
		}
		body, err := channel.OpenBody(blob, *r.Ref)
		if err != nil {
			err = n.catalog.RefuseBody(ctx, id, r.Hash, err.Error())
		} else if err = n.catalog.PutBody(ctx, id, r.Hash, body); errors.Is(err, catalog.ErrRefused) {
			err = nil // the catalogue has it so
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// softwareIn returns the releases of software in a channel, with those builds that are
// still in its view. What cannot be understood is left out: its publisher may be of a
// newer kind.
func (n *Node) softwareIn(ctx context.Context, id channel.ID) (out []updates.Release, err error) {
	for after := int64(0); ; {
		page, err := n.catalog.Releases(ctx, id, after, 0)
		if err != nil || len(page) == 0 {
			return out, err
		}
		for _, r := range page {
			after = r.Position
			if r.Body == nil {
				continue
			}
			one, ok, err := updates.Parse(*r.Body)
			if err != nil {
				n.log.Info("leaving a release out", "channel", address(id), "release", r.Seq, "error", err)
			}
			if !ok {
				continue
			}
			one.Log, one.Seq, one.Issued = r.Log, r.Seq, r.Manifest.Issued
			if one.Builds, err = n.inView(ctx, id, one.Builds); err != nil {
				return nil, err
			}
			out = append(out, one)
		}
	}
}

// inView returns those builds that were neither taken back nor replaced.
func (n *Node) inView(ctx context.Context, id channel.ID, builds []updates.Build) ([]updates.Build, error) {
	var err error
	return slices.DeleteFunc(builds, func(b updates.Build) bool {
		e, entryErr := n.catalog.Entry(ctx, id, b.Entry.Name)
		if entryErr != nil && !errors.Is(entryErr, fs.ErrNotExist) {
			err = entryErr
		}
		return entryErr != nil || e.Removed || e.Root != b.Entry.Root
	}), err
}
