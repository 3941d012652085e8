package channel

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec"
)

type invalidVectors []invalidVector

func makeInvalidVectors(t *testing.T) invalidVectors {
	var out invalidVectors
	out.encodings()
	out.envelopes()
	out.roots()
	out.manifests()
	out.bodies()
	out.heads()
	out.signedRoots()
	out.signedManifests()
	out.signedHeads()
	out.texts()
	out.inputs(t)
	out.private()
	out.snapshots()
	out.publisherNames(t)
	return out
}

func (out *invalidVectors) hex(kind, name string, data []byte, err string) {
	*out = append(*out, invalidVector{Name: kind + ": " + name, Kind: kind, Hex: data, Error: err})
}

func (out *invalidVectors) text(kind, name, text, err string) {
	*out = append(*out, invalidVector{Name: kind + ": " + name, Kind: kind, Text: text, Error: err})
}

// encodings are heads whose bytes are not the one encoding of anything.
func (out *invalidVectors) encodings() {
	good := mustEncode(testHead()) // a map of 9 pairs: epoch 0 is there, all else too
	add := func(name string, data []byte) { out.hex("head", name, data, "ErrMalformed") }
	add("empty", nil)
	add("cut off in the middle", good[:len(good)/2])
	add("one byte too many", append(slices.Clone(good), 0))
	add("an array", []byte{0x80})
	add("null", []byte{0xf6})
	add("no fields", []byte{0xa0})
	add("indefinite-length map", append(append([]byte{0xbf}, good[1:]...), 0xff))
	add("tagged", append([]byte{0xd9, 0xd9, 0xf7}, good...))
	add("key in two bytes", append([]byte{good[0], 0x18, 0x01}, good[2:]...))
	add("format as a float", append([]byte{good[0], 0x01, 0xf9, 0x3c, 0x00}, good[3:]...))
	add("format as text", append([]byte{good[0], 0x01, 0x61, '1'}, good[3:]...))
	add("format twice", append([]byte{good[0] + 1, 0x01, 0x01}, good[1:]...))
	add("unknown field 11", append(append([]byte{good[0] + 1}, good[1:]...), 0x0b, 0x01))
	add("field with a text key", append(append([]byte{good[0] + 1}, good[1:]...), 0x61, 'x', 0x01))
	bare := mustEncode(testDelegatedHead())
	add("empty list where absence is meant", append(append([]byte{bare[0] + 1}, bare[1:]...), 0x0a, 0x80))
	add("null where absence is meant", append(append([]byte{bare[0] + 1}, bare[1:]...), 0x0a, 0xf6))
	add("fields out of order", append(append([]byte{good[0]}, good[3:]...), good[1:3]...))
	add("channel of 31 bytes", bytes.Replace(good, append([]byte{0x58, 0x20}, good[6:38]...), append([]byte{0x58, 0x1f}, good[6:37]...), 1))
	add("channel as an array of integers", bytes.Replace(good, append([]byte{0x58, 0x20}, good[6:38]...), append([]byte{0x98, 0x20}, bytes.Repeat([]byte{1}, 32)...), 1))
	deep := append([]byte{0xa1, 0x01}, bytes.Repeat([]byte{0x81}, 40)...)
	add("nested deeper than 8", append(deep, 0x01))
	huge := append([]byte{0xa1, 0x0a, 0x9b}, binary.BigEndian.AppendUint64(nil, 1<<62)...)
	add("a list that claims 2^62 items", huge)
}

