package tracker

import (
	"context"
	"errors"
	"testing"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
)

var errDeaf = errors.New("no more subscriptions")

// deafHost is a host that tells nobody what happens on it.
type deafHost struct{ host.Host }

func (h deafHost) EventBus() event.Bus { return deafBus{h.Host.EventBus()} }

type deafBus struct{ event.Bus }

func (deafBus) Subscribe(any, ...event.SubscriptionOpt) (event.Subscription, error) {
	return nil, errDeaf
}

func TestRunReturnsTheErrorOfAPartThatFails(t *testing.T) {
	for name, cfg := range map[string]Config{"static": {}, "LAN": {LAN: true}} {
		t.Run(name, func(t *testing.T) {
			cfg.Host = deafHost{newTestHost(t)}
			tr, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := tr.Run(t.Context()); !errors.Is(err, errDeaf) {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

func TestRunReturnsNoErrorOnceItsContextHasEnded(t *testing.T) {
	tr, err := New(Config{Host: deafHost{newTestHost(t)}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tr.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
}
