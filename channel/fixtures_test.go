package channel

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec"
)

// Everything the tests sign is signed by keys whose seeds anyone can compute,
// so that vectors and failures are the same everywhere.

func testSeed(name string) [32]byte { return sha256.Sum256([]byte("aml test key " + name)) }

func testKey(name string) PrivateKey { return PrivateKeyFromSeed(testSeed(name)) }

func testPub(name string) PublicKey { return testKey(name).Public() }

func testPubs(names ...string) []PublicKey {
	keys := make([]PublicKey, len(names))
	for i, name := range names {
		keys[i] = testPub(name)
	}
	return sorted(keys, func(a, b PublicKey) int { return a.Compare(b) })
}

func testKeys(names ...string) []PrivateKey {
	keys := make([]PrivateKey, len(names))
	for i, name := range names {
		keys[i] = testKey(name)
	}
	return keys
}

func testTime(s string) Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return TimeOf(t)
}

func testRef(name string, size uint64) codec.Ref {
	return codec.Ref{
		ID:   blobnet.Sum([]byte("blob of " + name)),
		Key:  codec.Key(sha256.Sum256([]byte("key of " + name))),
		Size: size,
		Tree: codec.Hash(sha256.Sum256([]byte("tree of " + name))),
	}
}

func testEntry(name string, size uint64) FileEntry {
	depth := uint8(0)
	for most := uint64(1 << 20); most < size; most *= 1024 {
		depth++
	}
	return FileEntry{
		Name: name, Size: size, SHA256: codec.Hash(sha256.Sum256([]byte("file " + name))),
		Mode: 0o644, Depth: depth, Root: testRef(name, size),
	}
}

// testRoot is version 1 of a public channel of one person.
func testRoot() Root {
	return Root{
		Format: 1, Version: 1, Topics: []string{"music/live", "radio"}, Title: "Radio Aurora",
		Class: Public, Kind: Media,
		Root:       KeySet{Keys: testPubs("root1"), Threshold: 1},
		Publishers: []Publisher{{Key: testPub("publisher1"), Role: RolePublish}},
		Expires:    testTime("2030-01-01T00:00:00Z"),
		Nonce:      HexBytes("0123456789abcdef"),
	}
}

// testRoot2 hands the channel to two people of whom both must sign, with a
// second publisher for two folders, a head key for a year, and a recovery key.
func testRoot2() Root {
	r := testRoot()
	prev := HashPayload(mustEncode(r))
	r.Version, r.Nonce, r.Prev = 2, nil, &prev
	r.Root = KeySet{Keys: testPubs("root2", "root3"), Threshold: 2}
	r.Recovery = &KeySet{Keys: testPubs("recovery1"), Threshold: 1}
	r.Publishers = sorted([]Publisher{
		{Key: testPub("publisher1"), Role: RolePublish},
		{Key: testPub("publisher2"), Role: RolePublish, Scopes: []string{"archive", "live/2026"}},
		{Key: testPub("head1"), Role: RoleHead, Expires: testTime("2027-01-01T00:00:00Z")},
	}, comparePublishers)
	return r
}

// testNamedRoot is another version 2, in which publishers have names: one at its
// limit, and one that a head key shares with a publisher.
func testNamedRoot() Root {
	r := testRoot2()
	for i := range r.Publishers {
		r.Publishers[i].Name = `Аврора "the" founder`
		if r.Publishers[i].Key == testPub("publisher2") {
			r.Publishers[i].Name = strings.Repeat("n", MaxPublisherName)
		}
	}
	return r
}

// testRoot3 revokes the first publisher after its second manifest. The root
// keys are lost: recovery signs.
func testRoot3() Root {
	r := testRoot2()
	prev := HashPayload(mustEncode(r))
	r.Version, r.Prev = 3, &prev
	r.Root = KeySet{Keys: testPubs("root4"), Threshold: 1}
	r.Publishers = sorted([]Publisher{
		{Key: testPub("publisher2"), Role: RolePublish},
		{Key: testPub("head1"), Role: RoleHead, Expires: testTime("2027-01-01T00:00:00Z")},
	}, comparePublishers)
	r.Revoked = []Revoked{{Key: testPub("publisher1"), Seq: 2, Hash: HashPayload(mustEncode(testManifest2()))}}
	return r
}

// testPrivateRoot is version 1 of a private channel.
func testPrivateRoot() Root {
	r := testRoot()
	r.Topics, r.Title, r.Class, r.Kind = []string{"firmware"}, "", Private, Update
	r.Nonce = HexBytes("fedcba9876543210")
	return r
}

func testID() ID { return IDOf(mustEncode(testRoot())) }

func testPrivateID() ID { return IDOf(mustEncode(testPrivateRoot())) }

