package channel

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestRootKeyTheftIsMetByThresholdAndRecovery(t *testing.T) {
	one := must(VerifyRoot(must(testRoot().Sign(testKey("root1")))(t), nil))(t)
	two := must(VerifyRoot(must(testRoot2().Sign(testKeys("root1", "root2", "root3")...))(t), &one))(t)
	if _, err := VerifyRoot(must(testRoot3().Sign(testKeys("root2", "root3", "root4")...))(t), &two); err != nil {
		t.Errorf("by both root keys: %v", err)
	}
	three := must(VerifyRoot(must(testRoot3().Sign(testKeys("recovery1", "root4")...))(t), &two))(t)
	if r, ok := three.RevokedKey(testPub("publisher1")); !ok || r.Seq != 2 {
		t.Errorf("revocation: %v, %t", r, ok)
	}
	if _, ok := three.RevokedKey(testPub("publisher2")); ok {
		t.Error("a key that was not revoked is")
	}
	if _, ok := three.Publisher(testPub("publisher1")); ok {
		t.Error("revoked key is still a publisher")
	}
	four := three
	prev := HashPayload(mustEncode(three))
	four.Version, four.Prev = 4, &prev
	four.Revoked = []Revoked{{Key: testPub("publisher1"), Seq: 1, Hash: HashPayload(mustEncode(testManifest()))}}
	if _, err := VerifyRoot(must(four.Sign(testKey("root4")))(t), &three); err != nil {
		t.Errorf("tightening a revocation: %v", err)
	}
}

// TestTwoFullKeySetsFitOneEnvelope: the limits allow every rotation.
func TestTwoFullKeySetsFitOneEnvelope(t *testing.T) {
	set := func(prefix string) (names []string) {
		for i := range MaxRootKeys {
			names = append(names, fmt.Sprint(prefix, i))
		}
		return names
	}
	one := testRoot()
	one.Root = KeySet{Keys: testPubs(set("old")...), Threshold: MaxRootKeys}
	two := one
	prev := HashPayload(mustEncode(one))
	two.Version, two.Prev, two.Nonce = 2, &prev, nil
	two.Root = KeySet{Keys: testPubs(set("new")...), Threshold: MaxRootKeys}
	all := testKeys(append(set("old"), set("new")...)...)
	if _, err := VerifyRoot(must(two.Sign(all...))(t), &one); err != nil {
		t.Error(err)
	}
	if _, err := VerifyRoot(must(two.Sign(all[1:]...))(t), &one); !errors.Is(err, ErrNotAuthorized) {
		t.Errorf("one signature short: %v", err)
	}
}

func TestRootOverItsSizeIsRefused(t *testing.T) {
	r := testRoot()
	for i := range MaxScopes {
		r.Publishers[0].Scopes = append(r.Publishers[0].Scopes, fmt.Sprintf("%02d/%s", i, strings.Repeat(strings.Repeat("x", 250)+"/", 4)+"yyyyyyyyyyyyyyyyy"))
	}
	if _, err := r.Encode(); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v", err)
	}
	if _, err := DecodeRoot(rawEncode(r)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v", err)
	}
}

// TestClosedChannelHasNoPublishers: the last root of a channel may revoke
// everyone, and then nothing can be signed.
func TestClosedChannelHasNoPublishers(t *testing.T) {
	one := testRoot()
	last := one
	prev := HashPayload(mustEncode(one))
	last.Version, last.Prev, last.Nonce, last.Publishers = 2, &prev, nil, nil
	last.Revoked = []Revoked{{Key: testPub("publisher1")}}
	r := must(VerifyRoot(must(last.Sign(testKey("root1")))(t), &one))(t)
	m := testManifest()
	m.Root = 2
	if _, err := VerifyManifest(must(m.Sign(testKey("publisher1")))(t), testID(), r); !errors.Is(err, ErrNotAuthorized) {
		t.Errorf("%v", err)
	}
}

func TestScopesCoverWholeComponents(t *testing.T) {
	p := Publisher{Role: RolePublish, Scopes: []string{"live/2026", "notes.txt"}}
	for name, want := range map[string]bool{
		"live/2026/a": true, "live/2026": true, "notes.txt": true, "notes.txt/x": true,
		"live/20266": false, "live/202": false, "live": false, "notes.txt2": false, "Live/2026/a": false, "x/live/2026/a": false,
	} {
		if p.MayName(name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
	if !(Publisher{Role: RolePublish}).MayName("anything") || (Publisher{Role: RoleHead}).MayName("anything") {
		t.Error("no scopes mean all names, for publishers alone")
	}
}

// TestBodyFromABlobIsHeldToTheScopes: VerifyManifest cannot see such a body.
func TestBodyFromABlobIsHeldToTheScopes(t *testing.T) {
	r := testRoot2()
	body := Body{Entries: []FileEntry{testEntry("archive/x", 1)}}
	if err := r.Authorize(testPub("publisher2"), body); err != nil {
		t.Error(err)
	}
	body.Removals = []Removal{{Name: "live/2025/y"}}
	for _, log := range testPubs("publisher2", "head1", "stranger") {
		if err := r.Authorize(log, body); !errors.Is(err, ErrNotAuthorized) {
			t.Errorf("%v", err)
		}
	}
}

func TestPublisherMayNotSignAfterItsTime(t *testing.T) {
	r := testRoot()
	r.Publishers[0].Expires = testTime("2026-06-01T00:00:00Z")
	id := IDOf(mustEncode(r))
	m := testManifest()
	m.Channel, m.Issued = id, r.Publishers[0].Expires
	if _, err := VerifyManifest(must(m.Sign(testKey("publisher1")))(t), id, r); err != nil {
		t.Errorf("in the last second: %v", err)
	}
	m.Issued++
	if _, err := VerifyManifest(must(m.Sign(testKey("publisher1")))(t), id, r); !errors.Is(err, ErrExpired) {
		t.Errorf("a second later: %v", err)
	}
	h := testHead()
	h.Channel, h.Issued, h.Expires = id, m.Issued, m.Issued+1
	if _, err := VerifyHead(must(h.Sign(testKey("publisher1")))(t), id, r); !errors.Is(err, ErrExpired) {
		t.Errorf("head: %v", err)
	}
}

func TestFreezeShowsWhenTheHeadExpires(t *testing.T) {
	h := testHead()
	if !h.FreshAt(h.Expires.Time().Add(-1)) || h.FreshAt(h.Expires.Time()) {
		t.Error("freshness ends at the time of expiry")
	}
	if Update.HeadLife() > MaxHeadLife || Media.HeadLife() > MaxHeadLife || Update.HeadLife() >= Media.HeadLife() {
		t.Error("lives of heads")
	}
}
