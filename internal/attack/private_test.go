package attack

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/channeltest"
	"github.com/anonymous-media-library/aml/publisher"
)

// club is a private channel and the node that founded it.
type club struct {
	*party
	*channeltest.Channel // its ID and name, and no more
	pub                  *publisher.Publisher
	key                  channel.PrivateKey
	readKey              channel.ReadKey // of the first epoch
}

const clubTitle = "an unmistakable title"

func newClub(w *world, name string) *club {
	w.Helper()
	c := &club{party: newParty(w, "founder"), key: channeltest.Key(name)}
	var err error
	c.pub, err = publisher.New(publisher.Config{Blobs: c.store, Ledger: c.ledger, Now: w.time,
		Broadcast: func(ctx context.Context, id channel.ID, envelopes ...[]byte) error {
			return c.gossip.Publish(ctx, id, envelopes...)
		}})
	w.must(err)
	created, err := c.pub.Create(w.Context(), publisher.CreateSpec{Topics: []string{"test"}, Title: clubTitle, Class: channel.Private,
		Key: c.key, KeyDir: w.TempDir()})
	w.must(err)
	c.readKey, c.Channel = created.ReadKey, &channeltest.Channel{ID: created.Channel, Name: name}
	return c
}

// say publishes files, and returns the release's manifest.
func (c *club) say(title string, files map[string]string) channel.Manifest {
	c.w.Helper()
	body := c.ingest(files)
	p, err := c.pub.Publish(c.w.Context(), publisher.Release{Channel: c.ID, Key: c.key, Title: title, Entries: body.Entries})
	c.w.must(err)
	c.w.must(p.Unannounced)
	c.w.pass(1e9)
	return c.manifest(p.Seq)
}

func (c *club) manifest(seq uint64) channel.Manifest {
	c.w.Helper()
	all, err := c.ledger.Manifests(c.w.Context(), c.ID, c.key.Public(), seq, seq, 1, 1<<20)
	c.w.must(err)
	env, err := channel.DecodeEnvelope(all[0])
	c.w.must(err)
	m, err := channel.OpenManifest(env)
	c.w.must(err)
	return m
}

func (c *club) members(add, remove []channel.Member) publisher.MembersSet {
	c.w.Helper()
	set, err := c.pub.SetMembers(c.w.Context(), publisher.MembersSpec{Channel: c.ID, Key: c.key, Add: add, Remove: remove})
	c.w.must(err)
	return set
}

// awaitSeq waits for a release of the club, read or not.
func (c *club) awaitSeq(p *party, seq uint64) {
	c.w.Helper()
	p.await("a release of the club", func() bool { return p.log(c.Channel, c.key.Public()).Seq >= seq })
}

func memberKey(w *world) channel.MemberKey {
	w.Helper()
	key, err := channel.GenerateMemberKey()
	w.must(err)
	return key
}

// A blind mirror keeps all that it can get of a private channel, and a listener
// in its room hears all that is said there. In what they have then, the
// catalogue and its journals, every blob and every message, there is no name,
// title, plaintext or key. A member reads all of it meanwhile, from the mirror.
func TestACuriousMirrorOrListener(t *testing.T) {
	w := newWorld(t)
	c := newClub(w, "club")
	ada := memberKey(w)
	c.members([]channel.Member{ada.Public()}, nil)
	const marker, name, title = "an unmistakable line of text. ", "unmistakable-name.txt", "an unmistakable release"
	text := string(bytes.Repeat([]byte(marker), 8000))
	c.say(title, map[string]string{name: text})

	mirror, listener := newParty(w, "mirror"), newAdversary(w)
	listener.meet(c.party)
	listener.fence(c.party, c.Channel)
	listener.graft(c.party, room(c.Channel))
	mirror.follow(c.Channel, c.host)
	c.awaitSeq(mirror, 2)
	mirror.awaitFollower(c.Channel, c.party.id())
	c.say(title, map[string]string{name: text + "more"})
	c.awaitSeq(mirror, 3)
	listener.awaitHeard(room(c.Channel), 1)
	_, err := mirror.write(c.Channel, channel.MemberKey{}, c.host)
	w.must(err)

	secrets := map[string][]byte{"the text": []byte(marker), "the name": []byte(name), "the title": []byte(title),
		"the channel's title": []byte(clubTitle)}
	raw := c.readKey.Bytes()
	secrets["the read key"] = raw[:]
	e, err := c.ledger.Entry(t.Context(), c.ID, name)
	w.must(err)
	secrets["the key of a blob"], secrets["the hash of the text"] = e.Root.Key[:], e.SHA256[:]
	look := func(where string, data []byte) {
		for what, secret := range secrets {
			if bytes.Contains(data, secret) {
				t.Errorf("%s holds %s", where, what)
			}
		}
	}
	blobs, size := 0, 0
	w.must(mirror.store.List(t.Context(), func(i blobnet.Info) error {
		data, err := mirror.store.Get(t.Context(), i.ID, nil)
		blobs, size = blobs+1, size+len(data)
		look("a blob", data)
		return err
	}))
	if size < 2*len(text) {
		t.Fatalf("the mirror has %d blobs of %d bytes: this test looks in the wrong place", blobs, size)
	}
	books, err := filepath.Glob(mirror.path + "*")
	w.must(err)
	for _, book := range books {
		data, err := os.ReadFile(book)
		w.must(err)
		look(book, data)
	}
	for _, m := range listener.inRoom(room(c.Channel)) {
		look("a message", m)
	}

	reader := newParty(w, "ada")
	reader.follow(c.Channel, mirror.host)
	c.awaitSeq(reader, 3)
	out, err := reader.write(c.Channel, ada, mirror.host)
	w.must(err)
	w.wantFiles(out, map[string]string{name: text + "more"})
}

