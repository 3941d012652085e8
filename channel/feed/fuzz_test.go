package feed

import (
	"bytes"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec/dcbor"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// FuzzEvidence gives the machine anything as a proof of a fork: none but a true one
// freezes a log, and what does names two manifests of one number.
func FuzzEvidence(f *testing.F) {
	w := &world{now: channeltest.Epoch(), made: make(map[string]made), keys: make(map[channel.PublicKey]string), nodes: make(map[string]*node)}
	w.t = &testing.T{}
	for _, line := range [][]string{
		{"root", "r1", "publish=alice"}, {"manifest", "m1"}, {"manifest", "m2", "prev=m1"}, {"manifest", "x2", "prev=m1", "put=x"},
		{"head", "hx", "of=x2"}, {"snapshot", "s", "of=m2", "live=m1"}, {"snapshot", "sx", "of=x2", "live=m1"},
	} {
		w.run(line[0], line[1:])
	}
	get := func(name string) []byte { return w.made[name].envelope }
	page := joinPage(get("s"), w.made["s"].pages[0])
	for _, p := range [][2][]byte{
		{get("m2"), get("x2")}, {get("m2"), get("hx")}, {get("s"), get("x2")}, {get("s"), get("sx")}, {page, get("x2")}, {get("m1"), page}, {page, page}, {get("r1"), get("m1")},
	} {
		f.Add(p[0], p[1])
	}
	root, err := Parse(get("r1"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if len(a)+len(b) > 64<<10 {
			return
		}
		if it, page, err := parseSide(a); err == nil && page != nil {
			again, err := dcbor.Marshal([][]byte{it.Encoded(), page})
			if err != nil || !bytes.Equal(again, a) {
				t.Fatalf("%x became %x, %v", a, again, err)
			}
		}
		n := &node{w: w, roots: map[uint64][]byte{1: get("r1")}, machine: New(w.channel)}
		n.machine.Step(Input{Now: w.now, Item: root}, n)
		o := n.machine.Evidence(w.now, Fork{A: a, B: b}, n)
		frozen := n.machine.Log(w.pub("alice")).Frozen
		if (o.Verdict == Forked) != (frozen > 0) {
			t.Fatalf("%s, and frozen from %d on", o.Verdict, frozen)
		}
		if frozen == 0 {
			return
		}
		log, seq, hashes, err := Fork{A: a, B: b}.Named()
		if err != nil || log != w.pub("alice") || seq != frozen || hashes[0] == hashes[1] {
			t.Fatalf("frozen at %d by %d of %s: %v, %v", frozen, seq, log, hashes, err)
		}
	})
}
