package limit

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

func TestConfigurationsAreReadAsUsersWriteThem(t *testing.T) {
	zone := time.UTC
	for text, want := range map[string]Config{
		"":                       {},
		"none":                   {},
		"5MiB":                   {Total: 5 << 20},
		"1.5MB/s":                {Total: 1_500_000},
		"total=1kib/s,peer=512":  {Total: 1024, PerPeer: 512},
		"stream=1M , repair=2KB": {Class: [blobnet.Classes]int64{blobnet.Stream: 1 << 20, blobnet.Repair: 2000}},
		"22:00-06:00=10MiB/s":    {Schedule: []Hours{{From: 22 * 60, To: 6 * 60, Zone: zone, Total: 10 << 20}}},
		"5MiB,peer=1MiB,mon-fri 08:00-18:00=500KiB": {Total: 5 << 20, PerPeer: 1 << 20,
			Schedule: []Hours{{Days: 0b0111110, From: 8 * 60, To: 18 * 60, Zone: zone, Total: 500 << 10}}},
		"Sat+sun 0:00-24:00=none peer=1KiB foreground=0": {Schedule: []Hours{{Days: 0b1000001, To: 24 * 60, Zone: zone,
			Total: Unlimited, PerPeer: 1024, Class: [blobnet.Classes]int64{blobnet.Foreground: Unlimited}}}},
		"fri-mon 01:00-02:00=1,daily 03:00-04:00=2": {Schedule: []Hours{
			{Days: 0b1100011, From: 60, To: 120, Zone: zone, Total: 1}, {Days: EveryDay, From: 180, To: 240, Zone: zone, Total: 2}}},
	} {
		got, err := Parse(text, zone)
		if err != nil || !equal(got, want) {
			t.Errorf("%q: got %+v, %v, want %+v", text, got, err, want)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func equal(a, b Config) bool {
	if len(a.Schedule) != len(b.Schedule) || a.Total != b.Total || a.PerPeer != b.PerPeer || a.Class != b.Class {
		return false
	}
	for i := range a.Schedule {
		if a.Schedule[i] != b.Schedule[i] {
			return false
		}
	}
	return true
}

func TestErrorsNameThePlaceAndShowAnExample(t *testing.T) {
	for text, at := range map[string]int{
		"5MiBB":                           0,
		"-1":                              0,
		"nan":                             0,
		"1e3":                             0,
		"0.1":                             0,
		"5MiB,":                           5,
		",5MiB":                           0,
		"5MiB,pear=1MiB":                  5,
		"peer=fast":                       5,
		"peer=":                           5,
		"5MiB 6MiB":                       0,
		"peer=1 2":                        7,
		"8-18=1MiB":                       0,
		"08:00=1MiB":                      0,
		"5MiB,mon-fri 08:00-18:61=500KiB": 19,
		"mon-fri 24:00-06:00=1":           8,
		"mon-fry 08:00-18:00=1":           0,
		"mon+x 08:00-18:00=1":             4,
		"mon 08:00-18:00":                 15,
		"mon 08:00-18:00=1 peer":          18,
		"mon 08:00-18:00=1 08:00=2":       18,
		"99999999999GiB":                  0,
	} {
		_, err := Parse(text, time.UTC)
		var e *SyntaxError
		if !errors.As(err, &e) || e.Offset != at {
			t.Errorf("%q: got %v, want an error at %d", text, err, at)
			continue
		}
		if !strings.Contains(err.Error(), example) {
			t.Errorf("%q: no example in %q", text, err)
		}
	}
	if _, err := Parse(example, time.UTC); err != nil {
		t.Errorf("the example is wrong: %v", err)
	}
	if _, err := Parse(strings.Repeat("5MiB,", 1e6), time.UTC); err == nil || len(err.Error()) > 1000 {
		t.Errorf("endless text: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", example, "none", "22:00-06:00=10MiB/s", "sat+sun 0:00-24:00=none peer=1KiB", "5MiB,", "a:b=c", "mon :=1", "=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := Parse(s, time.UTC)
		var e *SyntaxError
		switch {
		case err == nil:
			if err := c.Validate(); err != nil {
				t.Errorf("%q was read as %+v: %v", s, c, err)
			}
		case !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(s):
			t.Errorf("%q: %#v", s, err)
		}
	})
}
