package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/keyfile"
	"github.com/anonymous-media-library/aml/publisher"
	"github.com/anonymous-media-library/aml/subscriber"
)

// memberFile is the file of this node's member key.
const memberFile = "member.pem"

// MemberKeyResult is this node's member key, but for its secret half.
type MemberKeyResult struct {
	Member channel.Member `json:"member"` // to be given to who keeps the members of a channel
	Short  string         `json:"short"`  // by which people tell members apart
	File   string         `json:"file"`   // with the secret half
	New    bool           `json:"new"`    // it was made by this request
}

// MembersRequest changes who can read the own private channel Target. Who is
// removed may be named by the short name that the list shows.
type MembersRequest struct {
	Target      string   `json:"target"` // topic, address or id
	Add         []string `json:"add"`
	Remove      []string `json:"remove"`
	NewEpoch    bool     `json:"newEpoch"`   // begin one even if nobody is removed
	Checked     bool     `json:"checked"`    // the list of members, so changed, is right, though it is of an epoch before the newest
	KeyFile     string   `json:"keyFile"`    // of the publishing key; empty: this node's own
	OnlyHolder  bool     `json:"onlyHolder"` // nobody else can have more of the channel than this home
	WithReadKey bool     `json:"withReadKey"`
	Peers       []string `json:"peers,omitempty"` // to be asked before it is signed
}

// MembersResult says what holds now.
type MembersResult struct {
	Address     string `json:"address"`
	ReadAddress string `json:"readAddress,omitempty"` // with the read key of the epoch; a secret
	Epoch       uint64 `json:"epoch"`
	Began       bool   `json:"began"` // the epoch began with this
	Members     int    `json:"members"`
	Seq         uint64 `json:"seq,omitempty"` // of the release that tells of it; 0: nothing changed
}

// MemberListResult names the members of an own private channel.
type MemberListResult struct {
	Address string       `json:"address"`
	Epoch   uint64       `json:"epoch"`
	Listed  uint64       `json:"listed"` // the epoch that the list is of; if before Epoch, somebody was perhaps removed since
	Members []MemberInfo `json:"members"`
}

// MemberInfo is one member.
type MemberInfo struct {
	Short string         `json:"short"`
	Added channel.Time   `json:"added"`
	Key   channel.Member `json:"key"`
}

// MemberKey returns this node's member key, made when it is first asked for.
func (n *Node) MemberKey(_ context.Context, _ None, _ func(any)) (MemberKeyResult, error) {
	res := MemberKeyResult{File: filepath.Join(n.cfg.Paths.Keys, memberFile)}
	key, err := keyfile.LoadMember(res.File)
	if errors.Is(err, fs.ErrNotExist) {
		res.New = true
		if key, err = channel.GenerateMemberKey(); err == nil {
			err = keyfile.WriteMember(res.File, key)
		}
	}
	if err != nil {
		return MemberKeyResult{}, err
	}
	res.Member = key.Public()
	res.Short = res.Member.Short()
	return res, nil
}

// member is this node's member key, or none where none was ever asked for.
func (n *Node) member() (channel.MemberKey, error) {
	key, err := keyfile.LoadMember(filepath.Join(n.cfg.Paths.Keys, memberFile))
	if errors.Is(err, fs.ErrNotExist) {
		return channel.MemberKey{}, nil
	}
	return key, err
}

