package limit

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

func TestWeekSaysWhenSomethingMayBeDone(t *testing.T) {
	at := func(day, hour, minute int) time.Time { // 2026-11-01 is a Sunday
		return time.Date(2026, 11, 1+day, hour, minute, 0, 0, time.UTC)
	}
	week, err := ParseWeek("mon-fri 22:00-06:00, sat+sun 00:00-24:00", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at   time.Time
		want bool
	}{{at(0, 12, 0), true}, {at(1, 0, 0), false}, {at(1, 21, 59), false}, {at(1, 22, 0), true}, {at(2, 5, 59), true}, {at(2, 6, 0), false}, {at(6, 3, 0), true}} {
		if got := week.Holds(c.at); got != c.want {
			t.Errorf("%s: %v, want %v", c.at, got, c.want)
		}
	}
	if got := week.Change(at(1, 12, 30)); !got.Equal(at(1, 22, 0)) {
		t.Errorf("on Monday noon it changes at %s", got)
	}
	if got := week.Change(at(0, 12, 0)); !got.Equal(at(1, 0, 0)) {
		t.Errorf("on Sunday noon it changes at %s", got)
	}
	if always, err := ParseWeek("", nil); err != nil || !always.Holds(at(0, 0, 0)) || !always.Change(at(0, 0, 0)).IsZero() {
		t.Errorf("no hours: %v, %v", always, err)
	}
	var syntax *SyntaxError
	for _, bad := range []string{"22:00", "22:00-6", "mon 22:00-23:00 x", "22:00-23:00,", "xyz 22:00-23:00", "mon"} {
		if _, err := ParseWeek(bad, nil); !errors.As(err, &syntax) {
			t.Errorf("%q: got %v, want a SyntaxError", bad, err)
		}
	}
}

func FuzzWeek(f *testing.F) {
	f.Add("mon-fri 22:00-06:00,sat+sun 00:00-24:00")
	f.Fuzz(func(t *testing.T, text string) {
		if week, err := ParseWeek(text, time.UTC); err == nil {
			week.Holds(time.Unix(1e9, 0))
		}
	})
}

func TestALowShareStandsBackWhileAHigherOneMovesBytesAndNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, line := NewDownload(Config{}), &Line{}
		low, high := NewShare(all, line, Low, Config{}), NewShare(all, line, High, Config{})
		if wait := low.Take("p", blobnet.Foreground, 1000); wait != 0 {
			t.Errorf("alone, a low share waits %s", wait)
		}
		if wait := high.Take("p", blobnet.Foreground, 1000); wait != 0 {
			t.Errorf("a high share waits %s for a low one", wait)
		}
		if wait := low.Take("p", blobnet.Foreground, 1000); wait == 0 {
			t.Error("a low share goes on beside a high one")
		}
		time.Sleep(ahead)
		if wait := low.Take("p", blobnet.Foreground, 1000); wait != 0 {
			t.Errorf("a high share that gets nothing holds a low one for %s", wait)
		}
	})
}

func TestAShareKeepsToItsOwnLimitAndCountsNothingThatWasNotGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, line := NewDownload(Config{Total: 1000}), &Line{}
		s := NewShare(all, line, Normal, Config{Total: 100})
		if wait := s.Take("p", blobnet.Foreground, 200); wait != 0 {
			t.Fatalf("the first waits %s", wait)
		}
		if wait := s.Take("p", blobnet.Foreground, 1); wait == 0 {
			t.Error("beyond its own limit it waits for nothing")
		}
		time.Sleep(2 * time.Second)
		if wait := s.Take("p", blobnet.Foreground, 1); wait != 0 {
			t.Errorf("two seconds later it waits %s", wait)
		}
		all.Take("p", blobnet.Foreground, 5000)
		before := s.own.total.tokens
		if wait := s.Take("p", blobnet.Foreground, 1); wait == 0 {
			t.Error("the limit of all does not hold for a share")
		}
		if s.own.total.tokens < before {
			t.Error("what was not granted is counted")
		}
	})
}