func (out *invalidVectors) envelopes() {
	head := mustEncode(testHead())
	good := rawSign(TypeHead, head, "publisher1")
	add := func(name, err string, change func(e *Envelope)) {
		e := good
		e.Signatures = []Signature{{Key: good.Signatures[0].Key, Sig: slices.Clone(good.Signatures[0].Sig)}}
		change(&e)
		out.hex("envelope", name, rawEncode(e), err)
	}
	add("type of a later version", "ErrVersion", func(e *Envelope) { e.Type = "application/vnd.aml.snapshot+cbor" })
	add("no type", "ErrVersion", func(e *Envelope) { e.Type = "" })
	add("no payload", "ErrMalformed", func(e *Envelope) { e.Payload = nil })
	add("head of 2049 bytes", "ErrTooLarge", func(e *Envelope) { e.Payload = make([]byte, MaxHead+1) })
	add("root of 16385 bytes", "ErrTooLarge", func(e *Envelope) { e.Type, e.Payload = TypeRoot, make([]byte, MaxRoot+1) })
	add("no signature", "ErrMalformed", func(e *Envelope) { e.Signatures = nil })
	add("two signatures on a head", "ErrMalformed", func(e *Envelope) { *e = rawSign(TypeHead, head, "publisher1", "head1") })
	add("signatures not sorted", "ErrMalformed", func(e *Envelope) {
		*e = rawSign(TypeRoot, mustEncode(testRoot2()), "root1", "root2", "root3")
		slices.Reverse(e.Signatures)
	})
	add("the same signature twice", "ErrMalformed", func(e *Envelope) {
		*e = rawSign(TypeRoot, mustEncode(testRoot()), "root1", "root1")
	})
	add("33 signatures", "ErrLimit", func(e *Envelope) {
		var names []string
		for i := range MaxSignatures + 1 {
			names = append(names, string(rune('A'+i)))
		}
		*e = rawSign(TypeRoot, mustEncode(testRoot()), names...)
	})
	add("signature of 63 bytes", "ErrMalformed", func(e *Envelope) { e.Signatures[0].Sig = e.Signatures[0].Sig[1:] })
	add("flipped bit in the signature", "ErrSignature", func(e *Envelope) { e.Signatures[0].Sig[7] ^= 4 })
	add("flipped bit in the payload", "ErrSignature", func(e *Envelope) {
		e.Payload = slices.Clone(e.Payload)
		e.Payload[len(e.Payload)-1] ^= 4
	})
	add("signature with the group order added to S", "ErrSignature", func(e *Envelope) { addOrder(e.Signatures[0].Sig[32:]) })
	add("signature of another key", "ErrSignature", func(e *Envelope) { e.Signatures[0].Key = testPub("stranger") })
	add("cross-protocol reuse: a head's signature under the type of a manifest", "ErrSignature", func(e *Envelope) { e.Type = TypeManifest })
	add("signature over the bare payload", "ErrSignature", func(e *Envelope) {
		key := testKey("publisher1")
		e.Signatures[0].Sig = signature(key, e.Payload)
	})
	add("key of small order", "ErrMalformed", func(e *Envelope) { e.Signatures[0].Key = smallOrder[3] })
	add("key not in canonical form", "ErrMalformed", func(e *Envelope) {
		k := PublicKey(bytes.Repeat([]byte{0xff}, 32))
		k[0] = 0xf0
		e.Signatures[0].Key = k
	})
	data := rawEncode(good)
	out.hex("envelope", "empty", nil, "ErrMalformed")
	out.hex("envelope", "cut off", data[:len(data)-1], "ErrMalformed")
	out.hex("envelope", "trailing byte", append(slices.Clone(data), 0), "ErrMalformed")
	out.hex("envelope", "unknown field 4", append(append([]byte{0xa4}, data[1:]...), 0x04, 0x00), "ErrMalformed")
	out.hex("envelope", "payload as text", append([]byte{0xa3, 0x01, 0x60, 0x02, 0x61, 'x', 0x03}, 0x80), "ErrMalformed")
}

// addOrder adds the order of Ed25519's group to the little-endian s, which makes
// a second signature of a first one wherever S is not checked.
func addOrder(s []byte) {
	order := []byte{
		0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
	}
	carry := 0
	for i := range s {
		carry += int(s[i]) + int(order[i])
		s[i], carry = byte(carry), carry>>8
	}
}

