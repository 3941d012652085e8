package updates_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/updates"
)

// release is one as a publisher makes it: "1.2.3", then metadata, then platforms.
func release(t *testing.T, version string, issued channel.Time, metadata map[string]string, platforms ...string) updates.Release {
	t.Helper()
	body := channel.Body{Description: "what is new", Metadata: map[string]string{"version": version}}
	for key, value := range metadata {
		body.Metadata[key] = value
	}
	for _, p := range platforms {
		name := "app-" + version + "-" + strings.ReplaceAll(p, "/", "-")
		body.Entries = append(body.Entries, channel.FileEntry{Name: name, SHA256: codec.Hash{byte(len(name))}, Attrs: map[string]string{"platform": p}})
	}
	r, ok, err := updates.Parse(body)
	if err != nil || !ok {
		t.Fatalf("%s: %v, %v", version, ok, err)
	}
	r.Issued, r.Seq = issued, uint64(issued)
	return r
}

func TestWhatIsChosen(t *testing.T) {
	one := release(t, "1.0.0", 1, nil, "linux/amd64", "darwin/arm64")
	two := release(t, "2.0.0", 2, nil, "linux/amd64")
	beta := release(t, "2.1.0-rc.1", 3, map[string]string{"track": "beta"}, "any")
	none := map[string]string{"rollout": "0"}
	all := []updates.Release{beta, one, two}
	for name, test := range map[string]struct {
		releases  []updates.Release
		in        updates.Installation
		want, why string
	}{
		"nothing is installed":          {all, updates.Installation{}, "2.0.0", ""},
		"an old one is installed":       {all, updates.Installation{Version: "1.0.0"}, "2.0.0", ""},
		"the newest is installed":       {all, updates.Installation{Version: "2.0.0"}, "", "2.0.0 is installed"},
		"a newer one is installed":      {all, updates.Installation{Version: "3.0.0"}, "", "the channel has only 2.0.0, and it is not gone back from 3.0.0"},
		"another track":                 {all, updates.Installation{Version: "2.0.0", Track: "beta"}, "2.1.0-rc.1", ""},
		"another platform":              {all, updates.Installation{Version: "1.0.0", Platform: "darwin/arm64"}, "", "1.0.0 is installed; 2.0.0 is not there for darwin/arm64"},
		"a platform that nobody has":    {all, updates.Installation{Platform: "plan9/arm"}, "", "there is no version for it; 2.0.0 is not there for plan9/arm"},
		"a version that did not work":   {all, updates.Installation{Version: "1.0.0", Refused: []string{"2.0.0"}}, "", "1.0.0 is installed; 2.0.0 did not work here"},
		"a version that nobody has":     {[]updates.Release{one, two, release(t, "3.0.0", 3, nil, "any")}, updates.Installation{Version: "1.0.0", Missing: []string{"3.0.0"}}, "2.0.0", "3.0.0 cannot be had now from anyone"},
		"nobody has what is higher":     {all, updates.Installation{Version: "1.0.0", Missing: []string{"2.0.0"}}, "", "1.0.0 is installed; 2.0.0 cannot be had now from anyone"},
		"nobody has the first one":      {all, updates.Installation{Missing: []string{"2.0.0"}}, "", "there is no version for it; 2.0.0 cannot be had now from anyone"},
		"a rollout that has not come":   {[]updates.Release{one, release(t, "2.0.0", 2, none, "linux/amd64")}, updates.Installation{}, "1.0.0", "2.0.0 has not come to this installation yet"},
		"a rollout that was ended":      {[]updates.Release{one, two, release(t, "2.0.0", 3, none, "linux/amd64")}, updates.Installation{Version: "1.0.0"}, "", "1.0.0 is installed; 2.0.0 has not come to this installation yet"},
		"a rollout that was begun anew": {[]updates.Release{two, one, release(t, "2.0.0", 1, none, "linux/amd64")}, updates.Installation{Version: "1.0.0"}, "2.0.0", ""},
		"an empty channel":              {nil, updates.Installation{Version: "1.0.0"}, "", "1.0.0 is installed, and nothing that the channel has is for it"},
	} {
		if test.in.Platform == "" {
			test.in.Platform = "linux/amd64"
		}
		if test.in.Track == "" {
			test.in.Track = updates.Stable
		}
		c := updates.Choose(channel.ID{1}, test.releases, test.in)
		if c.Release.Version != test.want || c.Newer != (test.want != "") || c.Why != test.why {
			t.Errorf("%s: %q (%s), want %q (%s)", name, c.Release.Version, c.Why, test.want, test.why)
		}
	}
}