// testManifest is the first release of publisher1.
func testManifest() Manifest {
	inventory := blobnet.Sum([]byte("inventory 1"))
	small, large := testEntry("live/2026/01 opening.flac", 11), testEntry("музыка/Ночь.flac", 5<<30)
	small.MediaType, small.Modified = "audio/flac", testTime("2026-01-30T21:15:00Z")
	large.MediaType, large.Mode, large.Attrs = "audio/flac", 0o600, map[string]string{"artist": "Аврора", "year": "2026"}
	return Manifest{
		Format: 1, Channel: testID(), Root: 1, Log: testPub("publisher1"), Seq: 1,
		Issued: testTime("2026-02-01T12:00:00Z"), Inventory: &inventory,
		Body: &Body{
			Title: "First night", Description: "Two recordings.\nMore tomorrow.",
			Metadata: map[string]string{"license": "CC-BY-4.0"},
			Entries:  []FileEntry{small, large},
		},
	}
}

// testManifest2 follows testManifest.
func testManifest2() Manifest {
	prev := HashPayload(mustEncode(testManifest()))
	return Manifest{
		Format: 1, Channel: testID(), Root: 1, Log: testPub("publisher1"), Seq: 2, Prev: &prev,
		Issued: testTime("2026-02-02T12:00:00Z"),
		Body:   &Body{Removals: []Removal{{Name: "live/2026/01 opening.flac", Reason: "wrong cut"}, {Name: "музыка/Ночь.flac"}}},
	}
}

// testScopedManifest is the first release of publisher2, under root 2, its
// body in a blob.
func testScopedManifest() Manifest {
	ref := testRef("body", 100_000)
	inventory := blobnet.Sum([]byte("inventory 2"))
	return Manifest{
		Format: 1, Channel: testID(), Root: 2, Log: testPub("publisher2"), Seq: 1,
		Issued: testTime("2026-02-03T12:00:00Z"), BodyRef: &ref, Inventory: &inventory,
	}
}

// testSealedManifest is a release in the private channel. What is sealed is
// not looked at by this version.
func testSealedManifest() Manifest {
	return Manifest{
		Format: 1, Channel: testPrivateID(), Root: 1, Log: testPub("publisher1"), Epoch: 1, Seq: 1,
		Issued: testTime("2026-02-01T12:00:00Z"), Sealed: HexBytes(strings.Repeat("sealed", 10)),
	}
}

// testHead says that testManifest2 is the newest.
func testHead() Head {
	return Head{
		Format: 1, Channel: testID(), Root: 1, Log: testPub("publisher1"), Seq: 2,
		Hash:    HashPayload(mustEncode(testManifest2())),
		Issued:  testTime("2026-02-02T12:00:01Z"),
		Expires: testTime("2026-02-16T12:00:01Z"),
		Mirrors: []string{"/ip4/192.0.2.7/tcp/4001/p2p/12D3KooWTestPeer", "https://mirror.example/aml"},
	}
}

// testDelegatedHead is signed by the head key under root 2.
func testDelegatedHead() Head {
	h := testHead()
	h.Root, h.Issued, h.Expires, h.Mirrors = 2, testTime("2026-02-05T12:00:00Z"), testTime("2026-02-19T12:00:00Z"), nil
	return h
}

// testPrivateHead belongs to testSealedManifest.
func testPrivateHead() Head {
	return Head{
		Format: 1, Channel: testPrivateID(), Root: 1, Log: testPub("publisher1"), Epoch: 1, Seq: 1,
		Hash:    HashPayload(mustEncode(testSealedManifest())),
		Issued:  testTime("2026-02-01T12:00:01Z"),
		Expires: testTime("2026-02-02T12:00:01Z"),
	}
}

func comparePublishers(a, b Publisher) int { return a.Key.Compare(b.Key) }

func mustEncode(v interface{ Encode() ([]byte, error) }) []byte {
	data, err := v.Encode()
	if err != nil {
		panic(err)
	}
	return data
}

// rawEncode encodes without validating, to make what must be refused.
func rawEncode(v any) []byte {
	data, err := encode("test value", v)
	if err != nil {
		panic(err)
	}
	return data
}

// rawSign signs without validating.
func rawSign(typ string, payload []byte, names ...string) Envelope {
	env := Envelope{Type: typ, Payload: payload}
	for _, key := range testKeys(names...) {
		env.Signatures = append(env.Signatures, Signature{Key: key.Public(), Sig: signature(key, PAE(typ, payload))})
	}
	env.Signatures = sorted(env.Signatures, func(a, b Signature) int { return a.Key.Compare(b.Key) })
	return env
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// signature signs whatever it is given.
func signature(key PrivateKey, message []byte) []byte {
	sig, err := key.sign(message)
	if err != nil {
		panic(err) // only a key that lies elsewhere has errors
	}
	return sig
}
