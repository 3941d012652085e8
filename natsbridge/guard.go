package natsbridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// errAltered: somebody else has changed what a node reads a stream by.
var errAltered = errors.New("the consumer of this node was altered by somebody else; it is set right, and all is read again: who may make consumers on this stream?")

// guard sees that the node's consumers are as it made them. Where they are not,
// something may have passed it by: they are set right, and every channel is read
// again. One that is gone is noticed by who follows it.
func (s *session) guard(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 4*callTimeout)
	defer cancel()
	want := s.b.consumer()
	for _, stream := range []jetstream.Stream{s.manifests, s.heads, s.snapshots} {
		if stream == nil {
			continue
		}
		cons, err := stream.Consumer(ctx, want.Durable)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			continue
		}
		name := stream.CachedInfo().Config.Name
		if err != nil {
			return explain(fmt.Errorf("looking at what reads %s: %w", name, err))
		}
		if !altered(cons.CachedInfo().Config, want) {
			continue
		}
		s.b.event(Event{Kind: EventFailed, Err: fmt.Errorf("reading %s: %w", name, errAltered)})
		if _, err := stream.CreateOrUpdateConsumer(ctx, want); err != nil {
			return explain(fmt.Errorf("setting right what reads %s: %w", name, err))
		}
		s.b.readAgain()
	}
	return nil
}

func altered(has, want jetstream.ConsumerConfig) bool {
	return has.FilterSubject != "" || len(has.FilterSubjects) > 0 || has.HeadersOnly || len(has.BackOff) > 0 || has.RateLimit > 0 ||
		has.MaxRequestBatch > 0 || has.MaxRequestExpires > 0 || has.MaxRequestMaxBytes > 0 || has.PauseUntil != nil && has.PauseUntil.After(time.Now()) ||
		has.AckPolicy != want.AckPolicy || has.AckWait != want.AckWait || has.MaxDeliver != want.MaxDeliver || has.MaxAckPending != want.MaxAckPending
}

// readAgain has all channels read as a whole.
func (b *Bridge) readAgain() {
	b.mu.Lock()
	clear(b.read)
	b.mu.Unlock()
}