// Of very many installations the share that is asked for has a version, who has it
// keeps it when the share grows, and other versions come to others.
func TestARolloutReachesItsShare(t *testing.T) {
	const count = 20_000
	at := func(version string, percent int) (in map[uint64]bool) {
		in = map[uint64]bool{}
		for n := range uint64(count) {
			var id [16]byte
			binary.BigEndian.PutUint64(id[:], n)
			if updates.In(channel.ID{7}, updates.Release{Version: version, Rollout: percent}, id) {
				in[n] = true
			}
		}
		return in
	}
	thirty, sixty, other := at("2.0.0", 30), at("2.0.0", 60), at("2.0.1", 30)
	for what, share := range map[string][2]int{"30 %": {len(thirty), 30}, "60 %": {len(sixty), 60}, "another 30 %": {len(other), 30}} {
		if off := share[0]*100 - share[1]*count; off < -count*2 || off > count*2 {
			t.Errorf("%s: %d of %d", what, share[0], count)
		}
	}
	both := 0
	for n := range thirty {
		if !sixty[n] {
			t.Fatal("who had a version has it no more when its share grows")
		}
		if other[n] {
			both++
		}
	}
	if both*3 > len(thirty)*2 {
		t.Errorf("%d of %d are the first for two versions", both, len(thirty))
	}
	if len(at("1.0.0", 0)) != 0 || len(at("1.0.0", 100)) != count {
		t.Error("0 % and 100 % are not nobody and everybody")
	}
}

func TestWhatIsNoReleaseOfSoftware(t *testing.T) {
	if _, ok, err := updates.Parse(channel.Body{Title: "no version"}); ok || err != nil {
		t.Errorf("a release without a version: %v, %v", ok, err)
	}
	build := func(platforms ...string) (out []channel.FileEntry) {
		for i, p := range platforms {
			out = append(out, channel.FileEntry{Name: string(rune('a' + i)), Attrs: map[string]string{"platform": p}})
		}
		return out
	}
	for what, body := range map[string]channel.Body{
		"two numbers":     {Metadata: map[string]string{"version": "1.2"}},
		"a v before it":   {Metadata: map[string]string{"version": "v1.2.3"}},
		"build metadata":  {Metadata: map[string]string{"version": "1.2.3+5"}},
		"a path":          {Metadata: map[string]string{"version": "../1.2.3"}},
		"a long version":  {Metadata: map[string]string{"version": "1.2.3-" + strings.Repeat("a", 64)}},
		"no track":        {Metadata: map[string]string{"version": "1.2.3", "track": ""}},
		"a strange track": {Metadata: map[string]string{"version": "1.2.3", "track": "Be ta"}},
		"101 %":           {Metadata: map[string]string{"version": "1.2.3", "rollout": "101"}},
		"half a percent":  {Metadata: map[string]string{"version": "1.2.3", "rollout": "0.5"}},
		"+5 %":            {Metadata: map[string]string{"version": "1.2.3", "rollout": "+5"}},
		"one half":        {Metadata: map[string]string{"version": "1.2.3"}, Entries: build("linux")},
		"a platform twice": {Metadata: map[string]string{"version": "1.2.3"},
			Entries: build("linux/amd64", "linux/amd64")},
	} {
		if _, _, err := updates.Parse(body); !errors.Is(err, updates.ErrRelease) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestWhatMayNotBePublished(t *testing.T) {
	one := release(t, "1.0.0", 1, nil, "linux/amd64", "darwin/arm64")
	two := release(t, "2.0.0", 2, nil, "linux/amd64", "darwin/arm64")
	named := func(r updates.Release, name string, sum byte) updates.Release {
		r.Builds = append([]updates.Build(nil), r.Builds...)
		r.Builds[0].Entry.Name, r.Builds[0].Entry.SHA256 = name, codec.Hash{sum}
		return r
	}
	quiet := release(t, "3.0.0", 3, nil, "linux/amd64", "darwin/arm64")
	quiet.Notes = " "
	for what, test := range map[string]struct {
		next updates.Release
		why  string
	}{
		"the next version":       {release(t, "2.0.1", 3, nil, "linux/amd64", "darwin/arm64"), ""},
		"one for all platforms":  {release(t, "2.0.1", 3, nil, "any"), ""},
		"the same again":         {two, ""},
		"a lower one":            {release(t, "1.5.0", 3, nil, "linux/amd64", "darwin/arm64"), "1.5.0 is lower than 2.0.0"},
		"a lower one elsewhere":  {release(t, "1.5.0", 3, map[string]string{"track": "lts"}, "linux/amd64"), ""},
		"one platform less":      {release(t, "2.0.1", 3, nil, "linux/amd64"), "no build for darwin/arm64"},
		"no build":               {release(t, "2.0.1", 3, nil), "has no build"},
		"no notes":               {quiet, "no notes"},
		"the file of another":    {named(release(t, "3.0.0", 3, nil, "linux/amd64", "darwin/arm64"), one.Builds[0].Entry.Name, 1), "is that of version 1.0.0"},
		"the same and different": {named(two, two.Builds[0].Entry.Name, 99), "version 2.0.0 is there with another"},
	} {
		err := updates.CheckNext([]updates.Release{one, two}, test.next)
		if test.why == "" && err != nil || test.why != "" && (!errors.Is(err, updates.ErrRefused) || !strings.Contains(err.Error(), test.why)) {
			t.Errorf("%s: %v, want %q", what, err, test.why)
		}
	}
}
