package catalog

import (
	"errors"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
)

func TestWhatASubscriptionWroteAndLeftOutIsRememberedAndEndsWithIt(t *testing.T) {
	ctx := t.Context()
	c := open(t, filepath.Join(t.TempDir(), "aml.db"))
	id := channel.ID{1}
	sub, err := c.Subscribe(ctx, Subscription{Channel: id, Output: "out"})
	if err != nil {
		t.Fatal(err)
	}
	a := Written{Name: "a", Path: "one/a", Size: 5, SHA256: codec.Hash{7}, Position: 1, Issued: 9}
	b := Written{Name: "b", Path: "b", Size: 6, Position: 1, Issued: 9, Gone: true}
	err = c.Record(ctx, sub.ID, id, Judged{Position: 1, By: "p", Written: []Written{a, b},
		Passed: []Passed{{Reason: "maxSize", Files: 2, Bytes: 30}, {Reason: "quota", Files: 1, Bytes: 4, Again: true}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Record(ctx, sub.ID, id, Judged{Position: 2, By: "p", Passed: []Passed{{Reason: "maxSize", Files: 1, Bytes: 1}}}); err != nil {
		t.Fatal(err)
	}
	if got, err := c.WrittenAs(ctx, sub.ID, id, "a"); err != nil || got != a {
		t.Errorf("as a: %+v, %v", got, err)
	}
	if got, err := c.WrittenTo(ctx, sub.ID, id, "one/a"); err != nil || got != a {
		t.Errorf("to one/a: %+v, %v", got, err)
	}
	if _, err := c.WrittenTo(ctx, sub.ID, id, "b"); !errors.Is(err, ErrUnknown) {
		t.Errorf("what is gone has its path still: %v", err)
	}
	if got, err := c.AllWritten(ctx, sub.ID, id, "", 9); err != nil || !reflect.DeepEqual(got, []Written{a}) {
		t.Errorf("all: %+v, %v", got, err)
	}
	for position, want := range map[int64]bool{1: true, 2: false} {
		if got, err := c.WrittenBy(ctx, sub.ID, id, position); err != nil || got != want {
			t.Errorf("by %d: %v, %v", position, got, err)
		}
	}
	over := func(judged string, again bool) []int64 {
		got, err := c.PassedOver(ctx, sub.ID, id, 99, judged, again, 9)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := over("p", false); got != nil {
		t.Errorf("the same policy looks again at %v", got)
	}
	if got := over("p", true); !reflect.DeepEqual(got, []int64{1}) {
		t.Errorf("what may be taken later: %v", got)
	}
	if got := over("q", false); !reflect.DeepEqual(got, []int64{2, 1}) {
		t.Errorf("another policy looks again at %v", got)
	}
	tally, err := c.Tally(ctx, sub.ID)
	want := Tally{Files: 1, Bytes: 5, Passed: []Passed{{Reason: "maxSize", Files: 3, Bytes: 31}, {Reason: "quota", Files: 1, Bytes: 4}}}
	if err != nil || !reflect.DeepEqual(tally, want) {
		t.Errorf("tally: %+v, %v", tally, err)
	}
	if err := c.Unsubscribe(ctx, sub.ID); err != nil {
		t.Fatal(err)
	}
	if tally, err := c.Tally(ctx, sub.ID); err != nil || !reflect.DeepEqual(tally, Tally{}) {
		t.Errorf("after the end: %+v, %v", tally, err)
	}
	if err := c.Record(ctx, sub.ID, id, Judged{Written: []Written{a}}); !errors.Is(err, ErrUnknown) {
		t.Errorf("recording for what has ended: %v", err)
	}
}

func TestAPetnameBelongsToOneChannel(t *testing.T) {
	ctx := t.Context()
	c := open(t, filepath.Join(t.TempDir(), "aml.db"))
	one, two := Petname{Name: "band", Channel: channel.ID{1}, Address: "aml://1"}, Petname{Name: "band", Channel: channel.ID{2}, Address: "aml://2"}
	if err := c.SetPetname(ctx, one, false); err != nil {
		t.Fatal(err)
	}
	if err := c.SetPetname(ctx, one, false); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := c.SetPetname(ctx, two, false); !errors.Is(err, ErrNameTaken) {
		t.Errorf("for another: %v", err)
	}
	if err := c.SetPetname(ctx, two, true); err != nil {
		t.Error(err)
	}
	if got, err := c.Petnames(ctx, "band"); err != nil || !reflect.DeepEqual(got, []Petname{two}) {
		t.Errorf("band: %+v, %v", got, err)
	}
	if got, err := c.Petnames(ctx, "other"); err != nil || got != nil {
		t.Errorf("other: %+v, %v", got, err)
	}
	if err := c.DropPetname(ctx, "band"); err != nil {
		t.Error(err)
	}
	if err := c.DropPetname(ctx, "band"); !errors.Is(err, ErrUnknown) {
		t.Errorf("forgetting twice: %v", err)
	}
}
