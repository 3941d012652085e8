package gossip

import (
	"errors"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// opened are the roots in envelopes.
func opened(t *testing.T, envelopes [][]byte) (roots []channel.Root) {
	t.Helper()
	for _, data := range envelopes {
		env, err := channel.DecodeEnvelope(data)
		if err != nil {
			t.Fatal(err)
		}
		root, err := channel.OpenRoot(env)
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, root)
	}
	return roots
}

// headBy is a head of a release under a version of the root.
func (a *author) headBy(key channel.PrivateKey, root, seq uint64, issued channel.Time) []byte {
	a.t.Helper()
	env, err := channel.Head{
		Format: 1, Channel: a.id, Root: root, Log: a.key.Public(), Seq: seq, Hash: channel.Hash{3},
		Issued: issued, Expires: issued + 14*24*3600,
	}.Sign(key)
	return encode(a.t, env, err)
}

// Who delegates and gives names changes the root and signs no head: the newest head is
// under a root that the listing itself holds.
func TestTheHeadOfALaterRootMayBeUnderAnyBeforeIt(t *testing.T) {
	t.Parallel()
	a := newAuthor(t, "delegated")
	roots := a.roots(maxRoots+2, onTest)
	for i, under := range []uint64{1, 3, maxRoots, maxRoots + 1} {
		follower, reader := newNode(t, "", patient), newNode(t, "", patient)
		if err := follower.ledger.Expect(t.Context(), a.id, catalog.Followed); err != nil {
			t.Fatal(err)
		}
		head := a.headBy(a.key, under, 2, a.issued+channel.Time(i))
		if _, err := follower.ledger.OfferAll(t.Context(), append(slices.Clone(roots), head)); err != nil {
			t.Fatal(err)
		}
		reader.lists(a, roots)
		connect(t, reader.host, follower.host)
		got, err := reader.gossip.Later(t.Context(), "test", []channel.ID{a.id})
		if l := got[a.id]; err != nil || l.Root.Version != maxRoots+2 || l.Seq != 2 || l.Of == 0 || l.Short {
			t.Errorf("a head under root %d: version %d, release %d of %d, short %v, %v", under, l.Root.Version, l.Seq, l.Of, l.Short, err)
		}
	}
}

// A stolen key that the newest root ends, or does not know, says nothing any more.
func TestAHeadCountsUnderTheNewestRootAlone(t *testing.T) {
	t.Parallel()
	a := newAuthor(t, "ended")
	clock := testKey("clock")
	root1 := opened(t, [][]byte{a.founding})[0]
	root2 := root1
	root2.Version = 2
	root2.Publishers = []channel.Publisher{{Key: a.key.Public(), Role: channel.RolePublish}, {Key: clock.Public(), Role: channel.RoleHead}}
	slices.SortFunc(root2.Publishers, func(x, y channel.Publisher) int { return x.Key.Compare(y.Key) })
	root3 := root1
	root3.Version, root3.Publishers = 3, nil
	root3.Revoked = []channel.Revoked{{Key: a.key.Public(), Seq: 4, Hash: channel.Hash{4}}}
	root4 := root1
	root4.Version = 4
	chain := map[uint64]channel.Root{1: root1, 2: root2, 3: root3, 4: root4}
	now := channel.TimeOf(time.Now())
	for name, c := range map[string]struct {
		head   []byte
		newest channel.Root
		want   bool
	}{
		"by its log":                        {a.headBy(a.key, 1, 5, now), root2, true},
		"by a head key":                     {a.headBy(clock, 2, 5, now), root2, true},
		"by a head key that was taken back": {a.headBy(clock, 2, 5, now), root4, false},
		"up to the revocation":              {a.headBy(a.key, 1, 4, now), root3, true},
		"beyond the revocation":             {a.headBy(a.key, 1, 5, now), root3, false},
		"by a clock that is a bit fast":     {a.headBy(a.key, 1, 5, now+60), root2, true},
		"of the future":                     {a.headBy(a.key, 1, 5, now+3600), root2, false},
		"under a root that nobody has":      {a.headBy(a.key, 5, 5, now), root2, false},
		"by a stranger":                     {a.headBy(testKey("stranger"), 1, 5, now), root2, false},
		"no head":                           {a.founding, root2, false},
	} {
		if h, ok := headUnder(c.head, a.id, chain, c.newest); ok != c.want || ok && h.Log != a.key.Public() {
			t.Errorf("%s: counts %v, want %v", name, ok, c.want)
		}
	}
}

