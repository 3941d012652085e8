package fetch

import (
	"slices"
	"sync"
	"time"
)

// defaultBudget is the most that a Budget lets be held, in bytes.
const defaultBudget = 64 << 20

// Budget bounds the bytes that all Swarms which share it hold: asked for, and not
// yet checked, or there and not delivered. A quarter of it is for Gets and readers
// alone, so that a deliver function can wait for one while Eaches hold all they
// may; another quarter is kept from Swarms that hold something already, so that
// one whose peers give nothing keeps no other from its first blob. While several
// want more than there is, each gets about the same.
//
// The zero value has 64 MiB. All methods may be called from many goroutines at
// once.
type Budget struct {
	max int64

	mu    sync.Mutex // guards what follows; taken after a Swarm's, never before
	held  int64
	by    map[*Swarm]int64 // what each holds, if that is something
	queue []turn           // who was refused, and may want more still
}

// turn is a Swarm that waits for a Budget.
type turn struct {
	s      *Swarm
	called bool // it is about to look again
}

// NewBudget returns a Budget of so many bytes, of 64 MiB if that is 0.
func NewBudget(max int64) *Budget { return &Budget{max: max} }

// Held is how many bytes are held now.
func (b *Budget) Held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}

// take lets s hold n bytes more, or remembers that it waits for that. patient
// says that nobody but an Each wants them.
func (b *Budget) take(s *Swarm, n int64, patient bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	most := b.max
	if most == 0 {
		most = defaultBudget
	}
	own, quarter := b.by[s], most/4
	if patient {
		most -= quarter
		if own > 0 {
			most -= quarter
		}
	}
	fits := b.held == 0 || b.held+n <= most
	if fits && patient && own > 0 && b.others(s) {
		fits = own+n <= most/int64(len(b.by)+len(b.queue))
	}
	if !fits {
		if b.place(s) < 0 {
			b.queue = append(b.queue, turn{s: s})
		}
		return false
	}
	b.add(s, n)
	return true
}

// others reports whether somebody but s waits. b.mu is held.
func (b *Budget) others(s *Swarm) bool {
	return slices.ContainsFunc(b.queue, func(t turn) bool { return t.s != s })
}

func (b *Budget) place(s *Swarm) int {
	return slices.IndexFunc(b.queue, func(t turn) bool { return t.s == s })
}

func (b *Budget) add(s *Swarm, n int64) {
	if b.by == nil {
		b.by = make(map[*Swarm]int64)
	}
	b.held += n
	if b.by[s] += n; b.by[s] == 0 {
		delete(b.by, s)
	}
}

// correct lets s hold n bytes more, or fewer, than it had said it would.
func (b *Budget) correct(s *Swarm, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(s, n)
	if n < 0 {
		b.call()
	}
}

// call lets the first of those who wait look again. b.mu is held.
func (b *Budget) call() {
	for i, t := range b.queue {
		if !t.called {
			b.queue[i].called = true
			go t.s.called()
			return
		}
	}
}

// came takes s out of the queue: it takes what it can, and queues again if that is
// not all.
func (b *Budget) came(s *Swarm) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := b.place(s); i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
	}
}

// went calls the next one if s, which had been called, leaves something.
func (b *Budget) went(s *Swarm) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.place(s) < 0 {
		b.call()
	}
}

// called is s's turn to take what has become free of the Budget.
func (s *Swarm) called() {
	s.mu.Lock()
	s.cfg.Budget.came(s)
	s.pump(time.Now())
	s.mu.Unlock()
	s.cfg.Budget.went(s)
}
