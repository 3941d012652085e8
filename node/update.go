package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/subscriber"
	"github.com/anonymous-media-library/aml/updates"
)

// UpdateRequest asks which version of the software in a channel an installation is to
// have. The node remembers nothing of the installation; it follows the channel from then
// on, without its files, so that the next answer is quick: Unsubscribe ends that.
type UpdateRequest struct {
	Target       string   `json:"target"` // address or petname
	Installation []byte   `json:"installation"`
	Platform     string   `json:"platform"`
	Track        string   `json:"track"`
	Version      string   `json:"version"` // installed
	Refused      []string `json:"refused"`
	Missing      []string `json:"missing,omitempty"` // versions whose build nobody has given just now
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
	if err == nil {
		err = t.whole()
	}
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
	in := updates.Installation{Platform: req.Platform, Track: req.Track, Version: req.Version, Refused: req.Refused, Missing: req.Missing}
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
	if err := n.upToDate(ctx, t.address, time.Duration(req.Timeout)); err != nil {
		return UpdateResult{}, err
	}
	// What cannot be had holds back itself alone, and is counted.
	if err := n.readWith(ctx, id, (*subscriber.Subscriber).Learn); err != nil {
		if ctx.Err() != nil {
			return UpdateResult{}, context.Cause(ctx)
		}
		n.log.Info("reading what a channel says", "channel", address(id), "error", err)
	}
	info, err := n.catalog.Channel(ctx, id)
	if err != nil {
		return UpdateResult{}, err
	}
	found, err := n.softwareIn(ctx, id)
	if err != nil {
		return UpdateResult{}, err
	}
	if found.unread > 0 && len(found.releases) == 0 {
		return UpdateResult{}, fmt.Errorf("nothing in %s can be read: %d releases are sealed, and its address is wanted with the read key, or nobody has what they say; see channel-show", address(id), found.unread)
	}
	res := chosen(id, found.releases, info, in)
	if found.unread > 0 {
		res.Why = strings.TrimPrefix(fmt.Sprintf("%s; %d releases could not be read", res.Why, found.unread), "; ")
	}
	return res, nil
}

// chosen is what an installation is to have. Releases of a key that has signed two
// histories hold back nothing but themselves: they count only where nothing else is
// newer, and are held then.
func chosen(id channel.ID, releases []updates.Release, info catalog.Info, in updates.Installation) UpdateResult {
	sound := slices.DeleteFunc(slices.Clone(releases), func(r updates.Release) bool {
		return slices.ContainsFunc(info.Logs, func(l catalog.LogInfo) bool { return l.Log == r.Log && l.Frozen })
	})
	c := updates.Choose(id, sound, in)
	if !c.Newer && len(sound) < len(releases) {
		if forked := updates.Choose(id, releases, in); forked.Newer {
			c = forked
		}
	}
	res := UpdateResult{Address: address(id), Installed: in.Version, Newer: c.Newer, Why: c.Why}
	if c.Newer {
		res.Version, res.Track, res.Rollout, res.Title, res.Notes, res.Entry = c.Release.Version, c.Release.Track, c.Release.Rollout, c.Release.Title, c.Release.Notes, &c.Build.Entry
	}
	if err := installable(info, c.Release.Log, orAll(res.Version)); err != nil {
		res.Held = err.Error()
	}
	return res
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
func (n *Node) upToDate(ctx context.Context, a channel.Address, patience time.Duration) error {
	const shortly = 5 * time.Second
	id := a.ID
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
	if _, err := n.learn(ctx, a); err != nil {
		return err
	}
	if err := n.net.gossip.Follow(id); err != nil {
		return fmt.Errorf("following %s: %w", address(id), err)
	}
	known := err == nil && info.Fresh && !info.Behind
	if known {
		patience = min(patience, shortly)
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	late := func(err error) error {
		if limited.Err() == nil || ctx.Err() != nil {
			return err
		}
		info, infoErr := n.catalog.Channel(ctx, id) // a root may have come by now
		return notUpToDate(address(id), infoErr == nil && info.HasRoot, patience)
	}
	for {
		if err := n.synced(limited, id); err != nil {
			if known && ctx.Err() == nil {
				return nil
			}
			return late(err)
		}
		if info, err = n.catalog.Channel(ctx, id); err != nil {
			return err
		}
		if !info.Behind || forked(info) != nil {
			return nil
		}
		if err := pause(limited, syncRetry); err != nil {
			return late(err)
		}
	}
}

// software is what a channel has for those who install.
type software struct {
	releases []updates.Release
	unread   int // live releases whose words are not here
}

// softwareIn returns the releases of software in a channel, with those builds that are
// still in its view. A version is the word of who may name everything: one whose key has
// scopes, a guest, says nothing about the application. What cannot be understood is left
// out: its publisher may be of a newer kind.
func (n *Node) softwareIn(ctx context.Context, id channel.ID) (out software, err error) {
	guests, err := n.guests(ctx, id)
	if err != nil {
		return out, err
	}
	dead := map[int64]bool{}
	for after := int64(0); ; {
		page, err := n.catalog.Dead(ctx, id, after, 0)
		if err != nil {
			return out, err
		}
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			after = r.Position
			dead[after] = true
		}
	}
	for after := int64(0); ; {
		page, err := n.catalog.Releases(ctx, id, after, 0)
		if err != nil || len(page) == 0 {
			return out, err
		}
		for _, r := range page {
			after = r.Position
			if dead[after] || guests[r.Log] || r.Silent {
				continue
			}
			if r.Body == nil {
				out.unread++
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
				return out, err
			}
			out.releases = append(out.releases, one)
		}
	}
}

// guests are the keys that some root of a channel has confined to scopes.
func (n *Node) guests(ctx context.Context, id channel.ID) (map[channel.PublicKey]bool, error) {
	out := map[channel.PublicKey]bool{}
	for from := uint64(1); ; {
		page, err := n.catalog.Roots(ctx, id, from, 64, 1<<20)
		if err != nil || len(page) == 0 {
			return out, err
		}
		for _, data := range page {
			env, err := channel.DecodeEnvelope(data)
			if err != nil {
				return nil, err
			}
			root, err := channel.DecodeRoot(env.Payload)
			if err != nil {
				return nil, err
			}
			for _, p := range root.Publishers {
				if len(p.Scopes) > 0 {
					out[p.Key] = true
				}
			}
			from = root.Version + 1
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
