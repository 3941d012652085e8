package fetch

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// blobMap is a store in memory.
type blobMap struct {
	mu      sync.Mutex
	blobs   map[blobnet.ID][]byte
	puts    int
	deletes int
	putErr  error
}

func newBlobMap(blobs ...[]byte) *blobMap {
	m := &blobMap{blobs: make(map[blobnet.ID][]byte)}
	for _, b := range blobs {
		m.blobs[blobnet.Sum(b)] = b
	}
	return m
}

func (m *blobMap) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.blobs[id]
	if !ok {
		return dst, blobnet.ErrNotFound
	}
	if blobnet.Sum(b) != id {
		return dst, blobnet.ErrCorrupt
	}
	return append(dst, b...), nil
}

func (m *blobMap) Put(ctx context.Context, id blobnet.ID, blob []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.putErr != nil {
		return m.putErr
	}
	if blobnet.Sum(blob) != id {
		return blobnet.ErrCorrupt
	}
	m.puts++
	m.blobs[id] = bytes.Clone(blob)
	return nil
}

func (m *blobMap) Has(ctx context.Context, ids ...blobnet.ID) ([]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	has := make([]bool, len(ids))
	for i, id := range ids {
		_, has[i] = m.blobs[id]
	}
	return has, nil
}

func (m *blobMap) Delete(ctx context.Context, ids ...blobnet.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		m.deletes++
		delete(m.blobs, id)
	}
	return nil
}

// fakePeer answers by a function of the test.
type fakePeer struct {
	name string
	get  func(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error)

	mu     sync.Mutex
	asked  []blobnet.ID
	now    int // requests under way
	most   int
	ending int // requests that have returned
}

func (p *fakePeer) Name() string { return p.name }

func (p *fakePeer) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	p.mu.Lock()
	p.asked = append(p.asked, id)
	p.now++
	p.most = max(p.most, p.now)
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.now--
		p.ending++
		p.mu.Unlock()
	}()
	return p.get(ctx, id, dst)
}

func (p *fakePeer) requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked)
}

func (p *fakePeer) underWay() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

// peerWith has blobs.
func peerWith(name string, blobs ...[]byte) *fakePeer {
	return &fakePeer{name: name, get: newBlobMap(blobs...).Get}
}

// later is get after d.
func later(d time.Duration, get func(context.Context, blobnet.ID, []byte) ([]byte, error)) func(context.Context, blobnet.ID, []byte) ([]byte, error) {
	return func(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
		select {
		case <-time.After(d):
			return get(ctx, id, dst)
		case <-ctx.Done():
			return dst, ctx.Err()
		}
	}
}

// peerThat always gives err.
func peerThat(name string, err error) *fakePeer {
	return &fakePeer{name: name, get: func(_ context.Context, _ blobnet.ID, dst []byte) ([]byte, error) { return dst, err }}
}

// silentPeer never answers.
func silentPeer(name string) *fakePeer {
	return &fakePeer{name: name, get: func(ctx context.Context, _ blobnet.ID, dst []byte) ([]byte, error) {
		<-ctx.Done()
		return dst, ctx.Err()
	}}
}

func randomBlob(size int, seed uint64) []byte {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	b := make([]byte, size)
	rand.NewChaCha8(key).Read(b)
	return b
}

func randomBlobs(n, size int) (blobs [][]byte, ids []blobnet.ID) {
	for i := range n {
		blobs = append(blobs, randomBlob(size, uint64(i)))
		ids = append(ids, blobnet.Sum(blobs[i]))
	}
	return blobs, ids
}

// eventLog collects what a Swarm tells.
type eventLog struct {
	mu   sync.Mutex
	list []Event
}

func (l *eventLog) add(ev Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, ev)
}

func (l *eventLog) of(kind Kind) []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Event
	for _, ev := range l.list {
		if ev.Kind == kind {
			out = append(out, ev)
		}
	}
	return out
}
