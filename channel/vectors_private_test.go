package channel

import (
	"bytes"
	"crypto/hpke"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec"
)

// The shapes of private.json. CHANNELS.md describes them for other
// implementations.
type (
	privateVectors struct {
		Members  []memberVector  `json:"members"`
		Keyrings []keyringVector `json:"keyrings"`
		Sealed   []sealedVector  `json:"sealed"`
		Refused  []refusedVector `json:"refused"`
	}

	memberVector struct {
		Name   string   `json:"name"`
		Seed   HexBytes `json:"seed"`
		Public HexBytes `json:"public"`
		Text   string   `json:"text"`
		Short  string   `json:"short"`
	}

	// keyringVector opens under ReadKey, and each of Members finds that in it.
	keyringVector struct {
		Name    string     `json:"name"`
		Channel ID         `json:"channel"`
		Epoch   uint64     `json:"epoch"`
		ReadKey HexBytes   `json:"readKey"`
		Members []string   `json:"members"`
		Not     []string   `json:"not"` // members who find nothing
		Blob    HexBytes   `json:"blob"`
		ID      blobnet.ID `json:"id"`
		Info    HexBytes   `json:"info"`  // of HPKE and HKDF
		Key     HexBytes   `json:"key"`   // derived, of the secrets
		Plain   HexBytes   `json:"plain"` // of the secrets: encoded
		Secrets Secrets    `json:"secrets"`
	}

	// sealedVector is a manifest whose body opens under ReadKey.
	sealedVector struct {
		Name     string     `json:"name"`
		Manifest HexBytes   `json:"manifest"` // payload
		ReadKey  HexBytes   `json:"readKey"`
		Info     HexBytes   `json:"info"`  // of HKDF
		Key      HexBytes   `json:"key"`   // derived
		Plain    HexBytes   `json:"plain"` // what is sealed: encoded
		JSON     SealedBody `json:"json"`
	}

	// refusedVector does not open, and gives Error.
	refusedVector struct {
		Name     string   `json:"name"`
		Manifest HexBytes `json:"manifest,omitempty"` // payload; or
		Keyring  HexBytes `json:"keyring,omitempty"`  // blob, of Channel and Epoch
		Channel  *ID      `json:"channel,omitempty"`
		Epoch    uint64   `json:"epoch,omitempty"`
		ReadKey  HexBytes `json:"readKey"`
		Error    string   `json:"error"`
	}
)

func testReadKey(epoch uint64) ReadKey {
	return ReadKeyFrom(testSeed(fmt.Sprintf("read key of epoch %d", epoch)))
}

func testMember(name string) MemberKey {
	key, err := MemberKeyFromSeed(testSeed("member " + name))
	if err != nil {
		panic(err)
	}
	return key
}

func testSecrets(epoch uint64) Secrets {
	s := Secrets{Title: "Firmware"}
	for e := epoch - 1; e > 0; e-- {
		s.Previous = append(s.Previous, EpochKey{e, codec.Key(testReadKey(e).Bytes())})
	}
	return s
}

func rawKey(k ReadKey) HexBytes {
	raw := k.Bytes()
	return raw[:]
}

var testKeyrings = []struct {
	name    string
	epoch   uint64
	members []string
	not     []string
}{
	{"keyring-epoch1", 1, []string{"ada", "bob"}, []string{"eve"}},
	{"keyring-epoch2", 2, []string{"ada"}, []string{"bob", "eve"}},
}

