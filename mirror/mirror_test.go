package mirror

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func names(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("m%d", i))
	}
	return out
}

func key(i int) (k Key) {
	k[0], k[1] = byte(i), byte(i>>8)
	return k
}

func TestSharesAreEvenAndAMemberThatGoesMovesItsOwnAlone(t *testing.T) {
	t.Parallel()
	const keys, n = 3000, 3
	all := names(5)
	count := map[string]int{}
	for i := range keys {
		before := Owners(key(i), all, n)
		for _, o := range before {
			count[o]++
		}
		after := Owners(key(i), all[:4], n)
		for _, o := range before {
			if o != "m4" && !slices.Contains(after, o) {
				t.Fatalf("of key %d %s is no owner any more, since m4 has gone", i, o)
			}
		}
	}
	for name, c := range count { // 1800 each; 6 deviations are 161
		if c < 1639 || c > 1961 {
			t.Errorf("%s owns %d of %d, want about %d", name, c, keys, keys*n/5)
		}
	}
}

// The order is a format: members of different versions have to agree.
func TestTheRankOfAKeyIsFixed(t *testing.T) {
	t.Parallel()
	if got := strings.Join(Rank(Key{1, 2, 3}, names(5)), " "); got != "m2 m3 m4 m1 m0" {
		t.Errorf("%s", got)
	}
}

func TestNobodyLetsGoOfWhatTheOwnersDoNotHave(t *testing.T) {
	t.Parallel()
	all, k := names(5), key(7)
	rank := Rank(k, all)
	has := func(names ...string) map[string]bool {
		m := map[string]bool{}
		for _, n := range names {
			m[n] = true
		}
		return m
	}
	for _, c := range []struct {
		me    string
		all   []string
		holds map[string]bool
		want  Duty
	}{
		{rank[0], all, nil, Own},
		{rank[1], all, has(all...), Own},
		{rank[2], all, nil, Stay},
		{rank[2], all, has(rank[0]), Stay},
		{rank[2], all, has(rank[0], rank[3], rank[4]), Stay}, // others' copies may go at any time
		{rank[2], all, has(rank[0], rank[1]), Spare},
		{rank[4], all[:1], has(all[0]), Own}, // two members that do not see each other
		{rank[4], nil, nil, Own},
	} {
		members := c.all
		if got := Judge(k, c.me, members, 2, c.holds); got != c.want {
			t.Errorf("%s of %v with %v: %v, want %v", c.me, members, c.holds, got, c.want)
		}
	}
}

func beat(peer string, at time.Time) Beat {
	return Beat{Version: 1, Group: "g", Peer: peer, At: at.UnixMilli(), Addrs: []string{"/ip4/127.0.0.1/tcp/1"}, Channels: []string{"c"}}
}

func TestAMemberIsDeadWhenItIsSilentAndComesBackWhenItSpeaks(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_800_000_000_000)
	m := NewMembers(30 * time.Second)
	hear := func(b Beat) bool {
		t.Helper()
		changed, err := m.Heard(b, now, now)
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	live := func(want ...string) {
		t.Helper()
		if got := In(m.Live(now), "c"); !slices.Equal(got, want) {
			t.Errorf("alive are %v, want %v", got, want)
		}
	}
	if !hear(beat("a", now)) || !hear(beat("b", now)) {
		t.Error("that somebody comes is no change")
	}
	live("a", "b")
	now = now.Add(20 * time.Second)
	if hear(beat("a", now)) {
		t.Error("a mere beat is a change")
	}
	now = now.Add(20 * time.Second)
	live("a")
	if !hear(beat("b", now)) {
		t.Error("that somebody comes back is no change")
	}
	live("a", "b")
	b := beat("b", now.Add(time.Second))
	if b.News = 1; !hear(b) {
		t.Error("news are no change")
	}
	b.At, b.Leaving = b.At+1, true
	if !hear(b) {
		t.Error("that somebody leaves is no change")
	}
	live("a")
	b.At, b.Leaving = b.At-1, false // said before
	if _, err := m.Heard(b, now, now); !errors.Is(err, ErrOld) {
		t.Errorf("a beat of before: %v", err)
	}
	live("a")
	for _, at := range []time.Time{now.Add(-Skew - time.Second), now.Add(Skew + time.Second)} {
		if _, err := m.Heard(beat("c", at), now, now); !errors.Is(err, ErrOld) {
			t.Errorf("a beat of %v: %v", at.Sub(now), err)
		}
	}
}

