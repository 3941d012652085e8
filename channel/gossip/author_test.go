package gossip

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
)

// author is a publisher of one channel, as far as envelopes go. Its times go
// up by a second with every release.
type author struct {
	t         testing.TB
	root, key channel.PrivateKey
	id        channel.ID
	founding  []byte // root version 1
	seq       uint64
	prev      channel.Hash
	issued    channel.Time
	all       [][]byte // manifests
	head      []byte   // the newest
}

func testKey(name string) channel.PrivateKey {
	return channel.PrivateKeyFromSeed(sha256.Sum256([]byte("gossip test key " + name)))
}

func encode(t testing.TB, env channel.Envelope, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	data, err := channel.EncodeEnvelope(env)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// newAuthor founds a channel on the topics.
func newAuthor(t testing.TB, name string, topics ...string) *author {
	t.Helper()
	if len(topics) == 0 {
		topics = []string{"test"}
	}
	nonce := sha256.Sum256([]byte(name))
	a := &author{t: t, root: testKey(name + " root"), key: testKey(name + " log"), issued: channel.TimeOf(time.Now().Add(-24 * time.Hour))}
	root := channel.Root{
		Format: 1, Version: 1, Topics: topics, Title: name, Class: channel.Public, Kind: channel.Media,
		Root:       channel.KeySet{Keys: []channel.PublicKey{a.root.Public()}, Threshold: 1},
		Publishers: []channel.Publisher{{Key: a.key.Public(), Role: channel.RolePublish}},
		Expires:    channel.TimeOf(time.Now().Add(365 * 24 * time.Hour)),
		Nonce:      nonce[:16],
	}
	env, err := root.Sign(a.root)
	a.founding = encode(t, env, err)
	a.id = channel.IDOf(env.Payload)
	return a
}

// roots makes n versions of the root, each on the topics that topics says for
// its number, of which the first is the author's founding.
func (a *author) roots(n int, topics func(version int) string) [][]byte {
	a.t.Helper()
	all := [][]byte{a.founding}
	env, err := channel.DecodeEnvelope(a.founding)
	for v := 2; v <= n && err == nil; v++ {
		var root channel.Root
		if root, err = channel.OpenRoot(env); err != nil {
			break
		}
		prev := env.Hash()
		root.Version, root.Prev, root.Nonce, root.Topics = uint64(v), &prev, nil, []string{topics(v)}
		if env, err = root.Sign(a.root); err == nil {
			all = append(all, encode(a.t, env, nil))
		}
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return all
}

func (a *author) manifest(seq uint64, prev channel.Hash, title string) (channel.Envelope, []byte) {
	m := channel.Manifest{
		Format: 1, Channel: a.id, Root: 1, Log: a.key.Public(), Seq: seq, Issued: a.issued,
		Body: &channel.Body{Title: title},
	}
	if seq > 1 {
		m.Prev = &prev
	}
	env, err := m.Sign(a.key)
	return env, encode(a.t, env, err)
}

func (a *author) headOf(seq uint64, hash channel.Hash) []byte {
	h := channel.Head{
		Format: 1, Channel: a.id, Root: 1, Log: a.key.Public(), Seq: seq, Hash: hash,
		Issued: a.issued, Expires: a.issued + 14*24*3600,
	}
	env, err := h.Sign(a.key)
	return encode(a.t, env, err)
}

// release makes the next manifest, and the head that names it.
func (a *author) release() (manifest, head []byte) {
	a.t.Helper()
	a.issued++
	env, data := a.manifest(a.seq+1, a.prev, fmt.Sprintf("release %d", a.seq+1))
	a.seq++
	a.prev = channel.HashPayload(env.Payload)
	a.all = append(a.all, data)
	a.head = a.headOf(a.seq, a.prev)
	return data, a.head
}

// publish makes n releases on the node: appended first, then gossiped.
func (a *author) publish(n *node, releases int) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), waitLimit)
	defer cancel()
	var first [][]byte
	if a.seq == 0 {
		first = append(first, a.founding)
	}
	for range releases {
		m, h := a.release()
		envelopes := append(first, m, h)
		first = nil
		if err := n.ledger.Append(ctx, envelopes...); err != nil {
			a.t.Fatal(err)
		}
		if err := n.gossip.Publish(ctx, a.id, envelopes...); err != nil {
			a.t.Fatal(err)
		}
	}
}

// keep appends releases to the node's ledger without telling anyone.
func (a *author) keep(n *node, releases int) {
	a.t.Helper()
	if a.seq == 0 {
		if err := n.ledger.Append(a.t.Context(), a.founding); err != nil {
			a.t.Fatal(err)
		}
	}
	var batch [][]byte
	for range releases {
		m, _ := a.release()
		batch = append(batch, m)
	}
	if len(batch) > 0 {
		batch = append(batch, a.head)
	}
	if err := n.ledger.Append(a.t.Context(), batch...); err != nil {
		a.t.Fatal(err)
	}
}
