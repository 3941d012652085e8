package channel

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// signed adds an envelope that is sound by itself, and wrong in its place.
func (out *invalidVectors) signed(kind, name, under string, id *ID, env Envelope, err string) {
	*out = append(*out, invalidVector{
		Name: kind + ": " + name, Kind: kind, Under: under, Channel: id, Hex: rawEncode(env), Error: err,
	})
}

func (out *invalidVectors) signedRoots() {
	founding := func(name, err string, signers ...string) {
		out.signed("signed-root", name, "", nil, rawSign(TypeRoot, mustEncode(testRoot()), signers...), err)
	}
	founding("founded by a stranger", "ErrNotAuthorized", "stranger")
	founding("founded with a stranger", "ErrNotAuthorized", "root1", "stranger")
	founding("founded by a publisher", "ErrNotAuthorized", "publisher1")
	out.signed("signed-root", "version 2 as the first", "", nil, rawSign(TypeRoot, mustEncode(testRoot2()), "root2", "root3"), "ErrChain")

	next := func(name, under string, r Root, err string, signers ...string) {
		out.signed("signed-root", name, under, nil, rawSign(TypeRoot, rawEncode(r), signers...), err)
	}
	two, three := testRoot2(), testRoot3()
	next("key theft: a stolen publishing key signs the next root", "root1", two, "ErrNotAuthorized", "publisher1", "root2", "root3")
	next("taken over without the keys before", "root1", two, "ErrNotAuthorized", "root2", "root3")
	next("too few of its own keys", "root1", two, "ErrNotAuthorized", "root1", "root2")
	next("signed by a stranger, too", "root1", two, "ErrNotAuthorized", "root1", "root2", "root3", "stranger")
	next("recovery keys of the new root do not count", "root1", two, "ErrNotAuthorized", "recovery1", "root2", "root3")
	next("one of two root keys before", "root2", three, "ErrNotAuthorized", "root2", "root4")
	next("rollback: version 1 again", "root2", testRoot(), "ErrChain", "root1")
	next("fast-forward: version 3 after 1", "root1", three, "ErrChain", "root1", "root4")
	other := two
	other.Prev = &Hash{1}
	next("names another predecessor", "root1", other, "ErrChain", "root1", "root2", "root3")
	other = two
	other.Class = Private
	next("public becomes private", "root1", other, "ErrChain", "root1", "root2", "root3")
	other = two
	other.Publishers = other.Publishers[:0:0]
	next("publishing key dropped without revocation", "root1", other, "ErrChain", "root1", "root2", "root3")
	other = two
	other.Publishers = slices.Clone(two.Publishers)
	for i := range other.Publishers {
		if other.Publishers[i].Key == testPub("publisher1") {
			other.Publishers[i].Role = RoleHead
		}
	}
	next("publishing key made a head key without revocation", "root1", other, "ErrChain", "root1", "root2", "root3")
	four := three
	prev := HashPayload(mustEncode(three))
	four.Version, four.Prev, four.Revoked = 4, &prev, nil
	next("revocation taken back", "root3", four, "ErrChain", "root4")
	four.Revoked = slices.Clone(three.Revoked)
	four.Revoked[0].Seq++
	next("revocation weakened", "root3", four, "ErrChain", "root4")
	four.Revoked[0].Seq--
	four.Revoked[0].Hash[0] ^= 1
	next("revocation of another history", "root3", four, "ErrChain", "root4")
}