func (out *invalidVectors) roots() {
	base, err := testRoot(), ""
	add := func(name string, change func(r *Root)) {
		r := base
		r.Publishers, r.Revoked = slices.Clone(r.Publishers), slices.Clone(r.Revoked)
		change(&r)
		out.hex("root", name, rawEncode(r), err)
	}
	zero := &Hash{}
	err = "ErrVersion"
	add("format 2", func(r *Root) { r.Format = 2 })
	add("format 1000", func(r *Root) { r.Format = 1000 })
	err = "ErrChain"
	add("version 0", func(r *Root) { r.Version = 0 })
	add("version 1 with a predecessor", func(r *Root) { r.Prev = zero })
	add("version 2 without a predecessor", func(r *Root) { r.Version, r.Nonce = 2, nil })
	add("version 1 revokes", func(r *Root) { r.Revoked = []Revoked{{Key: testPub("stranger")}} })
	err = "ErrMalformed"
	add("version 1 without a nonce", func(r *Root) { r.Nonce = nil })
	add("nonce of 15 bytes", func(r *Root) { r.Nonce = r.Nonce[1:] })
	add("version 2 with a nonce", func(r *Root) { r.Version, r.Prev = 2, zero })
	add("no topic", func(r *Root) { r.Topics = nil })
	add("topics not sorted", func(r *Root) { r.Topics = []string{"b", "a"} })
	add("the same topic twice", func(r *Root) { r.Topics = []string{"a", "a"} })
	add("title with a line feed", func(r *Root) { r.Title = "a\nb" })
	add("title with a bidi override", func(r *Root) { r.Title = "gnp.\u202eexe" })
	add("title with an escape sequence", func(r *Root) { r.Title = "\x1b[2J" })
	add("class secret", func(r *Root) { r.Class = "secret" })
	add("kind none", func(r *Root) { r.Kind = "" })
	add("no root keys", func(r *Root) { r.Root.Keys = nil })
	add("root keys not sorted", func(r *Root) {
		r.Root.Keys = testPubs("root1", "root2")
		slices.Reverse(r.Root.Keys)
	})
	add("the same root key twice", func(r *Root) { r.Root.Keys = testPubs("root1", "root1") })
	add("root key of small order", func(r *Root) { r.Root.Keys = []PublicKey{{}} })
	add("threshold 0", func(r *Root) { r.Root.Threshold = 0 })
	add("threshold over the keys", func(r *Root) { r.Root.Threshold = 2 })
	add("no expiry", func(r *Root) { r.Expires = 0 })
	add("expiry before 1970", func(r *Root) { r.Expires = -1 })
	add("expiry after 9999", func(r *Root) { r.Expires = maxTime + 1 })
	add("recovery by a root key", func(r *Root) { r.Recovery = &r.Root })
	add("recovery without keys", func(r *Root) { r.Recovery = &KeySet{Threshold: 1} })
	add("publisher twice", func(r *Root) { r.Publishers = append(r.Publishers, r.Publishers[0]) })
	add("publisher of no role", func(r *Root) { r.Publishers[0].Role = "" })
	add("publisher of small order", func(r *Root) { r.Publishers[0].Key = smallOrder[1] })
	add("publisher expires before 1970", func(r *Root) { r.Publishers[0].Expires = -5 })
	add("head key with scopes", func(r *Root) { r.Publishers[0].Role, r.Publishers[0].Scopes = RoleHead, []string{"a"} })
	add("scopes not sorted", func(r *Root) { r.Publishers[0].Scopes = []string{"b", "a"} })
	err = "ErrName"
	add("scope that climbs", func(r *Root) { r.Publishers[0].Scopes = []string{"../a"} })
	add("topic in upper case", func(r *Root) { r.Topics = []string{"Radio"} })
	add("topic with 9 levels", func(r *Root) { r.Topics = []string{"1/2/3/4/5/6/7/8/9"} })
	err = "ErrLimit"
	add("9 topics", func(r *Root) { r.Topics = strings.Split("a b c d e f g h i", " ") })
	add("title of 257 bytes", func(r *Root) { r.Title = strings.Repeat("t", MaxTitle+1) })
	add("17 root keys", func(r *Root) { r.Root.Keys = testPubs(strings.Split("abcdefghijklmnopq", "")...) })
	add("17 scopes", func(r *Root) { r.Publishers[0].Scopes = strings.Split("abcdefghijklmnopq", "") })
	add("33 publishers", func(r *Root) {
		r.Publishers = nil
		for _, k := range testPubs(strings.Split("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg", "")...) {
			r.Publishers = append(r.Publishers, Publisher{Key: k, Role: RolePublish})
		}
	})
	base, err = testRoot3(), "ErrMalformed"
	add("revoked key is a publisher", func(r *Root) { r.Revoked[0].Key = testPub("publisher2") })
	add("revoked with a number and no hash", func(r *Root) { r.Revoked[0].Hash = Hash{} })
	add("revoked with a hash and no number", func(r *Root) { r.Revoked[0].Seq = 0 })
	add("revoked twice", func(r *Root) { r.Revoked = append(r.Revoked, r.Revoked[0]) })
}

