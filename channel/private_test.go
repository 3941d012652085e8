package channel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/anonymous-media-library/aml/blobnet"
)

// sealRaw seals a length n and as many ones as make it size bytes.
func sealRaw(t *testing.T, key []byte, n uint32, size int) []byte {
	t.Helper()
	padded := binary.BigEndian.AppendUint32(nil, n)
	padded = append(padded, bytes.Repeat([]byte{1}, size-4)...)
	aead := must(chacha20poly1305.New(key))(t)
	return aead.Seal(nil, make([]byte, chacha20poly1305.NonceSize), padded, nil)
}

func TestSealedBodyOpensAtItsPlaceUnderItsKeyAlone(t *testing.T) {
	for _, body := range testSealedBodies() {
		m := testUnsealed(2, 5)
		if err := m.Seal(testReadKey(2), blobnet.ID{1}, testSeed("salt"), body); err != nil {
			t.Fatal(err)
		}
		if err := m.Validate(); err != nil {
			t.Fatal(err)
		}
		got := must(m.Unseal(testReadKey(2)))(t)
		if !bytes.Equal(rawEncode(got), rawEncode(body)) {
			t.Error("another body came out")
		}
		for _, key := range []ReadKey{testReadKey(1), {}} {
			if _, err := m.Unseal(key); !errors.Is(err, ErrReadKey) {
				t.Errorf("under another key: %v", err)
			}
		}
	}
}

// A publisher whose disk was restored signs one number twice. The salt keeps
// the two bodies from being sealed under one key, whose keystream would show
// the difference of the bodies to everybody.
func TestTwoBodiesOfOneNumberAreNotSealedUnderOneKey(t *testing.T) {
	m := testUnsealed(1, 1)
	boxes := map[string]bool{}
	for _, salt := range []string{"a", "b"} {
		if err := m.Seal(testReadKey(1), blobnet.ID{1}, testSeed(salt), SealedBody{Body: &Body{Title: "t"}}); err != nil {
			t.Fatal(err)
		}
		boxes[string(must(DecodeSealed(m.Sealed))(t).Box[:32])] = true
	}
	if len(boxes) != 2 {
		t.Error("the same keystream twice")
	}
}

func TestLargestInlineBodyFitsWhenSealed(t *testing.T) {
	body := Body{Description: strings.Repeat("d", MaxDescription), Metadata: map[string]string{}}
	for _, k := range "abc" {
		body.Metadata[string(k)] = strings.Repeat("v", MaxPairValue)
	}
	rest := MaxInlineBody - len(rawEncode(body)) - 5
	body.Metadata["z"] = strings.Repeat("z", rest)
	if n := len(rawEncode(body)); n > MaxInlineBody || n < MaxInlineBody-4 {
		t.Fatalf("body of %d bytes", n)
	}
	m := testUnsealed(1, 1)
	if err := m.Seal(testReadKey(1), blobnet.ID{1}, testSeed("salt"), SealedBody{Body: &body}); err != nil {
		t.Fatal(err)
	}
	must(m.Encode())(t)
}

// An observer who sees the lengths of sealed bodies tells short ones apart by
// nothing.
func TestShortSealedBodiesAreOfOneLength(t *testing.T) {
	lengths := map[int]bool{}
	for _, body := range []SealedBody{{}, {Body: &Body{Title: "t"}}, {Body: &Body{Title: strings.Repeat("t", 256)}}, testSealedBodies()[1]} {
		m := testUnsealed(1, 1)
		if err := m.Seal(testReadKey(1), blobnet.ID{1}, testSeed("salt"), body); err != nil {
			t.Fatal(err)
		}
		lengths[len(m.Sealed)] = true
	}
	if len(lengths) != 1 {
		t.Errorf("lengths %v", lengths)
	}
}

func TestKeyringIsForItsMembersAndHidesTheirNumber(t *testing.T) {
	for _, n := range []int{0, 1, 8, 9, 20} {
		var members []Member
		var keys []MemberKey
		for range n {
			key := must(GenerateMemberKey())(t)
			keys, members = append(keys, key), append(members, key.Public())
		}
		blob := must(MakeKeyring(testPrivateID(), 3, testReadKey(3), members, testSecrets(3)))(t)
		ring := must(DecodeKeyring(blob))(t)
		if want := map[int]int{0: 8, 1: 8, 8: 8, 9: 16, 20: 32}[n]; len(ring.Boxes) != want {
			t.Errorf("%d members give %d boxes, want %d", n, len(ring.Boxes), want)
		}
		if len(keys) > 0 {
			key, secrets, err := ring.Find(testPrivateID(), 3, keys[len(keys)-1])
			if err != nil || !key.Equal(testReadKey(3)) || secrets.Title != "Firmware" || len(secrets.Previous) != 2 {
				t.Errorf("member of %d: %v", n, err)
			}
		}
	}
}