// makePrivateVectors leaves the boxes as they are committed, since HPKE draws
// randomness: it checks that they open.
func makePrivateVectors(t *testing.T) privateVectors {
	var v, old privateVectors
	if _, err := os.Stat(filepath.Join(vectorDir, "private.json")); err == nil {
		old = readVectors[privateVectors](t, "private")
	}
	for _, name := range []string{"ada", "bob", "eve"} {
		key := testMember(name)
		pub, seed := key.Public(), testSeed("member "+name)
		v.Members = append(v.Members, memberVector{name, seed[:], pub[:], pub.String(), pub.Short()})
	}
	for i, k := range testKeyrings {
		boxes := testBoxes(t, k.epoch, k.members)
		if i < len(old.Keyrings) {
			boxes = must(DecodeKeyring(old.Keyrings[i].Blob))(t).Boxes
		}
		blob := must(makeKeyring(testPrivateID(), k.epoch, testReadKey(k.epoch), boxes, testSeed("salt of "+k.name), testSecrets(k.epoch)))(t)
		ring := must(DecodeKeyring(blob))(t)
		info := keyringInfo(testPrivateID(), k.epoch)
		key, _, err := testReadKey(k.epoch).derive(ring.Salt, info)
		v.Keyrings = append(v.Keyrings, keyringVector{
			Name: k.name, Channel: testPrivateID(), Epoch: k.epoch, ReadKey: rawKey(testReadKey(k.epoch)), Members: k.members, Not: k.not,
			Blob: blob, ID: blobnet.Sum(blob), Info: info, Key: must(key, err)(t),
			Plain: rawEncode(testSecrets(k.epoch)), Secrets: testSecrets(k.epoch),
		})
	}
	v.addSealed(t)
	v.addRefused(t)
	return v
}

// testBoxes are the boxes of a keyring in the order of the members, and then
// those for nobody.
func testBoxes(t *testing.T, epoch uint64, members []string) []HexBytes {
	boxes := make([]HexBytes, minBoxes)
	for i := range boxes {
		to := must(GenerateMemberKey())(t).Public()
		if i < len(members) {
			to = testMember(members[i]).Public()
		}
		boxes[i] = must(hpke.Seal(must(to.public())(t), hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(),
			keyringInfo(testPrivateID(), epoch), rawKey(testReadKey(epoch))))(t)
	}
	return boxes
}

// testSealedBodies are what the vectors seal: a body, one in a blob, and none.
func testSealedBodies() []SealedBody {
	ref := testRef("sealed body", 100_000)
	return []SealedBody{{Body: testManifest().Body}, {BodyRef: &ref}, {}}
}

// testUnsealed is the place of a manifest in the private channel.
func testUnsealed(epoch, seq uint64) Manifest {
	m := Manifest{
		Format: 1, Channel: testPrivateID(), Root: 1, Log: testPub("publisher1"), Epoch: epoch, Seq: seq,
		Issued: testTime("2026-02-01T12:00:00Z") + Time(seq),
	}
	if seq > 1 {
		m.Prev = &Hash{1}
	}
	return m
}

func (v *privateVectors) addSealed(t *testing.T) {
	for i, name := range []string{"body", "body-in-blob", "nothing"} {
		m := testUnsealed(uint64(i/2+1), uint64(i+1))
		body, key := testSealedBodies()[i], testReadKey(m.Epoch)
		ring := v.Keyrings[m.Epoch-1]
		if i == 0 {
			inventory := blobnet.Sum([]byte("inventory 3"))
			m.Inventory = &inventory
		}
		if err := m.Seal(key, ring.ID, testSeed("salt of "+name), body); err != nil {
			t.Fatal(err)
		}
		derived, _, err := key.derive(must(DecodeSealed(m.Sealed))(t).Salt, m.sealInfo())
		v.Sealed = append(v.Sealed, sealedVector{
			Name: name, Manifest: mustEncode(m), ReadKey: rawKey(key), Info: m.sealInfo(), Key: must(derived, err)(t),
			Plain: rawEncode(body), JSON: body,
		})
	}
}

