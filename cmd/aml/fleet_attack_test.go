//go:build large

package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/nats-io/nats.go"

	"github.com/anonymous-media-library/aml/mirror"
)

// Somebody with the rights of a member brings in many that do nothing, speaks for
// others, and declares junk: no member lets go of anything, and new releases are kept
// all the same.
func TestPhantomMembersTakeNoCopyAwayAtFullSize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	origin := filepath.Join(dir, "p")
	daemon := start(t, origin, "daemon")
	from := daemon.addr()
	noise(t, filepath.Join(dir, "one.bin"), 100_000, 1)
	noise(t, filepath.Join(dir, "two.bin"), 100_000, 2)
	address := publish(t, origin, "music/live", filepath.Join(dir, "one.bin"))
	at := startNATS(t)
	nc, err := nats.Connect(at)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	jobs, err := nc.SubscribeSync("aml.v1.main.job.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	var members []*program
	var homes []string
	for i := range 2 {
		home := filepath.Join(dir, fmt.Sprint("m", i))
		members = append(members, start(t, home, "mirror", address, "--group", "g", "--copies", "1", "--ttl", "3s", "--nats", at, "--peer", from, "--set", "dht=false"))
		homes = append(homes, home)
	}
	job, err := jobs.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	kind := strings.Join(strings.Split(job.Subject, ".")[:5], ".")
	covered := func(releases int) coverage {
		t.Helper()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for end := time.Now().Add(4 * patience); ; <-tick.C {
			c := coverageOf(t, homes[0])
			if c.Releases == releases && c.Short == 0 && c.Unlisted == 0 && len(c.Members) > 1 {
				return c
			}
			if time.Now().After(end) {
				t.Fatalf("%d releases are not kept: %+v\n%s\n%s", releases, c, members[0].stderr, members[1].stderr)
			}
		}
	}
	covered(1)
	pinned := func() (n int64) {
		t.Helper()
		for _, home := range homes {
			var s struct{ Pinned int64 }
			if err := json.Unmarshal([]byte(ok(t, home, "blob-status", "--json")), &s); err != nil {
				t.Fatal(err)
			}
			n += s.Pinned
		}
		return n
	}
	before := pinned()
	if before == 0 {
		t.Fatal("nothing is pinned")
	}

	go flood(t, nc, kind, strings.TrimPrefix(address, "aml://"), coverageOf(t, homes[0]))
	for _, m := range members {
		for e := (struct {
			State   string
			Members int
		}{}); e.State != "members" || e.Members < 10; {
			m.wait("mirror").decode(t, &e)
		}
	}
	publish(t, origin, "music/live", filepath.Join(dir, "two.bin"))
	c := covered(2)
	if after := pinned(); after <= before {
		t.Errorf("%d blobs are pinned, and were %d before a release came", after, before)
	}
	for i, m := range members {
		for len(m.events) > 0 {
			var e mirrorEvent
			if ev := <-m.events; ev.name == "mirror" {
				if ev.decode(t, &e); e.State == "letGo" {
					t.Errorf("member %d let go of %d blobs", i, e.Blobs)
				}
			}
		}
		if code := m.interrupt(); code != 130 {
			t.Errorf("member %d ended with exit code %d\n%s", i, code, m.stderr)
		}
	}
	t.Logf("with %d members that are asked: copies %+v", len(c.Members), c.Spread)
}

// flood says all that an attacker may until the test ends.
func flood(t *testing.T, nc *nats.Conn, kind, channel string, c coverage) {
	type phantom struct {
		key  crypto.PrivKey
		name string
	}
	var all []phantom
	for range 20 {
		key, _, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			t.Error(err)
			return
		}
		id, err := peer.IDFromPrivateKey(key)
		if err != nil {
			t.Error(err)
			return
		}
		all = append(all, phantom{key, id.String()})
	}
	say := func(b mirror.Beat, by crypto.PrivKey) {
		b.Group, b.At, b.Channels = "g", time.Now().UnixMilli(), []string{channel}
		if data, err := mirror.Seal(b, by.Sign); err == nil {
			_ = nc.Publish("aml.v1.main.group.g", data)
		}
	}
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for n := uint64(0); ; n++ {
		for _, p := range all {
			say(mirror.Beat{Peer: p.name, Addrs: []string{"/ip4/127.0.0.1/tcp/1/p2p/" + p.name}, News: n}, p.key)
		}
		for _, m := range c.Members { // in the names of others
			say(mirror.Beat{Peer: m.Peer, Leaving: true}, all[0].key)
		}
		_ = nc.Publish("aml.v1.main.group.g", []byte(`{"beat":"e30=","sig":"AA=="}`))
		_ = nc.Publish("aml.v1.main.group.g", make([]byte, 100_000))
		var hash [32]byte
		_, _ = rand.Read(hash[:])
		if n%10 == 0 {
			_ = nc.Publish(kind+"."+hex.EncodeToString(hash[:]), []byte("junk"))
			_ = nc.Publish(kind+".no-hash", nil)
		}
		select {
		case <-t.Context().Done():
			return
		case <-tick.C:
		}
	}
}
