package channel

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func sorted[T any](s []T, compare func(a, b T) int) []T {
	slices.SortFunc(s, compare)
	return s
}

func makeKeyVectors() []keyVector {
	var out []keyVector
	for _, name := range []string{"root1", "root2", "root3", "root4", "recovery1", "publisher1", "publisher2", "head1", "stranger"} {
		seed := testSeed(name)
		out = append(out, keyVector{Name: name, Seed: seed[:], Public: testPub(name)})
	}
	return out
}

func makeStructVectors(t *testing.T) []structVector {
	pub, private := testID(), testPrivateID()
	fringe := testHead() // every limit of a head reached, as far as 2 KiB allow
	fringe.Seq, fringe.Issued, fringe.Expires = 1<<64-1, 1, 1+Time(MaxHeadLife.Seconds())
	fringe.Mirrors = nil
	for _, c := range "abcdefghijklmnop" {
		fringe.Mirrors = append(fringe.Mirrors, "https://"+strings.Repeat(string(c), 90))
	}
	return append([]structVector{
		makeStructVector(t, "root1", pub, "", testRoot(), "root1"),
		makeStructVector(t, "root2", pub, "root1", testRoot2(), "root1", "root2", "root3"),
		makeStructVector(t, "root3", pub, "root2", testRoot3(), "recovery1", "root4"),
		makeStructVector(t, "private-root1", private, "", testPrivateRoot(), "root1"),
		makeStructVector(t, "manifest1", pub, "root1", testManifest(), "publisher1"),
		makeStructVector(t, "manifest2", pub, "root1", testManifest2(), "publisher1"),
		makeStructVector(t, "manifest-body-in-blob", pub, "root2", testScopedManifest(), "publisher2"),
		makeStructVector(t, "manifest-sealed", private, "private-root1", testSealedManifest(), "publisher1"),
		makeStructVector(t, "head", pub, "root1", testHead(), "publisher1"),
		makeStructVector(t, "head-by-head-key", pub, "root2", testDelegatedHead(), "head1"),
		makeStructVector(t, "head-private", private, "private-root1", testPrivateHead(), "publisher1"),
		makeStructVector(t, "head-at-its-limits", pub, "root1", fringe, "publisher1"),
	}, append(makeSnapshotVectors(t),
		makeStructVector(t, "root2-with-names", pub, "root1", testNamedRoot(), "root1", "root2", "root3"),
	)...)
}

func makeStructVector(t *testing.T, name string, id ID, under string, v interface{ Encode() ([]byte, error) }, signers ...string) structVector {
	t.Helper()
	typ := TypeHead
	switch v.(type) {
	case Root:
		typ = TypeRoot
	case Manifest:
		typ = TypeManifest
	case Snapshot:
		typ = TypeSnapshot
	}
	payload := must(v.Encode())(t)
	env := must(Sign(typ, payload, testKeys(signers...)...))(t)
	return structVector{
		Name: name, Type: typ, Channel: id, Discovery: id.Discovery(), Under: under,
		Payload: payload, Hash: HashPayload(payload), PAE: PAE(typ, payload),
		Envelope: must(EncodeEnvelope(env))(t), JSON: must(json.Marshal(v))(t),
	}
}

func makeBodyVectors(t *testing.T) []bodyVector {
	full := *testManifest().Body
	full.Removals = []Removal{{Name: "a"}, {Name: "b/c", Reason: "gone"}}
	folder := Body{Entries: []FileEntry{testEntry("a-b", 1), testEntry("a/b", 2), testEntry("a0", 0)}, Removals: []Removal{{Name: "a"}}}
	var out []bodyVector
	for _, v := range []struct {
		name string
		body Body
	}{
		{"everything", full},
		{"title-only", Body{Title: "Only a note"}},
		{"folder-replaces-file", folder},
	} {
		out = append(out, bodyVector{v.name, must(EncodeBody(v.body))(t), must(json.Marshal(v.body))(t)})
	}
	return out
}