func (v *privateVectors) addRefused(t *testing.T) {
	key := testReadKey(1)
	seal := func(name, err string, plain []byte, change func(m *Manifest)) {
		m := testUnsealed(1, 1)
		salt := testSeed("salt of " + name)
		s := Sealed{Format: 1, Keyring: v.Keyrings[0].ID, Salt: salt[:]}
		var bad error
		if s.Commit, s.Box, bad = key.seal(salt[:], m.sealInfo(), plain); bad != nil {
			t.Fatal(bad)
		}
		m.Sealed = rawEncode(s)
		change(&m)
		v.Refused = append(v.Refused, refusedVector{Name: name, Manifest: mustEncode(m), ReadKey: rawKey(key), Error: err})
	}
	good := rawEncode(SealedBody{Body: &Body{Title: "t"}})
	changed := func(change func(s *Sealed)) func(m *Manifest) {
		return func(m *Manifest) {
			s := must(DecodeSealed(m.Sealed))(t)
			s.Salt, s.Commit, s.Box = slices.Clone(s.Salt), slices.Clone(s.Commit), slices.Clone(s.Box)
			change(&s)
			m.Sealed = rawEncode(s)
		}
	}
	none := func(*Manifest) {}
	seal("replay: sealed for another epoch", "ErrReadKey", good, func(m *Manifest) { m.Epoch = 2 })
	seal("replay: sealed for another number", "ErrReadKey", good, func(m *Manifest) { m.Seq, m.Prev = 2, &Hash{1} })
	seal("mix-and-match: sealed for another log", "ErrReadKey", good, func(m *Manifest) { m.Log = testPub("publisher2") })
	seal("mix-and-match: sealed for another channel", "ErrReadKey", good, func(m *Manifest) { m.Channel = testID() })
	seal("flipped bit in the salt", "ErrReadKey", good, changed(func(s *Sealed) { s.Salt[3] ^= 1 }))
	seal("flipped bit in the commitment", "ErrReadKey", good, changed(func(s *Sealed) { s.Commit[31] ^= 0x80 }))
	seal("flipped bit in the box", "ErrMalformed", good, changed(func(s *Sealed) { s.Box[9] ^= 4 }))
	seal("flipped bit in the tag", "ErrMalformed", good, changed(func(s *Sealed) { s.Box[len(s.Box)-1] ^= 4 }))
	seal("no CBOR in the box", "ErrMalformed", nil, none)
	seal("a format in the box", "ErrMalformed", []byte{0xa1, 1, 1}, none)
	seal("bytes after the body", "ErrMalformed", append(slices.Clone(good), 0), none)
	seal("body and reference in the box", "ErrMalformed", rawEncode(SealedBody{Body: &Body{Title: "t"}, BodyRef: testSealedBodies()[1].BodyRef}), none)
	seal("empty body in the box", "ErrMalformed", rawEncode(SealedBody{Body: &Body{}}), none)
	seal("hostile name in the box", "ErrName", rawEncode(SealedBody{Body: &Body{Removals: []Removal{{Name: "../x"}}}}), none)
	seal("sealed bytes that are nothing", "ErrMalformed", good, func(m *Manifest) { m.Sealed = HexBytes("sealed") })
	for _, length := range []int{0xffffffff, 481, 509, 512 - 3} {
		seal(fmt.Sprintf("box that claims %d bytes of 512", length), "ErrMalformed", good, changed(func(s *Sealed) {
			s.Box = lyingBox(t, key, s, testUnsealed(1, 1).sealInfo(), uint32(length), 512)
		}))
	}
	seal("padding that is not zero", "ErrMalformed", good, changed(func(s *Sealed) {
		s.Box = lyingBox(t, key, s, testUnsealed(1, 1).sealInfo(), 2, 512)
	}))

	ring := func(name, err string, blob []byte, epoch uint64, k ReadKey) {
		id := testPrivateID()
		v.Refused = append(v.Refused, refusedVector{Name: name, Keyring: blob, Channel: &id, Epoch: epoch, ReadKey: rawKey(k), Error: err})
	}
	boxes := make([]HexBytes, minBoxes)
	for i := range boxes {
		boxes[i] = bytes.Repeat([]byte{byte(i)}, memberBoxSize)
	}
	secrets := func(name, err string, s any) {
		salt := testSeed("salt of " + name)
		k := Keyring{Format: 1, Boxes: boxes, Salt: salt[:]}
		var bad error
		if k.Commit, k.Secrets, bad = key.seal(salt[:], keyringInfo(testPrivateID(), 3), rawEncode(s)); bad != nil {
			t.Fatal(bad)
		}
		ring(name, err, rawEncode(k), 3, key)
	}
	ring("keyring of another epoch", "ErrReadKey", v.Keyrings[0].Blob, 2, testReadKey(1))
	ring("keyring under another key", "ErrReadKey", v.Keyrings[0].Blob, 1, testReadKey(2))
	secrets("previous epochs that ascend", "ErrMalformed", Secrets{Previous: []EpochKey{{Epoch: 1}, {Epoch: 2}}})
	secrets("previous epoch that is its own", "ErrMalformed", Secrets{Previous: []EpochKey{{Epoch: 3}}})
	secrets("previous epoch 0", "ErrMalformed", Secrets{Previous: []EpochKey{{Epoch: 0}}})
	secrets("title with an escape sequence", "ErrMalformed", Secrets{Title: "\x1b[2J"})
	secrets("secrets with an unknown field", "ErrMalformed", map[uint64]string{9: "x"})
}