// Equivocation: a publisher that gives one member another read key than the
// others could show it another body in the same bytes. The keyring commits to
// one key.
func TestEquivocationAMemberWhoseBoxHoldsAnotherKeyFindsNone(t *testing.T) {
	ring := must(DecodeKeyring(must(MakeKeyring(testPrivateID(), 1, testReadKey(1), nil, Secrets{}))(t)))(t)
	ring.Boxes[0] = testBoxes(t, 2, []string{"ada"})[0] // of another epoch: the info differs
	other := must(DecodeKeyring(must(MakeKeyring(testPrivateID(), 1, testReadKey(9), []Member{testMember("bob").Public()}, Secrets{}))(t)))(t)
	copy(ring.Boxes[1:], other.Boxes)
	for _, name := range []string{"ada", "bob"} {
		if _, _, err := ring.Find(testPrivateID(), 1, testMember(name)); !errors.Is(err, ErrReadKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeyringRefusesMoreThanItHolds(t *testing.T) {
	if _, err := MakeKeyring(testPrivateID(), 1, testReadKey(1), make([]Member, MaxMembers+1), Secrets{}); !errors.Is(err, ErrLimit) {
		t.Errorf("members: %v", err)
	}
	if _, err := MakeKeyring(testPrivateID(), 1, testReadKey(1), make([]Member, 1), Secrets{}); !errors.Is(err, ErrMalformed) {
		t.Errorf("a member that is none: %v", err)
	}
	if _, err := MakeKeyring(testPrivateID(), 5000, testReadKey(1), nil, Secrets{Previous: make([]EpochKey, MaxPreviousEpochs+1)}); !errors.Is(err, ErrLimit) {
		t.Errorf("epochs: %v", err)
	}
}

func TestOverlongBoxesAreRefusedUnread(t *testing.T) {
	if _, err := DecodeSealed(make([]byte, MaxSealedBody+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("sealed body: %v", err)
	}
	if _, err := DecodeKeyring(make([]byte, MaxKeyring+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("keyring: %v", err)
	}
	ring := must(DecodeKeyring(must(MakeKeyring(testPrivateID(), 1, testReadKey(1), nil, Secrets{}))(t)))(t)
	ring.Secrets = make([]byte, MaxSecrets+1)
	if _, err := DecodeKeyring(rawEncode(ring)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("secrets: %v", err)
	}
}

func TestFullKeyringFitsABlob(t *testing.T) {
	boxes := make([]HexBytes, MaxMembers)
	for i := range boxes {
		boxes[i] = make([]byte, memberBoxSize)
	}
	secrets := Secrets{Title: strings.Repeat("t", MaxTitle)}
	for i := range MaxPreviousEpochs {
		secrets.Previous = append(secrets.Previous, EpochKey{Epoch: 1<<63 - uint64(i)})
	}
	blob := must(makeKeyring(testPrivateID(), 1<<64-1, testReadKey(1), boxes, [32]byte{}, secrets))(t)
	if got := must(must(DecodeKeyring(blob))(t).Open(testPrivateID(), 1<<64-1, testReadKey(1)))(t); !slices.Equal(got.Previous, secrets.Previous) {
		t.Error("other secrets")
	}
	if len(blob) > blobnet.MaxBlobSize {
		t.Errorf("%d bytes", len(blob))
	}
}

func TestMemberKeysAreHidden(t *testing.T) {
	seed, key := testSeed("member ada"), testMember("ada")
	type holder struct {
		Key     MemberKey
		private MemberKey
	}
	for _, v := range []any{key, &key, []MemberKey{key}, holder{key, key}, &holder{key, key}} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if text := fmt.Sprintf(format, v); leaks(text, seed[:]) {
				t.Errorf("%s of %T leaks: %s", format, v, text)
			}
		}
	}
	if _, err := key.MarshalText(); err == nil {
		t.Error("an encoder gets the key")
	}
	back := must(DecodeMemberPEM(must(EncodeMemberPEM(key))(t)))(t)
	if back.Public() != key.Public() {
		t.Error("another key came back from PEM")
	}
}

func FuzzSealed(f *testing.F) {
	v := readVectors[privateVectors](f, "private")
	for _, s := range v.Sealed {
		m := must(DecodeManifest(s.Manifest))(f)
		f.Add([]byte(m.Sealed))
	}
	addStructures(f, "none", "sealed")
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzed, err := DecodeSealed(data)
		if err != nil {
			wrapsOne(t, err)
			return
		}
		if again := rawEncode(fuzzed); !bytes.Equal(again, data) {
			t.Fatalf("%x\nbecame\n%x", data, again)
		}
		m := testUnsealed(1, 1)
		m.Sealed = data
		if _, err := m.Unseal(testReadKey(1)); err != nil {
			wrapsOne(t, err)
		}
	})
}

// FuzzSealedBody feeds what stands in a box, which who signs decides.
func FuzzSealedBody(f *testing.F) {
	for _, s := range readVectors[privateVectors](f, "private").Sealed {
		f.Add([]byte(s.Plain))
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		m := testUnsealed(1, 1)
		salt := testSeed("salt")
		s := Sealed{Format: 1, Keyring: blobnet.ID{1}, Salt: salt[:]}
		var err error
		if len(plain) > MaxInlineBody {
			return
		}
		if s.Commit, s.Box, err = testReadKey(1).seal(salt[:], m.sealInfo(), plain); err != nil {
			t.Fatal(err)
		}
		m.Sealed = rawEncode(s)
		body, err := m.Unseal(testReadKey(1))
		if err != nil {
			wrapsOne(t, err)
			return
		}
		if again := rawEncode(body); !bytes.Equal(again, plain) {
			t.Fatalf("%x\nbecame\n%x", plain, again)
		}
	})
}