// SetMembers adds and removes members of an own private channel. It is on disk
// before anybody is told.
func (n *Node) SetMembers(ctx context.Context, req MembersRequest, emit func(any)) (MembersResult, error) {
	if err := n.meet(ctx, req.Peers); err != nil {
		return MembersResult{}, err
	}
	info, err := n.find(ctx, req.Target)
	if err != nil {
		return MembersResult{}, err
	}
	to, err := n.publicationTo(ctx, info.ID, req.KeyFile, "")
	if err != nil {
		return MembersResult{}, err
	}
	spec := publisher.MembersSpec{Channel: info.ID, Key: to.key, NewEpoch: req.NewEpoch, Checked: req.Checked}
	for _, s := range req.Add {
		m, err := channel.ParseMember(s)
		if err != nil {
			return MembersResult{}, badRequest("%.20q: %w, as aml key-member prints it, and there is no file of that name", s, err)
		}
		spec.Add = append(spec.Add, m)
	}
	for _, s := range req.Remove {
		m, err := n.namedMember(ctx, info.ID, s)
		if err != nil {
			return MembersResult{}, err
		}
		spec.Remove = append(spec.Remove, m)
	}
	if err := n.current(ctx, enquiry{info.ID, req.OnlyHolder, req.Peers, emit}, to.key.Public()); err != nil {
		return MembersResult{}, fmt.Errorf("changing the members of %w", err)
	}
	n.unlock(ctx, info.ID)
	set, err := n.pub.SetMembers(ctx, spec)
	if errors.Is(err, publisher.ErrUnchecked) {
		err = n.withMembers(ctx, info.ID, err)
	}
	if err != nil {
		return MembersResult{}, fmt.Errorf("changing the members of %s: %w", address(info.ID), err)
	}
	if set.Unannounced != nil { // the release stands; followers sync it
		emit(ErrorEvent{Event: "error", Channel: info.ID.String(), Message: "telling followers: " + set.Unannounced.Error(), Retry: true})
	}
	res := MembersResult{Address: address(info.ID), Epoch: set.Epoch, Began: set.Began, Members: set.Members, Seq: set.Seq}
	if req.WithReadKey {
		res.ReadAddress = channel.Address{ID: info.ID, ReadKey: set.ReadKey}.StringWithReadKey()
	}
	return res, nil
}

// shownMembers is how many members an error names.
const shownMembers = 20

// withMembers is err with the members that are kept here, for a person to look at.
func (n *Node) withMembers(ctx context.Context, id channel.ID, err error) error {
	members, listErr := n.catalog.Members(ctx, id)
	if listErr != nil {
		return err
	}
	var names []string
	for _, m := range members[:min(len(members), shownMembers)] {
		names = append(names, fmt.Sprintf("%s (since %s)", m.Key.Short(), channel.TimeOf(m.Added)))
	}
	if more := len(members) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	if len(names) == 0 {
		names = []string{"nobody"}
	}
	return fmt.Errorf("%w. In the list are: %s", err, strings.Join(names, ", "))
}

// namedMember finds a member by its key or short name.
func (n *Node) namedMember(ctx context.Context, id channel.ID, s string) (channel.Member, error) {
	key, err := channel.ParseMember(s)
	if err == nil {
		return key, nil
	}
	members, listErr := n.catalog.Members(ctx, id)
	if listErr != nil {
		return channel.Member{}, listErr
	}
	var found []channel.Member
	for _, m := range members {
		if m.Key.Short() == s {
			found = append(found, m.Key)
		}
	}
	switch len(found) {
	case 0:
		return channel.Member{}, fmt.Errorf("%.20q is neither a member's key nor the short name of one; see channel-member-list: %w", s, publisher.ErrNoMember)
	case 1:
		return found[0], nil
	}
	return channel.Member{}, badRequest("%d members have the short name %s; name one by its key", len(found), s)
}

// Members names the members of an own private channel.
func (n *Node) Members(ctx context.Context, req ShowRequest, _ func(any)) (MemberListResult, error) {
	info, err := n.find(ctx, req.Target)
	if err != nil {
		return MemberListResult{}, err
	}
	if info.Root.Class != channel.Private {
		return MemberListResult{}, fmt.Errorf("members of %s: %w", address(info.ID), publisher.ErrPublic)
	}
	members, err := n.catalog.Members(ctx, info.ID)
	if err != nil {
		return MemberListResult{}, err
	}
	if err := n.pub.Keeps(ctx, info.ID); errors.Is(err, publisher.ErrNotKeeper) && len(members) == 0 {
		return MemberListResult{}, notFound("the members of %s are not known here: only the home that founded it keeps their list, and nothing that is published tells of them; channel-show says what can be read here", address(info.ID))
	} else if err != nil && len(members) == 0 {
		return MemberListResult{}, err
	}
	newest, listed, err := n.pub.MembersEpoch(ctx, info.ID)
	if err != nil {
		return MemberListResult{}, err
	}
	res := MemberListResult{Address: address(info.ID), Epoch: newest, Listed: listed, Members: []MemberInfo{}}
	for _, m := range members {
		res.Members = append(res.Members, MemberInfo{m.Key.Short(), channel.TimeOf(m.Added), m.Key})
	}
	return res, nil
}