func (out *invalidVectors) signedManifests() {
	add := func(name, under string, m Manifest, signer, err string) {
		id := testID()
		if strings.HasPrefix(under, "private") {
			id = testPrivateID()
		}
		out.signed("signed-manifest", name, under, &id, rawSign(TypeManifest, mustEncode(m), signer), err)
	}
	m := testManifest()
	m.Channel[0] ^= 1
	add("mix-and-match: of another channel", "root1", m, "publisher1", "ErrChain")
	m = testManifest()
	m.Root = 2
	add("under another root version", "root1", m, "publisher1", "ErrChain")
	add("signed by another publisher", "root2", testScopedManifest(), "publisher1", "ErrNotAuthorized")
	add("spam by a non-publisher in the publisher's name", "root1", testManifest(), "stranger", "ErrNotAuthorized")
	m = testManifest()
	m.Log = testPub("stranger")
	add("spam by a non-publisher on an own log", "root1", m, "stranger", "ErrNotAuthorized")
	m = testManifest()
	m.Root, m.Log = 2, testPub("head1")
	add("release by a head key", "root2", m, "head1", "ErrNotAuthorized")
	m.Log = testPub("publisher2")
	m.Body = &Body{Entries: []FileEntry{testEntry("live/2025/x", 1)}}
	add("entry outside of the scopes", "root2", m, "publisher2", "ErrNotAuthorized")
	m.Body = &Body{Entries: []FileEntry{testEntry("archive2/x", 1)}}
	add("entry beside a scope of the same beginning", "root2", m, "publisher2", "ErrNotAuthorized")
	m.Body = &Body{Removals: []Removal{{Name: "live"}}}
	add("removal above a scope", "root2", m, "publisher2", "ErrNotAuthorized")
	m = testManifest()
	m.Root, m.Log = 3, testPub("publisher1")
	add("release by a revoked key", "root3", m, "publisher1", "ErrNotAuthorized")
	m = testManifest()
	m.Issued = testRoot().Expires + 1
	add("issued after the root expired", "root1", m, "publisher1", "ErrExpired")
	m = testManifest()
	m.Epoch, m.Body, m.Sealed = 1, nil, HexBytes{1}
	add("sealed body in a public channel", "root1", m, "publisher1", "ErrMalformed")
	m = testManifest()
	m.Channel = testPrivateID()
	add("body in clear in a private channel", "private-root1", m, "publisher1", "ErrMalformed")
	id := testPrivateID()
	out.signed("signed-manifest", "a root of another channel", "root1", &id, rawSign(TypeManifest, mustEncode(m), "publisher1"), "ErrChain")
	id = testID()
	out.signed("signed-manifest", "a head", "root1", &id, rawSign(TypeHead, mustEncode(testHead()), "publisher1"), "ErrMalformed")
}

func (out *invalidVectors) signedHeads() {
	add := func(name, under string, h Head, signer, err string) {
		id := testID()
		out.signed("signed-head", name, under, &id, rawSign(TypeHead, mustEncode(h), signer), err)
	}
	add("by a stranger", "root1", testHead(), "stranger", "ErrNotAuthorized")
	add("by a root key", "root1", testHead(), "root1", "ErrNotAuthorized")
	add("of a log by another publisher", "root2", testDelegatedHead(), "publisher2", "ErrNotAuthorized")
	h := testHead()
	h.Channel = testPrivateID()
	add("mix-and-match: of another channel", "root1", h, "publisher1", "ErrChain")
	add("under another root version", "root2", testHead(), "publisher1", "ErrChain")
	h = testDelegatedHead()
	h.Log = testPub("stranger")
	add("of a log that is none", "root2", h, "head1", "ErrNotAuthorized")
	h.Log = testPub("head1")
	add("of a head key's log", "root2", h, "head1", "ErrNotAuthorized")
	h = testDelegatedHead()
	h.Issued, h.Expires = testTime("2027-01-01T00:00:01Z"), testTime("2027-01-02T00:00:00Z")
	add("by a head key that has expired", "root2", h, "head1", "ErrExpired")
	h = testHead()
	h.Issued = testRoot().Expires + 1
	h.Expires = h.Issued + 1
	add("issued after the root expired", "root1", h, "publisher1", "ErrExpired")
	h = testHead()
	h.Epoch = 1
	add("epoch in a public channel", "root1", h, "publisher1", "ErrMalformed")
}

type hostileName struct{ name, value, text string }

func hostileNames() []hostileName {
	return []hostileName{
		{"no bytes", "", ""}, {"dot-dot", "..", ""}, {"climbing", "a/../../b", ""}, {"a dot", "./a", ""}, {"an absolute path", "/etc/passwd", ""},
		{"an empty component", "a//b", ""}, {"a slash at the end", "a/", ""}, {"a backslash", `a\b`, ""}, {"a drive and backslash", `C:\x`, ""},
		{"a NUL", "a\x00b", ""}, {"a line feed", "a\nb", ""}, {"an escape", "\x1b[31m", ""}, {"DEL", "a\x7f", ""}, {"a C1 control", "a\u0085b", ""},
		{"a right-to-left override", "a\u202egpj.exe", ""}, {"an isolate", "\u2067a\u2069", ""}, {"a line separator", "a\u2028b", ""},
		{"a byte order mark", "\ufeffa", ""}, {"NFD", "e\u0301", ""}, {"a lone jamo sequence", "\u1100\u1161", ""},
		{"17 marks in a row", "a" + strings.Repeat("\u0316", 17), ""}, {"31 Jamo vowels in a row", "\u1100" + strings.Repeat("\u1160", 31), ""},
		{"1025 bytes", strings.Repeat("abcd/", 205), ""}, {"a component of 256 bytes", strings.Repeat("a", MaxComponent+1), ""},
		{"a reserved beginning", ".aml-partial/x", ""}, {"a reserved beginning in upper case", ".AML-x", ""},
		{"bytes that are no UTF-8", "61ff", "name-hex"}, {"a surrogate in UTF-8", "eda080", "name-hex"}, {"an overlong slash", "61c0af62", "name-hex"},
	}
}