func FuzzKeyring(f *testing.F) {
	for _, k := range readVectors[privateVectors](f, "private").Keyrings {
		f.Add([]byte(k.Blob), []byte(k.Plain))
	}
	f.Fuzz(func(t *testing.T, blob, plain []byte) {
		ring, err := DecodeKeyring(blob)
		if err != nil {
			wrapsOne(t, err)
			return
		}
		if again, err := ring.Encode(); err != nil || !bytes.Equal(again, blob) {
			t.Fatalf("other bytes: %v", err)
		}
		if len(plain) > MaxSecrets/2 {
			return
		}
		if ring.Commit, ring.Secrets, err = testReadKey(1).seal(ring.Salt, keyringInfo(testPrivateID(), 1), plain); err != nil {
			t.Fatal(err)
		}
		secrets, err := ring.Open(testPrivateID(), 1, testReadKey(1))
		if err != nil {
			wrapsOne(t, err)
		} else if again := rawEncode(secrets); !bytes.Equal(again, plain) {
			t.Fatalf("%x\nbecame\n%x", plain, again)
		}
	})
}

func FuzzMember(f *testing.F) {
	f.Add(testMember("ada").Public().String(), string(must(EncodeMemberPEM(testMember("ada")))(f)))
	f.Fuzz(func(t *testing.T, text, pem string) {
		if m, err := ParseMember(text); err != nil {
			wrapsOne(t, err)
		} else if m.String() != strings.TrimSpace(text) {
			t.Fatalf("%q became %q", text, m)
		}
		if key, err := DecodeMemberPEM([]byte(pem)); err != nil {
			wrapsOne(t, err)
		} else if back := must(DecodeMemberPEM(must(EncodeMemberPEM(key))(t)))(t); back.Public() != key.Public() {
			t.Fatal("another key came back")
		}
	})
}

// The most that one keyring costs: its publisher, and a member whose box is the
// last, or who is none.
func BenchmarkKeyringOf1024(b *testing.B) {
	members := make([]Member, MaxMembers)
	for i := range members {
		members[i] = must(GenerateMemberKey())(b).Public()
	}
	b.Run("make", func(b *testing.B) {
		for b.Loop() {
			must(MakeKeyring(testPrivateID(), 1, testReadKey(1), members, Secrets{}))(b)
		}
	})
	ring := must(DecodeKeyring(must(MakeKeyring(testPrivateID(), 1, testReadKey(1), members, Secrets{}))(b)))(b)
	stranger := testMember("eve")
	b.Run("find nothing", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := ring.Find(testPrivateID(), 1, stranger); !errors.Is(err, ErrReadKey) {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkUnseal(b *testing.B) {
	m := testUnsealed(1, 1)
	if err := m.Seal(testReadKey(1), blobnet.ID{1}, testSeed("salt"), testSealedBodies()[0]); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		must(m.Unseal(testReadKey(1)))(b)
	}
}
