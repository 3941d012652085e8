package channel

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"testing"
)

type (
	pageVectors struct {
		Pages   []pageVector        `json:"pages"`
		Refused []refusedPageVector `json:"refused"`
	}

	// pageVector is page Place, from 0, of the snapshot that is the structure
	// vector Snapshot.
	pageVector struct {
		Name     string          `json:"name"`
		Snapshot string          `json:"snapshot"`
		Place    int             `json:"place"`
		Page     HexBytes        `json:"page"`
		Hash     Hash            `json:"hash"`
		Live     []liveVector    `json:"live"`
		JSON     json.RawMessage `json:"json"`
	}
	liveVector struct {
		Seq  uint64 `json:"seq"`
		Hash Hash   `json:"hash"`
	}

	// refusedPageVector is not that page, or is one that breaks a rule.
	refusedPageVector struct {
		Name     string   `json:"name"`
		Snapshot string   `json:"snapshot,omitempty"`
		Payload  HexBytes `json:"payload,omitempty"` // of a snapshot, in its place
		Place    int      `json:"place"`
		Page     HexBytes `json:"page"`
		Error    string   `json:"error"`
	}
)

func testHash(name string) Hash { return HashPayload([]byte("manifest " + name)) }

// testSnapshot says that of publisher1's two manifests the second counts.
func testSnapshot() (Snapshot, [][]byte) {
	hash := HashPayload(mustEncode(testManifest2()))
	return testSnapshotOf(Snapshot{
		Channel: testID(), Root: 1, Log: testPub("publisher1"), Seq: 2, Hash: hash, Issued: testTime("2026-02-02T12:00:02Z"),
	}, Live{2, hash})
}

// testPrivateSnapshot belongs to testSealedManifest.
func testPrivateSnapshot() (Snapshot, [][]byte) {
	hash := HashPayload(mustEncode(testSealedManifest()))
	return testSnapshotOf(Snapshot{
		Channel: testPrivateID(), Root: 1, Log: testPub("publisher1"), Epoch: 1, Seq: 1, Hash: hash, Issued: testTime("2026-02-01T12:00:02Z"),
	}, Live{1, hash})
}

// testLongSnapshot is of a log with three pages, of which the second lists nothing
// and the first its last number too.
func testLongSnapshot() (Snapshot, [][]byte) {
	var live []Live
	for i := uint64(32); i <= PageSpan; i += 32 {
		live = append(live, Live{i, testHash(string(rune('a' + i)))})
	}
	live = append(live, Live{2*PageSpan + 1, testHash("x")}, Live{2*PageSpan + 300, testHash("y")})
	return testSnapshotOf(Snapshot{
		Channel: testID(), Root: 2, Log: testPub("publisher2"), Seq: 2*PageSpan + 300, Hash: testHash("y"), Issued: testTime("2026-03-01T12:00:00Z"),
	}, live...)
}

func testSnapshotOf(s Snapshot, live ...Live) (Snapshot, [][]byte) {
	refs, pages, err := MakePages(s.Seq, live)
	if err != nil {
		panic(err)
	}
	s.Format, s.Pages = 1, refs
	return s, pages
}

func makeSnapshotVectors(t *testing.T) []structVector {
	short, _ := testSnapshot()
	private, _ := testPrivateSnapshot()
	long, _ := testLongSnapshot()
	return []structVector{
		makeStructVector(t, "snapshot", testID(), "root1", short, "publisher1"),
		makeStructVector(t, "snapshot-private", testPrivateID(), "private-root1", private, "publisher1"),
		makeStructVector(t, "snapshot-of-three-pages", testID(), "root2", long, "publisher2"),
	}
}