// Eve was a member and is removed. She keeps what she could read, follows the
// channel with her node, has every blob of it that there is, and tries her
// member key and the read keys that she has on all of it. What came after her
// removal stays closed; the others read on.
func TestARemovedMember(t *testing.T) {
	w := newWorld(t)
	c := newClub(w, "left")
	eve, bob := memberKey(w), memberKey(w)
	c.members([]channel.Member{eve.Public(), bob.Public()}, nil)
	c.say("before", map[string]string{"before": "for all"})
	hers, his := newParty(w, "eve"), newParty(w, "bob")
	for p, key := range map[*party]channel.MemberKey{hers: eve, his: bob} {
		p.follow(c.Channel, c.host)
		c.awaitSeq(p, 2)
		out, err := p.write(c.Channel, key, c.host)
		w.must(err)
		w.wantFiles(out, map[string]string{"before": "for all"})
	}

	set := c.members(nil, []channel.Member{eve.Public()})
	m := c.say("after", map[string]string{"after": "for those who stay"})
	if set.Epoch != 2 || m.Epoch != 2 {
		t.Fatalf("removed in epoch %d, released in %d", set.Epoch, m.Epoch)
	}
	for p, key := range map[*party]channel.MemberKey{hers: eve, his: bob} {
		c.awaitSeq(p, m.Seq)
		out, err := p.write(c.Channel, key, c.host)
		if p == his {
			w.must(err)
			w.wantFiles(out, map[string]string{"before": "for all", "after": "for those who stay"})
			continue
		}
		w.wantFiles(out, map[string]string{"before": "for all"})
	}

	t.Log("by hand, with all that she has and all that there is")
	known, err := hers.ledger.ReadKeys(t.Context(), c.ID)
	w.must(err)
	if len(known) == 0 {
		t.Fatal("she has no read key: this test shows nothing")
	}
	sealed, err := channel.DecodeSealed(m.Sealed)
	w.must(err)
	blob, err := c.store.Get(t.Context(), sealed.Keyring, nil)
	w.must(err)
	ring, err := channel.DecodeKeyring(blob)
	w.must(err)
	if _, _, err := ring.Find(c.ID, m.Epoch, eve); !errors.Is(err, channel.ErrReadKey) {
		t.Errorf("her member key on the new keyring: %v", err)
	}
	for _, k := range known {
		if _, err := ring.Open(c.ID, m.Epoch, k.Key); !errors.Is(err, channel.ErrReadKey) {
			t.Errorf("her read key of epoch %d on the new keyring: %v", k.Epoch, err)
		}
		if _, err := m.Unseal(k.Key); !errors.Is(err, channel.ErrReadKey) {
			t.Errorf("her read key of epoch %d on the new release: %v", k.Epoch, err)
		}
	}
}