// epochOf is the newest epoch of a private channel that is known of.
func epochOf(info catalog.Info) (epoch uint64) {
	for _, l := range info.Logs {
		epoch = max(epoch, l.Epoch)
	}
	return epoch
}

// localPatience is how long a blob is waited for where there is nobody to ask,
// keyringPatience where there is.
const localPatience, keyringPatience = 100 * time.Millisecond, 5 * time.Second

// unlock opens what is sealed in a private channel: a publisher has to know what
// the others published, and in which epoch. What cannot be opened is found out by
// whoever needs it.
func (n *Node) unlock(ctx context.Context, id channel.ID) {
	if sealed, err := n.catalog.Sealed(ctx, id, 0, 1); err == nil && len(sealed) == 0 {
		return
	}
	if err := n.readWith(ctx, id, (*subscriber.Subscriber).Unlock); err != nil && ctx.Err() == nil {
		n.log.Warn("opening sealed releases", "channel", address(id), "error", err)
	}
}

// readWith has read what a channel says, with the blobs that are here and, where
// there is a network, those of others, for which is not waited long.
func (n *Node) readWith(ctx context.Context, id channel.ID, read func(*subscriber.Subscriber, context.Context, channel.ID) error) error {
	patience := localPatience
	var swarm *fetch.Swarm
	var err error
	if n.cfg.Network {
		net, err := n.online(ctx)
		if err != nil {
			return err
		}
		patience = keyringPatience
		if swarm, err = n.newSwarm(n.blobs, patience, 0); err != nil {
			return err
		}
		defer net.gather(ctx, swarm, func() []peer.ID { return net.gossip.Peers(id) }, tracker.Key(id.Discovery()))()
	} else if swarm, err = fetch.New(fetch.Config{Store: n.blobs, StallTimeout: patience}); err != nil {
		return err
	}
	s, err := subscriber.New(subscriber.Config{Ledger: n.catalog, Blobs: n.blobs, Swarm: swarm, Member: n.member, ProbeTimeout: patience})
	if err != nil {
		return err
	}
	return read(s, ctx, id)
}

// readAddress is a channel's address with the read key of its newest epoch.
func (n *Node) readAddress(ctx context.Context, id channel.ID) (string, error) {
	key, err := n.pub.ReadKey(ctx, id)
	if err != nil {
		return "", fmt.Errorf("the whole address of %s: %w", address(id), err)
	}
	return channel.Address{ID: id, ReadKey: key}.StringWithReadKey(), nil
}

// learnFrom keeps the read key of a subscription's address.
func (n *Node) learnFrom(ctx context.Context, sub catalog.Subscription) (bool, error) {
	if sub.Topic != "" {
		return false, nil
	}
	a, err := channel.ParseAddress(sub.Address)
	if err != nil {
		return false, fmt.Errorf("subscription to %s: %w", targetOf(sub), err)
	}
	return n.learn(ctx, a)
}

// learnTrusted keeps the read keys of channels that are trusted on a topic.
func (n *Node) learnTrusted(ctx context.Context, trust []string) error {
	for _, s := range trust {
		t, err := n.target(ctx, s)
		if err != nil {
			return err
		}
		if _, err := n.learn(ctx, t.address); err != nil {
			return err
		}
	}
	return nil
}

// withReadKey is an address with the newest read key that is known here: the one
// that it was followed by, or what a member found, is perhaps of an epoch before.
func (n *Node) withReadKey(ctx context.Context, a channel.Address) (channel.Address, error) {
	keys, err := n.catalog.ReadKeys(ctx, a.ID)
	if err == nil && len(keys) > 0 && keys[0].Epoch > 0 {
		a.ReadKey = keys[0].Key
	}
	return a, err
}

// learn keeps the read key that came with an address, and reports whether it is
// new.
func (n *Node) learn(ctx context.Context, a channel.Address) (bool, error) {
	if a.ReadKey.IsZero() {
		return false, nil
	}
	keys, err := n.catalog.ReadKeys(ctx, a.ID)
	if err == nil && slices.ContainsFunc(keys, func(k catalog.ReadKey) bool { return k.Key.Equal(a.ReadKey) }) {
		return false, nil
	}
	if err == nil {
		err = n.catalog.Learn(ctx, a.ID, catalog.ReadKey{Key: a.ReadKey})
	}
	if err != nil {
		return false, fmt.Errorf("remembering a read key: %w", err)
	}
	return true, nil
}
