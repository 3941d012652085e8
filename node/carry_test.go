package node

import "testing"

func TestAReadKeyIsGainedAndNeverGivenUp(t *testing.T) {
	for _, c := range []struct{ here, offered, imported, named string }{
		{"aml://a", "aml://a#k", "aml://a#k", "aml://a#k"},
		{"aml://a#k", "aml://a", "aml://a#k", "aml://a#k"},
		{"aml://a#k", "aml://a#other", "aml://a#k", "aml://a#other"},
		{"aml://a", "aml://ab#k", "aml://a", "aml://ab#k"},
	} {
		if got := gainKey(c.here, c.offered); got != c.imported {
			t.Errorf("a list offers %s for %s: %s", c.offered, c.here, got)
		}
		if got := withKey(c.offered, c.here); got != c.named {
			t.Errorf("%s is named where %s was: %s", c.offered, c.here, got)
		}
	}
}

func TestAPetnameIsOneWordAndNoChannel(t *testing.T) {
	for _, good := range []string{"band", "@Band", " the-band.2 ", "ärzte"} {
		if name, err := parsePetname(good); err != nil || name == "" {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "@", "a/b", "two words", "a#b", "aml://x", "..", "aebagbafaydqqcikbmga2dqpcaireeyuculbogazdinryhi6d4qa", "x\x1b[0m"} {
		if name, err := parsePetname(bad); err == nil {
			t.Errorf("%q is the name %q", bad, name)
		}
	}
	if got, err := parseTarget("@Band"); err != nil || got.pet != "band" || got.topic != "" || got.String() != "@band" {
		t.Errorf("@Band: %+v, %v", got, err)
	}
}
