package feed

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// memory is a History that keeps all that was accepted.
type memory struct {
	roots     map[uint64][]byte
	manifests map[channel.PublicKey]map[uint64][]byte
	broken    error // what every look-up fails with, if set
}

func newMemory() *memory {
	return &memory{roots: make(map[uint64][]byte), manifests: make(map[channel.PublicKey]map[uint64][]byte)}
}

func (h *memory) RootAt(version uint64) ([]byte, error) {
	if h.broken != nil {
		return nil, h.broken
	}
	if e, ok := h.roots[version]; ok {
		return e, nil
	}
	return nil, fs.ErrNotExist
}

func (h *memory) ManifestAt(log channel.PublicKey, seq uint64) ([]byte, error) {
	if h.broken != nil {
		return nil, h.broken
	}
	if e, ok := h.manifests[log][seq]; ok {
		return e, nil
	}
	return nil, fs.ErrNotExist
}

func (h *memory) keep(it *Item, o Outcome) {
	if o.Verdict != Accepted {
		return
	}
	switch o.Kind {
	case KindRoot:
		h.roots[o.Seq] = it.Encoded()
	case KindManifest:
		if h.manifests[o.Log] == nil {
			h.manifests[o.Log] = make(map[uint64][]byte)
		}
		h.manifests[o.Log][o.Seq] = it.Encoded()
	}
}

func stepAll(t testing.TB, m *Machine, h *memory, envelopes ...[]byte) (accepted int) {
	t.Helper()
	for _, e := range envelopes {
		it, err := Parse(e)
		if err != nil {
			t.Fatal(err)
		}
		o := m.Step(Input{Now: channeltest.Epoch().Add(24 * time.Hour), Item: it}, h)
		h.keep(it, o)
		if o.Verdict == Accepted {
			accepted++
		}
		if o.Verdict == Rejected {
			t.Fatalf("an honest %s %d was rejected: %v", o.Kind, o.Seq, o.Err)
		}
	}
	return accepted
}

// history signs a channel with a change of root in the middle.
func history(t testing.TB, releases int) (id channel.ID, all [][]byte) {
	ch := channeltest.NewChannel(t, "alice")
	all = append(all, ch.Envelope)
	for i := range releases {
		if i == releases/2 {
			all = append(all, ch.Replace(func(r *channel.Root) { r.Title = "Another" }))
		}
		all = append(all, ch.Files(fmt.Sprintf("file %d", i)))
		if i%3 == 0 {
			all = append(all, ch.Head(30*24*time.Hour))
		}
	}
	return ch.ID, append(all, ch.Head(30*24*time.Hour))
}

// Whatever the order, the losses and the repetitions in which an honest
// channel's envelopes arrive, every node ends with the same state once all of
// them have been seen often enough.
func TestNodesConvergeWhateverTheOrder(t *testing.T) {
	id, all := history(t, 20)
	ordered := New(id)
	stepAll(t, ordered, newMemory(), all...)
	want := ordered.State()
	if want.Root.Version != 2 || want.Logs[channeltest.Pub("alice")].Seq != 20 {
		t.Fatalf("the ordered run ended with %+v", want)
	}
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 1))
		m, h := New(id), newMemory()
		for round := 0; ; round++ {
			if round > 100 {
				t.Fatalf("seed %d: no end after %d rounds", seed, round)
			}
			shuffled := append([][]byte(nil), all...)
			rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			stepAll(t, m, h, shuffled[:rng.IntN(len(shuffled))]...)
			if rng.IntN(3) == 0 {
				m = Restore(m.State())
			}
			s := m.State()
			if s.Root != nil && s.Root.Version == 2 && s.Logs[channeltest.Pub("alice")].Seq == 20 {
				break
			}
		}
		stepAll(t, m, h, all...)
		if got := m.State(); !reflect.DeepEqual(got, want) {
			t.Errorf("seed %d: ended with\n%+v\nwant\n%+v", seed, got, want)
		}
	}
}