func makePageVectors(t *testing.T) pageVectors {
	var out pageVectors
	short, shortPages := testSnapshot()
	long, longPages := testLongSnapshot()
	add := func(name, snapshot string, s Snapshot, pages [][]byte, place int) {
		page := must(s.Page(place, pages[place]))(t)
		v := pageVector{Name: name, Snapshot: snapshot, Place: place, Page: pages[place], Hash: HashPayload(pages[place]), JSON: must(json.Marshal(page))(t)}
		for i := range page.Numbers {
			v.Live = append(v.Live, liveVector(page.At(place, i)))
		}
		out.Pages = append(out.Pages, v)
	}
	add("one manifest", "snapshot", short, shortPages, 0)
	add("32 manifests, 1,024 the last", "snapshot-of-three-pages", long, longPages, 0)
	add("two of 300", "snapshot-of-three-pages", long, longPages, 2)

	refuse := func(name string, s Snapshot, place int, page []byte, err string) {
		out.Refused = append(out.Refused, refusedPageVector{Name: name, Payload: rawEncode(s), Place: place, Page: page, Error: err})
	}
	out.Refused = append(out.Refused,
		refusedPageVector{"another page", "snapshot-of-three-pages", nil, 0, longPages[2], "ErrChain"},
		refusedPageVector{"a page of a place without manifests", "snapshot-of-three-pages", nil, 1, longPages[2], "ErrChain"},
		refusedPageVector{"a place beyond the snapshot", "snapshot-of-three-pages", nil, 3, longPages[2], "ErrChain"},
		refusedPageVector{"flipped bit", "snapshot", nil, 0, append(slices.Clone(shortPages[0][:len(shortPages[0])-1]), 0), "ErrChain"})
	with := func(change func(p *SnapshotPage)) (Snapshot, []byte) {
		page := SnapshotPage{Format: 1, Numbers: []uint64{2}, Hashes: short.Hash[:]}
		change(&page)
		data := rawEncode(page)
		s := short
		s.Pages = []PageRef{{HashPayload(data), uint64(len(page.Numbers))}}
		return s, data
	}
	s, page := with(func(p *SnapshotPage) { p.Numbers = []uint64{1} })
	refuse("the last page lists another number last", s, 0, page, "ErrMalformed")
	s, page = with(func(p *SnapshotPage) { p.Hashes = slices.Repeat([]byte{1}, 32) })
	refuse("the last page lists another manifest last", s, 0, page, "ErrMalformed")
	s, page = with(func(p *SnapshotPage) { p.Numbers, p.Hashes = []uint64{2, 3}, append(p.Hashes, short.Hash[:]...) })
	s.Pages[0].Count = 2
	refuse("a number after the snapshot's", s, 0, page, "ErrMalformed")
	s, page = with(func(p *SnapshotPage) { p.Numbers, p.Hashes = []uint64{1, 2}, append(p.Hashes, short.Hash[:]...) })
	s.Pages[0].Count = 1
	refuse("more manifests than the snapshot says", s, 0, page, "ErrMalformed")
	return out
}

func TestValidPageVectorsDecodeAndEncodeToTheSameBytes(t *testing.T) {
	structures := readVectors[[]structVector](t, "structures")
	find := func(name string) Snapshot {
		i := slices.IndexFunc(structures, func(s structVector) bool { return s.Name == name })
		return must(DecodeSnapshot(structures[i].Payload))(t)
	}
	v := readVectors[pageVectors](t, "pages")
	for _, v := range v.Pages {
		s := find(v.Snapshot)
		page := must(s.Page(v.Place, v.Page))(t)
		checkBothFaces(t, page, v.Page, v.JSON)
		if HashPayload(v.Page) != v.Hash || s.Pages[v.Place].Hash != v.Hash {
			t.Errorf("%s: another hash", v.Name)
		}
		for i, l := range v.Live {
			if liveVector(page.At(v.Place, i)) != l {
				t.Errorf("%s: manifest %d is %+v", v.Name, i+1, page.At(v.Place, i))
			}
		}
		if len(v.Live) != len(page.Numbers) {
			t.Errorf("%s: %d manifests", v.Name, len(page.Numbers))
		}
	}
	for _, v := range v.Refused {
		var s Snapshot
		if v.Payload != nil {
			s = must(DecodeSnapshot(v.Payload))(t)
		} else {
			s = find(v.Snapshot)
		}
		if _, err := s.Page(v.Place, v.Page); !errors.Is(err, sentinels[v.Error]) {
			t.Errorf("%s: got %v, want %s", v.Name, err, v.Error)
		}
	}
}

