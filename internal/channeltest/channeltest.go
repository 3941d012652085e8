// Package channeltest makes signed roots, manifests and heads for tests, with
// keys that anyone can compute from their names, so that what a test signs is
// the same everywhere and every time.
//
// It is for tests alone: nothing that ships may import it.
package channeltest

import (
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
)

// Epoch returns when the tests' time begins.
func Epoch() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// Key returns the private key of a name.
func Key(name string) channel.PrivateKey {
	return channel.PrivateKeyFromSeed(sha256.Sum256([]byte("aml test key " + name)))
}

// Pub returns the public key of a name.
func Pub(name string) channel.PublicKey { return Key(name).Public() }

// Pubs returns the public keys of names, ascending.
func Pubs(names ...string) []channel.PublicKey {
	keys := make([]channel.PublicKey, len(names))
	for i, name := range names {
		keys[i] = Pub(name)
	}
	slices.SortFunc(keys, channel.PublicKey.Compare)
	return keys
}

// Ref returns a reference to a blob that does not exist.
func Ref(name string, size uint64) codec.Ref {
	return codec.Ref{
		ID:   blobnet.Sum([]byte("blob of " + name)),
		Key:  codec.Key(sha256.Sum256([]byte("key of " + name))),
		Size: size,
		Tree: codec.Hash(sha256.Sum256([]byte("tree of " + name))),
	}
}

// Entry returns a valid entry of at most 1 MiB, whose blob does not exist.
func Entry(name string, size uint64) channel.FileEntry {
	return channel.FileEntry{
		Name: name, Size: size, MediaType: "application/octet-stream", Mode: 0o644,
		SHA256: codec.Hash(sha256.Sum256([]byte("content of " + name))), Root: Ref(name, size),
	}
}

// Encode returns an envelope's bytes.
func Encode(t testing.TB, env channel.Envelope, err error) []byte {
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

// Channel signs for a channel of one publishing key, and moves on with every
// release.
type Channel struct {
	t    testing.TB
	Name string // names its keys: the publishing key, and Name+"-root"

	ID       channel.ID
	Root     channel.Root
	Envelope []byte    // of Root
	Now      time.Time // what the next thing is issued at

	Seq  uint64 // of the newest release
	Hash channel.Hash
}

// NewChannel founds a public media channel whose root lives for 10 years.
func NewChannel(t testing.TB, name string, topics ...string) *Channel {
	t.Helper()
	return NewChannelOf(t, channel.Media, name, topics...)
}

// NewChannelOf founds a channel of that kind.
func NewChannelOf(t testing.TB, kind channel.Kind, name string, topics ...string) *Channel {
	t.Helper()
	if len(topics) == 0 {
		topics = []string{"test"}
	}
	slices.Sort(topics)
	nonce := sha256.Sum256([]byte("nonce of " + name))
	c := &Channel{t: t, Name: name, Now: Epoch()}
	c.Root = channel.Root{
		Format: 1, Version: 1, Topics: topics, Title: "Channel of " + name, Class: channel.Public, Kind: kind,
		Root:       channel.KeySet{Keys: Pubs(name + "-root"), Threshold: 1},
		Publishers: []channel.Publisher{{Key: Pub(name), Role: channel.RolePublish}},
		Expires:    channel.TimeOf(Epoch().AddDate(10, 0, 0)), Nonce: nonce[:16],
	}
	env, err := c.Root.Sign(Key(name + "-root"))
	c.Envelope = Encode(t, env, err)
	c.ID = channel.IDOf(env.Payload)
	return c
}

// Key returns the publishing key.
func (c *Channel) Key() channel.PublicKey { return Pub(c.Name) }

// Replace signs the next version of the root, which change makes of the newest.
func (c *Channel) Replace(change func(*channel.Root)) []byte {
	c.t.Helper()
	payload, err := c.Root.Encode()
	if err != nil {
		c.t.Fatal(err)
	}
	prev := channel.HashPayload(payload)
	c.Root.Version, c.Root.Prev, c.Root.Nonce = c.Root.Version+1, &prev, nil
	c.Root.Publishers = slices.Clone(c.Root.Publishers)
	change(&c.Root)
	env, err := c.Root.Sign(Key(c.Name + "-root"))
	c.Envelope = Encode(c.t, env, err)
	return c.Envelope
}

// Release signs the next manifest with this body, a second later than what was
// signed before.
func (c *Channel) Release(body channel.Body) []byte {
	c.t.Helper()
	return c.sign(channel.Manifest{Body: &body})
}

// Files signs the next manifest, with an entry for each name.
func (c *Channel) Files(names ...string) []byte {
	c.t.Helper()
	var body channel.Body
	for _, name := range names {
		body.Entries = append(body.Entries, Entry(name, 1000))
	}
	body.Sort()
	return c.Release(body)
}

// ReleaseByRef signs the next manifest with a body that lies in a blob.
func (c *Channel) ReleaseByRef(ref codec.Ref) []byte {
	c.t.Helper()
	return c.sign(channel.Manifest{BodyRef: &ref})
}

// Blind signs the next manifest with a body and an inventory that lie in blobs.
func (c *Channel) Blind(ref codec.Ref, inventory blobnet.ID) []byte {
	c.t.Helper()
	return c.sign(channel.Manifest{BodyRef: &ref, Inventory: &inventory})
}

func (c *Channel) sign(m channel.Manifest) []byte {
	c.t.Helper()
	c.Now = c.Now.Add(time.Second)
	m.Format, m.Channel, m.Root, m.Log, m.Seq, m.Issued = 1, c.ID, c.Root.Version, c.Key(), c.Seq+1, channel.TimeOf(c.Now)
	if c.Seq > 0 {
		prev := c.Hash
		m.Prev = &prev
	}
	env, err := m.Sign(Key(c.Name))
	data := Encode(c.t, env, err)
	c.Seq, c.Hash = m.Seq, env.Hash()
	return data
}

// Head signs a head for the newest release.
func (c *Channel) Head(life time.Duration) []byte {
	c.t.Helper()
	c.Now = c.Now.Add(time.Second)
	h := channel.Head{Format: 1, Channel: c.ID, Root: c.Root.Version, Log: c.Key(), Seq: c.Seq, Hash: c.Hash,
		Issued: channel.TimeOf(c.Now), Expires: channel.TimeOf(c.Now.Add(life))}
	env, err := h.Sign(Key(c.Name))
	return Encode(c.t, env, err)
}

// Branch returns a copy that goes on by itself: what both then sign is a fork.
func (c *Channel) Branch() *Channel {
	b := *c
	return &b
}
