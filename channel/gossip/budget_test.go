package gossip

import (
	"fmt"
	"testing"
	"time"
)

func TestFloodOfOneSourceIsNotJudgedAndTakesNoPlaceOfOthers(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	b := newBudget(func() time.Time { return now })
	spend := func(source string, n int, worth bool) (judged int) {
		for range n {
			if b.begin(source, "room") {
				judged++
				b.end(source, "room", worth)
			}
		}
		return judged
	}
	if n := spend("relay", 10_000, true); n != 10_000 {
		t.Errorf("%d of 10,000 messages that were worth it were judged", n)
	}
	if n := spend("flood", 10_000, false); n != judgeBurst {
		t.Errorf("%d worthless messages were judged, want %d", n, judgeBurst)
	}
	now = now.Add(10 * time.Second)
	if n := spend("flood", 10_000, false); n != 160 {
		t.Errorf("%d more after 10 s, want 160", n)
	}
	now = now.Add(-time.Hour) // the clock was put back
	spend("flood", 1, false)
	now = now.Add(judgeBurst * judgeInterval)
	if n := spend("flood", 10_000, false); n != judgeBurst {
		t.Errorf("%d after the clock was put back, want %d", n, judgeBurst)
	}

	places := 0
	for range 1000 {
		if b.begin("hoard", "room") {
			places++
		}
	}
	if places != sourcePlaces || !b.begin("hoard", "another room") || !b.begin("other", "room") {
		t.Errorf("one source has %d places, and others none", places)
	}
	for i := range 1000 {
		b.begin(fmt.Sprint("one of many ", i), "room")
	}
	if b.rooms["room"] != roomPlaces {
		t.Errorf("%d messages of one room are judged at a time", b.rooms["room"])
	}
}

func TestBudgetRemembersABoundedNumberOfSources(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	b := newBudget(func() time.Time { return now })
	for i := range 3 * maxSpenders {
		name := fmt.Sprint(i)
		if !b.begin(name, "room") {
			t.Fatal("a new source has nothing to spend")
		}
		b.end(name, "room", false)
	}
	if len(b.sources) > maxSpenders {
		t.Errorf("%d sources", len(b.sources))
	}
	now = now.Add(time.Hour)
	if b.prune(); len(b.sources) != 0 {
		t.Errorf("%d sources that spend nothing", len(b.sources))
	}
}