func TestWhileNobodyCanBeHeardNobodyDies(t *testing.T) {
	t.Parallel()
	wall, clock := time.UnixMilli(1_800_000_000_000), time.UnixMilli(0)
	m := NewMembers(30 * time.Second)
	for _, peer := range []string{"a", "b"} {
		if _, err := m.Heard(beat(peer, wall), wall, clock); err != nil {
			t.Fatal(err)
		}
	}
	wall = wall.Add(time.Hour) // the clock stood still
	if changed, err := m.Heard(beat("a", wall), wall, clock); err != nil || changed {
		t.Errorf("heard again: %v, %v", changed, err)
	}
	if live := In(m.Live(clock), "c"); len(live) != 2 {
		t.Errorf("alive are %v", live)
	}
	if live, known := m.Live(clock.Add(time.Minute)), m.Known(clock.Add(time.Minute)); len(live) != 0 || len(known) != 2 {
		t.Errorf("a minute later %d live, %d are known", len(live), len(known))
	}
}

func TestAFloodOfMembersDrivesNoneOut(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_800_000_000_000)
	m := NewMembers(30 * time.Second)
	_, _ = m.Heard(beat("honest", now), now, now)
	for i := range 1000 {
		_, _ = m.Heard(beat(fmt.Sprint("sybil", i), now), now, now)
	}
	live := In(m.Live(now), "c")
	if len(live) != MaxMembers || !slices.Contains(live, "honest") {
		t.Errorf("%d members, the honest one among them: %v", len(live), slices.Contains(live, "honest"))
	}
	m = NewMembers(30*time.Second, "honest")
	if _, err := m.Heard(beat("sybil", now), now, now); !errors.Is(err, ErrStranger) {
		t.Errorf("one who is not let in: %v", err)
	}
	now = now.Add(time.Hour) // all of them are gone: there is room again
	if _, err := m.Heard(beat("honest", now), now, now); err != nil {
		t.Error(err)
	}
}

func signer(t testing.TB) (peer string, sign func([]byte) ([]byte, error), verify func(string, []byte, []byte) error) {
	t.Helper()
	private := ed25519.NewKeyFromSeed(make([]byte, 32))
	public := private.Public().(ed25519.PublicKey)
	return hex.EncodeToString(public), func(b []byte) ([]byte, error) { return ed25519.Sign(private, b), nil },
		func(peer string, msg, sig []byte) error {
			if k, err := hex.DecodeString(peer); err != nil || len(k) != 32 || !ed25519.Verify(k, msg, sig) {
				return errors.New("wrong signature")
			}
			return nil
		}
}

func TestABeatCountsOnlyWithTheSignatureOfItsPeerAndInItsGroup(t *testing.T) {
	t.Parallel()
	peer, sign, verify := signer(t)
	want := beat(peer, time.UnixMilli(1))
	data, err := Seal(want, sign)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Open(data, "g", verify)
	if err != nil || got.Peer != peer || got.At != 1 || !slices.Equal(got.Channels, want.Channels) {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := Open(data, "other", verify); !errors.Is(err, ErrBeat) {
		t.Errorf("in another group: %v", err)
	}
	var s signed
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	s.Beat = []byte(strings.Replace(string(s.Beat), `"news":0`, `"news":1`, 1))
	forged, _ := json.Marshal(s)
	if _, err := Open(forged, "g", verify); !errors.Is(err, ErrBeat) {
		t.Errorf("forged: %v", err)
	}
	plain, _ := sign(s.Beat) // signed for something else
	s.Sig = plain
	forged, _ = json.Marshal(s)
	if _, err := Open(forged, "g", verify); !errors.Is(err, ErrBeat) {
		t.Errorf("with a signature for something else: %v", err)
	}
	long := want
	long.Channels = make([]string, MaxChannels+1)
	if _, err := Seal(long, sign); !errors.Is(err, ErrBeat) {
		t.Errorf("too many channels: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	peer, sign, _ := signer(f)
	data, _ := Seal(beat(peer, time.UnixMilli(1)), sign)
	f.Add(data)
	f.Add([]byte(`{"beat":"e30=","sig":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Open(data, "g", func(string, []byte, []byte) error { return nil })
		if err != nil {
			return
		}
		if again, err := Seal(b, sign); err != nil {
			t.Fatalf("%+v: %v", b, err)
		} else if c, err := Open(again, "g", func(string, []byte, []byte) error { return nil }); err != nil || c.Peer != b.Peer || c.At != b.At {
			t.Fatalf("%+v became %+v: %v", b, c, err)
		}
	})
}