func (out *invalidVectors) texts() {
	for _, v := range hostileNames() {
		kind := "name"
		if v.text != "" {
			kind = v.text
		}
		out.text(kind, v.name, v.value, "ErrName")
	}
	for _, topic := range []string{
		"", "/", "  ", "a b", "c#", "a?b", "a:b", `a\b`, "a/../b", ".", "a/./b", "1/2/3/4/5/6/7/8/9", "a\u200bb", "a\u00a0b", "x\u202ey", "a\nb",
		"tab\tulated", strings.Repeat("t", MaxTopic+1), "x*", "user@host", "\ufeff",
		"z" + strings.Repeat("\u0316", 17),
	} {
		out.text("topic", topic, topic, "ErrName")
	}
	for _, topic := range []string{"Radio", "a//b", "/a", "a/", " a", "e\u0301", "МУЗЫКА"} {
		out.text("strict-topic", topic, topic, "ErrName")
	}
	for _, m := range []string{
		"", "/", "/ip4", "//", "/ip4//tcp", "/ip4/1.2.3.4/", "ip4/1.2.3.4", "http://", "https:///x", "HTTP://x", "http://user@host", "http://h/#f",
		"http://h/a b", "http://h/\"", "http://:80", "file:///etc/passwd", "javascript:alert(1)", "http://é.example", "http://?x",
	} {
		out.text("mirror", m, m, "ErrMalformed")
	}
	id := testID().String()
	key := strings.Repeat("a", 52)
	for _, v := range [][3]string{
		{"empty", "", "ErrMalformed"}, {"no scheme", id, "ErrMalformed"}, {"another scheme", "http://" + id, "ErrMalformed"},
		{"scheme in upper case", "AML://" + id, "ErrMalformed"}, {"id in upper case", "aml://" + strings.ToUpper(id), "ErrMalformed"},
		{"id cut off", "aml://" + id[:51], "ErrMalformed"}, {"id too long", "aml://" + id + "a", "ErrMalformed"},
		{"id with padding", "aml://" + id[:51] + "=", "ErrMalformed"}, {"id with a digit of no base32", "aml://1" + id[1:], "ErrMalformed"},
		{"unused bits set", "aml://" + key[:51] + "b", "ErrMalformed"}, {"id all zero", "aml://" + key, "ErrMalformed"},
		{"nothing behind the slash", "aml://" + id + "/", "ErrName"}, {"path that climbs", "aml://" + id + "/a/../b", "ErrName"},
		{"path that climbs in escapes", "aml://" + id + "/%2e%2e/b", "ErrName"}, {"escaped slash", "aml://" + id + "/a%2Fb", "ErrMalformed"},
		{"escaped backslash", "aml://" + id + "/a%5cb", "ErrName"}, {"escaped NUL", "aml://" + id + "/a%00", "ErrName"},
		{"half an escape", "aml://" + id + "/a%4", "ErrMalformed"}, {"an escape that is none", "aml://" + id + "/a%zz", "ErrMalformed"},
		{"escapes that are no UTF-8", "aml://" + id + "/%ff", "ErrName"}, {"query", "aml://" + id + "/a?b", "ErrMalformed"},
		{"empty read key", "aml://" + id + "#", "ErrMalformed"}, {"read key cut off", "aml://" + id + "#" + key[:51], "ErrMalformed"},
		{"read key in upper case", "aml://" + id + "#" + strings.ToUpper(key), "ErrMalformed"},
		{"two fragments", "aml://" + id + "#" + key + "#", "ErrMalformed"}, {"space inside", "aml:// " + id, "ErrMalformed"},
		{"too long", "aml://" + id + "/" + strings.Repeat("a", MaxAddress), "ErrTooLarge"},
		{"port", "aml://" + id + ":80/x", "ErrMalformed"},
	} {
		out.text("address", v[0], v[1], v[2])
	}
	out.text("channel-id", "hex", strings.Repeat("0a", 32), "ErrMalformed")
	out.text("channel-id", "surrounding space", " "+id, "ErrMalformed")
	hexKey := testPub("root1").String()
	out.text("public-key", "upper case", strings.ToUpper(hexKey), "ErrMalformed")
	out.text("public-key", "cut off", hexKey[:63], "ErrMalformed")
	out.text("public-key", "not hex", "g"+hexKey[1:], "ErrMalformed")
	for i, k := range smallOrder {
		out.text("public-key", "small order "+string(rune('1'+i)), k.String(), "ErrMalformed")
		k[31] |= 0x80
		out.text("public-key", "small order, sign set "+string(rune('1'+i)), k.String(), "ErrMalformed")
	}
	out.text("public-key", "y is 2^255-19", "ed"+strings.Repeat("ff", 30)+"7f", "ErrMalformed")
	out.text("public-key", "y is 2^255-1, sign set", strings.Repeat("ff", 32), "ErrMalformed")
	out.text("hash", "too long", strings.Repeat("0", 66), "ErrMalformed")
}