// A channel is called old where there may be more than was had, and not at anybody's word.
func TestOnlyWhoGivesARootIsBelievedThatThereIsALaterOne(t *testing.T) {
	t.Parallel()
	a := newAuthor(t, "boasted of")
	roots := a.roots(maxRoots+3, onTest)
	fork := func(key channel.PrivateKey) [][]byte { // the root after the listing, in another history
		root := opened(t, roots[maxRoots:maxRoots+1])[0]
		root.Prev = &channel.Hash{7}
		root.Root.Keys = []channel.PublicKey{key.Public()}
		env, err := root.Sign(key)
		return [][]byte{encode(t, env, err)}
	}
	type said struct { // by a peer
		claims uint64
		gives  [][]byte
	}
	from := func(n int) said { return said{uint64(n), roots[maxRoots:n]} }
	for name, c := range map[string]struct {
		peers []said
		want  bool
	}{
		"all that there is":                     {[]said{from(maxRoots + 2)}, false},
		"far more, and nothing":                 {[]said{{1000, nil}, from(maxRoots + 2)}, false},
		"more, and nothing":                     {[]said{from(maxRoots + 2), {maxRoots + 3, nil}}, false},
		"nobody gives anything":                 {[]said{{1000, nil}}, false}, // old where no head is known either
		"fewer than there should be":            {[]said{{maxRoots + 3, roots[maxRoots : maxRoots+2]}}, true},
		"fewer, but another has no more":        {[]said{{maxRoots + 3, roots[maxRoots : maxRoots+2]}, from(maxRoots + 2)}, false},
		"fewer, but more than another":          {[]said{{maxRoots + 4, roots[maxRoots:]}, from(maxRoots + 2)}, true},
		"a stranger's history":                  {[]said{{maxRoots + 1, fork(testKey("stranger"))}, from(maxRoots + 2)}, false},
		"another history, signed by a root key": {[]said{{maxRoots + 1, fork(a.root)}, from(maxRoots + 2)}, true},
		"the same, and nobody has another":      {[]said{{maxRoots + 1, fork(a.root)}}, true},
	} {
		known := opened(t, roots[:maxRoots])
		l := &laters{from: map[channel.ID][]channel.Root{a.id: known}, got: map[channel.ID]Later{}, whole: map[channel.ID]uint64{}}
		for _, p := range c.peers {
			here, there := net.Pipe()
			go func() {
				skip(there)
				var sections []section
				if len(p.gives) > 0 {
					sections = []section{{Key: a.id.Discovery(), Items: p.gives}}
				}
				send(there, answer{Sections: sections})
			}()
			n, err := newPuller(nil, nil, here, waitLimit, nil).later(a.id, known, section{Root: p.claims})
			if err != nil && !errors.Is(err, errUnread) {
				t.Fatalf("%s: %v", name, err)
			}
			l.take(a.id, n, p.claims)
			_, _ = here.Close(), there.Close()
		}
		if got := l.all()[a.id].Short; got != c.want {
			t.Errorf("%s: short %v, want %v", name, got, c.want)
		}
	}
}

// Whoever makes a hundred identities that come first in some order keeps out nobody: those
// who follow are asked before those who are only connected.
func TestFollowersAreAskedBeforeWhoeverIsConnected(t *testing.T) {
	t.Parallel()
	many := func(name string, n int) (out []peer.ID) {
		for i := range n {
			out = append(out, peer.ID(name+strconv.Itoa(i)))
		}
		return out
	}
	low, honest := many("a", 128), many("z", 20)
	got := someOf(honest, append(slices.Clone(low), honest...), 100)
	if len(got) != 100 || len(slices.Compact(slices.Sorted(slices.Values(got)))) != 100 {
		t.Errorf("%d peers, or one twice", len(got))
	}
	for _, p := range honest {
		if !slices.Contains(got[:len(honest)], p) {
			t.Errorf("follower %s is left out, or comes late", p)
		}
	}
	seen := false // among equals it is chance: left out of 200 draws is who has no turn at all
	for range 200 {
		seen = seen || slices.Contains(someOf(append(slices.Clone(low), "z"), nil, 56), "z")
	}
	if !seen {
		t.Error("the last of 129 followers never has a turn")
	}
}
