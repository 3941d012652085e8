package transfer

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/subscriber/policy"
)

func sample() (l List, secret string) {
	key := channel.ReadKeyFrom([channel.ReadKeySize]byte{7})
	private := channel.Address{ID: channel.ID{1}, ReadKey: key}
	secret = strings.SplitN(private.StringWithReadKey(), "#", 2)[1]
	return List{
		Subscriptions: []Subscription{
			{Title: "A <b> & \"c\"", Address: private, Output: "/srv/a", Policy: policy.Policy{Keywords: []string{"x"}, Quota: 5}},
			{Topic: "news/world", Trust: []channel.ID{{2}}, TrustAll: true},
		},
		Names: []Name{{Name: "band", Address: private}},
	}, secret
}

func TestAListComesBackAsItWasAndItsKeysOnlyIfAskedFor(t *testing.T) {
	l, secret := sample()
	whole, err := l.JSON(true)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Parse("list", whole); err != nil || !same(got, l) {
		t.Errorf("got %+v, %v", got, err)
	}
	opml, err := l.OPML(time.Unix(1e9, 0), true)
	if err != nil || !strings.Contains(string(opml), secret) {
		t.Errorf("%s, %v", opml, err)
	}
	for _, write := range []func() ([]byte, error){
		func() ([]byte, error) { return l.JSON(false) },
		func() ([]byte, error) { return l.OPML(time.Unix(1e9, 0), false) },
	} {
		text, err := write()
		if err != nil || strings.Contains(string(text), secret) {
			t.Errorf("a read key is in %s, %v", text, err)
		}
		got, err := Parse("list", text)
		if err != nil || len(got.Subscriptions) != 2 || got.Subscriptions[0].Address.ID != l.Subscriptions[0].Address.ID ||
			got.Subscriptions[0].Title != l.Subscriptions[0].Title || got.Subscriptions[1].Topic != "news/world" {
			t.Errorf("%s\nis read as %+v, %v", text, got, err)
		}
	}
}

// same compares but for keys, which hide.
func same(a, b List) bool {
	x, _ := a.JSON(true)
	y, _ := b.JSON(true)
	return reflect.DeepEqual(x, y)
}

func TestOPMLOfOtherProgramsIsReadForWhatIsOurs(t *testing.T) {
	id := channel.ID{3}.String()
	l, err := Parse("x.opml", []byte("\xef\xbb\xbf"+`<?xml version="1.0"?>
<opml version="1.0"><head><title>t</title></head><body>
  <outline text="group"><outline text="in it" type="rss" xmlUrl="aml://`+id+`"/></outline>
  <outline text="a blog" type="rss" xmlUrl="https://example.org/feed"/>
  <outline type="aml" text="topic" category="/News//World,/other"/>
</body></opml>`))
	if err != nil || len(l.Subscriptions) != 2 || l.Foreign != 1 || l.Subscriptions[0].Title != "in it" || l.Subscriptions[1].Topic != "news/world" {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestListsOfStrangersAreRefusedWithTheirPlace(t *testing.T) {
	id := channel.ID{3}.String()
	for text, want := range map[string]error{
		``:                           channel.ErrMalformed,
		`{}`:                         channel.ErrVersion,
		`{"version":2}`:              channel.ErrVersion,
		`{"version":1,"colour":1}`:   channel.ErrMalformed,
		`{"version":1,"names":[{}]}`: ErrList,
		`{"version":1,"names":null}`: channel.ErrMalformed,
		`{"version":1,"subscriptions":[{"address":"aml://` + id + `","topic":"a"}]}`:                                                      ErrList,
		`{"version":1,"subscriptions":[{"address":"aml://` + id + `","trustAll":true}]}`:                                                  ErrList,
		`{"version":1,"subscriptions":[{"address":"http://x"}]}`:                                                                          channel.ErrMalformed,
		`{"version":1,"subscriptions":[{"topic":"a","policy":{"maxAge":"x"}}]}`:                                                           channel.ErrMalformed,
		`{"version":1,"subscriptions":[{"topic":"a","policy":{"keep":{}}}]}`:                                                              policy.ErrPolicy,
		`{"version":1,"subscriptions":[` + strings.Repeat(`{"topic":"a"},`, MaxItems) + `{"topic":"a"}]}`:                                 channel.ErrMalformed,
		`{"version":1,"subscriptions":[` + strings.Repeat(`{"topic":"a","policy":{"regex":["a{1000}b{900}"]}},`, 200) + `{"topic":"a"}]}`: channel.ErrLimit,
		`<html></html>`: ErrList,
		`<opml>`:        channel.ErrMalformed,
		`<!DOCTYPE opml [<!ENTITY a "b">]><opml/>`:              ErrList,
		`<opml><body><outline xmlUrl="aml://x"/></body></opml>`: channel.ErrMalformed,
		strings.Repeat("<opml>", 20):                            channel.ErrMalformed,
		"<opml>\xff</opml>":                                     channel.ErrMalformed,
	} {
		if _, err := Parse("list.json", []byte(text)); !errors.Is(err, want) || !strings.Contains(err.Error(), "list.json") {
			t.Errorf("%.80s: got %v, want %v", text, err, want)
		}
	}
}

func FuzzList(f *testing.F) {
	l, _ := sample()
	for _, keys := range []bool{true, false} {
		text, _ := l.JSON(keys)
		f.Add(text)
		text, _ = l.OPML(time.Unix(1e9, 0), keys)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := Parse("fuzz", data)
		if err != nil {
			return
		}
		text, err := l.JSON(true)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Parse("fuzz", text); err != nil || !same(again, l) {
			t.Fatalf("%s is not what was read from %q: %v", text, data, err)
		}
	})
}
