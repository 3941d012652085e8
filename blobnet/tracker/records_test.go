package tracker

import (
	"fmt"
	"slices"
	"testing"

	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
)

func recordPath(key, peer string) ds.Key { return ds.RawKey("/providers/" + key + "/" + peer) }

func put(t *testing.T, s *recordStore, key, peer string) error {
	t.Helper()
	return s.Put(t.Context(), recordPath(key, peer), []byte{1})
}

func has(t *testing.T, s *recordStore, key, peer string) bool {
	t.Helper()
	ok, err := s.Has(t.Context(), recordPath(key, peer))
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func TestRecordsWorkUnderTheProviderManager(t *testing.T) {
	addrs, err := pstoremem.NewPeerstore()
	if err != nil {
		t.Fatal(err)
	}
	defer addrs.Close()
	s := newRecordStore("self")
	m, err := records.NewProviderManager("self", addrs, s, records.Cache(noCache{}))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	key := testKey(1).multihash()
	for _, p := range []peer.ID{"self", "one", "two", "one"} {
		if err := m.AddProvider(t.Context(), key, peer.AddrInfo{ID: p}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.AddProvider(t.Context(), testKey(2).multihash(), peer.AddrInfo{ID: "three"}); err != nil {
		t.Fatal(err)
	}
	ids := func() (out []peer.ID) {
		found, err := m.GetProviders(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range found {
			out = append(out, p.ID)
		}
		slices.Sort(out)
		return out
	}
	if got := ids(); !slices.Equal(got, []peer.ID{"one", "self", "two"}) {
		t.Fatalf("got %v", got)
	}
	s.forget(testKey(1))
	if got := ids(); !slices.Equal(got, []peer.ID{"one", "two"}) {
		t.Fatalf("got %v", got)
	}
}

func TestOnePeerCannotFillTheRecordsOfAll(t *testing.T) {
	s := newRecordStore("self")
	for i := range maxRecordsOfPeer {
		if err := put(t, s, fmt.Sprint(i), "GREEDY"); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(t, s, "more", "GREEDY"); err != nil || s.byKey["more"] != nil {
		t.Fatalf("got %v, stored %v", err, s.byKey["more"])
	}
	if err := put(t, s, "0", "GREEDY"); err != nil {
		t.Fatalf("refreshing: %v", err)
	}
	if err := put(t, s, "more", "MODEST"); err != nil {
		t.Fatal(err)
	}
}

func TestSybilsPushOutTheOldestButNeverOwnRecords(t *testing.T) {
	s := newRecordStore("self")
	own := s.self
	if err := put(t, s, "mine", own); err != nil {
		t.Fatal(err)
	}
	for i := range maxRecords {
		if err := put(t, s, fmt.Sprint(i), fmt.Sprint("P", i%100)); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(t, s, "0", "P0"); err != nil { // refreshed
		t.Fatal(err)
	}
	if err := put(t, s, "new", "NEW"); err != nil {
		t.Fatal(err)
	}
	if !has(t, s, "mine", own) || !has(t, s, "0", "P0") || !has(t, s, "new", "NEW") || has(t, s, "1", "P1") {
		t.Fatal("the wrong one went")
	}
	if s.age.Len() != maxRecords {
		t.Fatalf("%d records", s.age.Len())
	}
}

func TestCrowdOnOneKeyPushesOutItsOldest(t *testing.T) {
	s := newRecordStore("self")
	for i := range maxRecordsForKey {
		if err := put(t, s, "key", fmt.Sprint("P", i)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, "key", "P0")
	put(t, s, "key", "NEW")
	if !has(t, s, "key", "P0") || has(t, s, "key", "P1") || len(s.byKey["key"]) != maxRecordsForKey {
		t.Fatal("the wrong one went")
	}
}

func TestDeletedRecordsLeaveNothingBehind(t *testing.T) {
	s := newRecordStore("self")
	for _, r := range [][2]string{{"a", "P"}, {"a", "Q"}, {"b", "P"}, {"a", s.self}} {
		if err := put(t, s, r[0], r[1]); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range [][2]string{{"a", "P"}, {"a", "Q"}, {"b", "P"}, {"a", s.self}, {"never", "was"}} {
		if err := s.Delete(t.Context(), recordPath(r[0], r[1])); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.byKey)+len(s.own)+len(s.ofPeer)+s.age.Len() != 0 {
		t.Fatalf("left: %+v", s)
	}
}

func TestRecordsTakeNothingButProviderRecords(t *testing.T) {
	s := newRecordStore("self")
	for _, path := range []string{"/pk/abc", "/providers/key", "/providers//peer", "/providers/a/b/c"} {
		if err := s.Put(t.Context(), ds.RawKey(path), []byte{1}); err == nil {
			t.Errorf("%s was taken", path)
		}
	}
}