// A machine whose past cannot be read decides nothing.
func TestUnreadablePastDecidesNothing(t *testing.T) {
	id, all := history(t, 4)
	m, h := New(id), newMemory()
	stepAll(t, m, h, all...)
	before := m.State()
	h.broken = errors.New("disk on fire")
	ch := channeltest.NewChannel(t, "alice")
	other := ch.Files("another file")
	for _, e := range [][]byte{other, all[1]} {
		it, err := Parse(e)
		if err != nil {
			t.Fatal(err)
		}
		o := Restore(before).Step(Input{Now: channeltest.Epoch().Add(24 * time.Hour), Item: it}, h)
		if o.Verdict != Ignored || !errors.Is(o.Err, ErrHistory) || !errors.Is(o.Err, h.broken) || o.Changed {
			t.Errorf("%s %d: %s, %v", o.Kind, o.Seq, o.Verdict, o.Err)
		}
	}
}

// State shares nothing that a later step changes.
func TestStateIsASnapshot(t *testing.T) {
	id, all := history(t, 4)
	m, h := New(id), newMemory()
	stepAll(t, m, h, all[:3]...)
	s := m.State()
	want := maps.Clone(s.Logs)
	root := s.Root
	stepAll(t, m, h, all[3:]...)
	if !reflect.DeepEqual(s.Logs, want) || s.Root != root || root.Version != 1 {
		t.Error("an earlier state changed with a later step")
	}
}

// A format version that only newer nodes know is no misbehaviour.
func TestNewerFormatIsIgnoredNotRejected(t *testing.T) {
	if o := Refuse(fmt.Errorf("decoding: %w", channel.ErrVersion)); o.Verdict != Ignored {
		t.Errorf("unknown version: %s", o.Verdict)
	}
	if o := Refuse(fmt.Errorf("decoding: %w", channel.ErrMalformed)); o.Verdict != Rejected {
		t.Errorf("malformed: %s", o.Verdict)
	}
}

// Nothing that was not signed is accepted, and nothing makes the machine fall
// over.
func FuzzStep(f *testing.F) {
	id, all := history(f, 3)
	known := make(map[channel.Hash]bool)
	for _, e := range all {
		f.Add(e)
		it, err := Parse(e)
		if err != nil {
			f.Fatal(err)
		}
		known[it.Hash] = true
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		it, err := Parse(data)
		if err != nil {
			if o := Refuse(err); o.Verdict == Accepted || o.Err == nil {
				t.Fatal("accepted what does not parse")
			}
			return
		}
		m, h := New(id), newMemory()
		stepAll(t, m, h, all[:3]...)
		o := m.Step(Input{Now: channeltest.Epoch().Add(24 * time.Hour), Item: it, Gossip: true}, h)
		if !known[it.Hash] && (o.Verdict == Accepted || o.Changed) {
			t.Fatalf("%s a forged %s", o.Verdict, o.Kind)
		}
		_ = m.Evidence(channeltest.Epoch(), Fork{A: data, B: all[1]}, h)
	})
}

// BenchmarkStep is the cost of accepting one manifest with one entry, most of
// which is verifying its signature.
func BenchmarkStep(b *testing.B) {
	ch := channeltest.NewChannel(b, "alice")
	const n = 1000
	all := [][]byte{ch.Envelope}
	for i := range n {
		all = append(all, ch.Files(fmt.Sprintf("file %d", i)))
	}
	b.ReportAllocs()
	var m *Machine
	var h *memory
	i := 0
	for b.Loop() {
		if i%n == 0 {
			m, h = New(ch.ID), newMemory()
			stepAll(b, m, h, all[0])
			i = 0
		}
		if stepAll(b, m, h, all[i+1]) != 1 {
			b.Fatal("not accepted")
		}
		i++
	}
}

// BenchmarkDuplicate is the cost of a replayed manifest.
func BenchmarkDuplicate(b *testing.B) {
	ch := channeltest.NewChannel(b, "alice")
	m, h := New(ch.ID), newMemory()
	first := ch.Files("a")
	stepAll(b, m, h, ch.Envelope, first)
	b.ReportAllocs()
	for b.Loop() {
		stepAll(b, m, h, first)
	}
}
