package words

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTextIsCutWhereAReaderWouldCutIt(t *testing.T) {
	for text, want := range map[string]string{
		"my_song-01.flac":                 "my song 01 flac",
		"live/2026/01 opening.flac":       "live 2026 01 opening flac",
		"NightRecording01.MP3":            "nightrecording01 mp3 night recording 01 mp 3",
		"Аврора, ЁЛКА":                    "аврора елка",
		"Café CAFE\u0301 ｆｕｌｌ":            "cafe cafe full",
		"Straße ΟΔΟΣ οδός":                "strasse οδοσ οδοσ",
		"東京の夜 live":                       "東 京 の 夜 live",
		"  ***  ":                         "",
		"a\x00b\xffc":                     "a b c",
		"x264-1080p":                      "x264 1080p x 264 1080 p",
		strings.Repeat("é", 100) + " end": strings.Repeat("e", 64) + " end",
	} {
		if got := strings.Join(Indexed(text), " "); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestQueriesOfAnySignsAreTaken(t *testing.T) {
	for text, want := range map[string]Query{
		`song`:                  {Prefix: "song"},
		`my song`:               {Phrases: [][]string{{"my"}}, Prefix: "song"},
		`"my song"`:             {Phrases: [][]string{{"my", "song"}}},
		`my-song 01`:            {Phrases: [][]string{{"my", "song"}}, Prefix: "01"},
		`x`:                     {Phrases: [][]string{{"x"}}},
		`NOT ( name:* OR ^a" )`: {Phrases: [][]string{{"not"}, {"name"}, {"or"}, {"a"}}},
		`""" * - `:              {},
		`東京`:                    {Phrases: [][]string{{"東", "京"}}},
	} {
		got := Parse(text)
		if !slices.EqualFunc(got.Phrases, want.Phrases, slices.Equal) || got.Prefix != want.Prefix {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if q := Parse(strings.Repeat("a b-c-d ", 1000)); len(q.Phrases) > MaxPhrases {
		t.Errorf("%d phrases", len(q.Phrases))
	}
}

func TestSnippetsShowWhatWasFound(t *testing.T) {
	text := strings.Repeat("before and before. ", 50) + "Here the Café\nis open. " + strings.Repeat("after and after. ", 50)
	got, ok := Snippet(text, 80, func(w string) bool { return w == "cafe" })
	if !ok || !strings.Contains(got, "Café is open") || len(got) > 100 || !strings.HasPrefix(got, "… ") || !strings.HasSuffix(got, " …") {
		t.Errorf("%q, %v", got, ok)
	}
	if got, ok := Snippet("short one", 80, func(w string) bool { return w == "one" }); got != "short one" || !ok {
		t.Errorf("%q, %v", got, ok)
	}
	if got, ok := Snippet("nothing", 80, func(string) bool { return false }); got != "" || ok {
		t.Errorf("%q, %v", got, ok)
	}
}

// FuzzIndexed: whatever the text, each of its words is found by being asked for.
func FuzzIndexed(f *testing.F) {
	f.Add("my_song-01.flac")
	f.Add("東京の夜 Ёлка ß ΟΔΟΣ ﬁ ½ ＡＢ e\u0301\u0301")
	f.Add("\xff\x00\u200d")
	f.Fuzz(func(t *testing.T, text string) {
		indexed := Indexed(text)
		for _, w := range Of(text) {
			if len(w) > MaxWord || !utf8.ValidString(w) {
				t.Fatalf("%q has the word %q", text, w)
			}
			if !slices.Contains(indexed, w) {
				t.Fatalf("%q is not found by %q", text, w)
			}
		}
		q := Parse(text)
		if len(q.Phrases) > MaxPhrases {
			t.Fatal(q)
		}
		Snippet(text, 40, func(w string) bool { return len(w)%3 == 0 })
	})
}
