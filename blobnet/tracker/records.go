package tracker

import (
	"container/list"
	"context"
	"errors"
	"strings"
	"sync"

	ds "github.com/ipfs/go-datastore"
	dsq "github.com/ipfs/go-datastore/query"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-base32"
)

// What strangers can make this node remember. A record takes some 400 bytes.
const (
	maxRecords       = 100_000
	maxRecordsOfPeer = 20_000
	maxRecordsForKey = 512
)

// recordStore holds the provider records that kad-dht keeps for others, and
// this node's own. It is a datastore with limits, as kad-dht knows none: at the
// limit for everything, or for a key, the record refreshed longest ago goes;
// at that of a peer its new ones are ignored, without an error: kad-dht would
// break off the stream, and with it the records after. Own records are never
// dropped.
//
// It is kept in memory only: records come again within SparseInterval or
// Interval, and are wrong after a long absence anyway.
type recordStore struct {
	self string // the part of a datastore key that names this node

	mu     sync.Mutex
	byKey  map[string]map[string]*list.Element // guarded by mu: key, peer -> *record
	own    map[string][]byte                   // guarded by mu: key -> value, of this node
	age    *list.List                          // guarded by mu: *record, oldest first
	ofPeer map[string]int                      // guarded by mu: how many in age
	puts   uint64                              // guarded by mu
}

type record struct {
	key, peer string
	value     []byte
	put       uint64 // grows from one Put to the next
}

var _ ds.Batching = (*recordStore)(nil)

func newRecordStore(self peer.ID) *recordStore {
	return &recordStore{
		self:   base32.RawStdEncoding.EncodeToString([]byte(self)),
		byKey:  make(map[string]map[string]*list.Element),
		own:    make(map[string][]byte),
		age:    list.New(),
		ofPeer: make(map[string]int),
	}
}

// splitRecord takes "/providers/KEY/PEER" apart.
func splitRecord(path string) (key, peer string, ok bool) {
	rest, ok := strings.CutPrefix(path, records.ProvidersKeyPrefix)
	if !ok {
		return "", "", false
	}
	key, peer, ok = strings.Cut(rest, "/")
	return key, peer, ok && key != "" && peer != "" && !strings.Contains(peer, "/")
}

func (s *recordStore) Put(_ context.Context, path ds.Key, value []byte) error {
	key, peer, ok := splitRecord(path.String())
	if !ok {
		return errors.New("not a provider record: " + path.String())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if peer == s.self {
		s.own[key] = value
		return nil
	}
	s.puts++
	if e := s.byKey[key][peer]; e != nil {
		e.Value.(*record).value, e.Value.(*record).put = value, s.puts
		s.age.MoveToBack(e)
		return nil
	}
	if s.ofPeer[peer] >= maxRecordsOfPeer {
		return nil
	}
	if len(s.byKey[key]) >= maxRecordsForKey {
		s.drop(s.oldestFor(key))
	}
	if s.age.Len() >= maxRecords {
		s.drop(s.age.Front())
	}
	if s.byKey[key] == nil {
		s.byKey[key] = make(map[string]*list.Element)
	}
	s.byKey[key][peer] = s.age.PushBack(&record{key: key, peer: peer, value: value, put: s.puts})
	s.ofPeer[peer]++
	return nil
}

// oldestFor finds a key's record that was put longest ago; s.mu is held.
func (s *recordStore) oldestFor(key string) *list.Element {
	var oldest *list.Element
	for _, e := range s.byKey[key] {
		if oldest == nil || e.Value.(*record).put < oldest.Value.(*record).put {
			oldest = e
		}
	}
	return oldest
}

// drop removes a record; s.mu is held.
func (s *recordStore) drop(e *list.Element) {
	r := s.age.Remove(e).(*record)
	if delete(s.byKey[r.key], r.peer); len(s.byKey[r.key]) == 0 {
		delete(s.byKey, r.key)
	}
	if s.ofPeer[r.peer]--; s.ofPeer[r.peer] == 0 {
		delete(s.ofPeer, r.peer)
	}
}

// forget removes this node's own record of key.
func (s *recordStore) forget(key Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.own, base32.RawStdEncoding.EncodeToString(key.multihash()))
}

func (s *recordStore) Get(_ context.Context, path ds.Key) ([]byte, error) {
	key, peer, _ := splitRecord(path.String())
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.own[key]; ok && peer == s.self {
		return v, nil
	}
	if e := s.byKey[key][peer]; e != nil {
		return e.Value.(*record).value, nil
	}
	return nil, ds.ErrNotFound
}

func (s *recordStore) Has(ctx context.Context, path ds.Key) (bool, error) {
	_, err := s.Get(ctx, path)
	return err == nil, nil
}

func (s *recordStore) GetSize(ctx context.Context, path ds.Key) (int, error) {
	v, err := s.Get(ctx, path)
	if err != nil {
		return -1, err
	}
	return len(v), nil
}

func (s *recordStore) Delete(_ context.Context, path ds.Key) error {
	key, peer, _ := splitRecord(path.String())
	s.mu.Lock()
	defer s.mu.Unlock()
	if peer == s.self {
		delete(s.own, key)
	} else if e := s.byKey[key][peer]; e != nil {
		s.drop(e)
	}
	return nil
}

// Query answers the two questions of kad-dht, by prefix: the records of one
// key, and all records. Order, limit and filters are not looked at.
func (s *recordStore) Query(_ context.Context, q dsq.Query) (dsq.Results, error) {
	key := strings.Trim(strings.TrimPrefix(q.Prefix+"/", records.ProvidersKeyPrefix), "/")
	var out []dsq.Entry
	add := func(key, peer string, value []byte) {
		out = append(out, dsq.Entry{Key: records.ProvidersKeyPrefix + key + "/" + peer, Value: value, Size: len(value)})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if key == "" {
		for e := s.age.Front(); e != nil; e = e.Next() {
			r := e.Value.(*record)
			add(r.key, r.peer, r.value)
		}
		for k, v := range s.own {
			add(k, s.self, v)
		}
		return dsq.ResultsWithEntries(q, out), nil
	}
	for p, e := range s.byKey[key] {
		add(key, p, e.Value.(*record).value)
	}
	if v, ok := s.own[key]; ok {
		add(key, s.self, v)
	}
	return dsq.ResultsWithEntries(q, out), nil
}

func (s *recordStore) Batch(context.Context) (ds.Batch, error) { return ds.NewBasicBatch(s), nil }

func (s *recordStore) Sync(context.Context, ds.Key) error { return nil }

func (s *recordStore) Close() error { return nil }

// noCache is a simplelru.LRUCache that remembers nothing: recordStore is in
// memory already, and kad-dht's cache would hide what was forgotten.
type noCache struct{}

func (noCache) Add(any, any) bool              { return false }
func (noCache) Get(any) (any, bool)            { return nil, false }
func (noCache) Contains(any) bool              { return false }
func (noCache) Peek(any) (any, bool)           { return nil, false }
func (noCache) Remove(any) bool                { return false }
func (noCache) RemoveOldest() (any, any, bool) { return nil, nil, false }
func (noCache) GetOldest() (any, any, bool)    { return nil, nil, false }
func (noCache) Keys() []any                    { return nil }
func (noCache) Len() int                       { return 0 }
func (noCache) Purge()                         {}
func (noCache) Resize(int) int                 { return 0 }