func (out *invalidVectors) manifests() {
	err := ""
	add := func(name string, change func(m *Manifest)) {
		m := testManifest()
		change(&m)
		out.hex("manifest", name, rawEncode(m), err)
	}
	ref := testRef("body", 100)
	err = "ErrVersion"
	add("format 0", func(m *Manifest) { m.Format = 0 })
	err = "ErrChain"
	add("root version 0", func(m *Manifest) { m.Root = 0 })
	add("sequence number 0", func(m *Manifest) { m.Seq = 0 })
	add("first with a predecessor", func(m *Manifest) { m.Prev = &Hash{1} })
	add("second without a predecessor", func(m *Manifest) { m.Seq = 2 })
	err = "ErrMalformed"
	add("channel all zero", func(m *Manifest) { m.Channel = ID{} })
	add("log of small order", func(m *Manifest) { m.Log = PublicKey{} })
	add("not issued", func(m *Manifest) { m.Issued = 0 })
	add("issued in the year 10000", func(m *Manifest) { m.Issued = maxTime + 1 })
	add("no body at all", func(m *Manifest) { m.Body = nil })
	add("body and reference", func(m *Manifest) { m.BodyRef = &ref })
	add("body and sealed body", func(m *Manifest) { m.Sealed, m.Epoch = HexBytes{1}, 1 })
	add("epoch with a body in clear", func(m *Manifest) { m.Epoch = 1 })
	add("sealed body without epoch", func(m *Manifest) { m.Body, m.Sealed = nil, HexBytes{1} })
	add("empty body", func(m *Manifest) { m.Body = &Body{} })
	add("reference to an empty body", func(m *Manifest) { m.Body, m.BodyRef = nil, &codec.Ref{ID: ref.ID} })
	add("inventory all zero", func(m *Manifest) { m.Inventory = &blobnet.ID{} })
	err = "ErrTooLarge"
	add("body of over 32 KiB in the manifest", func(m *Manifest) {
		m.Body.Metadata = nil
		m.Body.Entries = nil
		for i := range 250 {
			m.Body.Entries = append(m.Body.Entries, testEntry(string(rune('a'+i/26))+string(rune('a'+i%26)), 1))
		}
	})
	add("reference to a body of over 2 MiB", func(m *Manifest) {
		m.Body, m.BodyRef = nil, &codec.Ref{ID: ref.ID, Size: MaxBody + 1}
	})
	add("sealed body of over 40 KiB", func(m *Manifest) { m.Body, m.Epoch, m.Sealed = nil, 1, make([]byte, MaxSealedBody+1) })
}

