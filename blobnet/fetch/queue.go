package fetch

// queue is the blobs of one class that wait for a member to be asked, the most
// urgent first. It answers in O(log n) which of them is the first that any of
// some members may be asked for: it is a treap over key, and every node knows
// which members may be asked for nothing at or below it. So a member that has
// become free finds its next blob without a look at those it has not.
//
// It is pure: it knows no clock and no lock. A node's key and block change
// only through update.
type queue struct {
	root *node
	len  int
	size int64 // bytes of all
	seed uint64
}

// key is the order within a class; the lesser goes first.
type key struct {
	patient bool   // nobody but an Each waits for it
	due     int64  // nanoseconds; unhurried if it has no time
	lack    int    // how many members are known not to have it: the rarer first
	order   uint64 // the walk's
	number  uint64 // of the flight: no two are equal
}

const unhurried = 1<<63 - 1

func (k *key) before(o *key) bool {
	switch {
	case k.patient != o.patient:
		return o.patient
	case k.due != o.due:
		return k.due < o.due
	case k.lack != o.lack:
		return k.lack > o.lack
	case k.order != o.order:
		return k.order < o.order
	}
	return k.number < o.number
}

// node is a place in a queue. It is part of its flight.
type node struct {
	key
	block mask // members that are not to be asked for it

	f           *flight
	queued      bool
	all         mask // members blocked here and everywhere below
	heap        uint64
	left, right *node
}

// push adds n, which is in no queue.
func (q *queue) push(n *node) {
	q.seed += 0x9e3779b97f4a7c15
	n.heap, n.queued = mix(q.seed), true
	n.left, n.right = nil, nil
	less, more := q.cut(q.root, &n.key)
	n.sum()
	q.root = join(join(less, n), more)
	q.len++
	q.size += int64(n.f.size)
}

// remove takes n out; it may be in no queue.
func (q *queue) remove(n *node) {
	if !n.queued {
		return
	}
	q.root = drop(q.root, n)
	n.queued = false
	n.left, n.right = nil, nil
	q.len--
	q.size -= int64(n.f.size)
}

// update changes n, which may be in no queue.
func (q *queue) update(n *node, k key, block mask) {
	if !n.queued {
		n.key, n.block = k, block
		return
	}
	if n.key != k {
		q.remove(n)
		n.key, n.block = k, block
		q.push(n)
		return
	}
	if n.block != block {
		n.block = block
		resum(q.root, n)
	}
}

// first returns the first node that at least one of members may be asked for,
// or nil.
func (q *queue) first(members mask) *node {
	n := q.root
	if n == nil || members.without(n.all).empty() {
		return nil
	}
	for {
		switch {
		case n.left != nil && !members.without(n.left.all).empty():
			n = n.left
		case !members.without(n.block).empty():
			return n
		default:
			n = n.right
		}
	}
}

// each calls do for every node in order until it returns false. do must not
// change the queue.
func (q *queue) each(do func(*node) bool) { walkNodes(q.root, do) }

func walkNodes(n *node, do func(*node) bool) bool {
	return n == nil || walkNodes(n.left, do) && do(n) && walkNodes(n.right, do)
}

// rebuild gives every node the key and block that change returns, all at once.
func (q *queue) rebuild(change func(*node) (key, mask)) {
	nodes := make([]*node, 0, q.len)
	q.each(func(n *node) bool {
		nodes = append(nodes, n)
		return true
	})
	q.root, q.len, q.size = nil, 0, 0
	for _, n := range nodes {
		n.queued = false
		n.key, n.block = change(n)
		q.push(n)
	}
}

// sum computes all from what lies below.
func (n *node) sum() {
	n.all = n.block
	if n.left != nil {
		n.all = n.all.and(n.left.all)
	}
	if n.right != nil {
		n.all = n.all.and(n.right.all)
	}
}

// cut parts a tree into what lies before k and the rest.
func (q *queue) cut(n *node, k *key) (less, more *node) {
	if n == nil {
		return nil, nil
	}
	if n.key.before(k) {
		n.right, more = q.cut(n.right, k)
		n.sum()
		return n, more
	}
	less, n.left = q.cut(n.left, k)
	n.sum()
	return less, n
}

// join puts two trees together, all of a before all of b.
func join(a, b *node) *node {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.heap > b.heap:
		a.right = join(a.right, b)
		a.sum()
		return a
	}
	b.left = join(a, b.left)
	b.sum()
	return b
}

func drop(root, n *node) *node {
	switch {
	case root == n:
		return join(n.left, n.right)
	case n.key.before(&root.key):
		root.left = drop(root.left, n)
	default:
		root.right = drop(root.right, n)
	}
	root.sum()
	return root
}

// resum computes all anew on the way from root to n.
func resum(root, n *node) {
	if root != n {
		if n.key.before(&root.key) {
			resum(root.left, n)
		} else {
			resum(root.right, n)
		}
	}
	root.sum()
}

// mix makes 64 bits that look random of 64 that do not (splitmix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
