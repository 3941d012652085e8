package gossip

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/channel"
)

const (
	topicsAge = 5 * time.Second // how often an unknown topic key may make us read the Ledger
	maxAbove  = 64 << 10        // topics above those of channels that are remembered
	spareKeys = 64 << 10        // topics that are remembered beyond twice those in the Ledger
)

// topicKeys finds the topics by their keys, of which alone others speak. The
// topics of the Ledger's channels are all there, however many there are: that is
// for the Ledger to bound, and who floods it with made-up channels, each on its
// own eight topics, must not make us deaf to who asks for another one. Of the
// topics above them there is a random choice where they are too many.
type topicKeys struct {
	mu       sync.Mutex
	listened map[channel.Hash]string // by our own user's will, whatever the Ledger has
	named    map[channel.Hash]string // by roots
	above    map[channel.Hash]string
	most     int           // of named, until it is made anew
	made     time.Time     // when it was made of the Ledger
	reading  chan struct{} // closed when that has been read; nil while it is not being
	// all guarded by mu
}

func newTopicKeys() *topicKeys {
	return &topicKeys{listened: make(map[channel.Hash]string), named: make(map[channel.Hash]string),
		above: make(map[channel.Hash]string), most: spareKeys}
}

func (k *topicKeys) listen(topic string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.listened[channel.TopicKey(topic)] = topic
}

// learn remembers topics of a root that the Ledger has accepted, as far as there
// is room; what is not is found in the Ledger when it is asked for.
func (k *topicKeys) learn(topics []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.named)+len(topics) <= k.most {
		k.put(topics)
	}
}

// put adds topics. k.mu is held.
func (k *topicKeys) put(topics []string) {
	for _, t := range topics {
		k.named[channel.TopicKey(t)] = t
		for _, up := range channel.ParentTopics(t) {
			if len(k.above) < maxAbove {
				k.above[channel.TopicKey(up)] = up
			}
		}
	}
}

// find returns the topic with the key. Where it is not known, all gives the
// topics of the Ledger, once in a while; who asks meanwhile waits for them.
func (k *topicKeys) find(ctx context.Context, key channel.Hash, all func(context.Context) ([]string, error)) (string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	topic, ok := k.get(key)
	switch reading := k.reading; {
	case ok:
		return topic, true
	case reading != nil:
		k.mu.Unlock()
		select {
		case <-reading:
		case <-ctx.Done():
		}
		k.mu.Lock()
		return k.get(key)
	case time.Since(k.made) <= topicsAge:
		return "", false
	}
	read := make(chan struct{})
	k.reading = read
	k.mu.Unlock()
	topics, err := all(ctx)
	topics = slices.Clone(topics)
	rand.Shuffle(len(topics), func(i, j int) { topics[i], topics[j] = topics[j], topics[i] })
	k.mu.Lock()
	k.reading = nil
	close(read)
	if err != nil { // the next one who asks tries again
		return "", false
	}
	k.made = time.Now()
	k.named, k.above = make(map[channel.Hash]string), make(map[channel.Hash]string)
	k.most = 2*len(topics) + spareKeys
	k.put(topics)
	return k.get(key)
}

// get looks a key up. k.mu is held.
func (k *topicKeys) get(key channel.Hash) (string, bool) {
	for _, m := range []map[channel.Hash]string{k.listened, k.named, k.above} {
		if t, ok := m[key]; ok {
			return t, true
		}
	}
	return "", false
}