func (out *invalidVectors) bodies() {
	err := ""
	add := func(name string, change func(b *Body)) {
		b := Body{Title: "t", Entries: []FileEntry{testEntry("a", 1), testEntry("b", 2)}, Removals: []Removal{{Name: "c"}, {Name: "d"}}}
		change(&b)
		out.hex("body", name, rawEncode(b), err)
	}
	err = "ErrName"
	for _, v := range hostileNames() {
		if v.text != "name-hex" { // text that is not UTF-8 is no CBOR either
			add("entry named with "+v.name, func(b *Body) { b.Entries = []FileEntry{testEntry(v.value, 1)} })
		}
	}
	add("removal that climbs", func(b *Body) { b.Removals = []Removal{{Name: "../x"}} })
	add("two entries of one name", func(b *Body) { b.Entries[1].Name = "a" })
	add("entry that is another's folder", func(b *Body) { b.Entries[1].Name = "a/b" })
	add("folder with a name in between", func(b *Body) {
		b.Entries = []FileEntry{testEntry("a", 1), testEntry("a-", 1), testEntry("a/b", 1)}
	})
	add("name put and removed", func(b *Body) { b.Removals[0].Name = "b" })
	add("name removed twice", func(b *Body) { b.Removals[1].Name = "c" })
	err = "ErrMalformed"
	add("nothing in it", func(b *Body) { *b = Body{} })
	add("entries not sorted", func(b *Body) { slices.Reverse(b.Entries) })
	add("removals not sorted", func(b *Body) { slices.Reverse(b.Removals) })
	add("setuid", func(b *Body) { b.Entries[0].Mode = 0o4755 })
	add("depth 4", func(b *Body) { b.Entries[0].Depth = 4 })
	add("size differs from the reference's", func(b *Body) { b.Entries[0].Size++ })
	add("size too large for its depth", func(b *Body) { b.Entries[0].Size, b.Entries[0].Root.Size = 3<<20, 3<<20 })
	add("size too small for its depth", func(b *Body) { b.Entries[0].Depth = 2 })
	add("reference to no blob", func(b *Body) { b.Entries[0].Root.ID = blobnet.ID{} })
	add("modified before 1970", func(b *Body) { b.Entries[0].Modified = -1 })
	add("media type without a slash", func(b *Body) { b.Entries[0].MediaType = "video" })
	add("media type with a line feed", func(b *Body) { b.Entries[0].MediaType = "a/b;\n" })
	add("empty key of an attribute", func(b *Body) { b.Entries[0].Attrs = map[string]string{"": "x"} })
	add("bidi override in an attribute", func(b *Body) { b.Entries[0].Attrs = map[string]string{"x": "\u202e"} })
	add("escape sequence in the description", func(b *Body) { b.Description = "\x1b]0;x\a" })
	add("line feed in a reason", func(b *Body) { b.Removals[0].Reason = "a\nb" })
	err = "ErrLimit"
	add("title of 257 bytes", func(b *Body) { b.Title = strings.Repeat("t", MaxTitle+1) })
	add("description of over 16 KiB", func(b *Body) { b.Description = strings.Repeat("d", MaxDescription+1) })
	add("media type of 129 bytes", func(b *Body) { b.Entries[0].MediaType = "a/" + strings.Repeat("b", MaxMediaType-1) })
	add("reason of over 1 KiB", func(b *Body) { b.Removals[0].Reason = strings.Repeat("r", MaxReason+1) })
	add("65 attributes", func(b *Body) {
		b.Entries[0].Attrs = make(map[string]string)
		for i := range MaxPairs + 1 {
			b.Entries[0].Attrs[string(rune('0'+i))] = ""
		}
	})
	add("key of metadata of 65 bytes", func(b *Body) { b.Metadata = map[string]string{strings.Repeat("k", MaxPairKey+1): ""} })
	add("value of metadata of over 4 KiB", func(b *Body) { b.Metadata = map[string]string{"k": strings.Repeat("v", MaxPairValue+1)} })
}

func (out *invalidVectors) heads() {
	err := ""
	add := func(name string, change func(h *Head)) {
		h := testHead()
		change(&h)
		out.hex("head", name, rawEncode(h), err)
	}
	err = "ErrVersion"
	add("format 24", func(h *Head) { h.Format = 24 })
	err = "ErrChain"
	add("root version 0", func(h *Head) { h.Root = 0 })
	add("sequence number 0", func(h *Head) { h.Seq = 0 })
	err = "ErrMalformed"
	add("channel all zero", func(h *Head) { h.Channel = ID{} })
	add("hash all zero", func(h *Head) { h.Hash = Hash{} })
	add("expires when it is issued", func(h *Head) { h.Expires = h.Issued })
	add("expires before it is issued", func(h *Head) { h.Expires = h.Issued - 1 })
	add("issued at no time", func(h *Head) { h.Issued = 0 })
	add("the same mirror twice", func(h *Head) { h.Mirrors[1] = h.Mirrors[0] })
	add("mirror by ftp", func(h *Head) { h.Mirrors[0] = "ftp://example" })
	add("empty mirror", func(h *Head) { h.Mirrors[0] = "" })
	err = "ErrLimit"
	add("lives 90 days and a second", func(h *Head) { h.Expires = h.Issued + Time(MaxHeadLife.Seconds()) + 1 })
	add("17 mirrors", func(h *Head) {
		h.Mirrors = nil
		for _, c := range "abcdefghijklmnopq" {
			h.Mirrors = append(h.Mirrors, "http://"+string(c))
		}
	})
	add("mirror of 257 bytes", func(h *Head) { h.Mirrors[0] = "http://" + strings.Repeat("m", MaxMirror-6) })
}
