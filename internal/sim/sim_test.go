package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/internal/sim/ledger"
)

func simulated(t *testing.T, args ...string) *results {
	t.Helper()
	o, _, _, err := parse(args)
	if err != nil {
		t.Fatal(err)
	}
	r, err := simulate(t, o, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What `go run ./internal/sim -nodes 1000` shows of a thousand nodes, in small.
func TestEveryHonestFollowerHasEveryReleaseDespiteLossChurnAndHostileNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	r := simulated(t, "-nodes", "30", "-channels", "4", "-forks", "1", "-releases", "3", "-publish", "3m", "-follows", "3", "-found", "6", "-settle", "4m", "-warm", "1m", "-flood", "0.5")
	for _, f := range r.Failures {
		t.Error(f)
	}
	if r.Published != 4*3+1 || r.Delivery.Count == 0 || r.CatchUp.Count == 0 || r.Proofs.Count == 0 {
		t.Errorf("%d releases, %d deliveries, %d caught up, %d proofs", r.Published, r.Delivery.Count, r.CatchUp.Count, r.Proofs.Count)
	}
	if r.Events[gossip.EventMisbehaved] == 0 {
		t.Error("no liar was found out: are there hostile nodes?")
	}
	if r.Gossip.Bytes == 0 || r.Sync.Bytes == 0 || r.Relayed.Messages == 0 || r.HostileBytes == 0 {
		t.Errorf("nothing was counted: %+v %+v %+v", r.Gossip, r.Relayed, r.Sync)
	}
	var table, asJSON bytes.Buffer
	if err := r.writeTable(&table); err != nil || !strings.Contains(table.String(), "every honest follower has every release") {
		t.Errorf("table: %v\n%s", err, table.String())
	}
	var back results
	if err := r.writeJSON(&asJSON); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(asJSON.Bytes(), &back); err != nil || back.Delivery != r.Delivery {
		t.Errorf("JSON: %v, %+v", err, back.Delivery)
	}
}

// A simulation that could only succeed would say nothing.
func TestTheSimulationNoticesWhoIsLeftWithout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _, _, err := parse(strings.Fields("-nodes 20 -channels 2 -forks 1"))
		if err != nil {
			t.Fatal(err)
		}
		w, err := newWorld(t, o, func(string) {})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range w.honest {
			n.known = ledger.New(nil)
		}
		if r := w.watch.results(); len(r.Failures) != 2 { // what was not published is missed by nobody
			t.Fatalf("%q", r.Failures)
		}
		want := w.authors[0].followers + w.authors[2].followers
		for range o.Releases {
			w.watch.published(w.authors[0])
			w.watch.published(w.authors[1])
		}
		for _, n := range w.honest { // of the second, everybody has everything
			if err := n.known.Expect(t.Context(), w.authors[1].ID, catalog.Followed); err != nil {
				t.Fatal(err)
			}
		}
		envelopes := [][]byte{w.authors[1].Envelope}
		for range o.Releases {
			envelopes = append(envelopes, w.authors[1].next()...)
		}
		for _, n := range w.honest {
			if _, err := n.known.OfferAll(t.Context(), envelopes); err != nil {
				t.Fatal(err)
			}
		}
		w.watch.split(w.authors[2])
		r := w.watch.results()
		if len(r.Failures) != want {
			t.Errorf("%d failures, not %d: %q", len(r.Failures), want, r.Failures)
		}
		var table bytes.Buffer
		if err := r.writeTable(&table); err != nil || !strings.Contains(table.String(), "FAILURES") {
			t.Errorf("%v\n%s", err, table.String())
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	for _, bad := range []string{"-nodes 2", "-nodes 70000", "-loss 0.9", "-churn 2", "-hostile 1", "-channels 90", "-forks 11", "-publish 1m", "-found 0", "-flood 0", "word"} {
		if _, _, _, err := parse(strings.Fields(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	o, _, _, err := parse(nil)
	if err != nil || o.Channels != 10 {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestPublishedCountsWhatAnRPCCarries(t *testing.T) {
	rpc := []byte{13, 0x0a, 2, 8, 1, 0x12, 3, 1, 2, 3, 0x12, 2, 9, 9}
	if n, size := published(rpc); n != 2 || size != 5 {
		t.Errorf("%d messages of %d bytes", n, size)
	}
	for _, hostile := range [][]byte{nil, {0x80}, {5, 0x12}, {5, 0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, {2, 0x12, 9}} {
		if n, size := published(hostile); n != 0 || size != 0 {
			t.Errorf("%x: %d messages of %d bytes", hostile, n, size)
		}
	}
}
