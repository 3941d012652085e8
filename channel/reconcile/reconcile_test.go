package reconcile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"pgregory.net/rapid"
)

// numbered is a channel that others can make too: number n in state version.
func numbered(n, version int) Channel {
	var c Channel
	binary.BigEndian.PutUint64(c.ID[:], uint64(n))
	c.Key = c.ID.Discovery()
	binary.BigEndian.PutUint64(c.Digest[:], uint64(version))
	return c
}

func some(from, to, version int) []Channel {
	var out []Channel
	for n := from; n < to; n++ {
		out = append(out, numbered(n, version))
	}
	return out
}

// cost is what a session took.
type cost struct {
	rounds, questions int // round trips, with up to 8 questions under way
	up, down          int // bytes of ranges and answers
	rangesOf, itemsOf int
}

// reconcile runs a session. lie may change what the answerer says.
func reconcile(asker, answerer *Set, lie func([]Range, []Told) []Told) (*Asker, cost, error) {
	a := NewAsker(asker)
	c := cost{rounds: 1, questions: 1}
	waiting := [][]Range{{First(asker.Len())}}
	for len(waiting) > 0 {
		for _, question := range waiting {
			for _, r := range question {
				c.up += 12 + len(r.Points)
			}
			told, err := answerer.Answer(question)
			if err != nil {
				return a, c, fmt.Errorf("an honest question was refused: %w", err)
			}
			if lie != nil {
				told = lie(question, told)
			}
			for _, t := range told {
				c.down += 8 + len(t.Parts) + len(t.Items)
				c.itemsOf += len(t.Items) / itemSize
			}
			c.rangesOf += len(question)
			if err := a.Take(told); err != nil {
				return a, c, err
			}
		}
		waiting = nil
		for q := a.Next(); q != nil; q = a.Next() {
			waiting = append(waiting, q)
		}
		if len(waiting) > 0 {
			c.rounds++
			c.questions += len(waiting)
		}
	}
	if len(a.todo)+len(a.sent) > 0 {
		return a, c, errors.New("nothing to ask, and not done")
	}
	return a, c, nil
}

// check holds what a session found against the truth.
func check(t interface{ Errorf(string, ...any) }, a *Asker, ours, theirs []Channel) {
	there := make(map[channel.ID]channel.Hash)
	for _, c := range theirs {
		there[c.ID] = c.Digest
	}
	var same, differ []int
	for i, c := range ours {
		if digest, ok := there[c.ID]; ok && digest == c.Digest {
			same = append(same, i)
		} else if ok {
			differ = append(differ, i)
		}
	}
	got := [][]int{a.Same(), a.Differ()}
	slices.Sort(got[0])
	slices.Sort(got[1])
	if !slices.Equal(got[0], same) || !slices.Equal(got[1], differ) {
		t.Errorf("of %d and %d channels, %d the same and %d that differ; found %d and %d", len(ours), len(theirs), len(same), len(differ), len(got[0]), len(got[1]))
	}
}

func TestAnyTwoSetsGiveExactlyTheDifferenceToBothEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SampledFrom([]int{0, 1, 2, 33, 64, 65, 300, 3000}).Draw(t, "channels")
		oursOf := rapid.SampledFrom([]int{0, 1, 50, 99, 100}).Draw(t, "ours, of 100")
		theirsOf := rapid.SampledFrom([]int{0, 1, 50, 99, 100}).Draw(t, "theirs, of 100")
		movedOf := rapid.SampledFrom([]int{0, 1, 30, 100}).Draw(t, "moved, of 100")
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		var ours, theirs []Channel
		for n := range all {
			if rnd.IntN(100) < oursOf {
				ours = append(ours, numbered(n, 1))
			}
			if rnd.IntN(100) < theirsOf {
				version := 1
				if rnd.IntN(100) < movedOf {
					version = 2
				}
				theirs = append(theirs, numbered(n, version))
			}
		}
		var salt Salt
		binary.BigEndian.PutUint64(salt.Asker[:], rnd.Uint64())
		one, other := NewSet(salt, ours), NewSet(salt, theirs)
		a, c, err := reconcile(one, other, nil)
		if err != nil {
			t.Fatal(err)
		}
		check(t, a, ours, theirs)
		if c.itemsOf > 2*len(ours) || c.rounds > 6 {
			t.Errorf("%d items told for %d of ours, in %d rounds", c.itemsOf, len(ours), c.rounds)
		}
		b, _, err := reconcile(other, one, nil)
		if err != nil {
			t.Fatal(err)
		}
		check(t, b, theirs, ours)
	})
}