// lyingBox is a box whose length says n, all else being right, with ones for
// padding.
func lyingBox(t *testing.T, key ReadKey, s *Sealed, info []byte, n uint32, size int) []byte {
	t.Helper()
	derived, _, err := key.derive(s.Salt, info)
	return sealRaw(t, must(derived, err)(t), n, size)
}

func TestValidPrivateVectorsOpenForThoseTheyAreFor(t *testing.T) {
	v := readVectors[privateVectors](t, "private")
	for _, m := range v.Members {
		key := must(MemberKeyFromSeed([32]byte(m.Seed)))(t)
		pub := must(ParseMember(m.Text))(t)
		if pub != key.Public() || !bytes.Equal(pub[:], m.Public) || pub.String() != m.Text || pub.Short() != m.Short {
			t.Errorf("member %s differs", m.Name)
		}
	}
	for _, k := range v.Keyrings {
		ring := must(DecodeKeyring(k.Blob))(t)
		if again := must(ring.Encode())(t); !bytes.Equal(again, k.Blob) || blobnet.Sum(k.Blob) != k.ID {
			t.Errorf("%s encodes to other bytes", k.Name)
		}
		for _, name := range k.Members {
			key, secrets, err := ring.Find(k.Channel, k.Epoch, testMember(name))
			if err != nil || !bytes.Equal(rawKey(key), k.ReadKey) || !bytes.Equal(rawEncode(secrets), k.Plain) {
				t.Errorf("%s: member %s: %v", k.Name, name, err)
			}
		}
		for _, name := range k.Not {
			if _, _, err := ring.Find(k.Channel, k.Epoch, testMember(name)); !errors.Is(err, ErrReadKey) {
				t.Errorf("%s: %s, who is none: %v", k.Name, name, err)
			}
		}
		secrets := must(ring.Open(k.Channel, k.Epoch, ReadKeyFrom([32]byte(k.ReadKey))))(t)
		if a, b := rawEncode(secrets), rawEncode(k.Secrets); !bytes.Equal(a, k.Plain) || !bytes.Equal(b, k.Plain) {
			t.Errorf("%s: other secrets", k.Name)
		}
	}
	for _, s := range v.Sealed {
		m := must(DecodeManifest(s.Manifest))(t)
		body := must(m.Unseal(ReadKeyFrom([32]byte(s.ReadKey))))(t)
		if a, b := rawEncode(body), rawEncode(s.JSON); !bytes.Equal(a, s.Plain) || !bytes.Equal(b, s.Plain) {
			t.Errorf("%s: another body", s.Name)
		}
	}
}