// What makes pages and what reads them agree, and what has not changed is the same
// bytes.
func TestPagesOfALongerLogAreTheSameWhereNothingHasChanged(t *testing.T) {
	var live []Live
	for i := range uint64(3000) {
		live = append(live, Live{i + 1, testHash(string(rune('a' + i)))})
	}
	_, before, err := MakePages(2500, live[:2500])
	if err != nil {
		t.Fatal(err)
	}
	live = slices.Delete(live, 1500, 1501)
	refs, after, err := MakePages(3000, live)
	if err != nil || len(refs) != 3 {
		t.Fatalf("%d pages, %v", len(refs), err)
	}
	if !bytes.Equal(before[0], after[0]) || bytes.Equal(before[1], after[1]) || bytes.Equal(before[2], after[2]) {
		t.Error("the first page alone is the same")
	}
	if most := len(after[0]); most > MaxPage {
		t.Errorf("a full page has %d bytes, the limit is %d", most, MaxPage)
	}
	if _, _, err := MakePages(MaxPages*PageSpan+1, nil); !errors.Is(err, ErrLimit) {
		t.Errorf("a snapshot of more numbers than there can be: %v", err)
	}
}

func TestTheLongestSnapshotFitsItsLimit(t *testing.T) {
	s, _ := testSnapshot()
	s.Seq, s.Root, s.Epoch = MaxPages*PageSpan, 1<<64-1, 1<<64-1
	s.Pages = slices.Repeat([]PageRef{{testHash("a"), PageSpan}}, MaxPages)
	if data := must(s.Encode())(t); len(data) > MaxSnapshot {
		t.Errorf("%d bytes", len(data))
	}
}