// TestItemsCrowdedIntoOnePlaceAreStillCompared: an end that could choose where its
// points lie does not make the other divide for ever.
func TestItemsCrowdedIntoOnePlaceAreStillCompared(t *testing.T) {
	var ours, theirs []Item
	for n := range 200 {
		it := Item{At: n}
		it.Point[8], it.Value[0] = byte(n), 1 // the first 8 bytes are all zero
		ours = append(ours, it)
		it.Value[0] = 2
		theirs = append(theirs, it)
	}
	a, c, err := reconcile(setOf(ours), setOf(theirs), nil)
	if err != nil || len(a.Differ()) != 200 || c.rounds > MaxBits {
		t.Errorf("%d found in %d rounds: %v", len(a.Differ()), c.rounds, err)
	}
}

func TestSmallAndLargeSetsCostWhatTheSmallOneHas(t *testing.T) {
	few, many := some(0, 300, 1), some(100, 20_000, 2)
	for _, c := range []struct {
		what         string
		ours, theirs []Channel
	}{{"few ask", few, many}, {"many ask", many, few}} {
		a, cost, err := reconcile(NewSet(Salt{}, c.ours), NewSet(Salt{}, c.theirs), nil)
		if err != nil {
			t.Fatal(err)
		}
		check(t, a, c.ours, c.theirs)
		if cost.itemsOf > 600 || cost.up+cost.down > 64<<10 {
			t.Errorf("%s: %d items, %d bytes up, %d down", c.what, cost.itemsOf, cost.up, cost.down)
		}
	}
}

func TestSaltMakesOldAnswersMeaningless(t *testing.T) {
	c := numbered(1, 1)
	base := Salt{Asker: Half{1}, Answerer: Half{2}}.Item(c, 0)
	for _, s := range []Salt{{Half{1}, Half{3}}, {Half{3}, Half{2}}, {Half{2}, Half{1}}} {
		if other := s.Item(c, 0); other.Point == base.Point || other.Value == base.Value {
			t.Error("two salts, one item")
		}
	}
	// A value is bound to its channel: equal states are not seen to be equal.
	d := c
	d.Key[0]++
	if (Salt{}).Item(c, 0).Value == (Salt{}).Item(d, 0).Value {
		t.Error("two channels in one state have one value")
	}
}

