package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// KeySetInfo is who may sign the next root.
type KeySetInfo struct {
	Keys      []channel.PublicKey `json:"keys"`
	Threshold uint64              `json:"threshold"`
}

// PublisherInfo is a key and what it may do.
type PublisherInfo struct {
	Key     channel.PublicKey `json:"key"`
	Name    string            `json:"name,omitempty"` // what the root calls it
	Role    channel.Role      `json:"role"`
	Scopes  []string          `json:"scopes,omitempty"`
	Expires channel.Time      `json:"expires,omitzero"`
	Expired bool              `json:"expired,omitempty"`
	Here    string            `json:"here,omitempty"` // the key's file, if this home has it
}

// RevokedInfo is a key that was withdrawn.
type RevokedInfo struct {
	Key channel.PublicKey `json:"key"`
	Seq uint64            `json:"seq"` // its last good release
}

// ForkInfo is a proof that a key has signed two histories, or that root keys
// have: the hashes of two releases, or roots, with one number.
type ForkInfo struct {
	Log    *channel.PublicKey `json:"log,omitempty"` // none: the root
	Seq    uint64             `json:"seq"`           // for the root, its version
	Hashes [2]channel.Hash    `json:"hashes"`        // the one known first, and the other
	Over   bool               `json:"over"`          // a root has said since where the log ends
}

// TombstoneInfo is a name that was taken away from a channel.
type TombstoneInfo struct {
	Name   string            `json:"name"`
	Reason string            `json:"reason,omitempty"`
	Log    channel.PublicKey `json:"log"` // whose release said so
	Seq    uint64            `json:"seq"`
	Issued channel.Time      `json:"issued"`
}

// LabelInfo is what filters of this node's have said of a release.
type LabelInfo struct {
	Log    channel.PublicKey `json:"log"`
	Seq    uint64            `json:"seq"`
	Labels map[string]string `json:"labels"`
}

// maxLabelled is of how many releases labels are shown.
const maxLabelled = 100

// Show says all about one known channel.
func (n *Node) Show(ctx context.Context, req ShowRequest, _ func(any)) (ShowResult, error) {
	info, err := n.find(ctx, req.Target)
	if err != nil {
		return ShowResult{}, err
	}
	if phantom(info) {
		return ShowResult{}, notFound("channel %s: nothing of it is known yet; follow it first (channel-subscribe)", address(info.ID))
	}
	subscribed, err := n.subscribed(ctx)
	if err != nil {
		return ShowResult{}, err
	}
	res := ShowResult{ChannelInfo: describe(info, subscribed), Expires: info.Root.Expires, Logs: []LogInfo{}, Files: []channel.FileEntry{}, Removed: []TombstoneInfo{}}
	res.RootKeys = KeySetInfo(info.Root.Root)
	if r := info.Root.Recovery; r != nil {
		res.RecoveryKeys = (*KeySetInfo)(r)
	}
	looks, err := n.catalog.LooksLike(ctx)
	if err != nil {
		return ShowResult{}, err
	}
	res.LookAlike = lookAlike(looks[info.ID])
	res.Term = freshnessOf(info).Term
	res.Alike = info.Root.AlikeNames()
	n.showKeys(&res, info)
	if err := n.showSubscriptions(ctx, info.ID, &res); err != nil {
		return ShowResult{}, err
	}
	if req.WithReadKey {
		if res.ReadAddress, err = n.readAddress(ctx, info.ID); err != nil {
			return ShowResult{}, err
		}
	}
	for _, l := range info.Logs {
		out := LogInfo{Log: l.Log, Seq: l.Seq, Hash: l.Hash, Fresh: l.Fresh, Frozen: l.Frozen, Revoked: l.Revoked,
			Snapshot: l.Snapshot, Joined: l.Joined, Owed: l.Owed}
		if l.Claimed > l.Seq {
			out.Claimed = l.Claimed
		}
		if l.Head != nil {
			out.Expires = l.Head.Expires
		}
		res.Logs = append(res.Logs, out)
	}
	if res.Forks, err = n.forks(ctx, info); err != nil {
		return ShowResult{}, err
	}
	for e, err := range n.catalog.Entries(ctx, info.ID, catalog.EntryFilter{Removed: true}) {
		switch {
		case err != nil:
			return ShowResult{}, err
		case e.Removed:
			res.Removed = append(res.Removed, TombstoneInfo{e.Name, e.Reason, e.Log, e.Seq, e.Issued})
		default:
			res.Files = append(res.Files, e.FileEntry)
		}
	}
	labelled, err := n.catalog.Labels(ctx, info.ID, maxLabelled)
	if err != nil {
		return ShowResult{}, err
	}
	for _, l := range labelled {
		res.Labels = append(res.Labels, LabelInfo{Log: l.Log, Seq: l.Seq, Labels: l.Labels})
	}
	if keep, err := n.pub.Rules(ctx, info.ID); err == nil && len(keep) > 0 {
		res.Keep, res.Rules = rulesOf(keep)
	} else if err != nil {
		return ShowResult{}, err
	}
	return res, nil
}

// showKeys fills in who may do what.
func (n *Node) showKeys(res *ShowResult, info catalog.Info) {
	held := n.keys()
	res.Publishers, res.Revoked = []PublisherInfo{}, []RevokedInfo{}
	now := channel.TimeOf(time.Now())
	for _, p := range info.Root.Publishers {
		out := PublisherInfo{Key: p.Key, Name: p.Name, Role: p.Role, Scopes: p.Scopes, Expires: p.Expires, Expired: !p.Expires.IsZero() && now > p.Expires}
		if i := slices.IndexFunc(held, func(k heldKey) bool { return k.Public() == p.Key }); i >= 0 {
			out.Here = held[i].file
		}
		res.Publishers = append(res.Publishers, out)
	}
	for _, v := range info.Root.Revoked {
		res.Revoked = append(res.Revoked, RevokedInfo{Key: v.Key, Seq: v.Seq})
	}
}

// forks reads the proofs of forks.
func (n *Node) forks(ctx context.Context, info catalog.Info) ([]ForkInfo, error) {
	proofs, err := n.catalog.Forks(ctx, info.ID)
	if err != nil {
		return nil, err
	}
	out := []ForkInfo{}
	for _, proof := range proofs {
		log, seq, hashes, err := proof.Named()
		if err != nil {
			return nil, fmt.Errorf("proof of a fork of %s: %w", address(info.ID), err)
		}
		f := ForkInfo{Seq: seq, Hashes: hashes}
		if !log.IsZero() {
			f.Log = &log
		}
		if f.Log != nil {
			_, f.Over = info.Root.RevokedKey(*f.Log)
		}
		out = append(out, f)
	}
	return out, nil
}
