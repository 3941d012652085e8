package lookalike

import (
	"testing"
	"unicode/utf8"
)

func TestTitlesThatAreTakenForOneAnotherHaveOneSkeleton(t *testing.T) {
	for _, same := range [][]string{
		{"Radio Aurora", "radio aurora", "Rаdіо Аurоrа", "Radio-Aurora!", "RADIO  AURORA", "Ｒａｄｉｏ Aurora", "Radio Áurora", "Radl0 Aurora", "Radio\u200bAurora", "Rad\u0131o Aurora"},
		{"Example OS", "ExampIe OS", "Examp1e 0S", "Εxample ΟЅ", "Exarnple OS"},
		{"Музыка", "музыка", "МУЗЫКА"},
		{"", " ", "—", "***"},
	} {
		for _, s := range same[1:] {
			if got, want := Skeleton(s), Skeleton(same[0]); got != want {
				t.Errorf("%q has %q, %q has %q", s, got, same[0], want)
			}
		}
	}
}

func TestDifferentTitlesHaveDifferentSkeletons(t *testing.T) {
	seen := make(map[string]string)
	for _, s := range []string{"Radio Aurora", "Radio Aurora 2", "Example OS", "Sample OS", "Музыка", "音楽", "音", "Linux weekly", "Linux daily", "Подкаст", "Новости"} {
		k := Skeleton(s)
		if k == "" || seen[k] != "" {
			t.Errorf("%q has %q, and so has %q", s, k, seen[k])
		}
		seen[k] = s
	}
}

func FuzzSkeleton(f *testing.F) {
	f.Add("Rаdіо Аurоrа")
	f.Add("İıſ ﷺ ǆ \xff")
	f.Fuzz(func(t *testing.T, s string) {
		k := Skeleton(s)
		if !utf8.ValidString(k) {
			t.Fatalf("%q gives %q", s, k)
		}
		if Skeleton(s+" ") != k {
			t.Fatalf("%q with a space is another", s)
		}
	})
}