func TestEveryLieThatShowsIsRefused(t *testing.T) {
	ours, theirs := NewSet(Salt{}, some(0, 3000, 1)), NewSet(Salt{}, some(0, 3000, 2))
	small := NewSet(Salt{}, some(0, 20, 1))
	deep := func(change func([]Told)) func([]Range, []Told) []Told {
		return func(q []Range, told []Told) []Told {
			if q[0].Split == 0 {
				change(told)
			}
			return told
		}
	}
	for _, c := range []struct {
		what string
		set  *Set
		lie  func([]Range, []Told) []Told
	}{
		{"no range", ours, func([]Range, []Told) []Told { return nil }},
		{"a range too many", ours, func(_ []Range, told []Told) []Told { return append(told, Told{}) }},
		{"too few parts", ours, func(_ []Range, told []Told) []Told { told[0].Parts = told[0].Parts[partSize:]; return told }},
		{"half a part", ours, func(_ []Range, told []Told) []Told { told[0].Parts = told[0].Parts[1:]; return told }},
		{"parts and items", ours, func(_ []Range, told []Told) []Told { told[0].Items = make([]byte, itemSize); return told }},
		{"a fingerprint of nothing", ours, func(_ []Range, told []Told) []Told { clear(told[0].Parts[:4]); return told }},
		{"items instead of parts", ours, func(_ []Range, told []Told) []Told { return []Told{{Items: make([]byte, itemSize)}} }},
		{"parts instead of items", ours, deep(func(told []Told) { told[0] = Told{Parts: make([]byte, partSize)} })},
		{"fewer items than said", ours, deep(func(told []Told) { told[0].Items = told[0].Items[itemSize:] })},
		{"half an item", ours, deep(func(told []Told) { told[0].Items = told[0].Items[:len(told[0].Items)-1] })},
		{"an item twice", ours, deep(func(told []Told) { copy(told[0].Items[itemSize:], told[0].Items[:itemSize]) })},
		{"an item of elsewhere", ours, deep(func(told []Told) { told[0].Items[0] ^= 0xff })},
		{"an item that was not named", small, deep(func(told []Told) { told[0].Items[15] ^= 1 })},
	} {
		if _, _, err := reconcile(c.set, theirs, c.lie); !errors.Is(err, ErrAnswer) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	if err := NewAsker(ours).Take(nil); !errors.Is(err, ErrAnswer) {
		t.Errorf("an empty answer to the first question: %v", err)
	}
}

// TestALiarWastesNoMoreThanTheAskersOwnChannelsAreWorth: whatever it says, it is
// asked for no more than what two sets would cost that differ in all.
func TestALiarWastesNoMoreThanTheAskersOwnChannelsAreWorth(t *testing.T) {
	const n = 20_000
	ours := NewSet(Salt{}, some(0, n, 1))
	_, honest, err := reconcile(ours, NewSet(Salt{}, some(0, n, 2)), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, count := range []uint32{1, 40, 70, 1 << 20, 1<<32 - 1} {
		rnd := rand.New(rand.NewPCG(uint64(count), 1))
		a, c, err := reconcile(ours, ours, func(q []Range, told []Told) []Told {
			for i, r := range q {
				if r.Split == 0 {
					continue
				}
				for at := 0; at < len(told[i].Parts); at += partSize {
					binary.BigEndian.PutUint32(told[i].Parts[at:], count)
					binary.BigEndian.PutUint64(told[i].Parts[at+4:], rnd.Uint64())
				}
			}
			return told
		})
		if c.down > 3*honest.down || c.rounds > 8 {
			t.Errorf("parts of %d: %d bytes, where all differ %d; %d rounds", count, c.down, honest.down, c.rounds)
		}
		if err == nil && len(a.todo)+len(a.sent) > 0 {
			t.Error("not done")
		}
	}
}

func TestQuestionsThatBreakARuleAreRefused(t *testing.T) {
	set := NewSet(Salt{}, some(0, 100, 1))
	point := func(lead uint64) []byte { return binary.BigEndian.AppendUint64(nil, lead) }
	pad := make([]byte, 8)
	many := make([]Range, MaxRanges+1)
	var far []Range
	for i := range 4 {
		var points []byte
		for n := range 41 {
			points = append(append(points, point(uint64(i)<<62|uint64(n))...), pad...)
		}
		far = append(far, Range{Prefix: uint64(i), Bits: 2, Points: points})
	}
	for what, q := range map[string][]Range{
		"nothing": nil, "65 ranges": many,
		"a prefix longer than its bits": {{Prefix: 2, Bits: 1}}, "a prefix of no bits": {{Prefix: 1}},
		"61 bits": {{Bits: 61}}, "a division below 60 bits": {{Bits: 58, Split: 3}}, "128 parts": {{Split: 7}},
		"points to divide": {{Split: 1, Points: make([]byte, 16)}}, "half a point": {{Points: make([]byte, 15)}},
		"a point twice":                   {{Points: make([]byte, 32)}},
		"a point of elsewhere":            {{Bits: 1, Points: append(point(1<<63), pad...)}},
		"97 points in a range":            {{Points: make([]byte, 97*16)}},
		"more points than a question has": far,
		"all of a range of 100":           {{}},
	} {
		if _, err := set.Answer(q); !errors.Is(err, ErrQuestion) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := set.Answer(far[:3]); err != nil {
		t.Errorf("123 points: %v", err)
	}
}

func TestTheStateVectorIsTheSameWhateverTheOrder(t *testing.T) {
	one, two := channel.PublicKey{1}, channel.PublicKey{2}
	full := State{Root: 3, Logs: []Log{{Log: one, Seq: 7, Hash: channel.Hash{7}, Head: &Mark{7, 99}}, {Log: two, Seq: 1, Hash: channel.Hash{1}}}}
	want, err := full.Digest()
	if err != nil {
		t.Fatal(err)
	}
	other := State{Root: 3, Logs: []Log{full.Logs[1], {Log: channel.PublicKey{3}}, full.Logs[0]}}
	if got, err := other.Digest(); err != nil || got != want {
		t.Errorf("another order, and an empty log: %s, want %s, %v", got, want, err)
	}
	// Everything that a log says makes a difference.
	for i := 1; i < reflect.TypeFor[Log]().NumField(); i++ {
		changed := State{Root: 3, Logs: slices.Clone(full.Logs)}
		switch f := reflect.ValueOf(&changed.Logs[1]).Elem().Field(i); f.Kind() {
		case reflect.Uint64:
			f.SetUint(f.Uint() + 1)
		case reflect.Array:
			f.Index(0).SetUint(99)
		default:
			f.Set(reflect.ValueOf(&Mark{1, 1}))
		}
		if got, err := changed.Digest(); err != nil || got == want {
			t.Errorf("field %s makes no difference, %v", reflect.TypeFor[Log]().Field(i).Name, err)
		}
	}
	if got, err := (State{Root: 4, Logs: full.Logs}).Digest(); err != nil || got == want {
		t.Errorf("the root makes no difference, %v", err)
	}
}

// FuzzAnswer gives the answering end any question: it answers within bounds or
// refuses.
func FuzzAnswer(f *testing.F) {
	set := NewSet(Salt{}, some(0, 500, 1))
	f.Add(uint64(0), uint64(0), uint64(6), []byte{}, 1)
	f.Add(uint64(1), uint64(4), uint64(0), set.items[40].Point[:], 3)
	f.Add(uint64(1), uint64(5), uint64(0), []byte{}, 64)
	f.Fuzz(func(t *testing.T, prefix, bits, split uint64, points []byte, n int) {
		q := slices.Repeat([]Range{{prefix, bits, split, points}}, max(0, min(n, 100)))
		told, err := set.Answer(q)
		if err != nil {
			if !errors.Is(err, ErrQuestion) {
				t.Errorf("error of no kind: %v", err)
			}
			return
		}
		for i, r := range q {
			if r.Split > 0 {
				_, err = r.parts(told[i])
			} else {
				_, err = r.items(told[i])
			}
			if err != nil {
				t.Errorf("our answer to %+v: %v", r, err)
			}
		}
	})
}

// FuzzTake gives the asking end any answer after honest ones.
func FuzzTake(f *testing.F) {
	ours, theirs := NewSet(Salt{}, some(0, 500, 1)), NewSet(Salt{}, some(100, 700, 2))
	told, err := theirs.Answer([]Range{First(500)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(told[0].Parts, []byte{}, 0)
	f.Add([]byte{}, make([]byte, itemSize), 1)
	f.Fuzz(func(t *testing.T, parts, items []byte, honest int) {
		seen := 0
		a, c, err := reconcile(ours, theirs, func(_ []Range, told []Told) []Told {
			if seen++; seen > honest {
				told[0] = Told{Parts: parts, Items: items}
			}
			return told
		})
		if err != nil && !errors.Is(err, ErrAnswer) {
			t.Error(err)
		}
		if n := len(a.Same()) + len(a.Differ()); n > 500 || c.itemsOf > 4*500 || c.rounds > MaxBits {
			t.Errorf("%d found, %d items, %d rounds", n, c.itemsOf, c.rounds)
		}
	})
}

// BenchmarkReconcile is a session of two mirrors of n channels each, both ends of it, from
// the digests on. Some channels differ, and some are carried by one of them alone.
func BenchmarkReconcile(b *testing.B) {
	for _, bc := range []struct{ n, differ, alone int }{
		{2_000, 10, 0}, {100_000, 0, 0}, {100_000, 10, 0}, {100_000, 1000, 0}, {100_000, 100_000, 0}, {100_000, 10, 100}, {100_000, 10, 5_000},
	} {
		b.Run(fmt.Sprintf("channels=%d/differ=%d/alone=%d", bc.n, bc.differ, bc.alone), func(b *testing.B) {
			ours, theirs := some(0, bc.n, 1), some(bc.alone, bc.n+bc.alone, 1)
			for i := range bc.differ {
				theirs[i*((bc.n-bc.alone)/bc.differ)].Digest[0]++
			}
			var c cost
			var a *Asker
			for b.Loop() {
				salt := Salt{Asker: Half{byte(b.N)}}
				var err error
				if a, c, err = reconcile(NewSet(salt, ours), NewSet(salt, theirs), nil); err != nil {
					b.Fatal(err)
				}
			}
			if len(a.Differ()) != bc.differ {
				b.Fatalf("found %d", len(a.Differ()))
			}
			b.ReportMetric(float64(c.up+c.down), "bytes")
			b.ReportMetric(float64(c.rounds), "rounds")
			b.ReportMetric(float64(c.questions), "requests")
		})
	}
}
