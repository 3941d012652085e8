package node

import "sync"

// busBuffer is how many events a watcher may lag behind.
const busBuffer = 1 << 14

// bus hands events to all who watch. Sending never blocks, so that a stuck
// terminal can't hold up a node: a watcher that lags too far loses events if it
// looks on while something else is done, and its channel if the events are what
// it was asked for.
type bus struct {
	mu       sync.Mutex // guards watchers; held for memory work alone
	watchers map[*watcher]struct{}
}

type watcher struct {
	want  func(about string) bool
	lossy bool
	ch    chan any
}

// What an event is about, beside the id of a subscription.
const (
	aboutUploads = "uploads"
	aboutPeers   = "peers"
	aboutTracker = "tracker"
	aboutSources = "sources"

	aboutDocuments = "documents"
)

// watch returns a channel of the events about what want accepts, and a
// function that ends it. The channel closes early only if its reader lags.
func (b *bus) watch(want func(about string) bool) (<-chan any, func()) {
	return b.add(&watcher{want: want, ch: make(chan any, busBuffer)})
}

// lookOn is watch for one that outlives lagging: it misses events instead.
func (b *bus) lookOn(want func(about string) bool) (<-chan any, func()) {
	return b.add(&watcher{want: want, lossy: true, ch: make(chan any, busBuffer)})
}

func (b *bus) add(w *watcher) (<-chan any, func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.watchers == nil {
		b.watchers = map[*watcher]struct{}{}
	}
	b.watchers[w] = struct{}{}
	return w.ch, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watchers, w)
	}
}

// send tells everybody who wants to hear about that.
func (b *bus) send(about string, event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := range b.watchers {
		if !w.want(about) {
			continue
		}
		select {
		case w.ch <- event:
		default:
			if !w.lossy {
				close(w.ch)
				delete(b.watchers, w)
			}
		}
	}
}

// forward emits what want accepts until the function it returns is called,
// which waits for the last emit.
func (b *bus) forward(emit func(any), want func(about string) bool) (stop func()) {
	events, unwatch := b.lookOn(want)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case e := <-events:
				emit(e)
			case <-quit:
				return
			}
		}
	}()
	return func() {
		unwatch()
		close(quit)
		<-done
	}
}
