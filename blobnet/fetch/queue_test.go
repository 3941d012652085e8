package fetch

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestQueueAnswersAsAListThatIsLookedThroughWould compares the queue with one
// that is sorted and searched for every question.
func TestQueueAnswersAsAListThatIsLookedThroughWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var model []*node
		number := uint64(0)
		slots := []int{0, 1, 2, 63, 64, 130, 255}
		someMask := func(label string) (m mask) {
			for _, slot := range rapid.SliceOf(rapid.SampledFrom(slots)).Draw(t, label) {
				m.set(slot)
			}
			return m
		}
		someKey := func() key {
			number++
			return key{
				patient: rapid.Bool().Draw(t, "patient"),
				due:     rapid.SampledFrom([]int64{1, 2, unhurried}).Draw(t, "due"),
				lack:    rapid.IntRange(0, 3).Draw(t, "lack"),
				order:   rapid.Uint64Range(0, 5).Draw(t, "order"),
				number:  number,
			}
		}
		one := func(t *rapid.T) int {
			if len(model) == 0 {
				t.Skip()
			}
			return rapid.IntRange(0, len(model)-1).Draw(t, "which")
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				n := &node{key: someKey(), block: someMask("block"), f: &flight{size: int(number)}}
				q.push(n)
				model = append(model, n)
			},
			"remove": func(t *rapid.T) {
				i := one(t)
				q.remove(model[i])
				q.remove(model[i]) // once is enough
				model = slices.Delete(model, i, i+1)
			},
			"update": func(t *rapid.T) {
				n := model[one(t)]
				k := n.key
				if rapid.Bool().Draw(t, "moves") {
					k = someKey()
				}
				q.update(n, k, someMask("block"))
			},
			"rebuild": func(t *rapid.T) {
				q.rebuild(func(n *node) (key, mask) {
					k := n.key
					k.order = 5 - k.order
					return k, n.block
				})
			},
			"": func(t *rapid.T) {
				slices.SortFunc(model, func(a, b *node) int {
					if a.before(&b.key) {
						return -1
					}
					return 1
				})
				i, size := 0, int64(0)
				q.each(func(n *node) bool {
					if i >= len(model) || model[i] != n {
						t.Fatal("wrong order")
					}
					i++
					size += int64(n.f.size)
					return true
				})
				if i != len(model) || q.len != i || q.size != size {
					t.Fatalf("%d of %d nodes, len %d, size %d", i, len(model), q.len, q.size)
				}
				who := someMask("who")
				var want *node
				for _, n := range model {
					if !who.without(n.block).empty() {
						want = n
						break
					}
				}
				if got := q.first(who); got != want {
					t.Fatalf("got %v, want %v", got, want)
				}
			},
		})
	})
}

func TestQueueOfManyIsShallow(t *testing.T) {
	var q queue
	for i := range uint64(10_000) {
		q.push(&node{key: key{order: i, number: i}, f: &flight{}})
	}
	var depth func(n *node) int
	depth = func(n *node) int {
		if n == nil {
			return 0
		}
		return 1 + max(depth(n.left), depth(n.right))
	}
	if d := depth(q.root); d > 60 {
		t.Errorf("%d deep", d)
	}
}

func BenchmarkQueueTakeAndPut(b *testing.B) {
	var q queue
	for i := range uint64(4096) {
		n := &node{key: key{order: mix(i), number: i}, f: &flight{}}
		for slot := range 8 {
			if mix(i+uint64(slot)<<32)%4 > 0 {
				n.block.set(slot)
			}
		}
		q.push(n)
	}
	slot, number := 0, uint64(4096)
	for b.Loop() {
		var who mask
		who.set(slot)
		n := q.first(who)
		q.remove(n)
		n.key.order, n.key.number = mix(number), number
		q.push(n)
		number++
		slot = (slot + 1) % 8
	}
}
