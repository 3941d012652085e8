package gossip

import (
	"errors"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// errUnread: a root cannot be judged here, since it is of a newer kind, or does not
// follow what is known here, so that one of both histories may be false. Which one is
// found out once the channel is followed.
var errUnread = errors.New("root that cannot be judged here")

// later reads the roots after the last of those that are known, and what the peer's heads
// say under all of them. With errUnread, what came before is returned, too.
func (p *puller) later(id channel.ID, known []channel.Root, s section) (Later, error) {
	from := known[len(known)-1]
	r := request{Kind: askRoots, Keys: []channel.Hash{id.Discovery()}, From: from.Version + 1, To: min(s.Root, MaxLater)}
	if r.To < r.From {
		return Later{}, nil
	}
	if err := p.ask(r); err != nil {
		return Later{}, err
	}
	chain := make(map[uint64]channel.Root, len(known))
	for _, root := range known {
		chain[root.Version] = root
	}
	newest := from
	said := func() Later {
		out := Later{Short: newest.Version == MaxLater && s.Root > MaxLater}
		if newest.Version > from.Version {
			out.Root = newest
		}
		for _, data := range s.Items {
			if h, ok := headUnder(data, id, chain, newest); ok && h.Issued > out.Of {
				out.Seq, out.Of = h.Seq, h.Issued
			}
		}
		return out
	}
	for {
		a, err := p.next()
		if err != nil {
			return Later{}, err
		}
		if a.More && len(a.Sections) == 0 || len(a.Sections) > 1 {
			return Later{}, lied("roots in no section, or several")
		}
		for _, sec := range a.Sections {
			if sec.Key != r.Keys[0] || len(sec.Items) == 0 || newest.Version+uint64(len(sec.Items)) > r.To {
				return Later{}, lied("roots that were not asked for")
			}
			for _, data := range sec.Items {
				env, err := channel.DecodeEnvelope(data)
				if err != nil {
					return Later{}, lied("%w", err)
				}
				root, err := channel.VerifyRoot(env, &newest)
				if errors.Is(err, channel.ErrVersion) || errors.Is(err, channel.ErrChain) && newest.Version == from.Version {
					out := said()
					out.Short = out.Short || maySucceed(env, newest) // else it is a stranger's, and says nothing
					return out, errUnread
				}
				if err != nil {
					return Later{}, lied("%w", err)
				}
				newest = root
				chain[root.Version] = root
			}
		}
		if !a.More {
			return said(), nil
		}
	}
}

// maySucceed reports whether a root in an envelope, whose signatures were verified, is
// signed as one after prev must be.
func maySucceed(env channel.Envelope, prev channel.Root) bool {
	if prev.Recovery != nil && met(env, *prev.Recovery) {
		return true
	}
	return met(env, prev.Root)
}

// met reports whether a threshold of the keys signed.
func met(env channel.Envelope, keys channel.KeySet) bool {
	n := uint64(0)
	for _, k := range env.Signers() {
		if slices.Contains(keys.Keys, k) {
			n++
		}
	}
	return n >= keys.Threshold
}

// headUnder is a head that counts under the newest of some roots: one that its signer
// may sign there, and that does not go beyond what was revoked.
func headUnder(data []byte, id channel.ID, chain map[uint64]channel.Root, newest channel.Root) (channel.Head, bool) {
	env, err := channel.DecodeEnvelope(data)
	if err != nil {
		return channel.Head{}, false
	}
	h, err := channel.OpenHead(env)
	if err != nil {
		return channel.Head{}, false
	}
	under, there := chain[h.Root]
	if !there {
		return channel.Head{}, false
	}
	if h, err = channel.VerifyHead(env, id, under); err != nil || h.Issued > channel.TimeOf(time.Now().Add(feed.MaxSkew)) {
		return channel.Head{}, false
	}
	if revoked, ended := newest.RevokedKey(h.Log); ended && h.Seq > revoked.Seq {
		return channel.Head{}, false
	}
	if signer := env.Signers()[0]; signer != h.Log {
		if _, still := newest.Publisher(signer); !still {
			return channel.Head{}, false
		}
	}
	return h, true
}