func makeTextVectors(t *testing.T) textVectors {
	v := textVectors{
		Names: []string{
			"a", "movie.mkv", "a/b/c.txt", ".hidden", "...", "a..b", "con", "c:drive", "x y", "what?*", "-rf", "~", "tail.", "A", "é",
			"音楽/夜.flac", "\u200fעברית", "emoji 👩\u200d🚀", "a.aml-", "b/.aml-x", ".aml",
			"z" + strings.Repeat("\u0316", 16) + "z", "\u0e01\u0e33", "ｶﾞ",
			strings.Repeat("a", MaxComponent),
			strings.Repeat(strings.Repeat("b", 127)+"/", 7) + strings.Repeat("c", 128),
		},
		Mirrors: []string{
			"/ip4/127.0.0.1/tcp/4001", "/dns4/mirror.example/tcp/443/tls/ws/p2p/12D3KooWTestPeer",
			"/ip6/2001:db8::1/udp/4001/quic-v1", "https://mirror.example", "http://[2001:db8::1]:8080/aml/?v=1",
			"/ip4/192.0.2.1/p2p-circuit", "https://" + strings.Repeat("m", MaxMirror-8),
		},
	}
	for _, in := range []string{
		"software/linux", " /Software//Linux/ ", "МУЗЫКА/Живая", "cafe\u0301", "CAFÉ", "c++", "a", "1/2/3/4/5/6/7/8",
		"video/4k_hdr.v2", "日本語/ニュース", "\u212b", strings.Repeat("t", MaxTopic),
	} {
		topic := must(NormalizeTopic(in))(t)
		v.Topics = append(v.Topics, topicVector{in, topic, TopicKey(topic)})
	}
	id := testID()
	key := ReadKeyFrom(testSeed("read key"))
	for _, a := range []Address{
		{ID: id}, {ID: id, Path: "live/2026"}, {ID: id, ReadKey: key}, {ID: id, Path: "музыка/100% #1?.flac", ReadKey: key},
	} {
		v.addAddress(t, a.StringWithReadKey())
	}
	v.addAddress(t, "  \taml://"+id.String()+"\n")
	v.addAddress(t, "aml://"+id.String()+"/музыка/Ночь.flac")
	v.addAddress(t, "aml://"+id.String()+"/a%20b%c3%a9")
	entry := must(json.Marshal(testManifest().Body.Entries[0]))(t)
	second := must(json.Marshal(testManifest().Body.Entries[1]))(t)
	v.Inputs = []inputVector{
		{"one entry", "file-entries", string(entry)},
		{"an array", "file-entries", " [ " + string(entry) + " ,\n" + string(second) + "]\n"},
		{"a time with an offset", "file-entries", strings.Replace(string(entry), "21:15:00Z", "22:15:00+01:00", 1)},
		{"title alone", "draft", `{"title":"x"}`},
		{"version given", "draft", `{"version":1,"title":"x"}`},
		{"everything", "draft", `{"version":1,"title":"t","description":"d\n","metadata":{"k":"v"},` +
			`"entries":[` + string(entry) + `,{"path":"../x.mkv"},{"path":"C:\\y","name":"y","attrs":{"a":"b"}}],"remove":["z"]}`},
		{"surrogate pair", "draft", `{"title":"\ud83d\ude80 \\ud800"}`},
		{"of root2, without signatures", "root-draft", rootDraftText(t, testDraft2(t))},
		{"of root2, with one of three signatures", "root-draft", rootDraftText(t, must(testDraft2(t).Sign(testKey("root2")))(t))},
		{"of root3, complete", "root-draft", rootDraftText(t, must(testDraft3(t).Sign(testKeys("recovery1", "root4")...))(t))},
		{"of root2, with names", "root-draft", rootDraftText(t, testDraft(t, 1, testNamedRoot()))},
		{"of root2, with an empty name", "root-draft", strings.Replace(rootDraftText(t, testDraft2(t)), `"role":"publish"`, `"role":"publish","name":""`, 1)},
	}
	return v
}

func (v *textVectors) addAddress(t *testing.T, in string) {
	t.Helper()
	a := must(ParseAddress(in))(t)
	out := addressVector{In: in, Address: a.StringWithReadKey(), ID: a.ID, Path: a.Path}
	if !a.ReadKey.IsZero() {
		key := a.ReadKey.Bytes()
		out.ReadKey = key[:]
	}
	v.Addresses = append(v.Addresses, out)
}

func rootDraftText(t *testing.T, d RootDraft) string {
	t.Helper()
	return string(must(json.Marshal(d))(t))
}
