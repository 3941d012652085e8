package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node/api"
)

// show says all about a channel, for people.
func show(w io.Writer, s api.ShowResult) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "title\t%s\naddress\t%s\ntopics\t%s\nclass\t%s, %s\nroot\tversion %d, until %s\nstate\t%s\n",
		titled(s.ChannelInfo), orElse(s.ReadAddress, s.Address), strings.Join(s.Topics, " "), s.Class, s.Kind, s.Root, s.Expires, orElse(state(s.ChannelInfo), "fresh"))
	if !s.Fresh && s.State != "listed" {
		fmt.Fprintf(t, "stale\t%s\n", staleWords(s.Term))
	}
	if s.Held != "" {
		fmt.Fprintf(t, "held back\t%s\n", heldWords(s.Term))
	}
	if s.Epoch > 0 {
		sealed := "all of it can be read here"
		if s.Sealed > 0 {
			sealed = fmt.Sprintf("%d of %s cannot be read here", s.Sealed, counted(s.Releases, "release"))
		}
		fmt.Fprintf(t, "epoch\t%d, %s\n", s.Epoch, sealed)
	}
	showKeySet(t, "root", &s.RootKeys)
	showKeySet(t, "recovery", s.RecoveryKeys)
	for _, p := range s.Publishers {
		fmt.Fprintf(t, "key\t%s: %s\n", called(s, p.Key), may(p))
	}
	alikeNames(t, "key\t", s.Alike)
	for _, v := range s.Revoked {
		fmt.Fprintf(t, "revoked\t%s: after its release %d\n", v.Key, v.Seq)
	}
	for _, l := range s.Logs {
		note := "stale"
		switch {
		case l.Revoked:
			note = "ended, its key is revoked"
		case l.Frozen:
			note = "FROZEN by a fork"
		case l.Claimed > 0:
			note = fmt.Sprintf("behind: release %d is known of and missing here", l.Claimed)
		case l.Owed > 0:
			note = fmt.Sprintf("behind: %s missing here that count", counted(l.Owed, "release"))
		case l.Fresh:
			note = "fresh until " + l.Expires.String()
		}
		if l.Joined > 0 {
			note += fmt.Sprintf("; joined by a snapshot: of those up to %d only what counts is here", l.Joined)
		}
		fmt.Fprintf(t, "log\t%s: %s, %s\n", called(s, l.Log), counted(l.Seq, "release"), note)
	}
	for _, f := range s.Forks {
		fmt.Fprintf(t, "FORK\t%s\n", forkWords(s.Address, f))
	}
	for _, sub := range s.Subscriptions {
		showSubscription(t, sub)
	}
	for _, f := range s.Files {
		fmt.Fprintf(t, "file\t%s\t%s\t%s\n", plain(f.Name), config.FormatSize(int64(f.Size)), f.SHA256)
	}
	for _, r := range s.Removed {
		fmt.Fprintf(t, "removed\t%s\t\t%s\n", plain(r.Name), orElse(plain(r.Reason), "no reason given"))
	}
	for _, l := range s.Labels {
		var labels []string
		for _, key := range slices.Sorted(maps.Keys(l.Labels)) {
			labels = append(labels, fmt.Sprintf("%s=%q", key, l.Labels[key]))
		}
		fmt.Fprintf(t, "labels\trelease %d of %s: %s\n", l.Seq, called(s, l.Log), strings.Join(labels, ", "))
	}
	for _, r := range s.Rules {
		fmt.Fprintf(t, "keeps\t%s\n", r)
	}
	t.Flush()
}

func showKeySet(w io.Writer, what string, s *api.KeySetInfo) {
	if s == nil {
		return
	}
	for i, k := range s.Keys {
		note := ""
		if i == 0 {
			note = fmt.Sprintf("  (%d of %d have to sign)", s.Threshold, len(s.Keys))
		}
		fmt.Fprintf(w, "%s key\t%s%s\n", what, k, note)
	}
}

// called is a key, with what the channel's root calls it.
func called(s api.ShowResult, key api.PublicKey) string {
	for _, p := range s.Publishers {
		if p.Key == key && p.Name != "" {
			return fmt.Sprintf("%s %q", key, p.Name)
		}
	}
	return key.String()
}

// may says what a publisher may do.
func may(p api.PublisherInfo) string {
	s := "signs heads"
	if p.Role == "publish" {
		s = "publishes"
	}
	if len(p.Scopes) > 0 {
		s += " below " + strings.Join(p.Scopes, ", ")
	}
	switch {
	case p.Expired:
		s += ", its time ended " + p.Expires.String()
	case !p.Expires.IsZero():
		s += " until " + p.Expires.String()
	}
	if p.Here != "" {
		s += " (" + p.Here + ")"
	}
	return s
}

// forkWords says what was signed twice, what follows, and what can be done.
func forkWords(address string, f api.ForkInfo) string {
	if f.Log == nil {
		return fmt.Sprintf("root keys signed two roots of version %d (%s and %s); the one known first stands here, others follow the other, nothing is fresh any more, and the channel does not get out of it: ask its owner for a new one", f.Seq, f.Hashes[0], f.Hashes[1])
	}
	what := fmt.Sprintf("key %s signed two releases %d (%s and %s)", f.Log, f.Seq, f.Hashes[0], f.Hashes[1])
	if f.Over {
		return what + "; its key is revoked since, which settled it"
	}
	return what + fmt.Sprintf("; its log stands still from there on, the channel goes on with its other keys. Who has the root key ends it: aml channel-revoke %s %s --last-good SEQ", address, f.Log)
}
