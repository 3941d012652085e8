package policy

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet/limit"
	"github.com/anonymous-media-library/aml/channel"
)

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func compile(t *testing.T, text string) *Rules {
	t.Helper()
	p, err := Parse("filters.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Compile(time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEachFilterTakesWhatItNamesAndSaysWhyNot(t *testing.T) {
	release := Release{
		Issued: channel.TimeOf(noon.Add(-48 * time.Hour)), Title: "Live at the Hall", Description: "An evening with ÉTOILE",
		Metadata: map[string]string{"genre": "Jazz"},
	}
	film := channel.FileEntry{Name: "season-2/S02E01.mkv", Size: 5 << 20, MediaType: "video/x-matroska; codecs=x", Attrs: map[string]string{"language": "Deutsch"}}
	for _, c := range []struct {
		text string
		want Reason
	}{
		{`{}`, ""},
		{`{"version":1}`, ""},
		{`{"keywords":["nothing","jazz"]}`, ""},
		{`{"keywords":["étoile"]}`, ""},
		{`{"keywords":["deutsch"]}`, ""},
		{`{"keywords":["s02e"]}`, ""},
		{`{"keywords":["opera"]}`, Keywords},
		{`{"exclude":["opera"]}`, ""},
		{`{"exclude":["LIVE"]}`, Exclude},
		{`{"exclude":["e01"]}`, Exclude},
		{`{"regex":["^x","(?i)^live"]}`, ""},
		{`{"regex":["S\\d\\dE\\d\\d"]}`, ""},
		{`{"regex":["^Studio"]}`, Regex},
		{`{"mediaTypes":["audio/*","video/*"]}`, ""},
		{`{"mediaTypes":["VIDEO/x-matroska"]}`, ""},
		{`{"mediaTypes":["audio/*"]}`, MediaTypes},
		{`{"paths":["season-2/**"]}`, ""},
		{`{"paths":["*.mkv"]}`, ""},
		{`{"paths":["**/*.mkv"]}`, ""},
		{`{"paths":["season-?/S[0-9]*"]}`, ""},
		{`{"paths":["/*.mkv","season-1/*"]}`, Paths},
		{`{"paths":["/season-2"]}`, Paths},
		{`{"paths":["/season-2/**"]}`, ""},
		{`{"paths":["!*.mkv"]}`, Paths},
		{`{"paths":["season-2/**","!season-2/**E01*"]}`, Paths},
		{`{"paths":["!*.nfo"]}`, ""},
		{`{"maxAge":"3d"}`, ""},
		{`{"maxAge":"48h"}`, ""},
		{`{"maxAge":"47h59m"}`, MaxAge},
		{`{"maxSize":"5MiB"}`, ""},
		{`{"maxSize":5242879}`, MaxSize},
		{`{"autoDownload":true}`, ""},
		{`{"autoDownload":false}`, AutoDownload},
		{`{"autoDownload":false,"maxAge":"1h"}`, MaxAge},
	} {
		if got := compile(t, c.text).Judge(release, noon).File(&film); got.Reason != c.want || (got.Why == "") != (c.want == "") {
			t.Errorf("%s: %+v, want %q", c.text, got, c.want)
		}
	}
	if v := compile(t, `{"minSources":2}`).Sources(1); v.Reason != MinSources || !v.Reason.MayPass() {
		t.Errorf("one source of two: %+v", v)
	}
	if v := compile(t, `{"minSources":2}`).Sources(2); !v.Take() {
		t.Errorf("two sources of two: %+v", v)
	}
}

func TestWrongFiltersAreNamedByLineColumnAndField(t *testing.T) {
	for text, want := range map[string]string{
		"{\n \"maxAge\": \"soon\"}":                                         `line 2, column 12: maxAge: `,
		"{\n \"maxAge\": 7}":                                                `line 2, column 12: maxAge: malformed: want a string`,
		`{"keywords":["a",3]}`:                                              `line 1, column 18: keywords[1]: `,
		`{"keyword":["a"]}`:                                                 `line 1, column 2: malformed: unknown field "keyword"`,
		`{"keep":[{"count":1},{"cuont":2}]}`:                                `unknown field "cuont"`,
		`{"keep":[{"path":"a"}]}`:                                           `line 1, column 10: keep[0]: a rule bounds nothing`,
		`{"regex":["("]}`:                                                   `line 1, column 11: regex[0]: "("`,
		`{"regex":["` + strings.Repeat("a", MaxRegex+1) + `"]}`:             `column 11: regex[0]: an item has 1025 bytes`,
		`{"regex":["((a{1000}){1000}){1000}"]}`:                             `column 11: regex[0]:`,
		`{"regex":["(a{0,100}){0,10}(bc{0,100}){0,10}"]}`:                   `regex[0]: "(a{0,100}){0,10}(bc{0,100}){0,10}" is too large once its repetitions`,
		`{"regex":["a{900}b{900}"` + strings.Repeat(`,"a{1000}"`, 9) + `]}`: `line 1, column 10: regex: all expressions together`,
		`{"mediaTypes":["video"]}`:                                          `line 1, column 16: mediaTypes[0]: "video" is not like`,
		`{"paths":["a[b"]}`:                                                 `line 1, column 11: paths[0]: "a[b"`,
		"{\"keywords\":[\"a\",\n \" \"]}":                                   `line 2, column 2: keywords[1]: an item is empty`,
		`{"exclude":[""]}`:                                                  `line 1, column 13: exclude[0]: an item is empty`,
		`{"keep":["count=1","count=x"]}`:                                    `column 20: keep[1]: malformed: keep rule "count=x": count "x": want a whole number, 1 or more`,
		`{"keep":["count=0"]}`:                                              `column 10: keep[0]: malformed: keep rule "count=0": count "0": want a whole number, 1 or more`,
		`{"keep":["count=1,count=2"]}`:                                      `keep rule "count=1,count=2": count is there twice`,
		`{"keep":["count=1,age="]}`:                                         `keep rule "count=1,age=": age is empty`,
		`{"keep":["10"]}`:                                                   `keep rule "10": want path=GLOB, count=N`,
		`{"keep":["count=1,,age=1d"]}`:                                      `keep rule "count=1,,age=1d": "": want path=GLOB, count=N`,
		`{"keep":["bytes=0"]}`:                                              `column 10: keep[0]: malformed: keep rule "bytes=0": bytes "0": want more`,
		`{"keep":["count=1,age=0d"]}`:                                       `keep rule "count=1,age=0d": age "0d": want more`,
		`{"maxAge":"0d"}`:                                                   `column 11: maxAge: malformed: "0d" lets nothing through`,
		`{"quota":"0"}`:                                                     `column 10: quota: malformed: "0" lets nothing through`,
		`{"quota": 0}`:                                                      `column 11: quota: "0" lets nothing through`,
		`{"maxSize":"0.1"}`:                                                 `maxSize: malformed: "0.1" lets nothing through`,
		`{"keep":{"path":"[","count":1}}`:                                   `column 9: keep: "[": a [ without its ]`,
		`{"priority":"urgent"}`:                                             `priority: `,
		`{"rate":"fast"}`:                                                   `rate: `,
		`{"hours":"night"}`:                                                 `hours: `,
		`{"name":"../{file}"}`:                                              `name: `,
		`{"name":"{author}"}`:                                               `{author} is none of`,
		`{"maxSize":-1}`:                                                    `maxSize: `,
		`{"maxAge":null}`:                                                   `found null`,
		`{"maxAge":"1d","maxAge":"2d"}`:                                     `occurs twice`,
		`{"version":2}`:                                                     `version: `,
		`[]`:                                                                `want an object`,
		``:                                                                  `it is empty`,
		`{"minSources":1001}`:                                               `minSources: `,
	} {
		_, err := Parse("filters.json", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "filters.json") {
			t.Errorf("%s:\n got %v\nwant %s", text, err, want)
		}
	}
	if _, err := Parse("x", []byte(`{"version":2}`)); !errors.Is(err, channel.ErrVersion) {
		t.Errorf("a later version: %v", err)
	}
}

func TestAChangeReplacesWhatItNamesAndKeepsTheRest(t *testing.T) {
	p, err := Parse("a", []byte(`{"keywords":["a"],"maxAge":"7d","quota":"1GiB","priority":"high","autoDownload":false,"keep":{"count":3}}`))
	if err != nil {
		t.Fatal(err)
	}
	q, err := Change(p, "b", []byte(`{"keywords":[],"maxAge":"","autoDownload":true,"keep":[],"rate":"1MiB/s"}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Policy{Quota: 1 << 30, Priority: limit.High, Rate: "1MiB/s"}); !reflect.DeepEqual(tidy(q), want) {
		t.Errorf("got %+v, want %+v", q, want)
	}
	if p.Fingerprint() == q.Fingerprint() {
		t.Error("policies that leave out different things have one fingerprint")
	}
	r := q
	r.Rate, r.Priority = "", limit.Low
	if r.Fingerprint() != q.Fingerprint() {
		t.Error("a rate changes what is left out")
	}
}

// tidy makes empty lists nil.
func tidy(p Policy) Policy {
	for _, l := range []*[]string{&p.Keywords, &p.Exclude, &p.Regex, &p.MediaTypes, &p.Paths} {
		if len(*l) == 0 {
			*l = nil
		}
	}
	if len(p.Keep) == 0 {
		p.Keep = nil
	}
	return p
}

func TestAges(t *testing.T) {
	day := 24 * time.Hour
	for text, want := range map[string]time.Duration{"7d": 7 * day, "24h": day, "30m": 30 * time.Minute, "1d12h": 36 * time.Hour, "2w": 14 * day, "": 0, " 5s ": 5 * time.Second} {
		if got, err := ParseAge(text); err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
	for _, bad := range []string{"7", "d", "7 d", "-1d", "1h1d", "1d1d", "1.5d", "9999999999999w", "40000d", "7y", "1d x"} {
		if got, err := ParseAge(bad); err == nil {
			t.Errorf("%q is read as %s", bad, got)
		}
	}
}

func TestAKeeperLetsGoOfTheOldestAndOfEachPathByItsOwnRule(t *testing.T) {
	r := compile(t, `{"keep":[{"path":"daily/**","count":2},{"path":"*.iso","bytes":100},{"age":"10d","path":"news/*"}]}`)
	k := r.Keeper(noon)
	add := func(name string, size uint64, days int) (gone []string) {
		for _, it := range k.Add(Item{Name: name, Size: size, Issued: channel.TimeOf(noon.AddDate(0, 0, -days))}) {
			gone = append(gone, it.Name)
		}
		return gone
	}
	for _, c := range []struct {
		name string
		size uint64
		days int
		want []string
	}{
		{"daily/1", 1, 5, nil},
		{"daily/2", 1, 4, nil},
		{"daily/0", 1, 9, []string{"daily/0"}},
		{"daily/3", 1, 3, []string{"daily/1"}},
		{"a.iso", 60, 9, nil},
		{"b.iso", 60, 8, []string{"a.iso"}},
		{"c.iso", 200, 1, []string{"b.iso", "c.iso"}},
		{"news/old", 1, 11, []string{"news/old"}},
		{"news/new", 1, 9, nil},
		{"other", 1, 999, nil},
	} {
		if got := add(c.name, c.size, c.days); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: lets go of %q, want %q", c.name, got, c.want)
		}
	}
	if why := r.WhyGone("daily/1"); why != "kept are 2 files of daily/**" {
		t.Errorf("why: %s", why)
	}
	if p, err := ParseKeep("path=daily/**,count=2,age=30d,bytes=2GiB"); err != nil || p != (Keep{"daily/**", 2, 30 * 24 * time.Hour, 2 << 30}) {
		t.Errorf("as a flag: %+v, %v", p, err)
	}
	for _, bad := range []string{"", "10", "count", "count=x", "colour=red"} {
		if _, err := ParseKeep(bad); err == nil {
			t.Errorf("%q is a rule", bad)
		}
	}
}

func TestTemplatesMakeNamesThatStayInTheirFolder(t *testing.T) {
	n := Named{File: "show/ep 1.tar.gz", Title: "Live: A/B", Channel: "Band", Seq: 7, Issued: channel.TimeOf(noon)}
	for text, want := range map[string]string{
		"":                              "show/ep 1.tar.gz",
		"{file}":                        "show/ep 1.tar.gz",
		"{title}{ext}":                  "Live_ A_B.gz",
		"{channel}/{date} {title}{ext}": "Band/2026-11-30 Live_ A_B.gz",
		"{dir}/{seq}-{name}{ext}":       "show/7-ep 1.tar.gz",
		"{channel}/{dir}/{name}{ext}":   "Band/show/ep 1.tar.gz",
	} {
		tpl, err := ParseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := tpl.Path(n); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for _, hostile := range []string{"..", ".", "../../etc/passwd", "/etc/passwd", "a\\b", "CON", "nul.txt", " ", "", "...", ".aml-partial", ".AML-x", "a\x00b\nc", "\u202egpj", strings.Repeat("é", 600), strings.Repeat("\u0301", 40), "\xff\xfe"} {
		for _, text := range []string{"{title}{ext}", "{title}/{title}", "{channel}{title}/{name}{ext}", "{title}"} {
			tpl, _ := ParseTemplate(text)
			got := tpl.Path(Named{File: "f.txt", Title: hostile, Channel: hostile, Seq: 1, Issued: 1})
			if err := errors.Join(channel.ValidName(got), channel.PortableName(got), channel.ValidName(Numbered(got, 99))); err != nil {
				t.Errorf("%s of %q: %q: %v", text, hostile, got, err)
			}
		}
	}
	for _, bad := range []string{"/abs/{name}", "a/../{name}", "{name", "name}", "{}", "fixed.txt", "{name}\\x", strings.Repeat("{name}", 200)} {
		if _, err := ParseTemplate(bad); err == nil {
			t.Errorf("%q is a template", bad)
		}
	}
	if got := Numbered("a/b.txt", 2); got != "a/b (2).txt" {
		t.Errorf("numbered: %q", got)
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add([]byte(`{"keywords":["a"],"exclude":["b"],"regex":["c.*"],"mediaTypes":["video/*"],"paths":["**/[a-z]?","!x"],"maxAge":"7d","maxSize":"2GiB","minSources":2,"autoDownload":false,"quota":5,"priority":"low","rate":"1MiB/s","hours":"22:00-06:00","name":"{title}{ext}","keep":[{"path":"*","count":3,"age":"1d","bytes":9}],"keepBlobs":true}`))
	f.Add([]byte(`{"keep":{"count":1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse("fuzz", data)
		if err != nil {
			return
		}
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		q, err := Parse("fuzz", text)
		if err != nil {
			t.Fatalf("%s is written as %s: %v", data, text, err)
		}
		if again, _ := json.Marshal(q); string(again) != string(text) {
			t.Fatalf("%s becomes %s", text, again)
		}
		r, err := p.Compile(time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		e := channel.FileEntry{Name: "a/b.txt", Size: 5, MediaType: "text/plain"}
		r.Judge(Release{Title: "t"}, noon).File(&e)
	})
}

func FuzzTemplate(f *testing.F) {
	f.Add("{channel}/{date} {title}{ext}", "a/b.txt", "title", "channel")
	f.Add("{dir}{title}", "x", "../..", ".aml-")
	f.Fuzz(func(t *testing.T, text, file, title, ch string) {
		tpl, err := ParseTemplate(text)
		if err != nil || text == "" || channel.ValidName(file) != nil {
			return
		}
		got := tpl.Path(Named{File: file, Title: title, Channel: ch, Seq: 1, Issued: 1e9})
		if err := errors.Join(channel.ValidName(got), channel.PortableName(got), channel.ValidName(Numbered(got, 99))); err != nil {
			t.Fatalf("%q of %q %q %q: %q: %v", text, file, title, ch, got, err)
		}
	})
}

func FuzzGlob(f *testing.F) {
	for _, s := range []string{"**/*.mkv", "a[!b-c]?", `\*`, "[", "é*", "[[:alpha:]]", "[]a]", "[z-a]"} {
		f.Add(s, "a/b.mkv")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		if g, err := glob(text); err == nil {
			g.matches(name)
		}
	})
}