func (out *invalidVectors) inputs(t *testing.T) {
	entry := string(must(json.Marshal(testManifest().Body.Entries[0]))(t))
	edit := func(name, err, old, with string) {
		if !strings.Contains(entry, old) {
			t.Fatalf("the entry has no %s: %s", old, entry)
		}
		out.text("file-entries", name, strings.Replace(entry, old, with, 1), err)
	}
	edit("later version", "ErrVersion", `"version":1`, `"version":2,"flags":[]`)
	edit("no version", "ErrVersion", `"version":1,`, ``)
	edit("version as text", "ErrMalformed", `"version":1`, `"version":"1"`)
	edit("version 1.0", "ErrMalformed", `"version":1`, `"version":1.0`)
	edit("unknown field", "ErrMalformed", `"version":1`, `"version":1,"owner":"root"`)
	edit("field in upper case", "ErrMalformed", `"name"`, `"Name"`)
	edit("field twice", "ErrMalformed", `"version":1`, `"version":1,"name":"x"`)
	edit("field twice by an escape", "ErrMalformed", `"version":1`, `"version":1,"n\u0061me":"x"`)
	edit("field twice deeper", "ErrMalformed", `"root":{`, `"root":{"size":11,`)
	edit("no name", "ErrMalformed", `"name":"live/2026/01 opening.flac",`, ``)
	edit("name that climbs", "ErrName", `live/2026/01 opening.flac`, `../x`)
	edit("name with half a surrogate pair", "ErrMalformed", `live/2026/01 opening.flac`, `\ud800x`)
	edit("size negative", "ErrMalformed", `"size":11`, `"size":-11`)
	edit("size with an exponent", "ErrMalformed", `"size":11`, `"size":1e1`)
	edit("size over 2 PiB", "ErrMalformed", `"size":11`, `"size":18446744073709551615`)
	edit("size null", "ErrMalformed", `"size":11`, `"size":null`)
	edit("size is not the reference's", "ErrMalformed", `"size":11`, `"size":12`)
	edit("mode as a number", "ErrMalformed", `"mode":"0644"`, `"mode":420`)
	edit("mode with setuid", "ErrMalformed", `"mode":"0644"`, `"mode":"4755"`)
	edit("mode not octal", "ErrMalformed", `"mode":"0644"`, `"mode":"0689"`)
	edit("hash in upper case", "ErrMalformed", `"sha256":"`, `"sha256":"A`)
	edit("depth 4", "ErrMalformed", `"depth":0`, `"depth":4`)
	edit("time without zone", "ErrMalformed", `21:15:00Z`, `21:15:00`)
	edit("time with a fraction", "ErrMalformed", `21:15:00Z`, `21:15:00.5Z`)
	edit("time with a fraction of zero", "ErrMalformed", `21:15:00Z`, `21:15:00.0Z`)
	edit("hour of one digit", "ErrMalformed", `21:15:00Z`, `9:15:00Z`)
	edit("offset of a day", "ErrMalformed", `21:15:00Z`, `21:15:00+24:00`)
	edit("offset of 60 minutes", "ErrMalformed", `21:15:00Z`, `21:15:00+23:60`)
	edit("time of no text", "ErrMalformed", `2026-01-30T21:15:00Z`, ``)
	edit("time 0", "ErrMalformed", `2026-01-30T21:15:00Z`, `1970-01-01T00:00:00Z`)
	edit("version negative", "ErrMalformed", `"version":1`, `"version":-1`)
	edit("version over 2^53", "ErrMalformed", `"version":1`, `"version":9007199254740993`)
	edit("comment", "ErrMalformed", `{"version"`, "// one\n{\"version\"")
	edit("something behind it", "ErrMalformed", `00Z"}`, `00Z"} x`)
	edit("cut off", "ErrMalformed", `00Z"}`, `00Z"`)
	for _, v := range [][2]string{
		{"empty", ""}, {"white space", " \n"}, {"empty array", "[]"}, {"null", "null"}, {"number", "1"}, {"text", `"x"`}, {"array in array", "[[]]"},
		{"byte order mark", "\ufeff" + entry},
	} {
		out.text("file-entries", v[0], v[1], "ErrMalformed")
	}
	out.text("file-entries", "two of one name", "["+entry+","+entry+"]", "ErrName")
	out.text("file-entries", "a name that is another's folder", "["+entry+","+strings.Replace(entry, "/2026/01 opening.flac", "", 1)+"]", "ErrName")
	out.text("file-entries", "second of a later version", "["+entry+","+strings.Replace(entry, `"version":1`, `"version":7`, 1)+"]", "ErrVersion")

	for _, v := range [][3]string{
		{"nothing in it", `{}`, "ErrMalformed"}, {"version alone", `{"version":1}`, "ErrMalformed"}, {"array", `[]`, "ErrMalformed"},
		{"later version", `{"version":2,"colour":"red"}`, "ErrVersion"}, {"version 0", `{"version":0,"title":"x"}`, "ErrVersion"},
		{"version twice", `{"version":1,"version":2,"title":"x"}`, "ErrMalformed"},
		{"unknown field", `{"title":"x","tilte":"y"}`, "ErrMalformed"}, {"title twice", `{"title":"x","title":"y"}`, "ErrMalformed"},
		{"title is no text", `{"title":1}`, "ErrMalformed"}, {"title too long", `{"title":"` + strings.Repeat("t", MaxTitle+1) + `"}`, "ErrLimit"},
		{"bidi override in the title", `{"title":"\u202e"}`, "ErrMalformed"},
		{"entries no array", `{"entries":{}}`, "ErrMalformed"}, {"entry of neither kind", `{"entries":[{"name":"x"}]}`, "ErrMalformed"},
		{"entry of both kinds", `{"entries":[{"path":"x","root":{}}]}`, "ErrMalformed"}, {"empty path", `{"entries":[{"path":""}]}`, "ErrMalformed"},
		{"path with a NUL", `{"entries":[{"path":"a\u0000"}]}`, "ErrMalformed"}, {"absolute name", `{"entries":[{"path":"x","name":"/x"}]}`, "ErrName"},
		{"one name twice", `{"entries":[{"path":"x","name":"n"},{"path":"y","name":"n"}]}`, "ErrName"},
		{"put and removed", `{"entries":[{"path":"x","name":"n"}],"remove":["n"]}`, "ErrName"},
		{"removed twice", `{"remove":["n","n"]}`, "ErrName"}, {"removal that climbs", `{"remove":["../n"]}`, "ErrName"},
		{"metadata of numbers", `{"metadata":{"k":1}}`, "ErrMalformed"}, {"metadata key twice", `{"metadata":{"k":"1","k":"2"}}`, "ErrMalformed"},
		{"trailing comma", `{"title":"x",}`, "ErrMalformed"}, {"nested deep", `{"metadata":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "ErrMalformed"},
		{"entry of a later version", `{"entries":[{"version":2,"root":{}}]}`, "ErrVersion"},
		{"later version with null and a fraction", `{"version":2,"x":null,"y":1.5}`, "ErrVersion"},
		{"later version, a member twice", `{"version":2,"x":1,"x":2}`, "ErrMalformed"},
		{"path with a version", `{"entries":[{"path":"x","version":2}]}`, "ErrMalformed"},
		{"path of 4097 bytes", `{"entries":[{"path":"` + strings.Repeat("p", 4097) + `"}]}`, "ErrMalformed"},
		{"empty name of a path", `{"entries":[{"path":"x","name":""}]}`, "ErrName"},
		{"4097 entries", `{"entries":[{"path":"x"}` + strings.Repeat(`,{"path":"x"}`, MaxEntries) + `]}`, "ErrLimit"},
		{"4097 removals", `{"remove":["x"` + strings.Repeat(`,"x"`, MaxRemovals) + `]}`, "ErrLimit"},
	} {
		out.text("draft", v[0], v[1], v[2])
	}

	draft := rootDraftText(t, must(testDraft3(t).Sign(testKey("root4")))(t))
	change := func(name, err, old, with string) {
		if !strings.Contains(draft, old) {
			t.Fatalf("the draft has no %s: %s", old, draft)
		}
		out.text("root-draft", name, strings.Replace(draft, old, with, 1), err)
	}
	change("later version", "ErrVersion", `"version":1`, `"version":2,"x":1`)
	change("no version", "ErrVersion", `"version":1,`, ``)
	change("later format of the root", "ErrVersion", `"format":1`, `"format":2`)
	change("unknown field", "ErrMalformed", `"version":1`, `"version":1,"note":"x"`)
	change("unknown field of the root", "ErrMalformed", `"format":1`, `"format":1,"owner":"x"`)
	change("field of the root in upper case", "ErrMalformed", `"title"`, `"Title"`)
	change("threshold twice", "ErrMalformed", `"threshold":1`, `"threshold":1,"threshold":1`)
	change("no signatures field", "ErrMalformed", `"signatures"`, `"signature"`)
	change("root of a skipped version", "ErrChain", `"root":{"format":1,"version":3`, `"root":{"format":1,"version":4`)
	change("threshold that nobody can meet", "ErrMalformed", `"threshold":1`, `"threshold":2`)
	change("title changed after it was signed", "ErrSignature", `"title":"Radio Aurora"`, `"title":"Radio Auror4"`)
	change("of another channel", "ErrChain", testID().String(), testPrivateID().String())
	change("another predecessor", "ErrChain", `"prev":"`+testDraft3(t).Root.Prev.String(), `"prev":"`+strings.Repeat("1", 64))
	change("first root left out", "ErrChain", `"`+testDraft3(t).Before[0].String()+`",`, ``)
	change("roots before it left out", "ErrMalformed", `"before":["`+testDraft3(t).Before[0].String()+`","`+testDraft3(t).Before[1].String()+`"]`, `"before":[]`)
	change("signature by a stranger", "ErrSignature", testPub("root4").String()+`","sig"`, testPub("stranger").String()+`","sig"`)
	change("revocation left out", "ErrChain", `,"revoked":[{"key":"`+testPub("publisher1").String()+`","seq":2,"hash":"`+HashPayload(mustEncode(testManifest2())).String()+`"}]`, ``)
	out.text("root-draft", "array", "[]", "ErrMalformed")
	out.text("root-draft", "empty", "", "ErrMalformed")

	pem := string(must(EncodeKeyPEM(testKey("root1")))(t))
	out.text("key-file", "empty", "", "ErrMalformed")
	out.text("key-file", "no PEM", "ssh-ed25519 AAAA", "ErrMalformed")
	out.text("key-file", "two keys", pem+pem, "ErrMalformed")
	out.text("key-file", "encrypted", strings.ReplaceAll(pem, "PRIVATE", "ENCRYPTED PRIVATE"), "ErrMalformed")
	out.text("key-file", "public", strings.ReplaceAll(pem, "PRIVATE", "PUBLIC"), "ErrMalformed")
	out.text("key-file", "of OpenSSH", strings.ReplaceAll(pem, "PRIVATE", "OPENSSH PRIVATE"), "ErrMalformed")
	out.text("key-file", "text before the key", "mine\n"+pem, "ErrMalformed")
	out.text("key-file", "a header in the PEM block", strings.Replace(pem, "-----\n", "-----\nA: b\n\n", 1), "ErrMalformed")
	der := []byte{0x30, 0x30, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20}
	out.text("key-file", "attributes", "-----BEGIN PRIVATE KEY-----\n"+base64.StdEncoding.EncodeToString(append(append(der, make([]byte, 32)...), 0xa0, 0))+"\n-----END PRIVATE KEY-----\n", "ErrMalformed")
	x25519 := append([]byte{0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20}, make([]byte, 32)...)
	out.text("key-file", "X25519", "-----BEGIN PRIVATE KEY-----\n"+base64.StdEncoding.EncodeToString(x25519)+"\n-----END PRIVATE KEY-----\n", "ErrMalformed")
	out.text("key-file", "no key in the PEM block", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "ErrMalformed")
}