// snapshots are what no decoder takes, and what its root does not allow.
func (out *invalidVectors) snapshots() {
	add := func(name, err string, change func(s *Snapshot)) {
		s, _ := testSnapshot()
		s.Pages = slices.Clone(s.Pages)
		change(&s)
		out.hex("snapshot", name, rawEncode(s), err)
	}
	add("format 2", "ErrVersion", func(s *Snapshot) { s.Format = 2 })
	add("channel all zero", "ErrMalformed", func(s *Snapshot) { s.Channel = ID{} })
	add("root version 0", "ErrChain", func(s *Snapshot) { s.Root = 0 })
	add("log of small order", "ErrMalformed", func(s *Snapshot) { s.Log = smallOrder[3] })
	add("number 0", "ErrChain", func(s *Snapshot) { s.Seq, s.Pages = 0, s.Pages[:0] })
	add("hash all zero", "ErrMalformed", func(s *Snapshot) { s.Hash = Hash{} })
	add("time 0", "ErrMalformed", func(s *Snapshot) { s.Issued = 0 })
	add("no page", "ErrMalformed", func(s *Snapshot) { s.Pages = s.Pages[:0] })
	add("a page too many", "ErrMalformed", func(s *Snapshot) { s.Pages = append(s.Pages, s.Pages[0]) })
	add("a page too few", "ErrMalformed", func(s *Snapshot) { s.Seq = PageSpan + 1 })
	add("more manifests than numbers", "ErrMalformed", func(s *Snapshot) { s.Pages[0].Count = 3 })
	add("a hash without manifests", "ErrMalformed", func(s *Snapshot) { s.Pages[0].Count = 0 })
	add("manifests without a hash", "ErrMalformed", func(s *Snapshot) { s.Pages[0].Hash = Hash{} })
	add("without its own manifest", "ErrMalformed", func(s *Snapshot) { s.Pages[0] = PageRef{} })
	add("1025 pages", "ErrLimit", func(s *Snapshot) {
		s.Seq, s.Pages = MaxPages*PageSpan+1, slices.Repeat(s.Pages, MaxPages+1)
	})
	out.hex("snapshot", "49153 bytes", make([]byte, MaxSnapshot+1), "ErrTooLarge")
	s, _ := testSnapshot()
	good := mustEncode(s)
	out.hex("snapshot", "an unknown field", append(append([]byte{good[0] + 1}, good[1:]...), 0x0a, 0x01), "ErrMalformed")
	out.hex("snapshot", "a manifest", mustEncode(testManifest()), "ErrMalformed")

	page := func(name, err string, change func(p *SnapshotPage)) {
		p := SnapshotPage{Format: 1, Numbers: []uint64{1, 7}, Hashes: slices.Repeat([]byte{1}, 64)}
		change(&p)
		out.hex("page", name, rawEncode(p), err)
	}
	page("format 2", "ErrVersion", func(p *SnapshotPage) { p.Format = 2 })
	page("no manifest", "ErrMalformed", func(p *SnapshotPage) { p.Numbers, p.Hashes = []uint64{}, []byte{} })
	page("number 0", "ErrMalformed", func(p *SnapshotPage) { p.Numbers[0] = 0 })
	page("number 1025", "ErrMalformed", func(p *SnapshotPage) { p.Numbers[1] = PageSpan + 1 })
	page("a number twice", "ErrMalformed", func(p *SnapshotPage) { p.Numbers[0] = 7 })
	page("numbers that descend", "ErrMalformed", func(p *SnapshotPage) { slices.Reverse(p.Numbers) })
	page("a hash too few", "ErrMalformed", func(p *SnapshotPage) { p.Hashes = p.Hashes[:32] })
	page("half a hash", "ErrMalformed", func(p *SnapshotPage) { p.Hashes = p.Hashes[:63] })
	page("a hash all zero", "ErrMalformed", func(p *SnapshotPage) { clear(p.Hashes[:32]) })
	page("1025 numbers", "ErrLimit", func(p *SnapshotPage) {
		p.Numbers, p.Hashes = make([]uint64, PageSpan+1), make([]byte, 32)
	})
	out.hex("page", "36865 bytes", make([]byte, MaxPage+1), "ErrTooLarge")
	out.hex("page", "empty", nil, "ErrMalformed")

	signed := func(name, under string, s Snapshot, signer, err string) {
		id := testID()
		out.signed("signed-snapshot", name, under, &id, rawSign(TypeSnapshot, mustEncode(s), signer), err)
	}
	s, _ = testSnapshot()
	signed("by a stranger", "root1", s, "stranger", "ErrNotAuthorized")
	signed("under another root version", "root2", s, "publisher1", "ErrChain")
	s.Channel = testPrivateID()
	signed("mix-and-match: of another channel", "root1", s, "publisher1", "ErrChain")
	s, _ = testSnapshot()
	s.Root = 2
	signed("by a head key", "root2", s, "head1", "ErrNotAuthorized")
	signed("by another publisher", "root2", s, "publisher2", "ErrNotAuthorized")
	s.Root = 3
	signed("by a revoked key", "root3", s, "publisher1", "ErrNotAuthorized")
	s, _ = testSnapshot()
	s.Log = testPub("stranger")
	signed("of a log that is none", "root1", s, "stranger", "ErrNotAuthorized")
	s, _ = testSnapshot()
	s.Issued = testRoot().Expires + 1
	signed("issued after the root expired", "root1", s, "publisher1", "ErrExpired")
	s, _ = testSnapshot()
	s.Epoch = 1
	signed("epoch in a public channel", "root1", s, "publisher1", "ErrMalformed")
	id := testID()
	out.signed("signed-snapshot", "a head", "root1", &id, rawSign(TypeHead, mustEncode(testHead()), "publisher1"), "ErrMalformed")
	s, _ = testSnapshot()
	out.signed("signed-manifest", "a snapshot", "root1", &id, rawSign(TypeSnapshot, mustEncode(s), "publisher1"), "ErrMalformed")
	out.hex("envelope", "two signatures on a snapshot", rawEncode(rawSign(TypeSnapshot, mustEncode(s), "publisher1", "head1")), "ErrMalformed")
	out.hex("envelope", "snapshot of 49153 bytes", rawEncode(Envelope{TypeSnapshot, make([]byte, MaxSnapshot+1), rawSign(TypeHead, []byte{1}, "head1").Signatures}), "ErrTooLarge")
}

func FuzzSnapshot(f *testing.F) {
	addStructures(f, TypeSnapshot, "snapshot")
	fuzzDecoder(f, DecodeSnapshot, Snapshot.Encode)
}

func FuzzPage(f *testing.F) {
	for _, v := range readVectors[pageVectors](f, "pages").Pages {
		if len(v.Page) < 4096 {
			f.Add([]byte(v.Page))
		}
	}
	addStructures(f, "none", "page")
	fuzzDecoder(f, DecodePage, SnapshotPage.Encode)
}
