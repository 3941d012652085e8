package channel

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// testRoots are the envelopes of the roots before a draft, as far as version
// last.
func testRoots(t testing.TB, last int) [][]byte {
	t.Helper()
	var out [][]byte
	for i, r := range []Root{testRoot(), testRoot2(), testRoot3()}[:last] {
		keys := testKeys([][]string{{"root1"}, {"root1", "root2", "root3"}, {"recovery1", "root4"}}[i]...)
		env, err := r.Sign(keys...)
		if err == nil {
			var data []byte
			data, err = EncodeEnvelope(env)
			out = append(out, data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// testDraft2 is the draft of testRoot2, testDraft3 of testRoot3.
func testDraft2(t testing.TB) RootDraft { return testDraft(t, 1, testRoot2()) }

func testDraft3(t testing.TB) RootDraft { return testDraft(t, 2, testRoot3()) }

func testDraft(t testing.TB, before int, next Root) RootDraft {
	t.Helper()
	d, err := NewRootDraft(testRoots(t, before), next)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestADraftSignedInTurnOrInParallelBecomesTheSameRoot(t *testing.T) {
	d := testDraft2(t)
	inTurn := d
	for _, name := range []string{"root3", "root1", "root2"} {
		text := must(json.Marshal(must(inTurn.Sign(testKey(name)))(t)))(t)
		inTurn = must(ParseRootDraft(text))(t)
	}
	merged := must(must(d.Sign(testKey("root1")))(t).Merge(must(d.Sign(testKey("root2")))(t), must(d.Sign(testKeys("root3", "root2")...))(t), d))(t)
	want := testRoots(t, 2)[1]
	for _, got := range []RootDraft{inTurn, merged} {
		if !slices.Equal(must(got.Envelope())(t), want) {
			t.Error("not the root that all sign at once")
		}
		if missing := must(got.Missing())(t); len(missing) > 0 {
			t.Errorf("missing: %v", missing)
		}
	}
}

func TestADraftSaysWhoseSignaturesItLacks(t *testing.T) {
	d := testDraft2(t)
	one, two, three := testPub("root1").String(), testPub("root2").String(), testPub("root3").String()
	if m := must(d.Missing())(t); len(m) != 2 || !strings.Contains(m[0], "1 of the root keys of version 1: "+one) || !strings.HasPrefix(m[1], "2 of the root keys of version 2") || !strings.Contains(m[1], two) || !strings.Contains(m[1], three) {
		t.Errorf("%q", m)
	}
	d = must(d.Sign(testKeys("root1", "root2")...))(t)
	if m := must(d.Missing())(t); len(m) != 1 || !strings.Contains(m[0], "1 of the root keys of version 2, the draft's own: "+three) {
		t.Errorf("%q", m)
	}
	if _, err := d.Envelope(); !errors.Is(err, ErrNotAuthorized) || !strings.Contains(err.Error(), three) {
		t.Errorf("%v", err)
	}
	// Recovery keys will do in place of the old root keys, not of the new ones.
	r := must(testDraft3(t).Sign(testKey("recovery1")))(t)
	if m := must(r.Missing())(t); len(m) != 1 || !strings.Contains(m[0], testPub("root4").String()) {
		t.Errorf("%q", m)
	}
	if m := must(testDraft3(t).Missing())(t); !strings.Contains(m[0], "; or 1 of the recovery keys of version 2: "+testPub("recovery1").String()) {
		t.Errorf("%q", m)
	}
}

func TestAKeyThatMayNotSignADraftIsRefusedBeforeItDoes(t *testing.T) {
	for _, name := range []string{"stranger", "publisher1", "recovery1"} { // version 1 had no recovery key
		if _, err := testDraft2(t).Sign(testKey(name)); !errors.Is(err, ErrNotAuthorized) || !strings.Contains(err.Error(), testPub(name).String()) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestADraftThatNobodyWouldAcceptIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(d *RootDraft)
		want   error
	}{
		"wrong predecessor":     {func(d *RootDraft) { d.Root.Prev = &Hash{1} }, ErrChain},
		"version skipped":       {func(d *RootDraft) { d.Root.Version++ }, ErrChain},
		"other channel":         {func(d *RootDraft) { d.Channel[0] ^= 1 }, ErrChain},
		"no roots before":       {func(d *RootDraft) { d.Before = nil }, ErrMalformed},
		"first root left out":   {func(d *RootDraft) { d.Before = d.Before[1:] }, ErrChain},
		"root before is forged": {func(d *RootDraft) { d.Before[1] = slices.Clone(d.Before[1]); d.Before[1][len(d.Before[1])-1] ^= 1 }, ErrSignature},
		"threshold unreachable": {func(d *RootDraft) { d.Root.Root.Threshold = 2 }, ErrMalformed},
		"key dropped unrevoked": {func(d *RootDraft) { d.Root.Revoked = nil }, ErrChain},
		"class changed":         {func(d *RootDraft) { d.Root.Class = Private }, ErrChain},
		"scopes narrowed":       {func(d *RootDraft) { setScope(&d.Root, "archive") }, ErrChain},
		"changed after signing": {func(d *RootDraft) { *d, _ = d.Sign(testKey("root4")); d.Root.Title = "Another" }, ErrSignature},
		"signed by a stranger": {func(d *RootDraft) {
			env, _ := d.Root.Sign(testKey("stranger"))
			d.Signatures = env.Signatures
		}, ErrNotAuthorized},
		"signatures twice": {func(d *RootDraft) {
			*d, _ = d.Sign(testKey("root4"))
			d.Signatures = append(d.Signatures, d.Signatures[0])
		}, ErrMalformed},
	} {
		d := testDraft3(t)
		c.change(&d)
		if err := d.Check(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func setScope(r *Root, scope string) {
	for i := range r.Publishers {
		if r.Publishers[i].Role == RolePublish {
			r.Publishers[i].Scopes = []string{scope}
		}
	}
}

func TestCopiesOfDifferentDraftsAreNotPutTogether(t *testing.T) {
	other := testRoot2()
	other.Title = "Another"
	if _, err := testDraft2(t).Merge(testDraft(t, 1, other)); !errors.Is(err, ErrChain) {
		t.Errorf("%v", err)
	}
}

// TestChangesSayAllThatADraftChanges keeps a signer from signing what it was
// not told.
func TestChangesSayAllThatADraftChanges(t *testing.T) {
	got := strings.Join(Changes(testRoot(), testRoot2()), "\n")
	for _, want := range []string{
		"root key " + testPub("root2").String() + " is added", "root key " + testPub("root1").String() + " is removed",
		"2 of 2 root keys have to sign, instead of 1 of 1", "recovery key " + testPub("recovery1").String() + " is added", "1 of 1 recovery keys have to sign",
		"key " + testPub("publisher2").String() + " may publish below archive, live/2026", "key " + testPub("head1").String() + " may sign heads until 2027-01-01T00:00:00Z",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not say %q:\n%s", want, got)
		}
	}
	got = strings.Join(Changes(testRoot2(), testRoot3()), "\n")
	for _, want := range []string{
		fmt.Sprintf("key %s is revoked after its release 2 (%s)", testPub("publisher1"), HashPayload(mustEncode(testManifest2()))),
		"key " + testPub("publisher2").String() + " may publish, instead of publish below archive, live/2026", "1 of 1 root keys have to sign, instead of 2 of 2",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not say %q:\n%s", want, got)
		}
	}
	got = strings.Join(Changes(testRoot(), testNamedRoot()), "\n")
	for _, want := range []string{
		fmt.Sprintf("key %s is called %q", testPub("publisher1"), `Аврора "the" founder`),
		fmt.Sprintf("key %s, called %q, may publish below", testPub("publisher2"), strings.Repeat("n", MaxPublisherName)),
		fmt.Sprintf("are both called %q", `Аврора "the" founder`),
	} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not say %q:\n%s", want, got)
		}
	}
	renamed := testNamedRoot()
	renamed.Publishers[0].Name, renamed.Publishers[1].Name = "Ann", ""
	got = strings.Join(Changes(testNamedRoot(), renamed), "\n")
	if !strings.Contains(got, ` is called "Ann" instead of "`) || !strings.Contains(got, ` is no longer called "`) || strings.Contains(got, " may ") {
		t.Errorf("of new names:\n%s", got)
	}
	// Whatever differs is said: each change alone gives a line, and none gives one too.
	for name, change := range map[string]func(r *Root){
		"title": func(r *Root) { r.Title = "x" }, "topics": func(r *Root) { r.Topics = []string{"radio"} }, "kind": func(r *Root) { r.Kind = Update },
		"expires": func(r *Root) { r.Expires++ }, "recovery": func(r *Root) { r.Recovery = nil }, "threshold": func(r *Root) { r.Root.Threshold = 1 },
		"publishers": func(r *Root) { r.Publishers = r.Publishers[1:] },
		"name":       func(r *Root) { r.Publishers = slices.Clone(r.Publishers); r.Publishers[0].Name = "x" },
	} {
		next := testRoot2()
		change(&next)
		if words := Changes(testRoot2(), next); len(words) == 0 || words[0] == "nothing but the version" {
			t.Errorf("%s: nothing is said of it", name)
		}
	}
	if words := Changes(testRoot2(), testRoot2()); len(words) != 1 || words[0] != "nothing but the version" {
		t.Errorf("of no change: %q", words)
	}
}

func FuzzRootDraft(f *testing.F) {
	addTexts(f, "root-draft")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseRootDraft([]byte(s))
		if err != nil {
			wrapsOne(t, err)
			return
		}
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseRootDraft(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if back, err := json.Marshal(again); err != nil || string(back) != string(text) {
			t.Fatalf("%s became %s, %v", text, back, err)
		}
		if _, err := d.Missing(); err != nil {
			t.Fatal(err)
		}
	})
}
