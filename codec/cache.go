package codec

import (
	"container/list"
	"sync"
)

// cache keeps the last few values that were loaded, and loads each only once
// however many ask for it at the same time. Safe for concurrent use.
type cache[K comparable, V any] struct {
	limit   int        // entries kept beside those in use
	recycle func(V)    // gets what was evicted and is used by nobody; may be nil
	mu      sync.Mutex // guards all below, and users of every entry; never held across a load
	order   list.List  // of *entry[K, V], last used first
	entries map[K]*entry[K, V]
}

type entry[K comparable, V any] struct {
	key   K
	ready chan struct{} // closed when value and err are set
	value V
	err   error
	users int           // between get and put
	place *list.Element // nil once evicted
}

func newCache[K comparable, V any](limit int, recycle func(V)) *cache[K, V] {
	return &cache[K, V]{limit: limit, recycle: recycle, entries: make(map[K]*entry[K, V])}
}

// get returns the entry of key, loaded if need be. Without an error the caller
// must put it back when done with its value. Errors are not kept.
func (c *cache[K, V]) get(key K, load func() (V, error)) (*entry[K, V], error) {
	c.mu.Lock()
	e, found := c.entries[key]
	if found {
		c.order.MoveToFront(e.place)
	} else {
		e = &entry[K, V]{key: key, ready: make(chan struct{})}
		e.place = c.order.PushFront(e)
		c.entries[key] = e
	}
	e.users++
	c.mu.Unlock()

	if found {
		<-e.ready
	} else {
		e.value, e.err = load()
		close(e.ready)
	}
	if e.err != nil {
		c.drop(e)
		return nil, e.err
	}
	return e, nil
}

// peek is get without loading: nil if key is not there.
func (c *cache[K, V]) peek(key K) *entry[K, V] {
	c.mu.Lock()
	e := c.entries[key]
	if e != nil {
		e.users++
		c.order.MoveToFront(e.place)
	}
	c.mu.Unlock()
	if e == nil {
		return nil
	}
	<-e.ready
	if e.err != nil {
		c.drop(e)
		return nil
	}
	return e
}

// ready is peek without waiting: nil also if key is being loaded.
func (c *cache[K, V]) ready(key K) *entry[K, V] {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		return nil
	}
	select {
	case <-e.ready:
	default:
		return nil
	}
	if e.err != nil {
		return nil
	}
	e.users++
	c.order.MoveToFront(e.place)
	return e
}

// put ends the use of e and evicts what is too many.
func (c *cache[K, V]) put(e *entry[K, V]) {
	c.mu.Lock()
	e.users--
	var unused []V
	if e.place == nil && e.users == 0 {
		unused = append(unused, e.value)
	}
	for c.order.Len() > c.limit {
		old := c.order.Back().Value.(*entry[K, V])
		c.evict(old)
		if old.users == 0 {
			unused = append(unused, old.value)
		}
	}
	c.mu.Unlock()
	if c.recycle != nil {
		for _, v := range unused {
			c.recycle(v)
		}
	}
}

// drop forgets an entry whose load failed.
func (c *cache[K, V]) drop(e *entry[K, V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.users--
	c.evict(e)
}

// evict takes e out, if it is in. The caller holds mu.
func (c *cache[K, V]) evict(e *entry[K, V]) {
	if e.place != nil {
		c.order.Remove(e.place)
		delete(c.entries, e.key)
		e.place = nil
	}
}
