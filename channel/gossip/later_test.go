package gossip

import (
	"errors"
	"net"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// renamed makes n versions of the root on the topic test, the last of which has
// another title, and a head of release 3 under it.
func (a *author) renamed(n int, title string) (roots [][]byte, head []byte) {
	a.t.Helper()
	roots = a.roots(n-1, onTest)
	env, err := channel.DecodeEnvelope(roots[n-2])
	if err != nil {
		a.t.Fatal(err)
	}
	root, err := channel.OpenRoot(env)
	if err != nil {
		a.t.Fatal(err)
	}
	prev := env.Hash()
	root.Version, root.Prev, root.Nonce, root.Title = uint64(n), &prev, nil, title
	next, err := root.Sign(a.root)
	roots = append(roots, encode(a.t, next, err))
	h := channel.Head{
		Format: 1, Channel: a.id, Root: uint64(n), Log: a.key.Public(), Seq: 3, Hash: channel.Hash{3},
		Issued: a.issued, Expires: a.issued + 14*24*3600,
	}
	env, err = h.Sign(a.key)
	return roots, encode(a.t, env, err)
}

// lists makes the node know what a listing of a channel with these roots holds.
func (n *node) lists(a *author, roots [][]byte) {
	n.t.Helper()
	if err := n.ledger.List(n.t.Context(), a.id, "test", "somebody"); err != nil {
		n.t.Fatal(err)
	}
	if _, err := n.ledger.OfferAll(n.t.Context(), roots[:maxRoots]); err != nil {
		n.t.Fatal(err)
	}
}

// Of a channel that was rotated more often than a listing says, who browses learns what
// it is now, as far as is bounded, and keeps nothing of it.
func TestLaterRootsThanAListingHoldsAreAskedFor(t *testing.T) {
	t.Parallel()
	for _, versions := range []int{maxRoots + 4, MaxLater, MaxLater + 1} {
		a := newAuthor(t, "rotated")
		roots, head := a.renamed(versions, "what it is now")
		follower, reader := newNode(t, "", patient), newNode(t, "", patient)
		if err := follower.ledger.Expect(t.Context(), a.id, catalog.Followed); err != nil {
			t.Fatal(err)
		}
		if _, err := follower.ledger.OfferAll(t.Context(), append(roots, head)); err != nil {
			t.Fatal(err)
		}
		connect(t, reader.host, follower.host)
		if n, err := reader.gossip.Browse(t.Context(), "test"); err != nil || n != 1 {
			t.Fatalf("%d answered, %v", n, err)
		}
		got, err := reader.gossip.Later(t.Context(), "test", []channel.ID{a.id})
		l := got[a.id]
		if versions > MaxLater {
			if err != nil || l.Root.Version != MaxLater || !l.Short || l.Seq != 0 {
				t.Errorf("of %d versions: version %d, release %d, short %v, %v", versions, l.Root.Version, l.Seq, l.Short, err)
			}
		} else if err != nil || l.Root.Version != uint64(versions) || l.Root.Title != "what it is now" || l.Short || l.Seq != 3 {
			t.Errorf("of %d versions: version %d %q, release %d, short %v, %v", versions, l.Root.Version, l.Root.Title, l.Seq, l.Short, err)
		}
		if info, err := reader.ledger.Channel(t.Context(), a.id); err != nil || info.Root.Version != maxRoots {
			t.Errorf("kept is version %d, %v", info.Root.Version, err)
		}
	}
}

// Nobody but the root keys says what a channel is now, and who lies about it, boasts or
// says nothing holds up nobody else's answer.
func TestLaterRootsAreNotBelievedUnsigned(t *testing.T) {
	t.Parallel()
	a, thief := newAuthor(t, "rotated"), newAuthor(t, "thief")
	roots, head := a.renamed(maxRoots+2, "what it is now")
	thief.founding = a.founding
	forged, _ := thief.renamed(maxRoots+1, "stolen")
	key := a.id.Discovery()
	hash := channel.HashPayload([]byte("of a root"))
	claim := func(c net.Conn, versions uint64) {
		skip(c)
		send(c, answer{Sections: []section{{Key: key, Root: versions, Hash: &hash}}})
	}
	reader := newNode(t, "", patient)
	reader.lists(a, roots)
	liar, _ := hostileHost(t, a.id, func(c net.Conn) {
		claim(c, maxRoots+1)
		skip(c)
		send(c, answer{Sections: []section{{Key: key, Items: forged[maxRoots:]}}})
	})
	connect(t, reader.host, liar)
	got, err := reader.gossip.Later(t.Context(), "test", []channel.ID{a.id})
	if err != nil || got[a.id].Root.Version != 0 {
		t.Errorf("a forged root: version %d, %v", got[a.id].Root.Version, err)
	}
	if !reader.gossip.conduct.banned(liar.ID()) {
		t.Error("who forged it is asked again")
	}
	boaster, _ := hostileHost(t, a.id, func(c net.Conn) {
		claim(c, 1000)
		skip(c)
		send(c, answer{})
	})
	silent, _ := hostileHost(t, a.id, func(c net.Conn) { skip(c); skip(c) })
	honest := newNode(t, "", patient)
	if err := honest.ledger.Expect(t.Context(), a.id, catalog.Followed); err != nil {
		t.Fatal(err)
	}
	if _, err := honest.ledger.OfferAll(t.Context(), append(roots, head)); err != nil {
		t.Fatal(err)
	}
	connect(t, reader.host, boaster)
	connect(t, reader.host, silent)
	connect(t, reader.host, honest.host)
	got, err = reader.gossip.Later(t.Context(), "test", []channel.ID{a.id})
	if l := got[a.id]; err != nil || l.Root.Version != maxRoots+2 || l.Seq != 3 {
		t.Errorf("beside one who says nothing: version %d, release %d, %v", l.Root.Version, l.Seq, err)
	}
	if _, err := reader.gossip.Later(t.Context(), "test", []channel.ID{{9}}); !errors.Is(err, catalog.ErrUnknown) {
		t.Errorf("of an unknown channel: %v", err)
	}
}