func TestRefusedPrivateVectorsGiveTheirErrors(t *testing.T) {
	for _, v := range readVectors[privateVectors](t, "private").Refused {
		var err error
		key := ReadKeyFrom([32]byte(v.ReadKey))
		if v.Keyring != nil {
			_, err = must(DecodeKeyring(v.Keyring))(t).Open(*v.Channel, v.Epoch, key)
		} else {
			_, err = must(DecodeManifest(v.Manifest))(t).Unseal(key)
		}
		for name, sentinel := range sentinels {
			if errors.Is(err, sentinel) != (name == v.Error) {
				t.Errorf("%s: got %v, want %s", v.Name, err, v.Error)
			}
		}
	}
}

// private adds what is refused before a key is tried.
func (out *invalidVectors) private() {
	err := ""
	salt := testSeed("salt")
	sealed := func(name string, change func(s *Sealed)) {
		s := Sealed{Format: 1, Keyring: blobnet.ID{1}, Salt: salt[:], Commit: salt[:], Box: make([]byte, 512+codec.Overhead)}
		change(&s)
		out.hex("sealed", name, rawEncode(s), err)
	}
	err = "ErrVersion"
	sealed("format 2", func(s *Sealed) { s.Format = 2 })
	err = "ErrMalformed"
	sealed("keyring all zero", func(s *Sealed) { s.Keyring = blobnet.ID{} })
	sealed("salt of 31 bytes", func(s *Sealed) { s.Salt = s.Salt[1:] })
	sealed("commitment of 33 bytes", func(s *Sealed) { s.Commit = append(slices.Clone(s.Commit), 0) })
	sealed("no box", func(s *Sealed) { s.Box = HexBytes{} })
	sealed("box of no padded length", func(s *Sealed) { s.Box = s.Box[1:] })

	ring := func(name string, change func(k *Keyring)) {
		k := Keyring{Format: 1, Salt: salt[:], Commit: salt[:], Secrets: make([]byte, 512+codec.Overhead)}
		for range minBoxes {
			k.Boxes = append(k.Boxes, make([]byte, memberBoxSize))
		}
		change(&k)
		out.hex("keyring", name, rawEncode(k), err)
	}
	err = "ErrVersion"
	ring("format 2", func(k *Keyring) { k.Format = 2 })
	err = "ErrMalformed"
	ring("seven boxes", func(k *Keyring) { k.Boxes = k.Boxes[1:] })
	ring("nine boxes", func(k *Keyring) { k.Boxes = append(k.Boxes, k.Boxes[0]) })
	ring("box that is a byte short", func(k *Keyring) { k.Boxes[7] = k.Boxes[7][1:] })
	ring("no salt", func(k *Keyring) { k.Salt = HexBytes{} })
	ring("secrets of no padded length", func(k *Keyring) { k.Secrets = k.Secrets[2:] })
	err = "ErrLimit"
	ring("1025 boxes", func(k *Keyring) {
		k.Boxes = nil
		for range MaxMembers + 1 {
			k.Boxes = append(k.Boxes, HexBytes{0})
		}
	})

	good := testMember("ada").Public()
	out.text("member", "nothing", "", "ErrMalformed")
	out.text("member", "an address", Address{ID: testID()}.String(), "ErrMalformed")
	text := good.String()
	out.text("member", "a character short", text[:len(text)-1], "ErrMalformed")
	out.text("member", "two characters swapped", text[:500]+text[501:502]+text[500:501]+text[502:], "ErrMalformed")
	out.text("member", "a line feed within", text[:500]+"\n"+text[501:], "ErrMalformed")
	bad := good
	bad[0], bad[1] = 0xff, 0xff
	out.text("member", "an ML-KEM key that is not reduced", bad.String(), "ErrMalformed")
	bad = good
	clear(bad[MemberSize-32:])
	out.text("member", "an X25519 key of small order", bad.String(), "ErrMalformed")
	pem := string(must2(EncodeMemberPEM(testMember("ada"))))
	out.text("member-file", "a private key that signs", string(must2(EncodeKeyPEM(testKey("root1")))), "ErrMalformed")
	out.text("member-file", "two keys", pem+pem, "ErrMalformed")
	out.text("member-file", "no PEM", "amlmember1", "ErrMalformed")
}

func must2[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