// A publisher would show Ada one body and Bob another in one manifest. It makes a
// keyring in which Ada's box has one read key and Bob's another, and gives Bob
// the other one by an address as well. The manifest opens for Ada; Bob reads
// nothing, and is not shown anything else. The next release, which is made as it
// ought to be, both read.
func TestTwoReadersShownTwoBodiesInOneManifest(t *testing.T) {
	w := newWorld(t)
	ch := newChannel(w, "two-faced")
	ch.Root.Class = channel.Private
	ch.Root.Title = ""
	ch.Envelope = w.signed(channel.TypeRoot, w.encoded(ch.Root), channeltest.Key(ch.Name+"-root"))
	ch.ID = channel.IDOf(w.payloadOf(ch.Envelope))
	pub := newParty(w, "publisher")
	ada, bob := memberKey(w), memberKey(w)
	one, two := channel.ReadKeyFrom([32]byte{1}), channel.ReadKeyFrom([32]byte{2})

	keep := func(blob []byte) blobnet.ID {
		w.Helper()
		id := blobnet.Sum(blob)
		w.must(pub.store.Put(t.Context(), id, blob))
		return id
	}
	ringOf := func(key channel.ReadKey, members ...channel.Member) channel.Keyring {
		w.Helper()
		blob, err := channel.MakeKeyring(ch.ID, 1, key, members, channel.Secrets{Title: "title"})
		w.must(err)
		ring, err := channel.DecodeKeyring(blob)
		w.must(err)
		return ring
	}
	// 8 boxes for Ada under the first key and 8 for Bob under the second; all else
	// is the first key's.
	false1 := ringOf(one, ada.Public())
	false1.Boxes = append(false1.Boxes, ringOf(two, bob.Public()).Boxes...)
	blob, err := false1.Encode()
	w.must(err)
	release := func(ring blobnet.ID, files map[string]string) {
		w.Helper()
		body := pub.ingest(files)
		m := next(ch, channel.Body{})
		m.Body, m.Epoch = nil, 1
		w.must(m.Seal(one, ring, [32]byte{byte(m.Seq)}, channel.SealedBody{Body: &body}))
		data := w.signed(channel.TypeManifest, w.encoded(m), channeltest.Key(ch.Name))
		ch.Seq, ch.Hash, ch.Now = m.Seq, channel.HashPayload(w.payloadOf(data)), m.Issued.Time()
		h := headOf(ch, ch.Seq, ch.Hash, ch.Now)
		h.Epoch = 1
		all := [][]byte{data, w.signed(channel.TypeHead, w.encoded(h), channeltest.Key(ch.Name))}
		if ch.Seq == 1 {
			all = append([][]byte{ch.Envelope}, all...)
		}
		pub.take(all...)
		pub.tell(ch, all...)
	}
	release(keep(blob), map[string]string{"shown": "to Ada"})

	his, hers := newParty(w, "bob"), newParty(w, "ada")
	for p, key := range map[*party]channel.MemberKey{hers: ada, his: bob} {
		p.follow(ch, pub.host)
		p.awaitAll(ch)
		out, err := p.write(ch, key, pub.host)
		if p == hers {
			w.must(err)
			w.wantFiles(out, map[string]string{"shown": "to Ada"})
			continue
		}
		w.wantFiles(out, nil)
	}
	manifests, err := his.ledger.Manifests(t.Context(), ch.ID, ch.Key(), 1, 1, 1, 1<<20)
	w.must(err)
	m, err := channel.DecodeManifest(w.payloadOf(manifests[0]))
	w.must(err)
	if _, err := m.Unseal(two); !errors.Is(err, channel.ErrReadKey) {
		t.Errorf("with the other key, as from an address: %v", err)
	}
	if _, _, err := false1.Find(ch.ID, 1, bob); !errors.Is(err, channel.ErrReadKey) {
		t.Errorf("the key in Bob's box counts: %v", err)
	}

	good, err := ringOf(one, ada.Public(), bob.Public()).Encode()
	w.must(err)
	release(keep(good), map[string]string{"new": "for both"})
	for p, key := range map[*party]channel.MemberKey{hers: ada, his: bob} {
		p.awaitAll(ch)
		out, err := p.write(ch, key, pub.host)
		w.must(err)
		if data, err := os.ReadFile(filepath.Join(out, "new")); err != nil || string(data) != "for both" {
			t.Errorf("%s: %q, %v", p.name, data, err)
		}
	}
}
